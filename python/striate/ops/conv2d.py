# SPDX-License-Identifier: Apache-2.0
"""Convolution and transposed convolution of images.

Operands may be bfloat16; inside `autocast` those of float32 are rounded to it. Sums are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops import low as bfloat16
from striate.ops.activation import Numbers, with_activation
from striate.ops.activation import gradient as fused_gradient
from striate.ops.arithmetic import same_dtype
from striate.ops.indexing import getitem
from striate.ops.layout import channels_last
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "conv2d",
    "conv_transpose2d",
]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def images(x: Array) -> Array:
    """x, rank 4, in channels-last memory: itself if it is there already."""
    return x if x.transpose(0, 2, 3, 1).flags.c_contiguous else channels_last(x)


def pair(name: str, argument: str, value: Any) -> Pair:
    """An integer, or two, as two."""
    values = (value, value) if isinstance(value, (int, np.integer)) else value
    if (
        not isinstance(values, (tuple, list))
        or len(values) != 2
        or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values)
    ):
        raise TypeError(f"{name}: {argument}: expected an integer or two, got {value!r}")
    return int(values[0]), int(values[1])


def padding_of(name: str, padding: Any, filters: Pair, stride: Pair, dilation: Pair) -> Padding:
    """padding as ((top, bottom), (left, right)): a number, (h, w), both pairs, "same", "valid"."""
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        if padding != "same":
            raise ValueError(f'{name}: padding: expected "same" or "valid", got {padding!r}')
        if stride != (1, 1):
            raise ValueError(f'{name}: padding: "same" needs stride 1, got stride {stride}')
        total = [d * (f - 1) for d, f in zip(dilation, filters, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    if isinstance(padding, (tuple, list)) and padding and isinstance(padding[0], (tuple, list)):
        if len(padding) != 2:
            raise TypeError(f"{name}: padding: expected two pairs, got {padding!r}")
        return pair(name, "padding", padding[0]), pair(name, "padding", padding[1])
    h, w = pair(name, "padding", padding)
    return (h, h), (w, w)


@op("(N, C, H, W), (K, C / groups, R, S), (K,)? -> (N, K, P, Q)", name="conv2d")
def _conv2d(
    ctx: Node,
    x: Array,
    weight: Array,
    *bias: Array,
    options: dict[str, Any],
    activation: str | None = None,
    parameter: Numbers = 0.0,
) -> Array:
    x, weight, low = bfloat16.operands(images(x), images(weight))
    y = _C.conv2d(
        x,
        weight,
        bfloat16.wide(bias[0]) if bias else None,
        activation=activation,
        parameter=parameter,
        **options,
    )
    ctx.save(x, weight, y if activation else None, activation, parameter, options, low)
    return bfloat16.like(y, low)


@_conv2d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, y, activation, parameter, options, low = ctx.saved
    sums = images(fused_gradient(activation, parameter, y, bfloat16.wide(dy)))
    dy = bfloat16.fitting(sums, x)
    dx = dw = db = None
    if ctx.needs[0]:
        dx = bfloat16.like(_C.conv2d_bwd_data(dy, weight, size=x.shape[2:], **options), low)
    if ctx.needs[1]:
        dw = bfloat16.like(_C.conv2d_bwd_weight(x, dy, size=weight.shape[2:], **options), low)
    if len(ctx.needs) == 3 and ctx.needs[2]:
        db = bfloat16.like(_C.sum(sums, (0, 2, 3)), low)
    return (dx, dw, db)[: len(ctx.needs)]


def _operands(name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """The operands that are there, checked for rank and dtype."""
    given = same_dtype(name, {"input": input, "weight": weight, "bias": bias}, low=True)
    if input.ndim not in (3, 4):
        raise ValueError(
            f"{name}: input: expected (N, C, H, W) or (C, H, W), got shape {input.shape}"
        )
    if weight.ndim != 4:
        raise ValueError(f"{name}: weight: expected four axes, got shape {weight.shape}")
    return given if input.ndim == 4 else [unsqueeze(input, 0), *given[1:]]


def _single(y: Tensor, input: Tensor) -> Tensor:
    """y without the axis that _operands gave the input."""
    return y if input.ndim == 4 else getitem(y, 0)


@explained
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
    activation_parameter: Numbers | None = None,
) -> Tensor:
    """2-D convolution (cross-correlation), LeCun et al. 1998.

    y[n, k, p, q] = b[k] + sum over c, r, s of x[n, c, p u + r d - top, q v + s e - left]
    * w[k, c, r, s], with stride (u, v), dilation (d, e), and x zero outside the image.

    input (N, C, H, W), weight (K, C / groups, R, S), bias (K,) -> (N, K, P, Q) in channels-last
    memory, or both without N; P = (H + top + bottom - d (R - 1) - 1) // u + 1, Q likewise.
    `padding` is a number, (h, w), ((top, bottom), (left, right)), "valid" or, at stride 1, "same".
    `activation` names a function applied to the result in the same pass.

    Raises ValueError where shapes do not fit or the filter is larger than the padded input.
    """
    operands = _operands("conv2d", input, weight, bias)
    u, d = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    size = (weight.shape[2], weight.shape[3])
    options = {
        "stride": u,
        "padding": padding_of("conv2d", padding, size, u, d),
        "dilation": d,
        "groups": groups,
    }
    y = with_activation(
        "conv2d", _conv2d, operands, activation, activation_parameter, options=options
    )
    return _single(y, input)


@op("(N, C, H, W), (C, K / groups, R, S), (K,)? -> (N, K, P, Q)", name="conv_transpose2d")
def _conv_transpose2d(
    ctx: Node, x: Array, weight: Array, *bias: Array, size: Pair, options: dict[str, Any]
) -> Array:
    x, weight, low = bfloat16.operands(images(x), images(weight))
    ctx.save(x, weight, options, low)
    bias_or_none = bfloat16.wide(bias[0]) if bias else None
    y = _C.conv2d_bwd_data(x, weight, size=size, bias=bias_or_none, **options)
    return bfloat16.like(y, low)


@_conv_transpose2d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, options, low = ctx.saved
    sums = images(bfloat16.wide(dy))
    dy = bfloat16.fitting(sums, x)
    dx = dw = db = None
    if ctx.needs[0]:
        dx = bfloat16.like(_C.conv2d(dy, weight, **options), low)
    if ctx.needs[1]:
        dw = bfloat16.like(_C.conv2d_bwd_weight(dy, x, size=weight.shape[2:], **options), low)
    if len(ctx.needs) == 3 and ctx.needs[2]:
        db = bfloat16.like(_C.sum(sums, (0, 2, 3)), low)
    return (dx, dw, db)[: len(ctx.needs)]


@explained
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution: the data gradient of conv2d, read forward (Zeiler et al. 2010).

    input (N, C, H, W), weight (C, K / groups, R, S), bias (K,) -> (N, K, P, Q) with
    P = (H - 1) u - 2 h + d (R - 1) + output_padding + 1, and Q likewise.

    Raises ValueError where shapes do not fit, or output_padding is not below stride or dilation.
    """
    name = "conv_transpose2d"
    operands = _operands(name, input, weight, bias)
    u, d = pair(name, "stride", stride), pair(name, "dilation", dilation)
    extra = pair(name, "output_padding", output_padding)
    if input.shape[-3] != weight.shape[0]:
        raise ValueError(
            f"{name}: weight: expected ({input.shape[-3]}, K / groups, R, S) for an input of shape "
            f"{input.shape}, got {weight.shape}"
        )
    filters = (weight.shape[2], weight.shape[3])
    pads = padding_of(name, padding, filters, u, d)
    if any(e < 0 or (e >= a and e >= b) for e, a, b in zip(extra, u, d, strict=True)):
        raise ValueError(
            f"{name}: output_padding: expected 0 or more and below stride {u} or dilation {d}, got "
            f"{extra}"
        )
    size = tuple(
        (n - 1) * a - sum(pad) + b * (f - 1) + e + 1
        for n, a, pad, b, f, e in zip(input.shape[-2:], u, pads, d, filters, extra, strict=True)
    )
    if min(size) < 1:
        raise ValueError(f"{name}: input: shape {input.shape} gives an output of {size}")
    # Its convolution stops short of what output_padding adds.
    ends = tuple((pad[0], pad[1] - e) for pad, e in zip(pads, extra, strict=True))
    options = {"stride": u, "padding": ends, "dilation": d, "groups": groups}
    return _single(_conv_transpose2d(*operands, size=size, options=options), input)

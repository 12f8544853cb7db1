# SPDX-License-Identifier: Apache-2.0
"""Convolution and transposed convolution of sequences and volumes. Those of images: conv2d.py.

A sequence (N, C, L) is an image of one row: along a row the kernels find the values under a filter
as neighbours and run without a break, where images of one column would make a run of every pixel.
Memory is channels-last like that of images, so nothing is copied to see it so. Sequences may be
bfloat16 as images may; volumes are float32 or float64, also inside `autocast`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops import low as bfloat16
from striate.ops import volume
from striate.ops.activation import Numbers, with_activation
from striate.ops.activation import gradient as fused_gradient
from striate.ops.arithmetic import same_dtype
from striate.ops.indexing import getitem
from striate.ops.layout import channels_last
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "conv1d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose3d",
]

Options = dict[str, Any]
_LAYOUTS = {1: "(N, C, L) or (C, L)", 3: "(N, C, D, H, W) or (C, D, H, W)"}
_MOST = 2**40  # of a stride, a dilation or a width, so that no sum of them overflows


# --- arguments ------------------------------------------------------------------------------------


def numbers(name: str, argument: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """An integer, or `count` of them, as so many, each of at least `least`."""
    values = [value] * count if isinstance(value, (int, np.integer)) else value
    if (
        not isinstance(values, (tuple, list))
        or len(values) != count
        or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values)
    ):
        expected = "an integer" if count == 1 else f"an integer or {count}"
        raise TypeError(f"{name}: {argument}: expected {expected}, got {value!r}")
    if min(values) < least or max(values) >= _MOST:
        raise ValueError(f"{name}: {argument}: expected {least} or more, got {tuple(values)}")
    return tuple(int(v) for v in values)


def paddings(
    name: str, padding: Any, filters: tuple[int, ...], stride: Any, dilation: Any
) -> tuple[tuple[int, int], ...]:
    """One pair an axis: from a number, numbers, pairs, "same" or "valid"."""
    count = len(filters)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f'{name}: padding: expected "same" or "valid", got {padding!r}')
        if padding == "valid":
            return ((0, 0),) * count
        if any(u != 1 for u in stride):
            raise ValueError(f'{name}: padding: "same" needs stride 1, got stride {stride}')
        total = [d * (f - 1) for d, f in zip(dilation, filters, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, (tuple, list)) and padding and isinstance(padding[0], (tuple, list)):
        if len(padding) != count:
            raise TypeError(f"{name}: padding: expected {count} pairs, got {padding!r}")
        pairs = [numbers(name, "padding", p, 2, 0) for p in padding]
        return tuple((p[0], p[1]) for p in pairs)
    return tuple((p, p) for p in numbers(name, "padding", padding, count, 0))


def _operands(
    name: str, dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: Any,
    transposed: bool,
) -> list[Tensor]:  # fmt: skip
    """The operands that are there, a batch among them, checked against each other."""
    operands = {"input": input, "weight": weight, "bias": bias}
    given = same_dtype(name, operands, low=dims == 1)
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: input: expected {_LAYOUTS[dims]}, got shape {input.shape}")
    if weight.ndim != dims + 2 or 0 in weight.shape:
        raise ValueError(
            f"{name}: weight: expected {dims + 2} axes of 1 or more, got shape {weight.shape}"
        )
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"{name}: groups: expected an integer of 1 or more, got {groups!r}")
    channels = input.shape[-dims - 1]
    if transposed:
        fits = weight.shape[0] == channels
        filters, expected = weight.shape[1] * groups, f"({channels}, K / groups, ...)"
    else:
        fits = weight.shape[1] * groups == channels
        filters, expected = weight.shape[0], f"(K, {channels} / {groups}, ...)"
    if not fits:
        raise ValueError(
            f"{name}: weight: expected {expected} for an input of shape {input.shape} in {groups} "
            f"groups, got shape {weight.shape}"
        )
    if (channels if transposed else filters) % groups:
        raise ValueError(
            f"{name}: groups: expected a divisor of {channels} channels and {filters} filters, got "
            f"{groups}"
        )
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"{name}: bias: expected shape ({filters},), got {bias.shape}")
    return [input if input.ndim == dims + 2 else unsqueeze(input, 0), *given[1:]]


def _forward_options(
    name: str, x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int
) -> Options:
    """The options of a convolution, and that its result has no size below 1."""
    count = x.ndim - 2
    u = numbers(name, "stride", stride, count, 1)
    d = numbers(name, "dilation", dilation, count, 1)
    pads = paddings(name, padding, weight.shape[2:], u, d)
    for n, pad, f, e in zip(x.shape[2:], pads, weight.shape[2:], d, strict=True):
        if n + sum(pad) < e * (f - 1) + 1:
            raise ValueError(
                f"{name}: input: expected a padded size of at least {e * (f - 1) + 1} (filter "
                f"{f}, dilation {e}), got {n} + {sum(pad)} of padding"
            )
    return {"stride": u, "padding": pads, "dilation": d, "groups": int(groups)}


def _transposed_options(
    name: str, x: Tensor, weight: Tensor, stride: Any, padding: Any, output_padding: Any,
    dilation: Any, groups: int,
) -> tuple[tuple[int, ...], Options]:  # fmt: skip
    """The size of a transposed convolution's result, and its options."""
    count = x.ndim - 2
    u = numbers(name, "stride", stride, count, 1)
    d = numbers(name, "dilation", dilation, count, 1)
    pads = tuple((p, p) for p in numbers(name, "padding", padding, count, 0))
    extra = numbers(name, "output_padding", output_padding, count, 0)
    if any(e >= a and e >= b for e, a, b in zip(extra, u, d, strict=True)):
        raise ValueError(
            f"{name}: output_padding: expected less than stride {u} or dilation {d}, got {extra}"
        )
    size = tuple(
        (n - 1) * a - sum(pad) + b * (f - 1) + e + 1
        for n, a, pad, b, f, e in zip(x.shape[2:], u, pads, d, weight.shape[2:], extra, strict=True)
    )
    if min(size) < 1 or 0 in x.shape[1:]:
        raise ValueError(f"{name}: input: shape {x.shape} gives an output of {size}")
    # Its convolution stops short of what output_padding adds.
    ends = tuple((pad[0], pad[1] - e) for pad, e in zip(pads, extra, strict=True))
    return size, {"stride": u, "padding": ends, "dilation": d, "groups": int(groups)}


def _single(y: Tensor, input: Tensor) -> Tensor:
    """y without the axis that _operands gave the input."""
    return y if y.ndim == input.ndim else getitem(y, 0)


# --- sequences ------------------------------------------------------------------------------------


def _of_row(options: Options) -> Options:
    """The options of a sequence as those of an image of one row."""
    return {
        "stride": (1, *options["stride"]),
        "padding": ((0, 0), *options["padding"]),
        "dilation": (1, *options["dilation"]),
        "groups": options["groups"],
    }


def _row(x: Array) -> Array:
    return x[:, :, None]


@op("(N, C, L), (K, C / groups, S), (K,)? -> (N, K, Q)", name="conv1d")
def _conv1d(
    ctx: Node,
    x: Array,
    weight: Array,
    *bias: Array,
    options: Options,
    activation: str | None = None,
    parameter: Numbers = 0.0,
) -> Array:
    x, weight, low = bfloat16.operands(channels_last(x), channels_last(weight))
    image = _C.conv2d(
        _row(x),
        _row(weight),
        bfloat16.wide(bias[0]) if bias else None,
        activation=activation,
        parameter=parameter,
        **_of_row(options),
    )
    y = image[:, :, 0]
    ctx.save(x, weight, y if activation else None, activation, parameter, options, low)
    return bfloat16.like(y, low)


@_conv1d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, y, activation, parameter, options, low = ctx.saved
    sums = channels_last(fused_gradient(activation, parameter, y, bfloat16.wide(dy)))
    dy, given = bfloat16.fitting(sums, x), _of_row(options)
    dx = dw = db = None
    if ctx.needs[0]:
        size = (1, x.shape[2])
        dx = _C.conv2d_bwd_data(_row(dy), _row(weight), size=size, **given)[:, :, 0]
        dx = bfloat16.like(dx, low)
    if ctx.needs[1]:
        size = (1, weight.shape[2])
        dw = _C.conv2d_bwd_weight(_row(x), _row(dy), size=size, **given)[:, :, 0]
        dw = bfloat16.like(dw, low)
    if len(ctx.needs) == 3 and ctx.needs[2]:
        db = bfloat16.like(_C.sum(sums, (0, 2)), low)
    return (dx, dw, db)[: len(ctx.needs)]


@op("(N, C, L), (C, K / groups, S), (K,)? -> (N, K, Q)", name="conv_transpose1d")
def _conv_transpose1d(
    ctx: Node, x: Array, weight: Array, *bias: Array, size: tuple[int, ...], options: Options
) -> Array:
    x, weight, low = bfloat16.operands(channels_last(x), channels_last(weight))
    ctx.save(x, weight, options, low)
    bias_or_none = bfloat16.wide(bias[0]) if bias else None
    given = {"size": (1, *size), "bias": bias_or_none, **_of_row(options)}
    image = _C.conv2d_bwd_data(_row(x), _row(weight), **given)
    return bfloat16.like(image[:, :, 0], low)


@_conv_transpose1d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, options, low = ctx.saved
    sums = channels_last(bfloat16.wide(dy))
    dy, given = bfloat16.fitting(sums, x), _of_row(options)
    dx = dw = db = None
    if ctx.needs[0]:
        dx = bfloat16.like(_C.conv2d(_row(dy), _row(weight), **given)[:, :, 0], low)
    if ctx.needs[1]:
        size = (1, weight.shape[2])
        dw = _C.conv2d_bwd_weight(_row(dy), _row(x), size=size, **given)[:, :, 0]
        dw = bfloat16.like(dw, low)
    if len(ctx.needs) == 3 and ctx.needs[2]:
        db = bfloat16.like(_C.sum(sums, (0, 2)), low)
    return (dx, dw, db)[: len(ctx.needs)]


def conv1d(
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
    """1-D convolution (cross-correlation) of sequences (Waibel et al. 1989).

    y[n, k, q] = b[k] + sum over c, s of x[n, c, q u + s d - left] * w[k, c, s], with stride u,
    dilation d, and x zero outside the sequence.

    input (N, C, L) or (C, L), weight (K, C / groups, S), bias (K,) -> (N, K, Q) or (K, Q), Q =
    (L + left + right - d (S - 1) - 1) // u + 1. `padding` is a number, ((left, right),), "valid"
    or, at stride 1, "same". `activation` names a function applied to the result in the same pass.

    Raises ValueError where shapes do not fit or the filter is larger than the padded input.
    """
    operands = _operands("conv1d", 1, input, weight, bias, groups, False)
    options = _forward_options("conv1d", operands[0], weight, stride, padding, dilation, groups)
    y = with_activation(
        "conv1d", _conv1d, operands, activation, activation_parameter, options=options
    )
    return _single(y, input)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution: the data gradient of conv1d, read forward (Zeiler et al. 2010).

    input (N, C, L) or (C, L), weight (C, K / groups, S), bias (K,) -> (N, K, Q) or (K, Q) with
    Q = (L - 1) u - 2 padding + d (S - 1) + output_padding + 1.

    Raises ValueError where shapes do not fit, or output_padding is not below stride or dilation.
    """
    name = "conv_transpose1d"
    operands = _operands(name, 1, input, weight, bias, groups, True)
    size, options = _transposed_options(
        name, operands[0], weight, stride, padding, output_padding, dilation, groups
    )
    return _single(_conv_transpose1d(*operands, size=size, options=options), input)


# --- volumes --------------------------------------------------------------------------------------


@op("(N, C, D, H, W), (K, C / groups, T, R, S), (K,)? -> (N, K, O, P, Q)", name="conv3d")
def _conv3d(
    ctx: Node,
    x: Array,
    weight: Array,
    *bias: Array,
    options: Options,
    activation: str | None = None,
    parameter: Numbers = 0.0,
) -> Array:
    x, weight = channels_last(x), channels_last(weight)
    y = volume.conv3d(
        x,
        weight,
        bias[0] if bias else None,
        activation=activation,
        parameter=parameter,
        **options,
    )
    ctx.save(x, weight, y if activation else None, activation, parameter, options)
    return y


@_conv3d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, y, activation, parameter, options = ctx.saved
    dy = channels_last(fused_gradient(activation, parameter, y, dy))
    dx = dw = None
    if ctx.needs[0]:
        dx = volume.conv3d_bwd_data(dy, weight, size=x.shape[2:], **options)
    if ctx.needs[1]:
        dw = volume.conv3d_bwd_weight(x, dy, size=weight.shape[2:], **options)
    db = _C.sum(dy, (0, 2, 3, 4)) if len(ctx.needs) == 3 and ctx.needs[2] else None
    return (dx, dw, db)[: len(ctx.needs)]


@op("(N, C, D, H, W), (C, K / groups, T, R, S), (K,)? -> (N, K, O, P, Q)", name="conv_transpose3d")
def _conv_transpose3d(
    ctx: Node, x: Array, weight: Array, *bias: Array, size: tuple[int, ...], options: Options
) -> Array:
    x, weight = channels_last(x), channels_last(weight)
    ctx.save(x, weight, options)
    return volume.conv3d_bwd_data(x, weight, size=size, bias=bias[0] if bias else None, **options)


@_conv_transpose3d.backward
def _(ctx: Node, dy: Array) -> Any:
    x, weight, options = ctx.saved
    dy = channels_last(dy)
    dx = volume.conv3d(dy, weight, **options) if ctx.needs[0] else None
    dw = None
    if ctx.needs[1]:
        dw = volume.conv3d_bwd_weight(dy, x, size=weight.shape[2:], **options)
    db = _C.sum(dy, (0, 2, 3, 4)) if len(ctx.needs) == 3 and ctx.needs[2] else None
    return (dx, dw, db)[: len(ctx.needs)]


def conv3d(
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
    """3-D convolution (cross-correlation) of volumes or films (Ji et al. 2010).

    As conv2d with one more axis: input (N, C, D, H, W) or (C, D, H, W), weight
    (K, C / groups, T, R, S), bias (K,) -> (N, K, O, P, Q) or (K, O, P, Q), channels-last in memory,
    O = (D + front + back - d (T - 1) - 1) // u + 1, P and Q likewise. `padding` is a number,
    (d, h, w), ((front, back), (top, bottom), (left, right)), "valid" or, at stride 1, "same".

    Raises ValueError where shapes do not fit or the filter is larger than the padded input.
    """
    operands = _operands("conv3d", 3, input, weight, bias, groups, False)
    options = _forward_options("conv3d", operands[0], weight, stride, padding, dilation, groups)
    y = with_activation(
        "conv3d", _conv3d, operands, activation, activation_parameter, options=options
    )
    return _single(y, input)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution: the data gradient of conv3d, read forward (Zeiler et al. 2010).

    input (N, C, D, H, W) or (C, D, H, W), weight (C, K / groups, T, R, S), bias (K,) ->
    (N, K, O, P, Q) or (K, O, P, Q) with O = (D - 1) u - 2 padding + d (T - 1) + output_padding + 1,
    P and Q likewise.

    Raises ValueError where shapes do not fit, or output_padding is not below stride or dilation.
    """
    name = "conv_transpose3d"
    operands = _operands(name, 3, input, weight, bias, groups, True)
    size, options = _transposed_options(
        name, operands[0], weight, stride, padding, output_padding, dilation, groups
    )
    return _single(_conv_transpose3d(*operands, size=size, options=options), input)

# SPDX-License-Identifier: Apache-2.0
"""Pooling: what a window of an image holds, in one number.

Windows of R x S taps lie `stride` apart; the number of outputs along an axis is

    P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1

or with `ceil_mode` the ceiling, less the windows that would begin in the padding behind the image
(PyTorch's rule). Images are (N, C, H, W), or (C, H, W) for a single one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.arrays import in_c_order
from striate.autograd import Node
from striate.explain import explained
from striate.ops import composed
from striate.ops.arithmetic import mul
from striate.ops.arithmetic import pow as power
from striate.ops.indexing import getitem
from striate.ops.operand import check_tensor
from striate.ops.pointwise import abs as absolute
from striate.ops.pointwise import sign
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "lp_pool2d",
    "max_pool2d",
    "max_unpool2d",
    "sum_pool2d",
]

Window = tuple[int, ...]
Size = int | tuple[int, int] | list[int]


def _pair(name: str, argument: str, value: Any) -> tuple[int, int]:
    h, w = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    if not isinstance(h, int) or not isinstance(w, int):
        raise TypeError(f"{name}: {argument}: expected an integer or a pair (h, w), got {value!r}")
    if max(abs(h), abs(w)) >= 2**63:
        raise ValueError(f"{name}: {argument}: expected integers of 64 bits, got {value}")
    return h, w


def whole(name: str, argument: str, value: Any) -> int:
    """A bool as 0 or 1."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: {argument}: expected True or False, got {value!r}")
    return int(value)


def _window(
    name: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Window:
    k = _pair(name, "kernel_size", kernel)
    s = (
        k
        if stride is None or (isinstance(stride, list) and not stride)
        else _pair(name, "stride", stride)
    )
    p, d = _pair(name, "padding", padding), _pair(name, "dilation", dilation)
    return (*k, *s, *p, *d, whole(name, "ceil_mode", ceil_mode))


def _image(name: str, x: Tensor) -> Tensor:
    """x as rank 4."""
    check_tensor(name, "input", x)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {x.dtype}")
    if x.ndim not in (3, 4) or 0 in x.shape[1 - (x.ndim == 3) :]:
        raise ValueError(
            f"{name}: input: expected (N, C, H, W) or (C, H, W) with no empty axis but N, got "
            f"shape {x.shape}"
        )
    return unsqueeze(x, 0) if x.ndim == 3 else x


def _single(y: Tensor, x: Tensor) -> Tensor:
    """y without the axis that _image gave x."""
    return getitem(y, 0) if x.ndim == 3 else y


@op("(N, C, H, W) -> (N, C, P, Q)", name="max_pool2d")
def _max_pool(ctx: Node, x: Array, window: Window) -> Array:
    if not ctx.needs[0]:
        return _C.max_pool2d(x, window)
    y, taps = _C.max_pool2d_taps(x, window)
    ctx.save(taps, x.shape[2:], window)
    return y


@op("(N, C, H, W) -> (N, C, P, Q), (N, C, P, Q)", name="max_pool2d")
def _max_pool_indices(ctx: Node, x: Array, window: Window) -> Any:
    y, taps = _C.max_pool2d_taps(x, window)
    ctx.save(taps, x.shape[2:], window)
    return y, composed.max_pool2d_indices(taps, y, x.shape[2:], window).transpose(0, 3, 1, 2)


@_max_pool.backward
@_max_pool_indices.backward
def _(ctx: Node, grad: Array, _: Any = None) -> Any:
    taps, size, window = ctx.saved
    return _C.max_pool2d_backward(grad, taps, size, window)


def _maximum(input: Tensor, x: Tensor, window: Window, return_indices: bool) -> Any:
    if not return_indices:
        return _single(_max_pool(x, window=window), input)
    y, indices = _max_pool_indices(x, window=window)
    return _single(y, input), _single(indices, input)


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y[n, c, p, q] = max over taps (r, s) of x[n, c, p stride - padding + r dilation, ...].

    (N, C, H, W) -> (N, C, P, Q). The stride is the kernel size if None. A NaN in a window wins. The
    first of equal maxima gets the gradient. With return_indices also int64 (N, C, P, Q): the
    position h W + w of each maximum in its input plane, as `max_unpool2d` takes them. Raises
    ValueError for sizes below 1, padding over half of the window, and a window larger than the
    padded input.
    """
    x = _image("max_pool2d", input)
    window = _window("max_pool2d", kernel_size, stride, padding, dilation, ceil_mode)
    return _maximum(input, x, window, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maximum over windows that cover the image: (N, C, H, W) -> (N, C, P, Q).

    Window p holds rows floor(p H / P) to ceil((p + 1) H / P) - 1, columns likewise. output_size is
    P = Q or (P, Q), None in a pair for the input's own size.
    """
    x = _image("adaptive_max_pool2d", input)
    window = _adaptive("adaptive_max_pool2d", output_size, x)
    return _maximum(input, x, window, return_indices)


@op("(N, C, H, W) -> (N, C, P, Q)", name="sum_pool2d")
def _sum_pool(ctx: Node, x: Array, window: Window, divisor: float | str) -> Array:
    ctx.save(x.shape[2:], window, divisor)
    return _C.sum_pool2d(x, window, divisor)


@_sum_pool.backward
def _(ctx: Node, grad: Array) -> Any:
    size, window, divisor = ctx.saved
    return _C.sum_pool2d_backward(grad, size, window, divisor)


def sum_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
) -> Tensor:
    """The sum over each window, zeros in the padding: (N, C, H, W) -> (N, C, P, Q).

    Arguments and errors are those of `avg_pool2d`.
    """
    x = _image("sum_pool2d", input)
    window = _window("sum_pool2d", kernel_size, stride, padding, 1, ceil_mode)
    return _single(_sum_pool(x, window=window, divisor=1.0), input)


@explained
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean over each window: (N, C, H, W) -> (N, C, P, Q).

    The sum is divided by the number of taps inside the image and its padding, by those inside the
    image if not count_include_pad, or by divisor_override. Raises ValueError for sizes below 1,
    padding over half of the window, a window larger than the padded input, and a divisor of 0.
    """
    x = _image("avg_pool2d", input)
    window = _window("avg_pool2d", kernel_size, stride, padding, 1, ceil_mode)
    divisor: float | str = "padded" if count_include_pad else "inside"
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("avg_pool2d: divisor_override: expected a number other than 0, got 0")
        divisor = float(divisor_override)
    return _single(_sum_pool(x, window=window, divisor=divisor), input)


def _adaptive(name: str, output_size: Any, x: Tensor) -> Window:
    if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
        output_size = tuple(x.shape[2 + i] if n is None else n for i, n in enumerate(output_size))
    size = _pair(name, "output_size", output_size)
    if size[0] < 0 or size[1] < 0:
        raise ValueError(f"{name}: output_size: expected 0 or more, got {size}")
    return size


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean over windows that cover the image: (N, C, H, W) -> (N, C, P, Q).

    Window p holds rows floor(p H / P) to ceil((p + 1) H / P) - 1, columns likewise; output_size 1
    is global average pooling (Lin et al. 2013, section 3.2). output_size is P = Q or (P, Q), None
    in a pair for the input's own size.
    """
    x = _image("adaptive_avg_pool2d", input)
    window = _adaptive("adaptive_avg_pool2d", output_size, x)
    return _single(_sum_pool(x, window=window, divisor="inside"), input)


@op("(N, C, H, W) -> (N, C, P, Q)", name="lp_pool2d")
def _lp2_pool(ctx: Node, x: Array, window: Window) -> Array:
    y = _C.lp2_pool2d(x, window)
    ctx.save(x, y, window)
    return y


@_lp2_pool.backward
def _(ctx: Node, grad: Array) -> Any:
    # dy / dx = x / y times the scale of a window that is not whole; 0 where y is 0.
    x, y, window = ctx.saved
    share = _C.div(grad, _C.maximum(y, _TINY))
    whole = window[0] * window[1]
    spread = _C.sum_pool2d_backward(share, x.shape[2:], window, "padded")
    return _C.mul(_C.mul(spread, x), float(whole))


_TINY = 1e-30  # below every norm that float32 holds of a normal number


@explained
def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """y = (sum over the window of x^p)^(1/p) for p = norm_type: (N, C, H, W) -> (N, C, P, Q).

    A window that ceil_mode leaves incomplete is scaled up to a whole one, as in PyTorch. Where y is
    0 the gradient is 0. p = 2 is the L2 pooling of complex cells (Le et al. 2012). Raises as
    `avg_pool2d` does, and ValueError for norm_type 0.
    """
    x = _image("lp_pool2d", input)
    if norm_type == 0:
        raise ValueError("lp_pool2d: norm_type: expected a number other than 0, got 0")
    window = _window("lp_pool2d", kernel_size, stride, 0, 1, ceil_mode)
    if norm_type == 2:
        return _single(_lp2_pool(x, window=window), input)
    mean = _sum_pool(power(x, norm_type), window=window, divisor="padded")
    held = mul(sign(mean), mul(absolute(mean), float(window[0] * window[1])))
    return _single(power(held, 1.0 / norm_type), input)


@op("(N, C, P, Q) -> (N, C, H, W)", name="max_unpool2d")
def _max_unpool(ctx: Node, x: Array, indices: Array, size: tuple[int, int]) -> Array:
    ctx.save(indices)
    return composed.max_unpool2d(x, indices, size)


@_max_unpool.backward
def _(ctx: Node, grad: Array) -> Any:
    return composed.max_unpool2d_backward(grad, ctx.saved[0])


@explained
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Any = None,
) -> Tensor:
    """Zeros with each x at the position its maximum came from: (N, C, P, Q) -> (N, C, H, W).

    Undoes `max_pool2d(..., return_indices=True)` (Zeiler and Fergus 2014, section 2.1). H is
    (P - 1) stride - 2 padding + kernel unless output_size says otherwise; it may differ by less
    than a stride. Of equal indices the last one stays. Raises ValueError where shapes disagree,
    IndexError for an index outside the output plane.
    """
    name = "max_unpool2d"
    x = _image(name, input)
    if indices.shape != input.shape or indices.dtype != np.int64:
        raise ValueError(
            f"{name}: indices: expected int64 of shape {input.shape}, like input, got "
            f"{indices.dtype} of shape {indices.shape}"
        )
    k = _pair(name, "kernel_size", kernel_size)
    s = k if stride is None else _pair(name, "stride", stride)
    p = _pair(name, "padding", padding)
    size = [(x.shape[2 + i] - 1) * s[i] - 2 * p[i] + k[i] for i in range(2)]
    if output_size is not None:
        wanted = list(output_size)[-2:]
        if len(wanted) != 2 or any(
            abs(n - m) >= d for n, m, d in zip(wanted, size, s, strict=True)
        ):
            raise ValueError(
                f"{name}: output_size: expected {tuple(size)} but for less than a stride of {s}, "
                f"got {tuple(output_size)}"
            )
        size = wanted
    at = indices._array if indices.ndim == 4 else indices._array[None]
    at = in_c_order(at.transpose(0, 2, 3, 1))
    return _single(_max_unpool(x, indices=at, size=tuple(size)), input)

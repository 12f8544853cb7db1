# SPDX-License-Identifier: Apache-2.0
"""Pooling of sequences and volumes by the kernels for images.

A sequence (N, C, L) is an image of one row. A window of a volume is a box, and its maximum the
maximum of its planes' maxima, its sum the sum of their sums, its divisor the product of one along
each axis: so each plane is pooled as an image first, which leaves little, and then the planes, as
the rows of an image whose columns are all pixels of a plane. Both see the memory as it lies; where
elements are equal the first one wins, in the order of depth, height and width, as in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops import composed
from striate.ops.arithmetic import mul
from striate.ops.arithmetic import pow as power
from striate.ops.conv import numbers
from striate.ops.indexing import getitem
from striate.ops.layout import channels_last
from striate.ops.pointwise import abs as absolute
from striate.ops.pointwise import sign
from striate.ops.pool import whole
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool3d",
]

Window = tuple[int, ...]  # as csrc/bindings/pool2d.cpp has it
_LAYOUTS = {1: "(N, C, L) or (C, L)", 3: "(N, C, D, H, W) or (C, D, H, W)"}
_MOST = 2**30  # of a size, a step or a width


# --- arguments ------------------------------------------------------------------------------------


def checked(name: str, dims: int, x: Tensor) -> Tensor:
    """x with a batch."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(x).__name__}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {x.dtype}")
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[-dims - 1 :]:
        raise ValueError(
            f"{name}: input: expected {_LAYOUTS[dims]} with no empty axis but N, got shape "
            f"{x.shape}"
        )
    return x if x.ndim == dims + 2 else unsqueeze(x, 0)


def single(y: Tensor, input: Tensor) -> Tensor:
    """y without the axis that checked gave the input."""
    return y if y.ndim == input.ndim else getitem(y, 0)


def _steps(
    name: str, dims: int, size: tuple[int, ...], kernel: Any, stride: Any, padding: Any,
    dilation: Any, ceil_mode: bool,
) -> tuple[tuple[int, ...], ...]:  # fmt: skip
    """(kernel, stride, padding, dilation, ceil_mode) for each axis, checked against its size."""
    k = numbers(name, "kernel_size", kernel, dims, 1)
    s = (
        k
        if stride is None or (isinstance(stride, list) and not stride)
        else numbers(name, "stride", stride, dims, 1)
    )
    p = numbers(name, "padding", padding, dims, 0)
    d = numbers(name, "dilation", dilation, dims, 1)
    for argument, values in (("kernel_size", k), ("stride", s), ("dilation", d)):
        if max(values) > _MOST:
            raise ValueError(f"{name}: {argument}: expected at most {_MOST}, got {values}")
    for n, kernel_, pad, spread in zip(size, k, p, d, strict=True):
        span = (kernel_ - 1) * spread + 1
        if pad > span // 2:
            raise ValueError(
                f"{name}: padding: expected at most half of the window, {span // 2}, got {pad}"
            )
        if span > n + 2 * pad:
            raise ValueError(
                f"{name}: kernel_size: expected a window of at most {n + 2 * pad}, the padded "
                f"input, got {span}"
            )
    up = whole(name, "ceil_mode", ceil_mode)
    return tuple((*axis, up) for axis in zip(k, s, p, d, strict=True))


def _window(rows: tuple[int, ...], cols: tuple[int, ...]) -> Window:
    """The window of an image from the steps of its two axes."""
    pairs = [v for pair in zip(rows[:4], cols[:4], strict=True) for v in pair]
    return (*pairs, rows[4] | cols[4])


_WHOLE = (1, 1, 0, 1, 0)  # an axis that is not pooled


def _windows_of(steps: tuple[tuple[int, ...], ...]) -> list[Window]:
    """The windows of the passes: planes and depth, or the one of a sequence."""
    if len(steps) == 1:
        return [_window(_WHOLE, steps[0])]
    return [_window(steps[1], steps[2]), _window(steps[0], _WHOLE)]


def _adaptive(name: str, dims: int, output_size: Any, x: Tensor) -> tuple[int, ...]:
    """The sizes of the output, None being the input's."""
    values = list(output_size) if isinstance(output_size, (tuple, list)) else [output_size] * dims
    if len(values) == dims:
        values = [x.shape[2 + i] if v is None else v for i, v in enumerate(values)]
    size = numbers(name, "output_size", values, dims, 0)
    if max(size) > _MOST:
        raise ValueError(f"{name}: output_size: expected at most {_MOST}, got {size}")
    return size


def _adaptive_windows(size: tuple[int, ...]) -> list[Window]:
    """The windows of the passes, at least one output along each axis."""
    if len(size) == 1:
        return [(1, max(size[0], 1))]
    o, p, q = (max(n, 1) for n in size)
    return [(p, q), (o, -1)]  # -1: as many columns as there are


def _cut(y: Tensor, size: tuple[int, ...]) -> Tensor:
    """y, or where a size of 0 was asked for, nothing of it."""
    if 0 not in size:
        return y
    return getitem(y, (..., *(slice(n) for n in size)))


# --- views ----------------------------------------------------------------------------------------


def _planes(x: Array) -> Array:
    """(N, C, L) as (N, C, 1, L), (N, C, D, H, W) as (N D, C, H, W); channels-last, no copy."""
    if x.ndim == 3:
        return x[:, :, None]
    n, c, d, h, w = x.shape
    return np.moveaxis(np.moveaxis(x, 1, -1).reshape(n * d, h, w, c), -1, 1)


def _columns(x: Array, n: int, d: int) -> Array:
    """(N D, C, P, Q) as (N, C, D, P Q): planes are rows."""
    _, c, p, q = x.shape
    return np.moveaxis(np.moveaxis(x, 1, -1).reshape(n, d, p * q, c), -1, 1)


def volume(x: Array, shape: tuple[int, ...]) -> Array:
    """(N, C, O, P Q), or (N D, C, H, W), as a volume (N, C, O, P, Q) of this shape."""
    n, c, *size = shape
    return np.moveaxis(np.moveaxis(x, 1, -1).reshape(n, *size, c), -1, 1)


def _of_columns(window: Window, x: Array) -> Window:
    return (window[0], x.shape[3]) if window[-1] == -1 else window


# --- the records ----------------------------------------------------------------------------------


def _pool_max(x: Array, windows: list[Window], taps: bool) -> tuple[Array, list[Any]]:
    """The maximum, and for each pass what its gradient needs: (taps, size, window)."""
    kept = []

    def one(image: Array, window: Window) -> Array:
        if not taps:
            return _C.max_pool2d(image, window)
        y, held = _C.max_pool2d_taps(image, window)
        kept.append((held, image.shape[2:], window))
        return y

    y = one(_planes(x), windows[0])
    if x.ndim == 3:
        return y[:, :, 0], kept
    n, c, d = x.shape[:3]
    p, q = y.shape[2:]
    y = _columns(y, n, d)
    y = one(y, _of_columns(windows[1], y))
    return volume(y, (n, c, y.shape[2], p, q)), kept


def _max_gradient(grad: Array, shape: tuple[int, ...], kept: list[Any]) -> Array:
    grad = channels_last(grad)
    if len(shape) == 3:
        taps, size, window = kept[0]
        return _C.max_pool2d_backward(grad[:, :, None], taps, size, window)[:, :, 0]
    n, c, d = shape[:3]
    (taps, size, window), (deep_taps, deep_size, deep_window) = kept
    o, p, q = grad.shape[2:]
    columns = np.moveaxis(np.moveaxis(grad, 1, -1).reshape(n, o, p * q, c), -1, 1)
    columns = _C.max_pool2d_backward(columns, deep_taps, deep_size, deep_window)
    planes = volume(columns, (n * d, c, p, q))
    return volume(_C.max_pool2d_backward(planes, taps, size, window), shape)


def _positions(shape: tuple[int, ...], kept: list[Any], dtype: Any) -> Array:
    """Where each maximum lies in its input sequence or volume, (N, C, ...)."""
    images = []
    for taps, size, window in kept:
        n, p, q, c = taps.shape
        like = np.broadcast_to(np.zeros((), dtype), (n, c, p, q))  # of the result: sizes and dtype
        images.append(composed.max_pool2d_indices(taps, like, size, window))
    if len(shape) == 3:
        return images[0][:, 0].transpose(0, 2, 1)
    n, c, d, h, w = shape
    _, p, q, _ = images[0].shape
    inside, depth = images[0].reshape(n, d, p * q, c), images[1] // (p * q)
    at = np.take_along_axis(inside, depth, 1) + depth * (h * w)
    return np.moveaxis(at.reshape(n, at.shape[1], p, q, c), -1, 1)


@op("(N, C, ...) -> (N, C, ...)", name="max_pool")
def _max_pool(ctx: Node, x: Array, windows: list[Window]) -> Array:
    y, kept = _pool_max(channels_last(x), windows, ctx.needs[0])
    ctx.save(x.shape, kept)
    return y


@op("(N, C, ...) -> (N, C, ...), (N, C, ...)", name="max_pool")
def _max_pool_indices(ctx: Node, x: Array, windows: list[Window]) -> Any:
    y, kept = _pool_max(channels_last(x), windows, True)
    ctx.save(x.shape, kept)
    return y, _positions(x.shape, kept, x.dtype)


@_max_pool.backward
@_max_pool_indices.backward
def _(ctx: Node, grad: Array, _: Any = None) -> Any:
    return _max_gradient(grad, *ctx.saved)


@op("(N, C, ...) -> (N, C, ...)", name="sum_pool")
def _sum_pool(ctx: Node, x: Array, windows: list[Window], divisor: float | str) -> Array:
    shape, x = x.shape, channels_last(x)
    y = _C.sum_pool2d(_planes(x), windows[0], divisor)
    ctx.save(shape, y.shape[2:], windows, divisor)
    if x.ndim == 3:
        return y[:, :, 0]
    n, c, d = shape[:3]
    p, q = y.shape[2:]
    y = _columns(y, n, d)
    # A divisor that is a number divides once.
    y = _C.sum_pool2d(y, _of_columns(windows[1], y), divisor if type(divisor) is str else 1.0)
    return volume(y, (n, c, y.shape[2], p, q))


@_sum_pool.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, (p, q), windows, divisor = ctx.saved
    grad = channels_last(grad)
    if len(shape) == 3:
        image = grad[:, :, None]
        return _C.sum_pool2d_backward(image, (1, shape[2]), windows[0], divisor)[:, :, 0]
    n, c, d, h, w = shape
    columns = np.moveaxis(np.moveaxis(grad, 1, -1).reshape(n, grad.shape[2], p * q, c), -1, 1)
    once = divisor if type(divisor) is str else 1.0
    deep = _of_columns(windows[1], columns)
    columns = _C.sum_pool2d_backward(columns, (d, p * q), deep, once)
    planes = volume(columns, (n * d, c, p, q))
    return volume(_C.sum_pool2d_backward(planes, (h, w), windows[0], divisor), shape)


# --- the functions --------------------------------------------------------------------------------


def _maximum(input: Tensor, x: Tensor, windows: list[Window], return_indices: bool) -> Any:
    if not return_indices:
        return single(_max_pool(x, windows=windows), input)
    y, indices = _max_pool_indices(x, windows=windows)
    return single(y, input), single(indices, input)


def _max_pool_nd(dims: int, input: Tensor, *window: Any, return_indices: bool) -> Any:
    name = f"max_pool{dims}d"
    x = checked(name, dims, input)
    steps = _steps(name, dims, x.shape[2:], *window)
    return _maximum(input, x, _windows_of(steps), return_indices)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of a sequence: (N, C, L) -> (N, C, Q), or without N.

    As `max_pool2d`, along one axis; indices are positions in the sequence.
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool_nd(1, input, *window, return_indices=return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each box of a volume: (N, C, D, H, W) -> (N, C, O, P, Q), or without N.

    As `max_pool2d`, along three axes; indices are positions (d H + h) W + w.
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool_nd(3, input, *window, return_indices=return_indices)


def _avg_pool_nd(
    dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: Any = None,
) -> Tensor:  # fmt: skip
    name = f"avg_pool{dims}d"
    x = checked(name, dims, input)
    steps = _steps(name, dims, x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    divisor: float | str = "padded" if count_include_pad else "inside"
    if divisor_override is not None:
        if isinstance(divisor_override, bool) or not isinstance(
            divisor_override, (int, np.integer)
        ):
            raise TypeError(
                f"{name}: divisor_override: expected an integer, got {divisor_override!r}"
            )
        if divisor_override == 0:
            raise ValueError(f"{name}: divisor_override: expected a number other than 0, got 0")
        divisor = float(divisor_override)
    return single(_sum_pool(x, windows=_windows_of(steps), divisor=divisor), input)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of a sequence: (N, C, L) -> (N, C, Q), or without N.

    As `avg_pool2d`, along one axis.
    """
    return _avg_pool_nd(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each box of a volume: (N, C, D, H, W) -> (N, C, O, P, Q), or without N.

    As `avg_pool2d`, along three axes.
    """
    return _avg_pool_nd(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool_nd(
    dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    name = f"lp_pool{dims}d"
    x = checked(name, dims, input)
    if norm_type == 0:
        raise ValueError(f"{name}: norm_type: expected a number other than 0, got 0")
    steps = _steps(name, dims, x.shape[2:], kernel_size, stride, 0, 1, ceil_mode)
    mean = _sum_pool(power(x, norm_type), windows=_windows_of(steps), divisor="padded")
    taps = float(np.prod([axis[0] for axis in steps]))
    held = mul(sign(mean), mul(absolute(mean), taps))
    return single(power(held, 1.0 / norm_type), input)


@explained
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum over the window of x^p)^(1/p), p = norm_type: (N, C, L) -> (N, C, Q), or without N.

    As `lp_pool2d`, along one axis.
    """
    return _lp_pool_nd(1, input, norm_type, kernel_size, stride, ceil_mode)


@explained
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum over the box of x^p)^(1/p), p = norm_type: (N, C, D, H, W) -> (N, C, O, P, Q).

    As `lp_pool2d`, along three axes; also without N.
    """
    return _lp_pool_nd(3, input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maximum over windows that cover the sequence: (N, C, L) -> (N, C, Q), or without N.

    Window q holds floor(q L / Q) to ceil((q + 1) L / Q) - 1.
    """
    x = checked("adaptive_max_pool1d", 1, input)
    size = _adaptive("adaptive_max_pool1d", 1, output_size, x)
    found = _maximum(input, x, _adaptive_windows(size), return_indices)
    return tuple(_cut(y, size) for y in found) if return_indices else _cut(found, size)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maximum over boxes that cover the volume: (N, C, D, H, W) -> (N, C, O, P, Q).

    Boxes are cut along each axis as in `adaptive_max_pool1d`; None in a triple keeps the size.
    """
    x = checked("adaptive_max_pool3d", 3, input)
    size = _adaptive("adaptive_max_pool3d", 3, output_size, x)
    found = _maximum(input, x, _adaptive_windows(size), return_indices)
    return tuple(_cut(y, size) for y in found) if return_indices else _cut(found, size)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The mean over windows that cover the sequence: (N, C, L) -> (N, C, Q), or without N.

    Window q holds floor(q L / Q) to ceil((q + 1) L / Q) - 1.
    """
    x = checked("adaptive_avg_pool1d", 1, input)
    size = _adaptive("adaptive_avg_pool1d", 1, output_size, x)
    y = _sum_pool(x, windows=_adaptive_windows(size), divisor="inside")
    return _cut(single(y, input), size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The mean over boxes that cover the volume: (N, C, D, H, W) -> (N, C, O, P, Q).

    Boxes are cut along each axis as in `adaptive_avg_pool1d`; None in a triple keeps the size.
    """
    x = checked("adaptive_avg_pool3d", 3, input)
    size = _adaptive("adaptive_avg_pool3d", 3, output_size, x)
    y = _sum_pool(x, windows=_adaptive_windows(size), divisor="inside")
    return _cut(single(y, input), size)

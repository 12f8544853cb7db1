# SPDX-License-Identifier: Apache-2.0
"""Pixels taken apart and put together: patches as columns, channels as pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import strided_view
from striate.autograd import Node
from striate.ops.conv2d import pair
from striate.ops.indexing import getitem
from striate.ops.layout import c_order, channels_last, reshaped
from striate.ops.operand import check_tensor
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "fold",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]

Pair = tuple[int, int]
_MOST = 2**31  # of a size, a step or a width


def _windows(name: str, kernel: Any, dilation: Any, padding: Any, stride: Any) -> list[Pair]:
    """The four options as pairs, checked."""
    values = []
    given = {"kernel_size": kernel, "dilation": dilation, "padding": padding, "stride": stride}
    for argument, value in given.items():
        two, least = pair(name, argument, value), int(argument != "padding")
        if min(two) < least or max(two) >= _MOST:
            raise ValueError(f"{name}: {argument}: expected {least} or more, got {two}")
        values.append(two)
    return values


def _positions(name: str, size: Pair, windows: list[Pair]) -> Pair:
    """How many windows there are along both axes of an image."""
    kernel, dilation, padding, stride = windows
    p, q = (
        (n + 2 * pad - d * (k - 1) - 1) // s + 1
        for n, k, d, pad, s in zip(size, kernel, dilation, padding, stride, strict=True)
    )
    if p < 1 or q < 1:
        raise ValueError(
            f"{name}: kernel_size: expected a window {kernel}, dilation {dilation}, within the "
            f"image {size}, padding {padding}, got one that is larger"
        )
    return p, q


def _taps(padded: Array, places: Pair, windows: list[Pair]) -> Array:
    """A view (N, C, R, S, P, Q) of the padded image: every window's elements."""
    (r, s), (dh, dw), _, (uh, uw) = windows
    n, c, h, w = padded.strides
    shape = (*padded.shape[:2], r, s, *places)
    strides = (n, c, h * dh, w * dw, h * uh, w * uw)
    return strided_view(padded, shape, strides)


def _columns(x: Array, windows: list[Pair]) -> Array:
    (ph, pw) = windows[2]
    places = _positions("unfold", x.shape[2:], windows)
    padded = _C.pad(x, (pw, pw, ph, ph), 0.0) if ph or pw else x
    taps = c_order(_taps(padded, places, windows))
    return taps.reshape(x.shape[0], math.prod(taps.shape[1:4]), math.prod(places))


def _image(columns: Array, size: Pair, windows: list[Pair]) -> Array:
    (r, s), _, (ph, pw), _ = windows
    n, c = columns.shape[0], columns.shape[1] // (r * s)
    places = _positions("fold", size, windows)
    taps = c_order(columns).reshape(n, c, r, s, *places)
    padded = np.zeros_like(columns, shape=(n, c, size[0] + 2 * ph, size[1] + 2 * pw), order="C")
    views = _taps(padded, places, windows)
    for i in range(r):
        for j in range(s):
            _C.add(views[:, :, i, j], taps[:, :, i, j], out=views[:, :, i, j])
    return channels_last(padded[:, :, ph : ph + size[0], pw : pw + size[1]])


@op("(N, C, H, W) -> (N, C R S, L)", name="unfold")
def _unfold(ctx: Node, x: Array, windows: list[Pair]) -> Array:
    ctx.save(x.shape[2:], windows)
    return _columns(x, windows)


@_unfold.backward
def _(ctx: Node, grad: Array) -> Any:
    return _image(grad, *ctx.saved)


@op("(N, C R S, L) -> (N, C, H, W)", name="fold")
def _fold(ctx: Node, columns: Array, size: Pair, windows: list[Pair]) -> Array:
    ctx.save(windows)
    return _image(columns, size, windows)


@_fold.backward
def _(ctx: Node, grad: Array) -> Any:
    return _columns(grad, *ctx.saved)


def _float(name: str, input: Tensor) -> None:
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {input.dtype}")


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Every window of an image as a column: (N, C, H, W) -> (N, C R S, L), or without N ("im2col").

    Row (c R + r) S + s of column p Q + q holds x[c, p u + r d - h, q v + s e - w], zero outside the
    image; stride (u, v), dilation (d, e), padding (h, w), L = P Q. A convolution is then a matrix
    product. Raises ValueError for sizes below 1 and a window larger than the padded image.
    """
    check_tensor("unfold", "input", input)
    _float("unfold", input)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise ValueError(
            "unfold: input: expected (N, C, H, W) or (C, H, W) with no empty axis but N, got shape "
            f"{input.shape}"
        )
    windows = _windows("unfold", kernel_size, dilation, padding, stride)
    _positions("unfold", (input.shape[-2], input.shape[-1]), windows)
    if input.ndim == 4:
        return _unfold(input, windows=windows)
    return getitem(_unfold(unsqueeze(input, 0), windows=windows), 0)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The sum of windows at their places: (N, C R S, L) -> (N, C, H, W), or without N ("col2im").

    The gradient of `unfold`: an element of several windows gets their sum. output_size is (H, W).
    Raises ValueError as `unfold` does, and where C R S or L does not fit.
    """
    check_tensor("fold", "input", input)
    _float("fold", input)
    size = pair("fold", "output_size", output_size)
    if min(size) < 1 or max(size) >= _MOST:
        raise ValueError(f"fold: output_size: expected 1 or more, got {size}")
    windows = _windows("fold", kernel_size, dilation, padding, stride)
    taps, columns = math.prod(windows[0]), math.prod(_positions("fold", size, windows))
    rank = input.ndim
    if rank not in (2, 3) or input.shape[-2] % taps or input.shape[-1] != columns:
        raise ValueError(
            f"fold: input: expected (N, C {taps}, {columns}) or without N, for windows "
            f"{windows[0]} of an image {size}, got shape {input.shape}"
        )
    if 0 in input.shape[-2:]:
        raise ValueError(f"fold: input: expected no empty axis but N, got shape {input.shape}")
    if rank == 3:
        return _fold(input, size=size, windows=windows)
    return getitem(_fold(unsqueeze(input, 0), size=size, windows=windows), 0)


def _shuffled(x: Array, r: int) -> Array:
    """(N, C r r, H, W) to (N, C, H r, W r) in channels-last memory."""
    n, channels, h, w = x.shape
    c = channels // (r * r)
    moved = reshaped(x, (n, c, r, r, h, w)).transpose(0, 4, 2, 5, 3, 1)
    return np.moveaxis(c_order(moved).reshape(n, h * r, w * r, c), -1, 1)


def _unshuffled(x: Array, r: int) -> Array:
    """(N, C, H r, W r) to (N, C r r, H, W) in channels-last memory."""
    n, c, h, w = x.shape[0], x.shape[1], x.shape[2] // r, x.shape[3] // r
    moved = reshaped(x, (n, c, h, r, w, r)).transpose(0, 2, 4, 1, 3, 5)
    return np.moveaxis(c_order(moved).reshape(n, h, w, c * r * r), -1, 1)


@op("(N, C r r, H, W) -> (N, C, H r, W r)", name="pixel_shuffle")
def _pixel_shuffle(ctx: Node, x: Array, factor: int) -> Array:
    ctx.save(factor)
    return _shuffled(x, factor)


@_pixel_shuffle.backward
def _(ctx: Node, grad: Array) -> Any:
    return _unshuffled(grad, *ctx.saved)


@op("(N, C, H r, W r) -> (N, C r r, H, W)", name="pixel_unshuffle")
def _pixel_unshuffle(ctx: Node, x: Array, factor: int) -> Array:
    ctx.save(factor)
    return _unshuffled(x, factor)


@_pixel_unshuffle.backward
def _(ctx: Node, grad: Array) -> Any:
    return _shuffled(grad, *ctx.saved)


def _factor(name: str, argument: str, input: Tensor, factor: Any) -> int:
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)):
        raise TypeError(f"{name}: {argument}: expected an integer, got {factor!r}")
    if factor < 1:
        raise ValueError(f"{name}: {argument}: expected 1 or more, got {factor}")
    if input.ndim < 3:
        raise ValueError(f"{name}: input: expected (..., C, H, W), got shape {input.shape}")
    return int(factor)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels as pixels: (..., C r r, H, W) -> (..., C, H r, W r), r = upscale_factor.

    y[c, h r + i, w r + j] = x[(c r + i) r + j, h, w] (Shi et al. 2016, "sub-pixel convolution").
    Raises ValueError where the channels are no multiple of r r.
    """
    check_tensor("pixel_shuffle", "input", input)
    r = _factor("pixel_shuffle", "upscale_factor", input, upscale_factor)
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise ValueError(
            f"pixel_shuffle: input: expected a multiple of {r * r} channels, got shape "
            f"{input.shape}"
        )
    y = _pixel_shuffle(input.reshape(math.prod(lead), c, h, w), factor=r)
    return y.reshape(*lead, *y.shape[1:])


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels as channels, undoing `pixel_shuffle`: (..., C, H r, W r) -> (..., C r r, H, W).

    Raises ValueError where H r and W r are no multiples of r = downscale_factor.
    """
    check_tensor("pixel_unshuffle", "input", input)
    r = _factor("pixel_unshuffle", "downscale_factor", input, downscale_factor)
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise ValueError(
            f"pixel_unshuffle: input: expected sizes that are multiples of {r}, got shape "
            f"{input.shape}"
        )
    y = _pixel_unshuffle(input.reshape(math.prod(lead), c, h, w), factor=r)
    return y.reshape(*lead, *y.shape[1:])

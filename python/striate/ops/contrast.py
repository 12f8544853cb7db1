# SPDX-License-Identifier: Apache-2.0
"""Local contrast normalisation: what stands out from its surroundings, in units of their contrast.

The window is a product of a column and a row, and meets the average of the channels, one map. The
pass along a column is a depthwise convolution whose channels are the map's columns: unit-stride,
and as many multiplications a pixel as the window is high. The pass along rows is the same on the
map transposed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.device import beside
from striate.ops.conv2d import pair
from striate.ops.layout import c_order
from striate.ops.norm import check_input
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "divisive_norm",
    "local_contrast_norm",
    "subtractive_norm",
]


class Window(NamedTuple):
    """A column's weights and a row's, each of sum 1; on the CPU, wherever the images are."""

    column: Array
    row: Array


def _correlated(maps: Array, weights: Array) -> Array:
    """sum over p of weights[p] maps[n, h + p - R // 2, w], zero outside: (N, H, W) -> the same."""
    n, h, w = maps.shape
    columns = maps.reshape(n, h, 1, w).transpose(0, 3, 1, 2)  # (N, W, H, 1): W as channels
    filters = np.broadcast_to(weights.astype(maps.dtype), (w, len(weights))).copy()
    reach = len(weights) // 2
    y = _C.conv2d(
        columns,
        beside(filters.reshape(w, 1, len(weights), 1), maps),
        stride=(1, 1),
        padding=((reach, reach), (0, 0)),
        dilation=(1, 1),
        groups=w,
    )
    return y.transpose(0, 2, 3, 1).reshape(n, h, w)


def _inside(weights: Array, n: int) -> Array:
    """1 over the weight of a window that lies inside, by the place of its centre."""
    whole = np.convolve(np.ones(n), weights)
    reach = len(weights) // 2
    return 1 / whole[reach : reach + n]


def _smooth(maps: Array, window: Window, adjoint: bool = False) -> Array:
    """The mean of (N, H, W) maps under the window, of what lies inside; or its adjoint."""
    for weights in window:
        share = beside(_inside(weights, maps.shape[1]).astype(maps.dtype)[:, None], maps)
        if adjoint:
            maps = _correlated(_C.mul(maps, share), weights)
        else:
            maps = _C.mul(_correlated(maps, weights), share)
        maps = c_order(maps.transpose(0, 2, 1))  # the second pass turns it back
    return maps


def _channel_mean(x: Array) -> Array:
    return _C.mul(_C.sum(x, (1,)), 1 / x.shape[1])


@op("(N, C, H, W) -> (N, C, H, W)", name="subtractive_norm")
def _subtractive_norm(ctx: Node, x: Array, window: Window) -> Array:
    ctx.save(window)
    return _C.sub(x, _smooth(_channel_mean(x), window)[:, None])


@_subtractive_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    (window,) = ctx.saved
    return _C.sub(grad, _smooth(_channel_mean(grad), window, adjoint=True)[:, None])


@op("(N, C, H, W) -> (N, C, H, W)", name="divisive_norm")
def _divisive_norm(ctx: Node, x: Array, window: Window, threshold: float | None) -> Array:
    spread = np.sqrt(_smooth(_channel_mean(_C.mul(x, x)), window))
    if threshold is None:
        area = spread.shape[1] * spread.shape[2]
        least = _C.mul(_C.sum(spread, (1, 2)), 1 / area)[:, None, None]
    else:
        least = beside(np.asarray(threshold, x.dtype), x)
    divisor = _C.maximum(spread, least)
    divisor[divisor == 0] = 1  # an image without contrast stays zero
    y = _C.div(x, divisor[:, None])
    ctx.save(x, y, spread, divisor, spread >= least, window, threshold)
    return y


@_divisive_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, y, spread, divisor, own, window, threshold = ctx.saved
    through = _C.div(_C.sum(_C.mul(grad, y), (1,)), divisor)  # minus the gradient of the divisor
    slope = np.where(own, through, through.dtype.type(0))
    if threshold is None:
        left = _C.sum(_C.sub(through, slope), (1, 2))[:, None, None]
        slope = _C.add(slope, _C.mul(left, 1 / (spread.shape[1] * spread.shape[2])))
    flat = spread == 0  # no direction is up from there
    slope = np.where(flat, slope.dtype.type(0), slope / np.where(flat, 1, spread))
    back = _C.mul(_smooth(slope, window, adjoint=True), 1 / x.shape[1])
    return _C.sub(_C.div(grad, divisor[:, None]), _C.mul(x, back[:, None]))


def window_of(name: str, kernel_size: Any, sigma: float | None) -> Window:
    """The two factors of a Gaussian window; flat ones for an infinite sigma."""
    sizes = pair(name, "kernel_size", kernel_size)
    if any(n < 1 or n % 2 == 0 for n in sizes):
        raise ValueError(
            f"{name}: kernel_size: expected odd numbers, so that there is a centre, got "
            f"{kernel_size}"
        )
    if sigma is not None and (isinstance(sigma, bool) or not isinstance(sigma, (int, float))):
        raise TypeError(f"{name}: sigma: expected a number or None, got {sigma!r}")
    if sigma is not None and not sigma > 0:
        raise ValueError(f"{name}: sigma: expected a number above 0 or None, got {sigma}")

    def factor(n: int) -> Array:
        weights = np.exp(-0.5 * ((np.arange(n) - n // 2) / (sigma or n / 4)) ** 2)
        return np.asarray(weights / weights.sum())

    return Window(factor(sizes[0]), factor(sizes[1]))


def threshold_of(name: str, threshold: Any) -> float | None:
    """None, or a finite number above 0."""
    if threshold is None:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.number)):
        raise TypeError(f"{name}: threshold: expected a number or None, got {threshold!r}")
    if not (math.isfinite(threshold) and threshold > 0):
        raise ValueError(f"{name}: threshold: expected a number above 0 or None, got {threshold}")
    return float(threshold)


def _check(name: str, input: Tensor) -> None:
    check_input(name, input, (4,), "(N, C, H, W)")


def subtractive_norm(input: Tensor, kernel_size: Any = 9, sigma: float | None = None) -> Tensor:
    """v[c, h, w] = x[c, h, w] - sum over c', p, q of g[p, q] x[c', h + p, w + q].

    (N, C, H, W) -> the same. g is a Gaussian window of `kernel_size` (odd: one number, or (height,
    width)) whose sum over all channels is 1; `sigma`, in pixels, is a quarter of the size for None,
    and infinity makes the window flat (Pinto et al. 2008). At borders the part of the window inside
    the image counts, divided by its own weight, as in Torch7. Jarrett et al. 2009, "What is the
    best multi-stage architecture for object recognition?", section 2. Raises ValueError for other
    shapes and even sizes.
    """
    name = "subtractive_norm"
    _check(name, input)
    window = window_of(name, kernel_size, sigma)
    if input.numel() == 0:
        return input.clone()
    y: Tensor = _subtractive_norm(input, window=window)
    return y


def divisive_norm(
    input: Tensor,
    kernel_size: Any = 9,
    sigma: float | None = None,
    threshold: float | None = None,
) -> Tensor:
    """y[c, h, w] = v[c, h, w] / max(c, s[h, w]), s^2 = sum over c', p, q of g[p, q] v[c', …]^2.

    (N, C, H, W) -> the same. The window g is `subtractive_norm`'s. c is the mean of s over each
    image (Jarrett et al. 2009, section 2), and has its part in the gradient; or a constant,
    `threshold`. At borders s^2 is divided by the weight of the window inside the image. (Torch7
    divides s itself by it, which is larger there.) An image that is zero throughout stays so.
    Raises ValueError for other shapes, even sizes and a threshold that is not above 0.
    """
    name = "divisive_norm"
    _check(name, input)
    window, least = window_of(name, kernel_size, sigma), threshold_of(name, threshold)
    if input.numel() == 0:
        return input.clone()
    y: Tensor = _divisive_norm(input, window=window, threshold=least)
    return y


def local_contrast_norm(
    input: Tensor,
    kernel_size: Any = 9,
    sigma: float | None = None,
    threshold: float | None = None,
) -> Tensor:
    """divisive_norm(subtractive_norm(x)): mean 0 and contrast 1 around every pixel.

    (N, C, H, W) -> the same (Jarrett et al. 2009, section 2; Pinto, Cox and DiCarlo 2008, "Why is
    real-world visual object recognition hard?"). Arguments as in the two functions.
    """
    _check("local_contrast_norm", input)
    away = subtractive_norm(input, kernel_size, sigma)
    return divisive_norm(away, kernel_size, sigma, threshold)

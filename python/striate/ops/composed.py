# SPDX-License-Identifier: Apache-2.0
"""Kernels that GPUs don't have yet, made of those that they have and of CuPy's functions.

Each function has the name, the arguments and the results of a binding in `striate._C`: for arrays
on the CPU it is that binding, on a GPU the composition that stands here. Once a GPU has a kernel of
its own, the operation calls the binding and the function goes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import Array, put_along_axis
from striate.device import device_of, placed

Function = Callable[..., Any]


def standing_for(kernel: Function) -> Callable[[Function], Function]:
    """Decorator: `kernel` for a first array on the CPU, the function for one on a GPU."""

    def make(composed: Function) -> Function:
        @wraps(composed)
        def call(x: Array, *arguments: Any, **options: Any) -> Any:
            function = kernel if isinstance(x, np.ndarray) else composed
            return function(x, *arguments, **options)

        return call

    return make


# --- pooling -------------------------------------------------------------------------------------


def _window_axis(window: tuple[int, ...], axis: int, size: int, out: int) -> tuple[Any, int, int]:
    """(where each output's window begins, the distance of its taps, how many the largest has)."""
    at = np.arange(out)
    if len(window) == 2:  # windows that cover the axis
        begins = at * size // out
        return begins, 1, int((-(-(at + 1) * size // out) - begins).max(initial=1))
    kernel, stride, padding, dilation = window[axis:8:2]
    return at * stride - padding, dilation, kernel


@standing_for(_C.max_pool2d_indices)
def max_pool2d_indices(
    taps: Array, y: Array, size: tuple[int, int], window: tuple[int, ...]
) -> Array:
    height, width = size
    rows, down, _ = _window_axis(window, 0, height, taps.shape[1])
    cols, right, wide = _window_axis(window, 1, width, taps.shape[2])
    tops, lefts = (
        placed("max_pool2d", begins.reshape(shape), device_of(taps))
        for begins, shape in ((rows, (-1, 1, 1)), (cols, (-1, 1)))
    )
    tap = taps.astype(np.int64)
    r, s = tap // wide, tap % wide
    # A dilated window may lie in the padding on both sides; its index stays in the plane.
    h, w = np.minimum(tops + r * down, height - 1), np.minimum(lefts + s * right, width - 1)
    return h * width + w


@standing_for(_C.max_unpool2d)
def max_unpool2d(x: Array, indices: Array, size: tuple[int, int]) -> Array:
    """Of equal indices any one stays."""
    n, c, p, q = x.shape
    places = size[0] * size[1]
    wrong = (indices < 0) | (indices >= places)
    if wrong.any():
        raise IndexError(
            f"max_unpool2d: indices: expected 0 to {places - 1}, got {int(indices[wrong][0])}"
        )
    y = np.zeros_like(x, shape=(n, places, c))
    values = np.moveaxis(x, 1, -1).reshape(n, p * q, c)
    put_along_axis(y, indices.reshape(n, p * q, c), values, 1)
    return np.moveaxis(y.reshape(n, *size, c), -1, 1)


@standing_for(_C.max_unpool2d_backward)
def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    n, c, h, w = dy.shape
    flat = np.moveaxis(dy, 1, -1).reshape(n, h * w, c)
    taken = np.take_along_axis(flat, indices.reshape(n, -1, c), 1)
    return np.moveaxis(taken.reshape(indices.shape), -1, 1)

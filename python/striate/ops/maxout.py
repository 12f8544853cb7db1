# SPDX-License-Identifier: Apache-2.0
"""Units that make one channel out of several: maxout, gated linear units."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops.activation import as_float, sigmoid
from striate.ops.arithmetic import mul
from striate.ops.indexing import getitem
from striate.ops.layout import c_order
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "glu",
    "maxout",
]


def _axis(name: str, dim: int, x: Tensor) -> int:
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{name}: dim: expected an integer, got {dim!r}")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"{name}: dim: expected -{x.ndim} to {x.ndim - 1}, got {dim}")
    return int(dim) % x.ndim


def _rows(x: Array, axis: int) -> tuple[Array, tuple[int, ...]]:
    """x as (rows, size of axis) in C order, without a copy where the axis is innermost in memory;
    and the other sizes."""
    moved = c_order(np.moveaxis(x, axis, -1))
    return moved.reshape(-1, x.shape[axis]), moved.shape[:-1]


@op("(N, k C, ...) -> (N, C, ...)", name="maxout")
def _maxout(ctx: Node, x: Array, pieces: int, axis: int) -> Array:
    # Pieces are the columns of an image of one row a pixel, so that max pooling does the work.
    rows, lead = _rows(x, axis)
    units = rows.shape[1] // pieces
    image = rows.reshape(1, -1, pieces, units).transpose(0, 3, 1, 2)
    window = (1, pieces, 1, pieces, 0, 0, 1, 1, 0)
    if ctx.needs[0]:
        y, taps = _C.max_pool2d_taps(image, window)
        ctx.save(taps, image.shape[2:], window, lead, axis)
    else:
        y = _C.max_pool2d(image, window)
    return np.moveaxis(y.transpose(0, 2, 3, 1).reshape(*lead, units), -1, axis)


@_maxout.backward
def _(ctx: Node, grad: Array) -> Any:
    taps, size, window, lead, axis = ctx.saved
    rows, _ = _rows(grad, axis)
    dy = rows.reshape(1, -1, 1, rows.shape[1]).transpose(0, 3, 1, 2)
    dx = _C.max_pool2d_backward(dy, taps, size, window)
    return np.moveaxis(dx.transpose(0, 2, 3, 1).reshape(*lead, -1), -1, axis)


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """y[c] = max over i < pieces of x[c + i C]: (N, pieces C, ...) -> (N, C, ...).

    Goodfellow et al. 2013: behind a linear or convolution layer of pieces C channels, a convex
    function that is learned. The first of equal maxima gets the gradient; a NaN wins. Raises
    ValueError where pieces does not divide the size of `dim`.
    """
    x = as_float(input, "maxout")
    axis = _axis("maxout", dim, x)
    if isinstance(pieces, bool) or not isinstance(pieces, (int, np.integer)):
        raise TypeError(f"maxout: pieces: expected an integer, got {pieces!r}")
    if pieces < 1 or x.shape[axis] % pieces:
        raise ValueError(
            f"maxout: pieces: expected a divisor of {x.shape[axis]}, the size of axis {axis} of "
            f"shape {x.shape}, got {pieces}"
        )
    if x.numel() == 0:
        return getitem(x, (*[slice(None)] * axis, slice(0, x.shape[axis] // pieces)))
    return _maxout(x, pieces=int(pieces), axis=axis)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), a and b the first and the second half of x along `dim` (Dauphin et al. 2017).

    Raises ValueError where the size of `dim` is odd.
    """
    x = as_float(input, "glu")
    axis = _axis("glu", dim, x)
    half, odd = divmod(x.shape[axis], 2)
    if odd:
        raise ValueError(
            f"glu: dim: expected an axis of even size, got axis {axis} of shape {x.shape}"
        )
    lead = [slice(None)] * axis
    return mul(getitem(x, (*lead, slice(half))), sigmoid(getitem(x, (*lead, slice(half, None)))))

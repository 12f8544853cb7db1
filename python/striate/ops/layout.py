# SPDX-License-Identifier: Apache-2.0
"""Moving elements between memory orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.arrays import bits, copied
from striate.autograd import Node
from striate.ops.record import op
from striate.tensor import Array

__all__ = [
    "contiguous",
]


def c_order(x: Array) -> Array:
    """The array itself if it is in C order, else a copy that is, by our kernel for floats."""
    if x.flags.c_contiguous:
        return x
    if x.dtype.kind == "f" and x.ndim <= 8:
        return _C.to_c_order(x)
    return copied(x)


def channels_last(x: Array) -> Array:
    """x, rank 3 to 5, in memory with the channels innermost: itself if it is there already."""
    last = np.moveaxis(x, 1, -1)
    if last.flags.c_contiguous:
        return x
    if x.dtype.kind == "V":  # bfloat16
        return np.moveaxis(c_order(last), -1, 1)
    return _C.to_channels_last(x)


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """x.reshape(shape), a view where there can be one, else a copy by our kernel for floats."""
    plain = x.dtype.kind != "f" or x.ndim > 8 or not isinstance(x, np.ndarray)
    if plain or x.flags.c_contiguous:
        return x.reshape(shape) if x.dtype.kind != "V" else bits(x).reshape(shape).view(x.dtype)
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return _C.to_c_order(x).reshape(shape)


def in_order_of(x: Array, result: Array) -> Array:
    """`result` in channels-last memory if x is a picture that lies so, else as it is."""
    if x.ndim != 4 or result.ndim != 4 or x.flags.c_contiguous:
        return result
    if not x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return result
    if result.dtype.kind == "f":
        return _C.to_channels_last(result)
    return result.transpose(0, 2, 3, 1).copy(order="C").transpose(0, 3, 1, 2)


@op("(...) -> (...)")
def contiguous(ctx: Node, x: Array) -> Array:
    """The elements in C order."""
    return c_order(x)


@contiguous.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad

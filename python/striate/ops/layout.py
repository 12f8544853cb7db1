# SPDX-License-Identifier: Apache-2.0
"""Moving elements between memory orders, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "contiguous",
    "pad",
]


def c_order(x: Array) -> Array:
    """The array itself if it is in C order, else a copy that is, by our kernel for floats."""
    if x.flags.c_contiguous:
        return x
    return _C.to_c_order(x) if x.dtype.kind == "f" and x.ndim <= 8 else np.ascontiguousarray(x)


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """x.reshape(shape), a view where there can be one, else a copy by our kernel for floats."""
    if x.flags.c_contiguous or x.dtype.kind != "f" or x.ndim > 8:
        return x.reshape(shape)
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
    return np.ascontiguousarray(result.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@op("(...) -> (...)")
def contiguous(ctx: Node, x: Array) -> Array:
    """The elements in C order."""
    return c_order(x)


@contiguous.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad


@op("(...) -> (...)", name="pad")
def _pad(ctx: Node, x: Array, widths: tuple[int, ...], value: float) -> Array:
    ctx.save(widths)
    return _C.pad(x, widths, value)


@_pad.backward
def _(ctx: Node, grad: Array) -> Any:
    (widths,) = ctx.saved
    return _C.pad(grad, tuple(-w for w in widths), 0.0)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """`value` around the elements: pad is (before, after) of the last axis, then of the one before.

    (..., n) -> (..., before + n + after). Negative widths crop. Images stay channels-last. Raises
    ValueError for an odd number of widths, more pairs than axes, more cropped than there is, and
    for any other mode than "constant".
    """
    if mode != "constant":
        raise ValueError(f'pad: mode: expected "constant", got {mode!r}')
    if not isinstance(pad, (tuple, list)) or not all(isinstance(w, int) for w in pad):
        raise TypeError(f"pad: pad: expected a tuple of integers, got {pad!r}")
    if input.dtype.kind != "f":
        raise TypeError(f"pad: input: expected float32 or float64, got {input.dtype}")
    return _pad(input, widths=tuple(pad), value=float(value))

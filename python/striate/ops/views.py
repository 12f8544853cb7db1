# SPDX-License-Identifier: Apache-2.0
"""Diagonals, windows and reversals, and tensors brought to one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import strided_view
from striate.autograd import Node
from striate.explain import explained
from striate.ops.operand import of_tensor
from striate.ops.record import op
from striate.ops.shape import axis_of, clone, expand, of, reshape
from striate.tensor import Array, Tensor

__all__ = [
    "broadcast_tensors",
    "diagonal",
    "flip",
    "fliplr",
    "flipud",
]
# The function of the name `unfold` takes windows of images (patches.py).
METHODS = [*__all__[1:], "unfold"]


@explained
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors expanded to the one shape that they broadcast to."""
    try:
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ValueError(f"broadcast_tensors: shapes {shapes} do not broadcast") from None
    return tuple(x if x.shape == shape else expand(x, shape) for x in tensors)


@op("(...) -> (...)", name="diagonal")
def _diagonal(ctx: Node, x: Array, offset: int, axis1: int, axis2: int) -> Array:
    ctx.save(x.shape, offset, axis1, axis2)
    return writable_diagonal(x, offset, axis1, axis2)


@_diagonal.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, *place = ctx.saved
    dx = np.zeros_like(grad, shape=shape)
    writable_diagonal(dx, *place)[...] = grad
    return dx


def writable_diagonal(x: Array, offset: int, axis1: int, axis2: int) -> Array:
    """NumPy's view of a diagonal, which may be written to where x may."""
    view = np.diagonal(x, offset, axis1, axis2)
    if isinstance(x, np.ndarray) and x.flags.writeable:
        view.flags.writeable = True
    return view


@of_tensor
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements x[i, i + offset] of two axes, as a view whose last axis is i."""
    a = axis_of("diagonal", dim1, input.ndim, "dim1")
    b = axis_of("diagonal", dim2, input.ndim, "dim2")
    if a == b or input.ndim < 2:
        raise ValueError(f"diagonal: dim1 and dim2: expected two axes, got {dim1} and {dim2}")
    return of(input, _diagonal, offset=offset, axis1=a, axis2=b)


@op("(...) -> (...)", name="flip")
def _flip(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
    ctx.save(axes)
    return np.flip(x, axes).copy(order="K")


@_flip.backward
def _(ctx: Node, grad: Array) -> Any:
    return np.flip(grad, ctx.saved[0])


@of_tensor
def flip(input: Tensor, dims: Any, *more: Any) -> Tensor:
    """A copy in which the axes `dims` run backwards."""
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims, *more)
    axes = tuple(axis_of("flip", d, input.ndim) for d in dims)
    if len(set(axes)) != len(axes):
        raise ValueError(f"flip: dims: expected each axis once, got {dims}")
    return _flip(input, axes=axes) if input.ndim else clone(input)


@of_tensor
def fliplr(input: Tensor) -> Tensor:
    """Axis 1 backwards, in a copy."""
    return flip(input, 1)


@of_tensor
def flipud(input: Tensor) -> Tensor:
    """Axis 0 backwards, in a copy."""
    return flip(input, 0)


@op("(..., N, ...) -> (..., windows, ..., size)", name="unfold")
def _unfold(ctx: Node, x: Array, axis: int, size: int, step: int) -> Array:
    """Windows that overlap can't be written to."""
    ctx.save(x.shape, axis, size, step)
    shape, strides = list(x.shape), list(x.strides)
    shape[axis] = (shape[axis] - size) // step + 1
    strides[axis] *= step
    apart = step >= size and (not isinstance(x, np.ndarray) or bool(x.flags.writeable))
    return strided_view(x, (*shape, size), (*strides, x.strides[axis]), apart)


@_unfold.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, axis, size, step = ctx.saved
    dx = np.zeros_like(grad, shape=shape)
    count = grad.shape[axis]
    for k in range(size):
        dx[(*[slice(None)] * axis, slice(k, k + step * count, step))] += grad[..., k]
    return dx


@of_tensor
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` along an axis, `step` apart, as a view with the window as last axis."""
    axis = axis_of("unfold", dimension, input.ndim, "dimension")
    for argument, value in (("size", size), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"unfold: {argument}: expected an integer, got {value!r}")
    whole = input.ndim > 0
    if not whole:
        input = reshape(input, (1,))
    if step < 1 or not 0 <= size <= input.shape[axis]:
        raise ValueError(
            f"unfold: expected a step of 1 or more and a size from 0 to {input.shape[axis]}, got "
            f"step {step} and size {size}"
        )
    windows = of(input, _unfold, axis=axis, size=size, step=step)
    return windows if whole else reshape(windows, (size,))

# SPDX-License-Identifier: Apache-2.0
"""Sums, means and extremes over axes."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.dtypes import get_default_dtype
from striate.ops.arithmetic import cast
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "std",
    "sum",
    "var",
]
METHODS = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "std",
    "sum",
    "var",
]


def axes_of(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """`dim` (None, a number or a tuple) as ascending axes of a tensor with `ndim` of them."""
    if dim is None:
        return tuple(range(ndim))
    axes = []
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"{name}: dim: expected integers, got {d!r}")
        if not -ndim <= d < ndim:
            raise IndexError(f"{name}: dim: expected -{ndim} to {ndim - 1}, got {d}")
        axes.append(int(d) % ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim: {dim} names an axis twice")
    return tuple(sorted(axes))


_ALL = [tuple(range(n)) for n in range(65)]  # every axis of a tensor of n of them


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


@op("(...) -> (...)", name="sum")
def _sum(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
    ctx.save(x.shape, axes)
    return _C.sum(x, axes)


@_sum.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, axes = ctx.saved
    if grad.ndim:
        grad = grad.reshape(_kept(shape, axes))
    return _C.broadcast_to(grad, shape)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The sum over `dim` (all axes if None). Integers and bools give int64."""
    if dim is None and dtype is None and not keepdim:
        try:
            return _sum.of_one(input, _ALL[input._array.ndim])
        except (AttributeError, TypeError):  # integers
            pass
    if dtype is not None:
        input = input.to(dtype)
    axes = axes_of("sum", dim, input.ndim)
    if input.dtype.kind != "f":
        result = np.asarray(np.sum(input._array, axis=axes, keepdims=keepdim, dtype=np.int64))
        return Tensor._wrap(result)
    out: Tensor = _sum(input, axes=axes)
    return out.reshape(_kept(input.shape, axes)) if keepdim else out


def mean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean over `dim` (all axes if None); NaN over no elements."""
    if input.dtype.kind != "f":
        input = cast(input, get_default_dtype())
    axes = axes_of("mean", dim, input.ndim)
    count = 1
    for i in axes:
        count *= input.shape[i]
    total = sum(input, axes if input.ndim else None, keepdim)
    return total / (count or float("nan"))


def var(input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """The variance over `dim`: squared distance from the mean, over n - 1 (n if not unbiased)."""
    axes = axes_of("var", dim, input.ndim)
    count = 1
    for i in axes:
        count *= input.shape[i]
    off = input - mean(input, axes, keepdim=True)
    return sum(off * off, axes, keepdim) / (builtins.max(count - 1, 0) if unbiased else count)


def std(input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """The square root of the variance."""
    return var(input, dim, unbiased, keepdim).sqrt()


def _extreme(name: str, numpy: Any, arg: Any) -> Any:
    @op("(...) -> (...)", name=name)
    def over_all(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
        """Over several axes: every element that reaches the extreme shares the gradient."""
        result = np.asarray(numpy(x, axis=axes))
        ctx.save(x, result, axes)
        return result

    @over_all.backward
    def _(ctx: Node, grad: Array) -> Any:
        x, result, axes = ctx.saved
        kept = _kept(x.shape, axes)
        hits = x == result.reshape(kept)
        count = np.maximum(np.sum(hits, axis=axes, keepdims=True), 1)  # NaN equals nothing
        share = grad.reshape(kept) / count
        return np.where(hits, share, 0).astype(x.dtype, copy=False)

    @op("(...) -> (...), (...)", name=name)
    def along(ctx: Node, x: Array, axis: int) -> Any:
        """Along one axis, with the index of the first extreme, which gets the gradient."""
        index = np.expand_dims(np.asarray(arg(x, axis=axis)), axis)
        ctx.save(x.shape, index, axis)
        return np.take_along_axis(x, index, axis).squeeze(axis), index.squeeze(axis)

    @along.backward
    def _(ctx: Node, grad: Array, _: Any) -> Any:
        shape, index, axis = ctx.saved
        dx = np.zeros(shape, grad.dtype)
        np.put_along_axis(dx, index, np.expand_dims(grad, axis), axis)
        return dx

    return over_all, along


_max_all, _max_along = _extreme("max", np.max, np.argmax)
_min_all, _min_along = _extreme("min", np.min, np.argmin)


def _extreme_function(name: str, over_all: Op, along: Op, pairwise: str) -> Any:
    def call(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Tensor):
            from striate import ops

            return getattr(ops, pairwise)(input, dim)
        if input.numel() == 0:
            raise ValueError(f"{name}: of no elements: shape {input.shape}")
        if dim is None:
            return over_all(input, axes=tuple(range(input.ndim)))
        if isinstance(dim, (tuple, list)):
            raise TypeError(f"{name}: dim: expected one axis, got {dim}; a{name} takes several")
        (axis,) = axes_of(name, dim, input.ndim)
        values, indices = along(input, axis=axis)
        if keepdim:
            kept = _kept(input.shape, (axis,))
            values, indices = values.reshape(kept), indices.reshape(kept)
        return values, indices

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The {name} of all elements; with `dim`, (values, indices) along it; with a second "
        f"tensor, {pairwise}."
    )
    return call


max = _extreme_function("max", _max_all, _max_along, "maximum")
min = _extreme_function("min", _min_all, _min_along, "minimum")


def amax(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; equal ones share the gradient."""
    axes = axes_of("amax", dim, input.ndim)
    out: Tensor = _max_all(input, axes=axes)
    return out.reshape(_kept(input.shape, axes)) if keepdim else out


def amin(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; equal ones share the gradient."""
    axes = axes_of("amin", dim, input.ndim)
    out: Tensor = _min_all(input, axes=axes)
    return out.reshape(_kept(input.shape, axes)) if keepdim else out


def _index_of(name: str, numpy: Any) -> Any:
    def call(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        if input.numel() == 0:
            raise ValueError(f"{name}: of no elements: shape {input.shape}")
        if dim is not None:
            (dim,) = axes_of(name, dim, input.ndim)
        return Tensor._wrap(np.asarray(numpy(input._array, axis=dim, keepdims=keepdim)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The index of the first {name[3:]}imum, of the flattened tensor if no dim."
    return call


argmax = _index_of("argmax", np.argmax)
argmin = _index_of("argmin", np.argmin)


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether any element is not zero."""
    axes = axes_of("any", dim, input.ndim)
    return Tensor._wrap(np.asarray(np.any(input._array, axis=axes, keepdims=keepdim)))


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether no element is zero."""
    axes = axes_of("all", dim, input.ndim)
    return Tensor._wrap(np.asarray(np.all(input._array, axis=axes, keepdims=keepdim)))

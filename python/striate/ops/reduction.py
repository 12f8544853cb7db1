# SPDX-License-Identifier: Apache-2.0
"""Sums, means and extremes over axes."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from striate import _C
from striate.arrays import as_result, put_along_axis
from striate.autograd import Node
from striate.dtypes import get_default_dtype
from striate.explain import explained
from striate.ops.arithmetic import cast
from striate.ops.operand import check_tensor
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor

__all__ = [
    "all",
    "amax",
    "amin",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "max",
    "mean",
    "min",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]
METHODS = [n for n in __all__ if n not in ("std_mean", "var_mean")]


class ValuesIndices(NamedTuple):
    """Values, and where along the axis they were."""

    values: Tensor
    indices: Tensor


def axes_of(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """`dim` (None, a number or a tuple) as ascending axes of a tensor with `ndim` of them.

    An empty tuple names all of them, as None does and as in PyTorch.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = []
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"{name}: dim: expected integers, got {d!r}")
        most = ndim or 1  # a tensor without axes has axis 0 and -1 here, as in PyTorch
        if not -most <= d < most:
            raise IndexError(f"{name}: dim: expected -{most} to {most - 1}, got {d}")
        axes.append(int(d) % most)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim: {dim} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


_ALL = [tuple(range(n)) for n in range(65)]  # every axis of a tensor of n of them


def keep_dims(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the axes at size 1."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


@op("(...) -> (...)", name="sum")
def _sum(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
    ctx.save(x.shape, axes)
    return _C.sum(x, axes)


@_sum.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, axes = ctx.saved
    if grad.ndim:
        grad = grad.reshape(keep_dims(shape, axes))
    return _C.broadcast_to(grad, shape)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The sum over `dim` (all axes if None). Integers and bools give int64."""
    if dim is None and dtype is None and not keepdim:
        try:
            return _sum.of_one(input, _ALL[input._array.ndim])
        except (AttributeError, TypeError):  # integers
            pass
    check_tensor("sum", "input", input)
    if dtype is not None:
        input = input.to(dtype)
    axes = axes_of("sum", dim, input.ndim)
    if input.dtype.kind not in "fV":  # bfloat16 (V) is refused by the kernel
        result = as_result(np.sum(input._array, axis=axes, keepdims=keepdim, dtype=np.int64))
        return Tensor._wrap(result)
    out: Tensor = _sum(input, axes=axes)
    return out.reshape(keep_dims(input.shape, axes)) if keepdim else out


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[i] for i in axes)


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` (all axes if None); NaN over no elements."""
    check_tensor("mean", "input", input)
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.kind != "f":
        input = cast(input, get_default_dtype())
    axes = axes_of("mean", dim, input.ndim)
    total = sum(input, axes, keepdim)
    return total / (_count(input.shape, axes) or float("nan"))


def _spread(
    name: str, input: Tensor, dim: Any, unbiased: bool, correction: Any, keepdim: bool
) -> tuple[Tensor, Tensor]:
    """(variance, mean). `correction` is what is taken from the count of elements."""
    check_tensor(name, "input", input)
    if isinstance(dim, bool):  # var(x, False), as PyTorch allows
        dim, unbiased = None, dim
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {input.dtype}")
    axes = axes_of(name, dim, input.ndim)
    less = int(unbiased) if correction is None else correction
    if isinstance(less, bool) or not isinstance(less, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: correction: expected a number, got {less!r}")
    middle = mean(input, axes, keepdim=True)
    off = input - middle
    squares = sum(off * off, axes, keepdim) / builtins.max(_count(input.shape, axes) - less, 0)
    return squares, middle if keepdim else middle.reshape(squares.shape)


@explained
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over `dim`: squared distance from the mean, over n - 1 (n if not unbiased).

    `correction` is taken from n instead of the 1 of `unbiased`.
    """
    return _spread("var", input, dim, unbiased, correction, keepdim)[0]


@explained
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of the variance."""
    return _spread("std", input, dim, unbiased, correction, keepdim)[0].sqrt()


@explained
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean over `dim`."""
    return _spread("var_mean", input, dim, unbiased, correction, keepdim)


@explained
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over `dim`."""
    squares, middle = _spread("std_mean", input, dim, unbiased, correction, keepdim)
    return squares.sqrt(), middle


def _extreme(name: str, numpy: Any, arg: Any) -> Any:
    @op("(...) -> (...)", name=name)
    def over_all(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
        """Over several axes: every element that reaches the extreme shares the gradient."""
        result = as_result(numpy(x, axis=axes))
        ctx.save(x, result, axes)
        return result

    @over_all.backward
    def _(ctx: Node, grad: Array) -> Any:
        x, result, axes = ctx.saved
        kept = keep_dims(x.shape, axes)
        hits = x == result.reshape(kept)
        count = np.maximum(np.sum(hits, axis=axes, keepdims=True), 1)  # NaN equals nothing
        share = grad.reshape(kept) / count
        return np.where(hits, share, 0).astype(x.dtype, copy=False)

    @op("(...) -> (...), (...)", name=name)
    def along(ctx: Node, x: Array, axis: int) -> Any:
        """Along one axis, with the index of the first extreme, which gets the gradient."""
        index = np.expand_dims(as_result(arg(x, axis=axis)), axis)
        ctx.save(x.shape, index, axis)
        return np.take_along_axis(x, index, axis).squeeze(axis), index.squeeze(axis)

    @along.backward
    def _(ctx: Node, grad: Array, _: Any) -> Any:
        shape, index, axis = ctx.saved
        dx = np.zeros_like(grad, shape=shape)
        put_along_axis(dx, index, np.expand_dims(grad, axis), axis)
        return dx

    return over_all, along


_max_all, _max_along = _extreme("max", np.max, np.argmax)
_min_all, _min_along = _extreme("min", np.min, np.argmin)


def _refuse_none(name: str, input: Tensor, axes: tuple[int, ...]) -> None:
    """Raises where an extreme would be one of no elements."""
    if _count(input.shape, axes) == 0:
        raise ValueError(f"{name}: of no elements: shape {input.shape}")


def _extreme_function(name: str, over_all: Op, along: Op, pairwise: str) -> Any:
    def call(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        check_tensor(name, "input", input)
        if isinstance(dim, Tensor):
            from striate import ops

            return getattr(ops, pairwise)(input, dim)
        if dim is None:
            _refuse_none(name, input, tuple(range(input.ndim)))
            return over_all(input, axes=tuple(range(input.ndim)))
        if isinstance(dim, (tuple, list)):
            raise TypeError(f"{name}: dim: expected one axis, got {dim}; a{name} takes several")
        axes = axes_of(name, dim, input.ndim)
        _refuse_none(name, input, axes)
        if not axes:
            return ValuesIndices(input.clone(), Tensor._wrap(np.zeros((), np.int64)))
        (axis,) = axes
        values, indices = along(input, axis=axis)
        if keepdim:
            kept = keep_dims(input.shape, (axis,))
            values, indices = values.reshape(kept), indices.reshape(kept)
        return ValuesIndices(values, indices)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The {name} of all elements; with `dim`, (values, indices) along it; with a second "
        f"tensor, {pairwise}."
    )
    return explained(call)


max = _extreme_function("max", _max_all, _max_along, "maximum")
min = _extreme_function("min", _min_all, _min_along, "minimum")


@explained
def amax(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; equal ones share the gradient."""
    check_tensor("amax", "input", input)
    axes = axes_of("amax", dim, input.ndim)
    _refuse_none("amax", input, axes)
    out: Tensor = _max_all(input, axes=axes)
    return out.reshape(keep_dims(input.shape, axes)) if keepdim else out


@explained
def amin(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; equal ones share the gradient."""
    check_tensor("amin", "input", input)
    axes = axes_of("amin", dim, input.ndim)
    _refuse_none("amin", input, axes)
    out: Tensor = _min_all(input, axes=axes)
    return out.reshape(keep_dims(input.shape, axes)) if keepdim else out


class MinMax(NamedTuple):
    """The smallest and the largest."""

    min: Tensor
    max: Tensor


@explained
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """(min, max) over `dim`, or of all elements."""
    check_tensor("aminmax", "input", input)
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


def _index_of(name: str, numpy: Any) -> Any:
    def call(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        check_tensor(name, "input", input)
        axes = axes_of(name, dim, input.ndim)
        _refuse_none(name, input, axes)
        axis = axes[0] if dim is not None and axes else None
        return Tensor._wrap(as_result(numpy(input._array, axis=axis, keepdims=keepdim)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The index of the first {name[3:]}imum, of the flattened tensor if no dim."
    return explained(call)


argmax = _index_of("argmax", np.argmax)
argmin = _index_of("argmin", np.argmin)


def _of_truths(name: str, numpy: Any, doc: str) -> Any:
    def call(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        check_tensor(name, "input", input)
        axes = axes_of(name, dim, input.ndim)
        result = as_result(numpy(input._array, axis=axes, keepdims=keepdim))
        return Tensor._wrap(result.astype(np.uint8) if input.dtype == np.uint8 else result)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return explained(call)


any = _of_truths("any", np.any, "Whether any element is not zero.")
all = _of_truths("all", np.all, "Whether no element is zero.")


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero, over `dim`: int64."""
    check_tensor("count_nonzero", "input", input)
    axes = axes_of("count_nonzero", dim, input.ndim)
    return Tensor._wrap(as_result(np.sum(input._array != 0, axis=axes, dtype=np.int64)))

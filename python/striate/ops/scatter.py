# SPDX-License-Identifier: Apache-2.0
"""Writing into a copy of a tensor by index or mask: what indexing is backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import as_result, put_along_axis
from striate.autograd import Node
from striate.dtypes import CATEGORY, result_type
from striate.ops.arithmetic import as_operand
from striate.ops.indexing import (
    added_at,
    along,
    as_index,
    expect_same_dtype,
    fixed,
    flat_places,
    mask_array,
    region,
    slices_added,
    vector_of,
    wrapped_places,
)
from striate.ops.layout import in_order_of
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import op
from striate.ops.shape import clone, reshape, where
from striate.ops.views import broadcast_tensors
from striate.tensor import Array, Tensor

__all__ = [
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "masked_fill",
    "masked_scatter",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "setitem",
]
METHODS = [n for n in __all__ if n != "setitem"]


def _filled(name: str, input: Tensor, value: Any) -> Tensor:
    """A number or a tensor without axes, in the dtype of `input` if that can hold its kind."""
    if getattr(value, "ndim", 0) != 0:
        raise ValueError(f"{name}: value: expected one number, got shape {value.shape}")
    kind = result_type(value)
    if input.dtype.kind == "b" and kind.kind != "f":
        return Tensor._wrap(np.array(bool(value)))
    if CATEGORY[kind.kind] > CATEGORY[input.dtype.kind]:
        raise TypeError(f"{name}: value: a number of {kind} can't be kept in {input.dtype}")
    return as_operand(value, input.dtype, f"{name}: value")


@op("(...), (...) -> (...)", name="index_put")
def _index_put(ctx: Node, x: Array, values: Array, index: Any) -> Array:
    ctx.save(values.shape, fixed(index))
    out = x.copy(order="K")
    out[index] = values
    return out


@_index_put.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index = ctx.saved
    dx = dv = None
    if ctx.needs[0]:
        dx = grad.copy(order="K")
        dx[index] = 0
    if ctx.needs[1]:
        dv = as_result(grad[index])
        lead = dv.ndim - len(shape)
        repeated = [i for i in range(dv.ndim) if i < lead or shape[i - lead] != dv.shape[i]]
        dv = as_result(dv.sum(tuple(repeated), keepdims=True)).reshape(shape)
    return dx, dv


@of_tensor
def setitem(input: Tensor, values: Any, index: Any) -> Tensor:
    """A copy of input in which input[index] is `values`: what an assignment computes."""
    values = as_operand(values, input.dtype, "indexed assignment: value")
    try:
        return _index_put(input, values, index=index)
    except (ValueError, IndexError) as error:
        raise type(error)(f"indexed assignment: {error}") from None


@of_tensor
def index_put(input: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """A copy of input in which input[indices] is `values` (or was added, if `accumulate`)."""
    index = as_index(indices if isinstance(indices, tuple) else tuple(indices))
    values = as_operand(values, input.dtype, "index_put: values")
    if accumulate:
        places = np.arange(input.numel()).reshape(input.shape)[index]
        spread = values.expand(places.shape).reshape(-1)
        flat = scatter_add(input.reshape(-1), 0, Tensor._wrap(places.reshape(-1)), spread)
        return flat.reshape(input.shape)
    try:
        return _index_put(input, values, index=index)
    except (ValueError, IndexError) as error:
        raise type(error)(f"index_put: {error}") from None


@of_tensor
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of input in which the flat places `index` hold `source` (or were added it).

    Negative places count from the end.
    """
    check_tensor("put", "index", index)
    expect_same_dtype("put", input, source, "source")
    places = wrapped_places("put", index, input.numel()).reshape(-1)
    values = reshape(source, (source.numel(),))
    if values.shape != places.shape:
        raise ValueError(f"put: source: expected {places.size} elements, got {values.numel()}")
    flat = index_put(reshape(input, (-1,)), (places,), values, accumulate)
    return reshape(flat, input.shape)


@op("(...), index (...), (...) -> (...)", name="scatter")
def _scatter(ctx: Node, x: Array, src: Array, index: Array, axis: int) -> Array:
    ctx.save(index, axis, src.shape)
    out = x.copy(order="K")
    part = src[tuple(slice(n) for n in index.shape)]
    put_along_axis(out[region(index, axis)], index, part, axis)
    return out


@_scatter.backward
def _(ctx: Node, grad: Array) -> Any:
    index, axis, shape = ctx.saved
    part = region(index, axis)
    dx = dsrc = None
    if ctx.needs[0]:
        dx = grad.copy(order="K")
        put_along_axis(dx[part], index, 0, axis)
    if ctx.needs[1]:
        dsrc = np.zeros_like(grad, shape=shape)
        dsrc[tuple(slice(n) for n in index.shape)] = np.take_along_axis(grad[part], index, axis)
    return dx, dsrc


def _with_source(name: str, input: Tensor, dim: int, index: Any, src: Tensor) -> Any:
    axis, array = along(name, input, dim, index)
    expect_same_dtype(name, input, src, "src")
    if src.ndim != array.ndim or any(m > n for m, n in zip(array.shape, src.shape, strict=True)):
        raise ValueError(
            f"{name}: src: expected at least the shape of index, {array.shape}, got {src.shape}"
        )
    return axis, array


@of_tensor
def scatter(input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """A copy of input with y[index[i, j, …], j, …] = src[i, j, …] for dim 0, and so on.

    `src` is a tensor of at least index's shape, or a number. Where a place is named twice, which
    value it gets is not defined.
    """
    if not isinstance(src, Tensor) or (src.ndim == 0 and input.ndim):
        axis, array = along("scatter", input, dim, index)
        value = _filled("scatter", input, src)
        src = value.expand(array.shape)
    else:
        axis, array = _with_source("scatter", input, dim, index, src)
    if input.ndim == 0:
        return scatter(reshape(input, (1,)), 0, array.reshape(-1), src.reshape(-1)).reshape(())
    return _scatter(input, src, index=array, axis=axis) if array.size else clone(input)


@op("(...), index (...), (...) -> (...)", name="scatter_add")
def _scatter_add(ctx: Node, x: Array, src: Array, index: Array, axis: int) -> Array:
    ctx.save(index, axis, src.shape)
    part = src[tuple(slice(n) for n in index.shape)]
    return in_order_of(x, x + added_at(x.shape, flat_places(x.shape, axis, index), part))


@_scatter_add.backward
def _(ctx: Node, grad: Array) -> Any:
    index, axis, shape = ctx.saved
    dsrc = None
    if ctx.needs[1]:
        dsrc = np.zeros_like(grad, shape=shape)
        values = np.take_along_axis(grad[region(index, axis)], index, axis)
        dsrc[tuple(slice(n) for n in index.shape)] = values
    return grad, dsrc


@of_tensor
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of input with src[i, j, …] added at [index[i, j, …], j, …] for dim 0, and so on."""
    axis, array = _with_source("scatter_add", input, dim, index, src)
    if input.ndim == 0:
        flat = scatter_add(reshape(input, (1,)), 0, array.reshape(-1), src.reshape(-1))
        return flat.reshape(())
    return _scatter_add(input, src, index=array, axis=axis) if array.size else clone(input)


@op("(...), index (...), (...) -> (...)", name="scatter_reduce")
def _scatter_extreme(
    ctx: Node, x: Array, src: Array, index: Array, axis: int, largest: bool, include_self: bool
) -> Array:
    """The largest or smallest of what arrives at a place; equal ones share the gradient."""
    part = src[tuple(slice(n) for n in index.shape)]
    places = flat_places(x.shape, axis, index)
    out = np.array(x, order="C")
    flat = out.reshape(-1)
    if not include_self:
        worst: Any = np.iinfo(x.dtype) if x.dtype.kind != "f" else np.finfo(x.dtype)
        flat[places.ravel()] = worst.min if largest else worst.max
        if x.dtype.kind == "f":
            flat[places.ravel()] = -np.inf if largest else np.inf
    (np.maximum if largest else np.minimum).at(flat, places.ravel(), part.ravel())
    named = np.zeros(out.size, bool)
    named[places.ravel()] = True
    own = (flat == x.ravel()) & (include_self | ~named)
    won = flat[places] == part
    shares = own + np.bincount(places.ravel(), won.ravel(), out.size)
    ctx.save(places, own.reshape(x.shape), won, np.maximum(shares, 1), src.shape)
    return out


@_scatter_extreme.backward
def _(ctx: Node, grad: Array) -> Any:
    places, own, won, shares, shape = ctx.saved
    each = grad.reshape(-1) / shares
    dsrc = np.zeros_like(grad, shape=shape)
    dsrc[tuple(slice(n) for n in places.shape)] = np.where(won, each[places], 0)
    return np.where(own, each.reshape(grad.shape), 0).astype(grad.dtype), dsrc


@of_tensor
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_add` for "sum"; the "mean", "amax" or "amin" of what arrives at a place likewise.

    The element of input counts as one of them if `include_self`.
    """
    choices = ("sum", "mean", "amax", "amin")
    if reduce not in choices:
        raise ValueError(f"scatter_reduce: reduce: expected one of {choices}, got {reduce!r}")
    axis, array = _with_source("scatter_reduce", input, dim, index, src)
    if input.dtype.kind == "b":
        raise TypeError("scatter_reduce: input: expected numbers, got bools")
    if array.size == 0:
        return clone(input)
    if input.ndim == 0:
        flat = reshape(input, (1,)), 0, array.reshape(-1), src.reshape(-1), reduce
        return scatter_reduce(*flat, include_self=include_self).reshape(())
    if reduce in ("amax", "amin"):
        largest = reduce == "amax"
        return _scatter_extreme(
            input, src, index=array, axis=axis, largest=largest, include_self=include_self
        )
    ones = np.ones(array.shape, input.dtype)
    count = added_at(input.shape, flat_places(input.shape, axis, array), ones)
    kept = input if include_self else masked_fill(input, count > 0, 0)
    total = _scatter_add(kept, src, index=array, axis=axis)
    if reduce == "sum":
        return total
    count = np.maximum(count + 1 if include_self else count, 1).astype(input.dtype)
    if input.dtype.kind != "f":
        return Tensor._wrap(np.floor_divide(total._array, count))
    return total / Tensor._wrap(count)


@op("(...), index (n,), (...) -> (...)", name="index_add")
def _index_add(ctx: Node, x: Array, source: Array, index: Array, axis: int) -> Array:
    ctx.save(index, axis)
    return in_order_of(x, x + slices_added(x.shape, index, axis, source))


@_index_add.backward
def _(ctx: Node, grad: Array) -> Any:
    index, axis = ctx.saved
    return grad, np.take(grad, index, axis) if ctx.needs[1] else None


def _slices(name: str, input: Tensor, dim: int, index: Any, source: Tensor) -> Any:
    axis, array = vector_of(name, input, dim, index)
    expect_same_dtype(name, input, source, "source")
    shape = (*input.shape[:axis], array.size, *input.shape[axis + 1 :])
    if source.shape != shape and input.ndim:
        raise ValueError(f"{name}: source: expected shape {shape}, got {source.shape}")
    return axis, array


@of_tensor
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """A copy of input with alpha times slice i of source added to slice index[i] along `dim`."""
    axis, array = _slices("index_add", input, dim, index, source)
    if alpha != 1:
        source = source * alpha
    if input.ndim == 0:
        return input + source.sum()
    return _index_add(input, source, index=array, axis=axis)


@of_tensor
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of input in which slice index[i] along `dim` is slice i of source."""
    axis, array = _slices("index_copy", input, dim, index, source)
    if input.ndim == 0:
        return clone(source.reshape(()))
    return _index_put(input, source, index=(*[slice(None)] * axis, array))


@of_tensor
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of input in which the slices `index` along `dim` hold one number."""
    axis, array = vector_of("index_fill", input, dim, index)
    number = _filled("index_fill", input, value)
    if input.ndim == 0:
        return clone(number)
    return _index_put(input, number, index=(*[slice(None)] * axis, np.unique(array)))


@of_tensor
def masked_fill(input: Tensor, mask: Any, value: Any) -> Tensor:
    """A copy of input with one number where the mask holds; both broadcast."""
    held = mask_array("masked_fill", mask)
    number = _filled("masked_fill", input, value)
    try:
        return where(Tensor._wrap(held), number, input)
    except ValueError as error:
        raise ValueError(f"masked_fill: {error}") from None


@of_tensor
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of input in which the elements where the mask holds are source's first, in order."""
    expect_same_dtype("masked_scatter", input, source, "source")
    held = mask_array("masked_scatter", mask)
    try:
        input, spread = broadcast_tensors(input, Tensor._wrap(held))
    except ValueError as error:
        raise ValueError(f"masked_scatter: {error}") from None
    held = spread._array
    count = int(np.count_nonzero(held))
    if source.numel() < count:
        raise ValueError(
            f"masked_scatter: source: expected at least {count} elements, got {source.numel()}"
        )
    return _index_put(input, source.reshape(-1)[:count], index=held)

# SPDX-License-Identifier: Apache-2.0
"""Elements chosen by index or mask, and where elements are."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from striate.arrays import add_at, as_it_lies, as_result, bits
from striate.autograd import Node
from striate.device import device_of, placed
from striate.explain import explained
from striate.ops.layout import in_order_of
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import op
from striate.ops.shape import axis_of, broadcast_to, of, reshape
from striate.tensor import Array, Tensor

__all__ = [
    "argwhere",
    "as_index",
    "gather",
    "getitem",
    "index_select",
    "masked_select",
    "narrow",
    "nonzero",
    "select",
    "take",
    "take_along_dim",
]
METHODS = [n for n in __all__ if n not in ("as_index", "getitem")]


def as_index(index: Any) -> Any:
    """An index with tensors in it, as NumPy takes it."""
    if isinstance(index, Tensor):
        return index._array
    if isinstance(index, tuple):
        return tuple(as_index(i) for i in index)
    if isinstance(index, list):
        return [as_index(i) for i in index]
    return index


def is_basic(index: Any) -> bool:
    """Whether the index makes a view: no arrays and lists in it."""
    parts = index if isinstance(index, tuple) else (index,)
    return builtins.all(
        p is None or p is Ellipsis or isinstance(p, (int, slice, np.integer)) for p in parts
    )


def _is_mask(index: Any) -> bool:
    return hasattr(index, "strides") and index.dtype.kind == "b"


def fixed(index: Any) -> Any:
    """The index with copies of its arrays: the caller may write to them before the gradient."""
    if isinstance(index, (tuple, list)):
        return type(index)(fixed(i) for i in index)
    return index.copy() if hasattr(index, "strides") else index


@op("(...) -> (...)", name="getitem")
def _getitem(ctx: Node, x: Array, index: Any) -> Array:
    if ctx.needs[0]:
        ctx.save(x.shape, fixed(index))
    y = as_result(x[index])
    return y if y.ndim != 4 or is_basic(index) else in_order_of(x, y)


@_getitem.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index = ctx.saved
    if is_basic(index) or _is_mask(index):
        dx = np.zeros_like(bits(grad), shape=shape)
        dx[index] = bits(grad)
        return dx if dx.dtype == grad.dtype else dx.view(grad.dtype)
    dx = np.zeros_like(grad, shape=shape)
    add_at(dx, index, grad)  # an element may be taken more than once
    return dx


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: integers, slices, None, ..., and integer or bool arrays or tensors."""
    try:
        return of(input, _getitem, index=as_index(index))
    except AttributeError:
        check_tensor("getitem", "input", input)
        raise
    except IndexError as error:
        raise IndexError(f"index into shape {input.shape}: {error}") from None


@explained
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Slice `index` along `dim`, without that axis: a view."""
    check_tensor("select", "input", input)
    d = axis_of("select", dim, input.ndim)
    if input.ndim == 0 or not -input.shape[d] <= index < input.shape[d]:
        sizes = f"axis {d} of shape {input.shape}"
        raise IndexError(f"select: index: {index} is out of range for {sizes}")
    return getitem(input, (*[slice(None)] * d, int(index)))


@explained
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Elements start to start + length - 1 along `dim`: a view."""
    check_tensor("narrow", "input", input)
    d = axis_of("narrow", dim, input.ndim)
    n = input.shape[d] if input.ndim else 0
    first = start + n if start < 0 else start
    if input.ndim == 0 or not 0 <= first <= n or not 0 <= length <= n - first:
        raise IndexError(
            f"narrow: start {start} and length {length} leave axis {d} of shape {input.shape}"
        )
    return getitem(input, (*[slice(None)] * d, slice(first, first + length)))


def index_array(name: str, index: Any, size: int | None, argument: str = "index") -> Array:
    """`index` as an int64 array whose values are all from 0 to size - 1."""
    array = as_it_lies(index)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}: {argument}: expected integers, got {array.dtype}")
    array = array.astype(np.int64)  # a copy: the caller may write to it before the gradient
    if size is not None and array.size:
        for bad in (int(array.min()), int(array.max())):
            if not 0 <= bad < size:
                raise IndexError(f"{name}: {argument}: expected 0 to {size - 1}, got {bad}")
    return array


def expect_same_dtype(name: str, input: Tensor, other: Tensor, argument: str) -> None:
    """Raises unless both have one dtype."""
    if not isinstance(other, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(other).__name__}")
    if input.dtype != other.dtype:
        raise TypeError(
            f"{name}: {argument}: expected {input.dtype} like input, got {other.dtype}; convert "
            "one with .to(dtype)"
        )


def added_at(shape: tuple[int, ...], flat: Array, values: Array) -> Array:
    """Zeros of `shape` with values[i] added at the flat place flat[i], summed in double."""
    size = math.prod(shape)
    if values.dtype.kind == "f":
        sums = np.bincount(flat.ravel(), values.ravel(), size)
        return sums.astype(values.dtype).reshape(shape)
    whole = np.zeros_like(values, shape=size)
    add_at(whole, flat.ravel(), values.ravel())
    return whole.reshape(shape)


def flat_places(shape: tuple[int, ...], axis: int, index: Array) -> Array:
    """The flat places in an array of `shape` of the elements [i, …, index[i, …], …]."""
    step = math.prod(shape[axis + 1 :])
    places = index * step
    for d, n in enumerate(index.shape):
        if d != axis:
            ones = [1] * index.ndim
            ones[d] = n
            steps = (np.arange(n) * math.prod(shape[d + 1 :])).reshape(ones)
            places = places + placed("index", steps, device_of(index))
    return places


def along(name: str, input: Tensor, dim: int, index: Any, argument: str = "index") -> Any:
    """(axis, index array) of an index that has the axes of `input` and no larger sizes."""
    axis = axis_of(name, dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    array = index_array(name, index, size, argument)
    if array.size and array.ndim != input.ndim and not (array.ndim == 1 and input.ndim == 0):
        raise ValueError(
            f"{name}: {argument}: expected {input.ndim} axes like input {input.shape}, got shape "
            f"{array.shape}"
        )
    for d, n in enumerate(input.shape):
        if d != axis and array.shape[d] > n and array.size:
            raise ValueError(
                f"{name}: {argument}: expected at most input's shape {input.shape} apart from axis "
                f"{axis}, got {array.shape}"
            )
    return axis, array


def region(index: Array, axis: int) -> tuple[slice, ...]:
    """The part of an array that an index of smaller sizes speaks of."""
    return tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(index.shape))


@op("(...), index (...) -> (...)", name="gather")
def _gather(ctx: Node, x: Array, index: Array, axis: int) -> Array:
    ctx.save(x.shape, index, axis)
    return in_order_of(x, np.take_along_axis(x[region(index, axis)], index, axis))


@_gather.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index, axis = ctx.saved
    return added_at(shape, flat_places(shape, axis, index), grad)


@of_tensor
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i, j, …] = input[index[i, j, …], j, …] for dim 0, and so on: the shape of `index`.

    `index` has as many axes as input, and outside `dim` no larger sizes. IndexError where it
    leaves the axis.
    """
    axis, array = along("gather", input, dim, index)
    if input.ndim == 0:
        return gather(reshape(input, (1,)), 0, array.reshape(-1)).reshape(array.shape)
    if array.size == 0:
        return reshape(reshape(input, (input.numel(),))[:0], array.shape)
    return _gather(input, index=array, axis=axis)


@of_tensor
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather`, with input and indices broadcast outside `dim`; of all elements if dim is None."""
    check_tensor("take_along_dim", "indices", indices)
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
    d = axis_of("take_along_dim", dim, input.ndim)
    if input.ndim != indices.ndim:
        raise ValueError(
            f"take_along_dim: indices: expected {input.ndim} axes like input, got {indices.ndim}"
        )
    outside = [[n for j, n in enumerate(x.shape) if j != d] for x in (input, indices)]
    try:
        shape = np.broadcast_shapes(*outside)
    except ValueError:
        raise ValueError(
            f"take_along_dim: shapes {input.shape} and {indices.shape} do not fit outside {d}"
        ) from None
    x = broadcast_to(input, (*shape[:d], input.shape[d], *shape[d:]))
    if indices.numel() and indices._array.min() < 0:  # counted from the end, as PyTorch allows here
        n = input.shape[d]
        indices = Tensor._wrap(np.where(indices._array < 0, indices._array + n, indices._array))
    return gather(x, d, broadcast_to(indices, (*shape[:d], indices.shape[d], *shape[d:])))


@op("(...), index (n,) -> (...)", name="index_select")
def _index_select(ctx: Node, x: Array, index: Array, axis: int) -> Array:
    ctx.save(x.shape, index, axis)
    return in_order_of(x, np.take(x, index, axis))


@_index_select.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index, axis = ctx.saved
    return slices_added(shape, index, axis, grad)


def slices_added(shape: tuple[int, ...], index: Array, axis: int, values: Array) -> Array:
    """Zeros of `shape` with slice i of `values` added to slice index[i], in the order of i."""
    total = np.zeros_like(values, shape=shape)
    if index.size == 0:
        return total
    if not isinstance(values, np.ndarray):
        add_at(total, (*[slice(None)] * axis, index), values)
        return total
    order = np.argsort(index, kind="stable")
    wanted, starts = np.unique(index[order], return_index=True)
    place: Any = (*[slice(None)] * axis, wanted)
    total[place] = np.add.reduceat(np.take(values, order, axis), starts, axis)
    return total


def vector_of(name: str, input: Tensor, dim: int, index: Any) -> Any:
    """(axis, index array) of an index that is a vector of places along an axis."""
    axis = axis_of(name, dim, input.ndim)
    array = index_array(name, index, input.shape[axis] if input.ndim else 1)
    if array.ndim > 1:
        raise ValueError(f"{name}: index: expected a vector, got shape {array.shape}")
    return axis, array.reshape(-1)


@of_tensor
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Slices index[0], index[1], … of input along `dim`, as a copy."""
    axis, array = vector_of("index_select", input, dim, index)
    if input.ndim == 0:
        return index_select(reshape(input, (1,)), 0, index).reshape(())
    return _index_select(input, index=array, axis=axis)


def wrapped_places(name: str, index: Any, size: int) -> Array:
    """`index` as places from 0 to size - 1, of which negative ones count from the end."""
    wanted = index_array(name, index, None)
    return index_array(name, np.where(wanted < 0, wanted + size, wanted), size)


@of_tensor
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at flat places in logical order: the shape of `index`."""
    return getitem(reshape(input, (-1,)), wrapped_places("take", index, input.numel()))


def mask_array(name: str, mask: Any) -> Array:
    """`mask` as an array of bools."""
    array = as_it_lies(mask)
    if array.dtype.kind != "b":
        raise TypeError(f"{name}: mask: expected bools, got {array.dtype}; convert it with .bool()")
    return array


@of_tensor
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, as a vector; input and mask broadcast."""
    held = mask_array("masked_select", mask)
    try:
        shape = np.broadcast_shapes(input.shape, held.shape)
    except ValueError as error:
        raise ValueError(f"masked_select: {error}") from None
    return getitem(broadcast_to(input, shape), np.broadcast_to(held, shape))


@of_tensor
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of elements that are not zero: a row each, or with as_tuple a vector an axis."""
    if as_tuple:
        array = input._array.reshape(-1) if input.ndim == 0 else input._array
        return tuple(Tensor._wrap(i) for i in np.nonzero(array))
    return Tensor._wrap(np.argwhere(input._array))


@of_tensor
def argwhere(input: Tensor) -> Tensor:
    """The places of elements that are not zero, a row each."""
    return nonzero(input)

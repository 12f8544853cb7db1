# SPDX-License-Identifier: Apache-2.0
"""Views, indexing, joining: the same elements, arranged otherwise."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate.autograd import Node
from striate.dtypes import result_type
from striate.ops.arithmetic import as_operand, unbroadcast
from striate.ops.layout import reshaped
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor

__all__ = [
    "as_index",
    "broadcast_to",
    "cat",
    "chunk",
    "clone",
    "expand",
    "flatten",
    "getitem",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "t",
    "transpose",
    "unsqueeze",
    "where",
]
METHODS = [
    "broadcast_to",
    "chunk",
    "flatten",
    "split",
    "squeeze",
    "t",
    "transpose",
    "unsqueeze",
]


def like(array: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Zeros in the memory order of `array`."""
    return np.zeros_like(array, order="K", shape=shape)


def _of(input: Tensor, record: Op, **parameters: Any) -> Tensor:
    """record(input), whose result shares the storage where NumPy gave a view."""
    out: Tensor = record(input, **parameters)
    if out._array is input._array or np.may_share_memory(out._array, input._array):
        out._version = input._version_counter()
        out._is_view = True
    return out


def _dim(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: dim: expected -{ndim} to {ndim - 1}, got {dim}")
    return dim % ndim


@op("(...) -> (...)", name="reshape")
def _reshape(ctx: Node, x: Array, shape: tuple[int, ...]) -> Array:
    ctx.save(x.shape)
    return reshaped(x, shape)


@_reshape.backward
def _(ctx: Node, grad: Array) -> Any:
    return reshaped(grad, ctx.saved[0])


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in logical order under another shape; one size may be -1."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    try:
        return _of(input, _reshape, shape=shape)
    except ValueError:
        raise ValueError(
            f"reshape: {input.numel()} elements of shape {input.shape} do not fit shape {shape}"
        ) from None


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim (both included) as one."""
    if input.ndim == 0:
        return reshape(input, (1,))
    first, last = (_dim("flatten", d, input.ndim) for d in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    count = 1
    for n in input.shape[first : last + 1]:
        count *= n
    return reshape(input, (*input.shape[:first], count, *input.shape[last + 1 :]))


def squeeze(input: Tensor, dim: int | None = None) -> Tensor:
    """Without the axes of size 1 (or without `dim`, if its size is 1)."""
    if dim is None:
        return reshape(input, tuple(n for n in input.shape if n != 1))
    d = _dim("squeeze", dim, input.ndim)
    if input.shape[d] != 1:
        return input
    return reshape(input, (*input.shape[:d], *input.shape[d + 1 :]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With an axis of size 1 before axis `dim`."""
    d = _dim("unsqueeze", dim, input.ndim + 1)
    return reshape(input, (*input.shape[:d], 1, *input.shape[d:]))


@op("(...) -> (...)", name="permute")
def _permute(ctx: Node, x: Array, dims: tuple[int, ...]) -> Array:
    ctx.save(dims)
    return x.transpose(dims)


@_permute.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad.transpose(np.argsort(ctx.saved[0]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in another order."""
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    order = tuple(_dim("permute", d, input.ndim) for d in dims)
    if sorted(order) != list(range(input.ndim)):
        raise ValueError(f"permute: dims: expected each of {input.ndim} axes once, got {dims}")
    return _of(input, _permute, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two axes exchanged."""
    order = list(range(input.ndim))
    a, b = _dim("transpose", dim0, input.ndim), _dim("transpose", dim1, input.ndim)
    order[a], order[b] = order[b], order[a]
    return permute(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """A matrix transposed."""
    if input.ndim > 2:
        raise ValueError(f"t: expected at most 2 axes, got shape {input.shape}")
    return transpose(input, 0, 1) if input.ndim == 2 else input


@op("(...) -> (...)", name="expand")
def _expand(ctx: Node, x: Array, shape: tuple[int, ...]) -> Array:
    ctx.save(x.shape)
    return np.broadcast_to(x, shape)


@_expand.backward
def _(ctx: Node, grad: Array) -> Any:
    return unbroadcast(grad, ctx.saved[0])


def expand(input: Tensor, *shape: Any) -> Tensor:
    """Axes of size 1 repeated up to `shape`, as a view; -1 keeps a size."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    lead = len(shape) - input.ndim
    shape = tuple(
        input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)
    )
    try:
        return _of(input, _expand, shape=shape)
    except ValueError:
        raise ValueError(f"expand: shape {input.shape} can't be repeated to {shape}") from None


broadcast_to = expand


@op("(...) -> (...)")
def clone(ctx: Node, x: Array) -> Array:
    """A copy, in the same memory order."""
    return x.copy(order="K")


@clone.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad


def as_index(index: Any) -> Any:
    """An index with tensors in it, as NumPy takes it."""
    if isinstance(index, Tensor):
        return index._array
    if isinstance(index, tuple):
        return tuple(as_index(i) for i in index)
    if isinstance(index, list):
        return [as_index(i) for i in index]
    return index


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return builtins.all(
        p is None or p is Ellipsis or isinstance(p, (int, slice, np.integer)) for p in parts
    )


def _fixed(index: Any) -> Any:
    """The index with copies of its arrays: the caller may write to them before the gradient."""
    if isinstance(index, (tuple, list)):
        return type(index)(_fixed(i) for i in index)
    return index.copy() if isinstance(index, np.ndarray) else index


@op("(...) -> (...)", name="getitem")
def _getitem(ctx: Node, x: Array, index: Any) -> Array:
    if ctx.needs[0]:
        ctx.save(x.shape, _fixed(index))
    return np.asarray(x[index])


@_getitem.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index = ctx.saved
    dx = np.zeros(shape, grad.dtype)
    if _is_basic(index):
        dx[index] = grad
    else:
        np.add.at(dx, index, grad)  # an element may be taken more than once
    return dx


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: integers, slices, None, ..., and integer or bool arrays or tensors."""
    try:
        return _of(input, _getitem, index=as_index(index))
    except IndexError as error:
        raise IndexError(f"index into shape {input.shape}: {error}") from None


@op("(...), (...), ... -> (...)", name="cat")
def _cat(ctx: Node, *arrays: Array, dim: int) -> Array:
    ctx.save(dim, [a.shape[dim] for a in arrays])
    out = None
    if arrays[0].ndim == 4 and not arrays[0].flags.c_contiguous:  # stay channels-last
        n, c, h, w = (
            builtins.sum(a.shape[i] for a in arrays) if i == dim else arrays[0].shape[i]
            for i in range(4)
        )
        out = np.empty((n, h, w, c), arrays[0].dtype).transpose(0, 3, 1, 2)
    return np.concatenate(arrays, axis=dim, out=out)


@_cat.backward
def _(ctx: Node, grad: Array) -> Any:
    dim, sizes = ctx.saved
    return tuple(np.split(grad, np.cumsum(sizes)[:-1], axis=dim))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one behind the other along `dim`; other sizes must agree."""
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise ValueError(f"cat: expected a list of at least one tensor, got {tensors!r}")
    dtype = result_type(*tensors)
    parts = [as_operand(x, dtype, f"cat: tensor {i}") for i, x in enumerate(tensors)]
    first = parts[0]
    d = _dim("cat", dim, first.ndim)
    for i, x in enumerate(parts):
        if x.ndim != first.ndim or builtins.any(
            n != m for j, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if j != d
        ):
            raise ValueError(
                f"cat: tensor {i}: expected shape {first.shape} up to axis {d}, got {x.shape}"
            )
    return _cat(*parts, dim=d)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, side by side along a new axis `dim`."""
    shapes = {x.shape for x in tensors}
    if len(shapes) != 1:
        raise ValueError(f"stack: expected tensors of one shape, got {sorted(shapes)}")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(input: Tensor, size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of `size` along `dim`, the last one smaller; or parts of the sizes in a list."""
    d = _dim("split", dim, input.ndim)
    n = input.shape[d]
    if isinstance(size, int):
        if size < 1:
            raise ValueError(f"split: size: expected 1 or more, got {size}")
        size = [min(size, n - i) for i in range(0, n, size)] or [0]
    if builtins.any(s < 0 for s in size):
        raise ValueError(f"split: sizes: expected 0 or more, got {size}")
    if builtins.sum(size) != n:
        raise ValueError(f"split: sizes {size} do not add up to {n}, the size of axis {d}")
    parts, at = [], 0
    for s in size:
        parts.append(getitem(input, (*[slice(None)] * d, slice(at, at + s))))
        at += s
    return tuple(parts)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along `dim`, the last one smaller."""
    if chunks < 1:
        raise ValueError(f"chunk: chunks: expected 1 or more, got {chunks}")
    n = input.shape[_dim("chunk", dim, input.ndim)]
    return split(input, max(1, -(-n // chunks)), dim)


@op("(...), (...) -> (...)", name="where")
def _where(ctx: Node, a: Array, b: Array, condition: Array) -> Array:
    ctx.save(a.shape, b.shape, condition)
    return np.asarray(np.where(condition, a, b))


@_where.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b, condition = ctx.saved
    zero = grad.dtype.type(0)
    return (
        unbroadcast(np.where(condition, grad, zero), a) if ctx.needs[0] else None,
        unbroadcast(np.where(condition, zero, grad), b) if ctx.needs[1] else None,
    )


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """input where the condition holds, other elsewhere, all broadcast."""
    dtype = result_type(input, other)
    a, b = as_operand(input, dtype, "where"), as_operand(other, dtype, "where")
    held = condition._array if isinstance(condition, Tensor) else np.asarray(condition)
    try:
        return _where(a, b, condition=held.astype(bool))
    except ValueError as error:
        raise ValueError(f"where: {error}") from None

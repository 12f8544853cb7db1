# SPDX-License-Identifier: Apache-2.0
"""Joining, dividing and repeating tensors along axes."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate.arrays import Array, _varargs, as_result
from striate.autograd import Node
from striate.dtypes import result_type
from striate.explain import explained
from striate.ops.arithmetic import as_operand
from striate.ops.indexing import getitem, index_select, select
from striate.ops.layout import in_order_of
from striate.ops.operand import of_tensor
from striate.ops.record import op
from striate.ops.shape import axis_of, clone, reshape, unsqueeze
from striate.tensor import Tensor

_MOST_PARTS = 2**24  # more are a mistake

__all__ = [
    "cat",
    "chunk",
    "concat",
    "concatenate",
    "repeat_interleave",
    "roll",
    "split",
    "stack",
    "tensor_split",
    "tile",
    "unbind",
]
METHODS = [
    "chunk",
    "repeat",
    "repeat_interleave",
    "roll",
    "split",
    "tensor_split",
    "tile",
    "unbind",
]


@op("(...), (...), ... -> (...)", name="cat")
def _cat(ctx: Node, *arrays: Array, dim: int) -> Array:
    ctx.save(dim, [a.shape[dim] for a in arrays])
    out = None
    if arrays[0].ndim == 4 and not arrays[0].flags.c_contiguous:  # stay channels-last
        n, c, h, w = (
            builtins.sum(a.shape[i] for a in arrays) if i == dim else arrays[0].shape[i]
            for i in range(4)
        )
        out = np.empty_like(arrays[0], shape=(n, h, w, c), order="C").transpose(0, 3, 1, 2)
    return np.concatenate(arrays, axis=dim, out=out)


@_cat.backward
def _(ctx: Node, grad: Array) -> Any:
    dim, sizes = ctx.saved
    return tuple(np.split(grad, np.cumsum(sizes)[:-1].tolist(), axis=dim))


def listed(name: str, tensors: Any) -> list[Any]:
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise ValueError(f"{name}: expected a list of at least one tensor, got {tensors!r}")
    return list(tensors)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one behind the other along `dim`; other sizes must agree.

    A tensor of shape (0,) among others of more axes is passed over.
    """
    given = listed("cat", tensors)
    dtype = result_type(*given)
    parts = [as_operand(x, dtype, f"cat: tensor {i}") for i, x in enumerate(given)]
    full = [x for x in parts if x.shape != (0,)]
    if full and builtins.any(x.ndim != 1 for x in full):
        parts = full
    first = parts[0]
    if first.ndim == 0:
        raise ValueError("cat: tensor 0: expected at least one axis, got a tensor without axes")
    d = axis_of("cat", dim, first.ndim)
    for i, x in enumerate(parts):
        if x.ndim != first.ndim or builtins.any(
            n != m for j, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if j != d
        ):
            raise ValueError(
                f"cat: tensor {i}: expected shape {first.shape} up to axis {d}, got {x.shape}"
            )
    return _cat(*parts, dim=d)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, side by side along a new axis `dim`."""
    given = [x if isinstance(x, Tensor) else Tensor(x) for x in listed("stack", tensors)]
    shapes = {x.shape for x in given}
    if len(shapes) != 1:
        raise ValueError(f"stack: expected tensors of one shape, got {sorted(shapes)}")
    d = axis_of("stack", dim, given[0].ndim + 1)
    return cat([unsqueeze(x, d) for x in given], d)


@explained
def split(tensor: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of `split_size` along `dim`, the last one smaller; or parts of the sizes in a list."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"split: tensor: expected a Tensor, got {type(tensor).__name__}")
    d = axis_of("split", dim, tensor.ndim)
    if tensor.ndim == 0:
        raise ValueError("split: expected at least one axis, got a tensor without axes")
    n, size = tensor.shape[d], split_size
    if isinstance(size, int):
        if size < 1 and n:
            raise ValueError(f"split: size: expected 1 or more, got {size}")
        size = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    if builtins.any(s < 0 for s in size):
        raise ValueError(f"split: sizes: expected 0 or more, got {size}")
    if builtins.sum(size) != n:
        raise ValueError(f"split: sizes {size} do not add up to {n}, the size of axis {d}")
    parts, at = [], 0
    for s in size:
        parts.append(getitem(tensor, (*[slice(None)] * d, slice(at, at + s))))
        at += s
    return tuple(parts)


@of_tensor
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along `dim`, the last one smaller."""
    if not isinstance(chunks, (int, np.integer)) or chunks < 1:
        raise ValueError(f"chunk: chunks: expected 1 or more, got {chunks}")
    d = axis_of("chunk", dim, input.ndim)
    if input.ndim == 0:
        raise ValueError("chunk: expected at least one axis, got a tensor without axes")
    n = input.shape[d]
    if n == 0:
        return split(input, [0] * chunks, d)
    return split(input, max(1, -(-n // chunks)), d)


@of_tensor
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """So many parts along `dim`, the first ones larger by one; or parts between indices."""
    d = axis_of("tensor_split", dim, input.ndim)
    n = input.shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if not 1 <= count <= _MOST_PARTS:
            raise ValueError(f"tensor_split: sections: expected 1 to {_MOST_PARTS}, got {count}")
        return split(input, [n // count + (i < n % count) for i in range(count)], d)
    if not isinstance(indices_or_sections, (tuple, list)) or not all(
        isinstance(i, (int, np.integer)) for i in indices_or_sections
    ):
        raise TypeError(
            "tensor_split: indices_or_sections: expected an integer or a tuple of integers, got "
            f"{indices_or_sections!r}"
        )
    ends = [*(int(i) for i in indices_or_sections), n]
    starts = [0, *ends[:-1]]
    lead = [slice(None)] * d
    pairs = zip(starts, ends, strict=True)
    return tuple(getitem(input, (*lead, slice(start, end))) for start, end in pairs)


@of_tensor
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that axis."""
    if input.ndim == 0:
        raise ValueError("unbind: expected at least one axis, got a tensor without axes")
    d = axis_of("unbind", dim, input.ndim)
    return tuple(select(input, d, i) for i in range(input.shape[d]))


@op("(...) -> (...)", name="tile")
def _tile(ctx: Node, x: Array, repeats: tuple[int, ...]) -> Array:
    ctx.save(x.shape, repeats)
    return in_order_of(x, np.tile(x, repeats))


@_tile.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, repeats = ctx.saved
    if grad.size == 0:
        return np.zeros_like(grad, shape=shape)
    shape = (*[1] * (len(repeats) - len(shape)), *shape)
    parts = [n for pair in zip(repeats, shape, strict=True) for n in pair]
    summed = grad.reshape(parts).sum(tuple(range(0, len(parts), 2)), dtype=grad.dtype)
    return as_result(summed).reshape(ctx.saved[0])


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor laid side by side `repeats[i]` times along axis i; more repeats add axes."""
    counts = _varargs(repeats, "repeat")
    if len(counts) < input.ndim:
        raise ValueError(
            f"repeat: repeats: expected at least {input.ndim} numbers for shape {input.shape}, got "
            f"{counts}"
        )
    if builtins.any(n < 0 for n in counts):
        raise ValueError(f"repeat: repeats: expected 0 or more, got {counts}")
    return _tile(input, repeats=counts)


@of_tensor
def tile(input: Tensor, dims: Any, *more: Any) -> Tensor:
    """`repeat`, where missing leading numbers are 1."""
    counts = _varargs(dims if isinstance(dims, (tuple, list)) else (dims, *more), "tile")
    return repeat(input, (*[1] * (input.ndim - len(counts)), *counts))


@of_tensor
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Each element (each slice along `dim`) `repeats` times, or as often as a vector says."""
    if dim is None:
        input, dim = reshape(input, (input.numel(),)), 0
    d = axis_of("repeat_interleave", dim, input.ndim)
    counts = np.asarray(getattr(repeats, "_array", repeats))
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or np.any(counts < 0):
        raise ValueError(f"repeat_interleave: repeats: expected 0 or more, got {repeats}")
    if counts.size not in (1, input.shape[d]):
        raise ValueError(
            f"repeat_interleave: repeats: expected 1 or {input.shape[d]} numbers, got {counts.size}"
        )
    counts = np.broadcast_to(counts.ravel(), (input.shape[d],))
    return index_select(input, d, Tensor._wrap(np.repeat(np.arange(input.shape[d]), counts)))


@op("(...) -> (...)", name="roll")
def _roll(ctx: Node, x: Array, shifts: tuple[int, ...], axes: Any) -> Array:
    ctx.save(shifts, axes)
    return np.roll(x, shifts, axes)


@_roll.backward
def _(ctx: Node, grad: Array) -> Any:
    shifts, axes = ctx.saved
    return np.roll(grad, tuple(-s for s in shifts), axes)


@of_tensor
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved on by `shifts` along `dims`, round the end; of all in order if None."""
    moves = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    if dims is None:
        if len(moves) != 1:
            raise ValueError(f"roll: shifts: expected one where dims is None, got {shifts}")
        return reshape(_roll(reshape(input, (-1,)), shifts=moves, axes=(0,)), input.shape)
    named = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(named) != len(moves):
        raise ValueError(f"roll: shifts: expected one an axis of {dims}, got {shifts}")
    if input.ndim == 0:
        return clone(input)
    axes = tuple(axis_of("roll", d, input.ndim) for d in named)
    return _roll(input, shifts=moves, axes=axes)

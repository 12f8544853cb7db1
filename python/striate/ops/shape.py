# SPDX-License-Identifier: Apache-2.0
"""Views, indexing, joining: the same elements, arranged otherwise."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate.arrays import as_it_lies, as_result, copied, is_on_gpu
from striate.autograd import Node
from striate.device import device_of
from striate.dtypes import result_type
from striate.explain import explained
from striate.ops.arithmetic import as_operand, unbroadcast
from striate.ops.layout import reshaped
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor

__all__ = [
    "broadcast_to",
    "clone",
    "expand",
    "expand_as",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "reshape_as",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view_as",
    "where",
]
METHODS = [n for n in __all__ if n not in ("clone", "expand", "permute", "reshape", "where")]


def of(input: Tensor, record: Op, **parameters: Any) -> Tensor:
    """record(input), whose result shares the storage where NumPy gave a view."""
    out: Tensor = record(input, **parameters)
    array, source = out._array, input._array
    if (
        array is source
        or array.base is source
        or (array.base is not None and np.may_share_memory(array, source))
    ):
        out._version = input._version_counter()
        out._is_view = True
    return out


def axis_of(name: str, dim: Any, ndim: int, argument: str = "dim") -> int:
    """`dim`, counted from the end if negative, as an axis of a tensor with `ndim` of them.

    A tensor without axes has axis 0 and -1 here, as in PyTorch.
    """
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"{name}: {argument}: expected an integer, got {dim!r}")
    most = builtins.max(ndim, 1)
    if not -most <= dim < most:
        raise IndexError(f"{name}: {argument}: expected -{most} to {most - 1}, got {dim}")
    return int(dim) % most


@op("(...) -> (...)", name="reshape")
def _reshape(ctx: Node, x: Array, shape: tuple[int, ...]) -> Array:
    ctx.save(x.shape)
    return reshaped(x, shape)


@_reshape.backward
def _(ctx: Node, grad: Array) -> Any:
    return reshaped(grad, ctx.saved[0])


def reshape(input: Tensor, shape: Any, *more: Any) -> Tensor:
    """The elements in logical order under another shape; one size may be -1."""
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape, *more)
    try:
        return of(input, _reshape, shape=shape)
    except TypeError:
        check_tensor("reshape", "input", input)
        raise TypeError(f"reshape: shape: expected integers, got {shape}") from None
    except ValueError:
        raise ValueError(
            f"reshape: {input.numel()} elements of shape {input.shape} do not fit shape {shape}"
        ) from None


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim (both included) as one."""
    check_tensor("flatten", "input", input)
    if input.ndim == 0:
        return reshape(input, (1,))
    first, last = (axis_of("flatten", d, input.ndim) for d in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    count = 1
    for n in input.shape[first : last + 1]:
        count *= n
    return reshape(input, (*input.shape[:first], count, *input.shape[last + 1 :]))


@of_tensor
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of size 1, or without those of them that `dim` names."""
    if dim is None:
        return reshape(input, tuple(n for n in input.shape if n != 1))
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    named = {axis_of("squeeze", d, input.ndim) for d in dims}
    gone = {d for d in named if d < input.ndim and input.shape[d] == 1}
    if not gone:
        return input
    return reshape(input, tuple(n for d, n in enumerate(input.shape) if d not in gone))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With an axis of size 1 before axis `dim`."""
    check_tensor("unsqueeze", "input", input)
    d = axis_of("unsqueeze", dim, input.ndim + 1)
    return reshape(input, (*input.shape[:d], 1, *input.shape[d:]))


@op("(...) -> (...)", name="permute")
def _permute(ctx: Node, x: Array, dims: tuple[int, ...]) -> Array:
    ctx.save(dims)
    return x.transpose(dims)


@_permute.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad.transpose(np.argsort(ctx.saved[0]).tolist())


def permute(input: Tensor, dims: Any, *more: Any) -> Tensor:
    """The axes in another order."""
    check_tensor("permute", "input", input)
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims, *more)
    order = tuple(axis_of("permute", d, input.ndim) for d in dims)
    if sorted(order) != list(range(input.ndim)):
        raise ValueError(f"permute: dims: expected each of {input.ndim} axes once, got {dims}")
    return of(input, _permute, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two axes exchanged."""
    check_tensor("transpose", "input", input)
    order = list(range(input.ndim)) or [0]
    a, b = axis_of("transpose", dim0, input.ndim), axis_of("transpose", dim1, input.ndim)
    order[a], order[b] = order[b], order[a]
    return permute(input, tuple(order[: input.ndim]))


swapaxes = swapdims = transpose


@of_tensor
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """The axes `source` moved to the places `destination`; the others keep their order."""
    moved = [d if isinstance(d, (tuple, list)) else (d,) for d in (source, destination)]
    if len(moved[0]) != len(moved[1]):
        raise ValueError(f"movedim: destination: expected {len(moved[0])} axes, got {destination}")
    froms, tos = ([axis_of("movedim", d, input.ndim) for d in dims] for dims in moved)
    if len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ValueError(f"movedim: expected each axis once, got {source} and {destination}")
    order = [d for d in range(input.ndim) if d not in froms]
    for to, d in sorted(zip(tos, froms, strict=True)):
        order.insert(to, d)
    return permute(input, tuple(order))


moveaxis = movedim


@of_tensor
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
    check_tensor("expand", "input", input)
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if not all(isinstance(n, (int, np.integer)) for n in shape):
        raise TypeError(f"expand: shape: expected integers, got {shape}")
    lead = len(shape) - input.ndim
    shape = tuple(
        input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)
    )
    try:
        return of(input, _expand, shape=shape)
    except ValueError:
        raise ValueError(f"expand: shape {input.shape} can't be repeated to {shape}") from None


broadcast_to = expand


@of_tensor
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    check_tensor("expand_as", "other", other)
    return expand(input, other.shape)


@of_tensor
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`reshape` to the shape of `other`."""
    check_tensor("reshape_as", "other", other)
    return reshape(input, other.shape)


view_as = reshape_as


@of_tensor
def ravel(input: Tensor) -> Tensor:
    """The elements along one axis, in logical order."""
    return reshape(input, (input.numel(),))


@of_tensor
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` as axes of `sizes`, of which one may be -1."""
    d = axis_of("unflatten", dim, input.ndim)
    sizes = list(sizes)
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known > 0 and input.shape[d] % known == 0:
        sizes[sizes.index(-1)] = input.shape[d] // known
    if -1 in sizes or math.prod(sizes) != input.shape[d]:
        raise ValueError(f"unflatten: sizes: expected a product of {input.shape[d]}, got {sizes}")
    return reshape(input, (*input.shape[:d], *sizes, *input.shape[d + 1 :]))


@op("(...) -> (...)")
def clone(ctx: Node, x: Array) -> Array:
    """A copy, in the same memory order."""
    return copied(x, "K")


@clone.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad


@op("(...), (...) -> (...)", name="where")
def _where(ctx: Node, a: Array, b: Array, condition: Array) -> Array:
    ctx.save(a.shape, b.shape, condition)
    return as_result(np.where(condition, a, b))


@_where.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b, condition = ctx.saved
    zero = grad.dtype.type(0)
    return (
        unbroadcast(np.where(condition, grad, zero), a) if ctx.needs[0] else None,
        unbroadcast(np.where(condition, zero, grad), b) if ctx.needs[1] else None,
    )


@explained
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, other elsewhere, all broadcast.

    Without input and other: a tensor of indices for each axis, of where the condition holds.
    """
    if not isinstance(condition, (Tensor, np.ndarray, np.generic, bool, list, tuple)):
        raise TypeError(f"where: condition: expected a Tensor, got {type(condition).__name__}")
    held = as_it_lies(condition)
    if input is None and other is None:
        return tuple(Tensor._wrap(i) for i in np.nonzero(held))
    if input is None or other is None:
        raise TypeError("where: expected both input and other, or neither")
    dtype = result_type(input, other)
    a, b = as_operand(input, dtype, "where"), as_operand(other, dtype, "where")
    if is_on_gpu(held):  # numbers go there
        a, b = (x.to(device_of(held)) if x.ndim == 0 else x for x in (a, b))
    try:
        return _where(a, b, condition=held.astype(bool))
    except ValueError as error:
        raise ValueError(f"where: {error}") from None

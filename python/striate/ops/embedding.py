# SPDX-License-Identifier: Apache-2.0
"""Rows of a table by their numbers, one by one or summed in bags; and one-hot vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from striate import _C
from striate.arrays import in_c_order, put_along_axis
from striate.autograd import Node
from striate.device import beside, placed
from striate.explain import explained
from striate.ops.operand import check_tensor
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "embedding",
    "embedding_bag",
    "one_hot",
]


@op("(V, D) -> (..., D)", name="embedding")
def _embedding(ctx: Node, weight: Array, indices: Array, padding: int, by_frequency: bool) -> Array:
    y = _C.embedding(weight, indices)
    if ctx.needs[0]:
        ctx.save(indices.copy(), weight.shape, padding, by_frequency)
    return y


@_embedding.backward
def _(ctx: Node, grad: Array) -> Any:
    indices, (rows, columns), padding, by_frequency = ctx.saved
    dy = grad.reshape(-1, columns) if columns else np.zeros((indices.size, 0), grad.dtype)
    return _C.embedding_backward(
        dy, indices.reshape(-1), rows, padding=padding, by_frequency=by_frequency
    )


def _check_weight(name: str, weight: Tensor) -> None:
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name}: weight: expected a Tensor, got {type(weight).__name__}")
    if weight.dtype.kind != "f":
        raise TypeError(f"{name}: weight: expected float32 or float64, got {weight.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"{name}: weight: expected (V, D), got shape {weight.shape}")


def _whole(name: str, argument: str, value: Any) -> Array:
    """The array of a tensor of integers, as the kernels read it."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")
    if value.dtype.kind not in "iu":
        raise TypeError(f"{name}: {argument}: expected integers, got {value.dtype}")
    return in_c_order(value._array.astype(np.int64, copy=False))


def padding_row(name: str, padding_idx: Any, rows: int) -> int:
    """`padding_idx` as the number of a row; -1 for None."""
    if padding_idx is None:
        return -1
    if isinstance(padding_idx, bool) or not isinstance(padding_idx, (int, np.integer)):
        raise TypeError(f"{name}: padding_idx: expected an integer, got {padding_idx!r}")
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"{name}: padding_idx: expected {-rows} to {rows - 1} for {rows} rows, "
            f"got {padding_idx}"
        )
    return int(padding_idx) % rows


def _shorten(name: str, weight: Tensor, indices: Array, max_norm: float, norm_type: float) -> None:
    """Rows that are used and longer than max_norm become that long, in place."""
    for argument, value in (("max_norm", max_norm), ("norm_type", norm_type)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{name}: {argument}: expected a number, got {value!r}")
    if max_norm < 0 or not norm_type > 0:
        raise ValueError(
            f"{name}: expected max_norm of at least 0 and norm_type above 0, got {max_norm} and "
            f"{norm_type}"
        )
    used = np.unique(indices)
    rows = _C.embedding(weight._array, used)  # refuses numbers out of range
    if not rows.size:
        return
    size = np.abs(rows)
    norm = size.max(1) if norm_type == float("inf") else (size**norm_type).sum(1) ** (1 / norm_type)
    long = norm > max_norm
    scale = (max_norm / (norm[long] + 1e-7)).astype(rows.dtype)
    weight._array[used[long]] = rows[long] * scale[:, None]
    weight._touch()


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """y[..., :] = weight[input[...], :]: integers (...), weight (V, D) -> (..., D).

    The row `padding_idx` (from the end if negative) gets no gradient. With `max_norm`, rows that
    are used and whose `norm_type`-norm is larger are scaled down to it first, in place. With
    `scale_grad_by_freq` a row's gradient is divided by how often it occurs in `input`. The gradient
    is summed in the order of `input`, whatever the number of threads.

    Raises IndexError, with value and place, for a number outside [0, V); TypeError for an input
    that is not of integers.
    """
    name = "embedding"
    _check_weight(name, weight)
    indices = _whole(name, "input", input)
    padding = padding_row(name, padding_idx, weight.shape[0])
    if max_norm is not None:
        _shorten(name, weight, indices, max_norm, norm_type)
    y: Tensor = _embedding(
        weight, indices=indices, padding=padding, by_frequency=bool(scale_grad_by_freq)
    )
    return y


class Bags(NamedTuple):
    """Where each bag begins, and where the last one ends; on the CPU, wherever the table is."""

    begin: Array


@op("(V, D), (n,)? -> (B, D)", name="embedding_bag")
def _embedding_bag(
    ctx: Node,
    weight: Array,
    *weights: Array,
    indices: Array,
    bags: Bags,
    kept: Array | slice | None,
    mode: str,
    by_frequency: bool,
) -> Array:
    counts = np.diff(bags.begin)
    shares = None
    if weights:
        shares = weights[0].reshape(-1)
        shares = shares if kept is None else shares[kept]
    elif mode == "mean":
        each = (1 / np.maximum(counts, 1)).astype(weight.dtype)
        shares = beside(np.repeat(each, counts), weight)
    if any(ctx.needs):
        bag = beside(np.repeat(np.arange(len(counts)), counts), weight)
        whole = weights[0].shape if weights else None
        table = weight if whole is not None and ctx.needs[1] else None
        ctx.save(table, weight.shape[0], indices.copy(), bag, shares, by_frequency, kept, whole)
    return _C.embedding_sum(weight, indices, bags.begin, shares)


@_embedding_bag.backward
def _(ctx: Node, grad: Array) -> Any:
    table, rows, indices, bag, shares, by_frequency, kept, whole = ctx.saved
    dweight = dshares = None
    if ctx.needs[0]:
        dweight = _C.embedding_backward(
            grad, indices, rows, positions=bag, shares=shares, by_frequency=by_frequency
        )
    if whole is None:
        return dweight
    if table is not None:
        part = _C.sum(_C.mul(_C.embedding(table, indices), _C.embedding(grad, bag)), (1,))
        dshares = np.zeros_like(grad, shape=whole)
        dshares.reshape(-1)[slice(None) if kept is None else kept] = part
    return dweight, dshares


@op("(V, D) -> (B, D)", name="embedding_bag_max")
def _embedding_bag_max(ctx: Node, weight: Array, indices: Array, bags: Bags) -> Array:
    y, which = _C.embedding_max(weight, indices, bags.begin)
    ctx.save(which, weight.shape[0])
    return y


@_embedding_bag_max.backward
def _(ctx: Node, grad: Array) -> Any:
    return _C.embedding_max_backward(grad, *ctx.saved)


def _bags(name: str, input: Tensor, offsets: Tensor | None, last: bool) -> tuple[Array, Array]:
    """All numbers in one row, and, on the CPU, where each bag's begin and the last one's end."""
    indices = _whole(name, "input", input)
    if indices.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: offsets: expected None for an input (B, n), got a tensor")
        return indices.reshape(-1), np.arange(indices.shape[0] + 1) * indices.shape[1]
    if indices.ndim != 1:
        raise ValueError(f"{name}: input: expected (B, n) or (n,), got shape {input.shape}")
    if offsets is None:
        raise ValueError(f"{name}: offsets: expected where each bag begins, got None")
    begin = placed(name, _whole(name, "offsets", offsets), "cpu")
    if begin.ndim != 1 or (last and not len(begin)):
        raise ValueError(f"{name}: offsets: expected (B,), got shape {offsets.shape}")
    if not last:
        begin = np.append(begin, len(indices))
    if begin[0] != 0 or begin[-1] > len(indices) or np.any(np.diff(begin) < 0):
        raise ValueError(
            f"{name}: offsets: expected ascending numbers from 0 to at most {len(indices)}, the "
            f"length of input, got {offsets._array.tolist()}"
        )
    return indices[: begin[-1]], begin


def _check_sample_weights(
    name: str, weights: Any, input: Tensor, weight: Tensor, mode: str
) -> None:
    """Raises unless `weights` has input's shape and weight's dtype, for the mode "sum"."""
    if mode != "sum":
        raise ValueError(f'{name}: per_sample_weights: expected mode "sum", got {mode!r}')
    check_tensor(name, "per_sample_weights", weights)
    if weights.shape != input.shape or weights.dtype != weight.dtype:
        raise ValueError(
            f"{name}: per_sample_weights: expected {weight.dtype} of input's shape "
            f"{input.shape}, got {weights.dtype} of shape {weights.shape}"
        )


@explained
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` (V, D) in each bag: -> (B, D).

    `input` (B, n) holds B bags of n numbers; (n,) holds those of all bags, of which bag b begins at
    offsets[b]; with `include_last_offset` the last offset is where the last bag ends. An empty bag
    gives zeros. `per_sample_weights`, of input's shape, multiply the rows, for the mode "sum".
    Numbers equal to `padding_idx` are left out. The mode "max" has no `scale_grad_by_freq`; the
    first of equal rows gets the gradient. Other arguments as in `embedding`.

    Raises IndexError for a number outside [0, V), ValueError for offsets that do not ascend from 0.
    """
    name = "embedding_bag"
    _check_weight(name, weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f'{name}: mode: expected "sum", "mean" or "max", got {mode!r}')
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f'{name}: scale_grad_by_freq: expected False for mode "max", got True')
    indices, begin = _bags(name, input, offsets, include_last_offset)
    weights: tuple[Tensor, ...] = ()
    if per_sample_weights is not None:
        _check_sample_weights(name, per_sample_weights, input, weight, mode)
        weights = (per_sample_weights,)
    padding = padding_row(name, padding_idx, weight.shape[0])
    kept: Array | slice | None = None
    if padding >= 0 and np.any(indices == padding):
        kept = np.flatnonzero(indices != padding)
        indices, begin = indices[kept], np.searchsorted(placed(name, kept, "cpu"), begin)
    if weights and kept is None and len(indices) < per_sample_weights._array.size:  # type: ignore[union-attr]
        kept = slice(len(indices))
    if max_norm is not None:
        _shorten(name, weight, indices, max_norm, norm_type)
    if mode == "max":
        largest: Tensor = _embedding_bag_max(weight, indices=indices, bags=Bags(begin))
        return largest
    y: Tensor = _embedding_bag(
        weight,
        *weights,
        indices=indices,
        bags=Bags(begin),
        kept=kept,
        mode=mode,
        by_frequency=bool(scale_grad_by_freq),
    )
    return y


@explained
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class, 0 elsewhere: integers (...) -> int64 (..., num_classes).

    With num_classes=-1 there is one class more than the largest number. Raises ValueError for a
    number below 0 or not below num_classes, and for an empty input without num_classes.
    """
    name = "one_hot"
    classes = _whole(name, "input", input)
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise TypeError(f"{name}: num_classes: expected an integer, got {num_classes!r}")
    if num_classes == -1:
        if not classes.size:
            raise ValueError(
                f"{name}: num_classes: expected a number of classes, as input is empty"
            )
        num_classes = int(classes.max()) + 1
    if num_classes < 1:
        raise ValueError(f"{name}: num_classes: expected 1 or more, or -1, got {num_classes}")
    wrong = np.argwhere((classes < 0) | (classes >= num_classes))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"{name}: input: expected 0 to {num_classes - 1}, got {classes[place]} at index {place}"
        )
    y = np.zeros((*classes.shape, num_classes), np.int64)
    put_along_axis(y, classes[..., None], 1, -1)
    return Tensor._wrap(y)

# SPDX-License-Identifier: Apache-2.0
"""Order: sorting, the k largest, medians, distinct values, places in sorted sequences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate.arrays import put_along_axis
from striate.autograd import Node
from striate.explain import explained
from striate.ops.indexing import gather, index_array
from striate.ops.layout import in_order_of
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import op
from striate.ops.reduction import ValuesIndices
from striate.ops.shape import axis_of, clone, reshape, squeeze
from striate.tensor import Array, Tensor, as_array

__all__ = [
    "argsort",
    "bincount",
    "bucketize",
    "histc",
    "isin",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]
METHODS = [n for n in __all__ if n not in ("bucketize", "isin", "searchsorted")]


def _order(x: Array, axis: int, descending: bool) -> Array:
    """The stable order along the axis; NaN counts as the largest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


@op("(..., N, ...) -> (..., K, ...)", name="sort")
def _picked(ctx: Node, x: Array, index: Array, axis: int) -> Array:
    """x taken along the axis, each element at most once."""
    ctx.save(x.shape, index, axis)
    return in_order_of(x, np.take_along_axis(x, index, axis))


@_picked.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index, axis = ctx.saved
    dx = np.zeros_like(grad, shape=shape)
    put_along_axis(dx, index, grad, axis)
    return dx


def _with_indices(input: Tensor, index: Array, axis: int) -> ValuesIndices:
    # the record keeps its own: the caller may write to the indices
    values = _picked(input, index=index.copy() if input.requires_grad else index, axis=axis)
    return ValuesIndices(values, Tensor._wrap(index))


def _alone(input: Tensor) -> ValuesIndices:
    return ValuesIndices(clone(input), Tensor._wrap(np.zeros((), np.int64)))


@of_tensor
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> ValuesIndices:
    """(values, indices) in order along `dim`. Equal elements keep theirs; NaN is the largest."""
    axis = axis_of("sort", dim, input.ndim)
    if input.ndim == 0:
        return _alone(input)
    return _with_indices(input, _order(input._array, axis, descending), axis)


@of_tensor
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """The indices that sort `input` along `dim`."""
    axis = axis_of("argsort", dim, input.ndim)
    if input.ndim == 0:
        return Tensor._wrap(np.zeros((), np.int64))
    return Tensor._wrap(_order(input._array, axis, descending))


@of_tensor
def msort(input: Tensor) -> Tensor:
    """The values in ascending order along axis 0."""
    return sort(input, 0).values


@of_tensor
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """(values, indices) of the k largest (smallest) elements along `dim`, the best first.

    Of equal elements at the limit, which is taken is not defined. They come in order also where
    `sorted` is False.
    """
    axis = axis_of("topk", dim, input.ndim)
    n = input.shape[axis] if input.ndim else 1
    if not isinstance(k, (int, np.integer)) or not 0 <= k <= n:
        raise ValueError(f"topk: k: expected 0 to {n}, the size of axis {axis}, got {k}")
    if input.ndim == 0:
        return _alone(input)
    x = input._array
    if 0 < k <= n // 4:  # a partition first: n + k log k steps instead of n log n
        part = np.argpartition(x, n - k if largest else k - 1, axis)
        part = np.sort(np.take(part, range(n - k, n) if largest else range(k), axis), axis)
        best = _order(np.take_along_axis(x, part, axis), axis, largest)
        return _with_indices(input, np.take_along_axis(part, best, axis), axis)
    index = np.take(_order(x, axis, largest), range(k), axis)
    return _with_indices(input, index, axis)


@of_tensor
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """(value, index) of the k-th smallest element along `dim`, counted from 1."""
    axis = axis_of("kthvalue", dim, input.ndim)
    n = input.shape[axis] if input.ndim else 1
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"kthvalue: k: expected an integer, got {k!r}")
    if not 1 <= k <= n:
        raise ValueError(f"kthvalue: k: expected 1 to {n}, the size of axis {axis}, got {k}")
    if input.ndim == 0:
        return _alone(input)
    index = np.take(_order(input._array, axis, False), [k - 1], axis)
    return _dropped(_with_indices(input, index, axis), axis, keepdim)


def _dropped(pair: ValuesIndices, axis: int, keepdim: bool) -> ValuesIndices:
    if keepdim:
        return pair
    return ValuesIndices(squeeze(pair.values, axis), squeeze(pair.indices, axis))


def _median_along(
    name: str, input: Tensor, dim: int, keepdim: bool, skip_nan: bool
) -> ValuesIndices:
    axis = axis_of(name, dim, input.ndim)
    if input.ndim == 0:
        return _alone(input)
    x = input._array
    n = x.shape[axis]
    if n == 0:
        raise ValueError(f"{name}: of no elements: shape {input.shape}")
    order = _order(x, axis, False)
    missing = np.sum(x != x, axis, keepdims=True)  # NaN lies at the end
    middle = (n - missing - 1) // 2
    if not skip_nan:
        middle = np.where(missing > 0, n - missing, middle)
    index = np.take_along_axis(order, np.maximum(middle, 0), axis)
    return _dropped(_with_indices(input, index, axis), axis, keepdim)


@of_tensor
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; NaN where there is one.

    With `dim`, (values, indices) along it.
    """
    if dim is None:
        return _median_along("median", reshape(input, (-1,)), 0, False, False).values
    return _median_along("median", input, dim, keepdim, False)


@of_tensor
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element of those that are not NaN, the lower of two; as `median`."""
    if dim is None:
        return _median_along("nanmedian", reshape(input, (-1,)), 0, False, True).values
    return _median_along("nanmedian", input, dim, keepdim, True)


@of_tensor
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """(value, last index) of the most frequent element along `dim`, the smallest of several."""
    axis = axis_of("mode", dim, input.ndim)
    if input.ndim == 0:
        return _alone(input)
    order = np.moveaxis(_order(input._array, axis, False), axis, -1)
    values = np.take_along_axis(np.moveaxis(input._array, axis, -1), order, -1)
    n = values.shape[-1]
    if n == 0:
        raise ValueError(f"mode: of no elements: shape {input.shape}")
    places = np.arange(n)
    begins = np.concatenate(
        [np.ones((*values.shape[:-1], 1), bool), values[..., 1:] != values[..., :-1]], -1
    )
    length = places - np.maximum.accumulate(np.where(begins, places, 0), -1)
    last = np.argmax(length, -1)[..., None]  # where the longest run ends
    index = np.moveaxis(np.take_along_axis(order, last, -1), -1, axis)
    return _dropped(
        ValuesIndices(gather(input, axis, Tensor._wrap(index)), Tensor._wrap(index)), axis, keepdim
    )


@of_tensor
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (slices along `dim`) in ascending order.

    With return_inverse also where each element went, with return_counts how often each occurs. They
    are in order also where `sorted` is False.
    """
    axis = None if dim is None else axis_of("unique", dim, input.ndim)
    parts = np.unique(
        input._array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = parts[1].reshape(input.shape if axis is None else (-1,))
    wanted = (True, return_inverse, return_counts)
    chosen = [a for a, want in zip((parts[0], inverse, parts[2]), wanted, strict=True) if want]
    tensors = tuple(Tensor._wrap(np.asarray(a)) for a in chosen)
    return tensors[0] if len(tensors) == 1 else tensors


@of_tensor
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements (slices along `dim`) without those that equal the one before."""
    axis = 0 if dim is None else axis_of("unique_consecutive", dim, input.ndim)
    x = input._array.reshape(-1) if dim is None else np.moveaxis(input._array, axis, 0)
    begins = np.ones(len(x), bool)
    begins[1:] = np.any(x[1:] != x[:-1], axis=tuple(range(1, x.ndim)))
    starts = np.flatnonzero(begins)
    results = [np.moveaxis(x[starts], 0, axis)]
    if return_inverse:
        inverse = np.cumsum(begins) - 1
        results.append(inverse.reshape(input.shape) if dim is None else inverse)
    if return_counts:
        results.append(np.diff(starts, append=len(x)))
    tensors = tuple(Tensor._wrap(a) for a in results)
    return tensors[0] if len(tensors) == 1 else tensors


@of_tensor
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, … occurs in a vector; with weights, their sums."""
    if input.ndim != 1:
        raise ValueError(f"bincount: input: expected a vector, got shape {input.shape}")
    if minlength < 0:
        raise ValueError(f"bincount: minlength: expected 0 or more, got {minlength}")
    index = index_array("bincount", input, None, "input")
    if index.size and index.min() < 0:
        raise ValueError(f"bincount: input: expected 0 or more, got {index.min()}")
    if weights is None:
        return Tensor._wrap(np.bincount(index, minlength=minlength).astype(np.int64))
    if weights.shape != input.shape:
        raise ValueError(f"bincount: weights: expected shape {input.shape}, got {weights.shape}")
    sums = np.bincount(index, weights._array, minlength)
    return Tensor._wrap(sums.astype(np.float32) if weights.dtype == np.float32 else sums)


@of_tensor
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of min to max (of the data if equal)."""
    if input.dtype.kind != "f":
        raise TypeError(f"histc: input: expected float32 or float64, got {input.dtype}")
    if bins < 1:
        raise ValueError(f"histc: bins: expected 1 or more, got {bins}")
    x = input._array.reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.size:
        low, high = float(np.min(x)), float(np.max(x))
    if not math.isfinite(low) or not math.isfinite(high) or low > high:
        raise ValueError(f"histc: expected finite min <= max, got {low} and {high}")
    if low == high:
        low, high = low - 1, high + 1
    counts, _ = np.histogram(x, bins, (low, high))
    return Tensor._wrap(counts.astype(input.dtype))


@explained
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    right: bool = False,
    side: str | None = None,
    out_int32: bool = False,
) -> Tensor:
    """Where each value would be put in to keep an ascending sequence, before equal ones.

    After equal ones if `right` (or side "right"). A sequence of several axes has one sequence a
    row, with the values of that row.
    """
    check_tensor("searchsorted", "sorted_sequence", sorted_sequence)
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f'searchsorted: side: expected "left" or "right", got {side!r}')
    after: Any = "right" if right or side == "right" else "left"
    rows = sorted_sequence._array
    values = np.asarray(getattr(input, "_array", input))
    if rows.ndim == 1:
        found = np.asarray(np.searchsorted(rows, values, after))
    else:
        if rows.shape[:-1] != values.shape[:-1] or rows.ndim == 0:
            raise ValueError(
                f"searchsorted: input: expected the leading axes of sorted_sequence {rows.shape}, "
                f"got {values.shape}"
            )
        found = np.empty(values.shape, np.int64)
        for place in np.ndindex(*rows.shape[:-1]):
            found[place] = np.searchsorted(rows[place], values[place], after)
    return Tensor._wrap(found.astype(np.int32 if out_int32 else np.int64))


@explained
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """i where boundaries[i - 1] < x <= boundaries[i]; with `right`, [i - 1] <= x < [i]."""
    if boundaries.ndim != 1:
        raise ValueError(f"bucketize: boundaries: expected a vector, got {boundaries.shape}")
    return searchsorted(boundaries, input, right=right, out_int32=out_int32)


@explained
def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements` (is none of them, if `invert`)."""
    a = as_array(elements, argument="isin: elements")
    b = as_array(test_elements, argument="isin: test_elements")
    return Tensor._wrap(np.asarray(np.isin(a, b, invert=invert)))

# SPDX-License-Identifier: Apache-2.0
"""Running sums, products and extremes along one axis, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import running
from striate.autograd import Node
from striate.ops.indexing import gather, narrow
from striate.ops.joining import cat
from striate.ops.layout import in_order_of
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import Op, op
from striate.ops.reduction import ValuesIndices
from striate.ops.shape import axis_of, clone, reshape
from striate.tensor import Array, Tensor

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "diff",
    "logcumsumexp",
]
METHODS = __all__


def _accumulated(numpy: Any, x: Array, axis: int) -> Array:
    """A running sum or product, in double, back in the dtype and memory order of x."""
    wide = np.float64 if x.dtype.kind == "f" else np.int64
    with np.errstate(all="ignore"):
        return in_order_of(x, numpy(x, axis=axis, dtype=wide).astype(x.dtype, copy=False))


def _from_the_end(values: Array, factors: Array, axis: int) -> Array:
    """r_k = values_k + factors_{k+1} r_{k+1} along the axis, in double."""
    r = np.moveaxis(values.astype(np.float64), axis, 0)
    f = np.moveaxis(factors, axis, 0)
    for k in range(len(r) - 2, -1, -1):
        r[k] += f[k + 1] * r[k + 1]
    return np.moveaxis(r, 0, axis)


@op("(..., N, ...) -> (..., N, ...)", name="cumsum")
def _cumsum(ctx: Node, x: Array, axis: int) -> Array:
    ctx.save(axis)
    return _accumulated(np.cumsum, x, axis)


@_cumsum.backward
def _(ctx: Node, grad: Array) -> Any:
    (axis,) = ctx.saved
    return np.flip(_accumulated(np.cumsum, np.flip(grad, axis), axis), axis)


@op("(..., N, ...) -> (..., N, ...)", name="cumprod")
def _cumprod(ctx: Node, x: Array, axis: int) -> Array:
    ctx.save(x, axis)
    return _accumulated(np.cumprod, x, axis)


@_cumprod.backward
def _(ctx: Node, grad: Array) -> Any:
    """d y_i / d x_k is the product before k times that from k + 1 to i: zeros need no care."""
    x, axis = ctx.saved
    before = np.ones_like(x, dtype=np.float64)
    ahead = [slice(None)] * x.ndim
    behind = list(ahead)
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    before[tuple(ahead)] = np.cumprod(x[tuple(behind)], axis=axis, dtype=np.float64)
    return (before * _from_the_end(grad, x, axis)).astype(x.dtype)


@op("(..., N, ...) -> (..., N, ...)", name="logcumsumexp")
def _logcumsumexp(ctx: Node, x: Array, axis: int) -> Array:
    with np.errstate(all="ignore"):
        y = in_order_of(x, running(np.logaddexp, x, axis))
    ctx.save(x, y, axis)
    return y


@_logcumsumexp.backward
def _(ctx: Node, grad: Array) -> Any:
    """d y_i / d x_k = e^(x_k - y_k) e^(y_k - y_i): no exponent is above 0."""
    x, y, axis = ctx.saved
    ahead = [slice(None)] * x.ndim
    behind = list(ahead)
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    decay = np.zeros_like(y, dtype=np.float64)
    with np.errstate(all="ignore"):
        decay[tuple(ahead)] = np.exp(y[tuple(behind)] - y[tuple(ahead)])
        share = np.exp(x - y)
    decay, share = np.nan_to_num(decay), np.nan_to_num(share)  # -inf - -inf: nothing arrives
    return (share * _from_the_end(grad, decay, axis)).astype(x.dtype)


def _running(record: Op, input: Tensor, dim: int, dtype: Any) -> Tensor:
    if dtype is not None:
        input = input.to(dtype)
    axis = axis_of(record.name, dim, input.ndim)
    if input.dtype.kind != "f":
        input = input.to(np.int64)
    if input.ndim == 0:
        return clone(input)
    return record(input, axis=axis)


@of_tensor
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """y_i = x_0 + … + x_i along `dim`. Integers and bools give int64."""
    return _running(_cumsum, input, dim, dtype)


@of_tensor
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """y_i = x_0 … x_i along `dim`. Integers and bools give int64."""
    return _running(_cumprod, input, dim, dtype)


@of_tensor
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """y_i = log(e^x_0 + … + e^x_i) along `dim`, without overflow."""
    if input.dtype.kind != "f":
        raise TypeError(f"logcumsumexp: input: expected float32 or float64, got {input.dtype}")
    return _running(_logcumsumexp, input, dim, None)


def _running_extreme(name: str, numpy: Any) -> Any:
    def call(input: Tensor, dim: int) -> ValuesIndices:
        check_tensor(name, "input", input)
        axis = axis_of(name, dim, input.ndim)
        if input.ndim == 0:
            return ValuesIndices(clone(input), Tensor._wrap(np.zeros((), np.int64)))
        x = input._array
        best = numpy.accumulate(x, axis=axis)
        places = np.arange(x.shape[axis]).reshape([-1] + [1] * (x.ndim - 1 - axis))
        reached = (x == best) | ((x != x) & (best != best))  # the latest to reach it
        index = np.maximum.accumulate(np.where(reached, places, 0), axis=axis)
        indices = Tensor._wrap(index)
        return ValuesIndices(gather(input, axis, indices), indices)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"(values, indices) of the {name[3:]}imum of x_0 … x_i along `dim`."
    return call


cummax = _running_extreme("cummax", np.maximum)
cummin = _running_extreme("cummin", np.minimum)


@of_tensor
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
) -> Tensor:
    """x_1 - x_0, x_2 - x_1, … along `dim`, n times; `prepend` and `append` are joined first."""
    if n < 0:
        raise ValueError(f"diff: n: expected 0 or more, got {n}")
    if input.ndim == 0:
        raise ValueError("diff: expected at least one axis, got a tensor without axes")
    axis = axis_of("diff", dim, input.ndim)
    if n == 0:
        return input
    ends = [reshape(x, (1,)) if x is not None and x.ndim == 0 else x for x in (prepend, append)]
    parts = [x for x in (ends[0], input, ends[1]) if x is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(min(n, x.shape[axis])):
        length = max(x.shape[axis] - 1, 0)
        ahead, behind = narrow(x, axis, x.shape[axis] - length, length), narrow(x, axis, 0, length)
        x = ahead ^ behind if x.dtype.kind == "b" else ahead - behind
    return x

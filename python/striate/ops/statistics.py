# SPDX-License-Identifier: Apache-2.0
"""Products, sums without NaN, logarithms of sums, covariance, and triangles of matrices."""

from __future__ import annotations

import math
from operator import index as as_int
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result, in_c_order
from striate.autograd import Node
from striate.dtypes import as_dtype, get_default_dtype
from striate.explain import explained
from striate.ops.arithmetic import cast
from striate.ops.comparison import isnan
from striate.ops.gemm import matmul
from striate.ops.layout import in_order_of
from striate.ops.operand import of_tensor
from striate.ops.record import op
from striate.ops.reduction import axes_of, keep_dims, mean, sum
from striate.ops.scatter import masked_fill
from striate.ops.shape import reshape
from striate.ops.views import diagonal as _diagonal
from striate.ops.views import writable_diagonal
from striate.tensor import Array, Tensor

__all__ = [
    "corrcoef",
    "cov",
    "diag",
    "diag_embed",
    "logsumexp",
    "nanmean",
    "nansum",
    "prod",
    "quantile",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
]
METHODS = [n for n in __all__ if n not in ("tril_indices", "triu_indices")]


@op("(...) -> (...)", name="prod")
def _prod(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
    ctx.save(x, axes)
    with np.errstate(all="ignore"):
        return as_result(np.prod(x, axis=axes, dtype=np.float64)).astype(x.dtype)


@_prod.backward
def _(ctx: Node, grad: Array) -> Any:
    """Each element's slope is the product of those before it and of those behind it."""
    x, axes = ctx.saved
    others = [d for d in range(x.ndim) if d not in axes]
    moved = x.transpose(*others, *axes)
    lead = [x.shape[d] for d in others]
    rows = in_c_order(moved).reshape(math.prod(lead), -1).astype(np.float64)
    before, behind = np.ones_like(rows), np.ones_like(rows)
    with np.errstate(all="ignore"):
        before[:, 1:] = np.cumprod(rows[:, :-1], axis=1)
        behind[:, :-1] = np.cumprod(rows[:, :0:-1], axis=1)[:, ::-1]
        slope = (
            (before * behind).reshape(moved.shape).transpose(np.argsort([*others, *axes]).tolist())
        )
        dx = as_result(slope * grad.reshape(keep_dims(x.shape, axes)))
    return dx.astype(x.dtype)


@of_tensor
def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim` (all axes if None). Integers and bools give int64."""
    if dtype is not None:
        input = input.to(dtype)
    axes = axes_of("prod", dim, input.ndim)
    if input.dtype.kind != "f":
        result = np.prod(input._array, axis=axes, keepdims=keepdim, dtype=np.int64)
        return Tensor._wrap(as_result(result))
    out: Tensor = _prod(input, axes=axes)
    return reshape(out, keep_dims(input.shape, axes)) if keepdim else out


@op("(...) -> (...)", name="logsumexp")
def _logsumexp(ctx: Node, x: Array, axes: tuple[int, ...]) -> Array:
    least: dict[str, Any] = {"initial": -np.inf} if x.size == 0 else {}
    top = np.max(x, axis=axes, keepdims=True, **least)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    with np.errstate(all="ignore"):
        total = _C.sum(_C.exp(_C.sub(x, top)), axes)
        y = as_result(np.log(total) + top.reshape(total.shape)).astype(x.dtype, copy=False)
    ctx.save(x, y, axes)
    return y


@_logsumexp.backward
def _(ctx: Node, grad: Array) -> Any:
    x, y, axes = ctx.saved
    shape = keep_dims(x.shape, axes)
    with np.errstate(all="ignore"):
        share = np.exp(x - y.reshape(shape))
    share = np.where(np.isnan(share) & np.isneginf(x), x.dtype.type(0), share)
    return _C.mul(share, grad.reshape(shape))


@of_tensor
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log of the sum of e^x over `dim`, computed from x - max x so that nothing overflows."""
    if input.dtype.kind != "f":
        input = cast(input, get_default_dtype())
    axes = axes_of("logsumexp", dim, input.ndim)
    out: Tensor = _logsumexp(input, axes=axes)
    return reshape(out, keep_dims(input.shape, axes)) if keepdim else out


@of_tensor
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """`sum` of the elements that are not NaN."""
    if input.dtype.kind != "f":
        return sum(input, dim, keepdim)
    return sum(masked_fill(input, isnan(input), 0), dim, keepdim)


@of_tensor
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """`mean` of the elements that are not NaN."""
    axes = axes_of("nanmean", dim, input.ndim)
    count = as_result(np.sum(input._array == input._array, axis=axes, keepdims=keepdim))
    return nansum(input, dim, keepdim) / Tensor._wrap(count.astype(input.dtype))


def _rounded(interpolation: str, places: Array, below: Array) -> Array:
    """How far on the way from the element below to the one above a quantile lies."""
    part = places - below
    ways = {
        "linear": part,
        "lower": np.zeros_like(part),
        "higher": np.ceil(part),
        "midpoint": np.where(part > 0, 0.5, 0.0),
        "nearest": np.round(places) - below,
    }
    if interpolation not in ways:
        raise ValueError(
            f"quantile: interpolation: expected one of {list(ways)}, got {interpolation!r}"
        )
    return ways[interpolation]


@of_tensor
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The values below which a share q of the elements along `dim` lies.

    q is a number or a vector, from 0 to 1; a vector adds a leading axis. Between two elements the
    result is `interpolation`: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    from striate.ops.indexing import index_select
    from striate.ops.shape import axis_of, movedim
    from striate.ops.sorting import sort

    if input.dtype.kind != "f":
        raise TypeError(f"quantile: input: expected float32 or float64, got {input.dtype}")
    try:
        shares = np.asarray(q.cpu()._array if isinstance(q, Tensor) else q, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"quantile: q: expected numbers from 0 to 1, got {q!r}") from None
    if shares.ndim > 1 or not np.all((shares >= 0) & (shares <= 1)):
        raise ValueError(f"quantile: q: expected numbers from 0 to 1, got {q}")
    kept = keep_dims(input.shape, axes_of("quantile", dim, input.ndim))
    axis = 0 if dim is None else axis_of("quantile", dim, input.ndim)
    x = reshape(input, (-1,)) if dim is None or input.ndim == 0 else input
    n = x.shape[axis]
    if n == 0:
        raise ValueError(f"quantile: of no elements: shape {input.shape}")
    places = shares.reshape(-1) * (n - 1)
    below = np.floor(places).astype(np.int64)
    ordered = movedim(sort(x, axis).values, axis, 0)
    low = index_select(ordered, 0, Tensor._wrap(below))
    high = index_select(ordered, 0, Tensor._wrap(np.minimum(below + 1, n - 1)))
    part = (
        _rounded(interpolation, places, below)
        .astype(x.dtype)
        .reshape([-1] + [1] * (ordered.ndim - 1))
    )
    result = low + (high - low) * Tensor._wrap(part).to(x.device)
    missing = np.isnan(ordered._array[-1:])
    if missing.any():
        result = masked_fill(result, missing, math.nan)
    rest = [] if dim is None else [m for d, m in enumerate(input.shape) if d != axis]
    return reshape(result, (*shares.shape, *(kept if keepdim else rest)))


@op("(..., M, N) -> (..., M, N)", name="triangle")
def _triangle(ctx: Node, x: Array, diagonal: int, upper: bool) -> Array:
    ctx.save(diagonal, upper)
    return in_order_of(x, np.triu(x, diagonal) if upper else np.tril(x, diagonal))


@_triangle.backward
def _(ctx: Node, grad: Array) -> Any:
    diagonal, upper = ctx.saved
    return np.triu(grad, diagonal) if upper else np.tril(grad, diagonal)


def _triangle_of(name: str, input: Tensor, diagonal: int) -> Tensor:
    if input.ndim < 2:
        raise ValueError(f"{name}: input: expected matrices, got shape {input.shape}")
    return _triangle(input, diagonal=int(diagonal), upper=name == "triu")


@of_tensor
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros above a diagonal (0 the main one, 1 the next one up)."""
    return _triangle_of("tril", input, diagonal)


@of_tensor
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros below a diagonal (0 the main one, 1 the next one up)."""
    return _triangle_of("triu", input, diagonal)


@explained
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The places (2, n) of the elements that `tril` keeps, row by row."""
    return Tensor._wrap(np.array(np.tril_indices(row, offset, as_int(col)), as_dtype(dtype)))


@explained
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The places (2, n) of the elements that `triu` keeps, row by row."""
    return Tensor._wrap(np.array(np.triu_indices(row, offset, as_int(col)), as_dtype(dtype)))


@op("(..., N) -> (..., N, N)", name="diag_embed")
def _diag_embed(ctx: Node, x: Array, offset: int, axis1: int, axis2: int) -> Array:
    ctx.save(offset, axis1, axis2)
    n = x.shape[-1] + abs(offset)
    shape = list(x.shape[:-1])
    for axis in sorted((axis1, axis2)):
        shape.insert(axis, n)
    out = np.zeros_like(x, shape=shape, order="C")
    writable_diagonal(out, offset, axis1, axis2)[...] = x
    return out


@_diag_embed.backward
def _(ctx: Node, grad: Array) -> Any:
    return np.diagonal(grad, *ctx.saved)


@of_tensor
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros with the rows of input on a diagonal."""
    axes = axes_of("diag_embed", (dim1, dim2), input.ndim + 1)
    if input.ndim == 0 or len(axes) != 2:
        raise ValueError(f"diag_embed: expected at least one axis, got shape {input.shape}")
    first, second = (d % (input.ndim + 1) for d in (dim1, dim2))
    return _diag_embed(input, offset=offset, axis1=first, axis2=second)


@of_tensor
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with a vector on its diagonal, or a copy of the diagonal of a matrix."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ValueError(f"diag: input: expected a vector or a matrix, got shape {input.shape}")
    return _diagonal(input, diagonal).clone()


@of_tensor
def cov(input: Tensor, *, correction: int = 1) -> Tensor:
    """The covariance of variables, a row each: (x - mean) (x - mean)^T / (n - correction)."""
    if input.ndim > 2:
        raise ValueError(f"cov: input: expected rows of observations, got shape {input.shape}")
    x = reshape(input, (1, -1)) if input.ndim < 2 else input
    off = x - mean(x, 1, keepdim=True)
    products = matmul(off, off.T) / max(x.shape[1] - correction, 0)
    return products if x.shape[0] != 1 else reshape(products, ())


@of_tensor
def corrcoef(input: Tensor) -> Tensor:
    """The correlation of variables, a row each: covariances over standard deviations."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    spread = _diagonal(c).sqrt()
    return c / reshape(spread, (-1, 1)) / reshape(spread, (1, -1))

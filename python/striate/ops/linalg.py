# SPDX-License-Identifier: Apache-2.0
"""Products of vectors and matrices by their usual names, parts of matrices, and norms."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result, largest
from striate.autograd import Node
from striate.explain import explained
from striate.ops.arithmetic import mul, plus, unbroadcast
from striate.ops.gemm import matmul
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.pointwise import abs as absolute
from striate.ops.record import op
from striate.ops.reduction import axes_of, keep_dims
from striate.ops.reduction import sum as total
from striate.ops.shape import axis_of, reshape
from striate.ops.views import diagonal
from striate.precision import narrows
from striate.tensor import Array, Tensor

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "dot",
    "ger",
    "inner",
    "kron",
    "mm",
    "mv",
    "norm",
    "outer",
    "trace",
    "vdot",
    "vector_norm",
]
METHODS = [n for n in __all__ if n != "vector_norm"]


def _expect(name: str, argument: str, x: Any, ndim: int) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(x).__name__}")
    if x.ndim != ndim:
        raise ValueError(f"{name}: {argument}: expected {ndim} axes, got shape {x.shape}")


def _expect_dtype(name: str, *tensors: Tensor) -> None:
    for x in tensors[1:]:
        if x.dtype != tensors[0].dtype:
            raise TypeError(
                f"{name}: expected tensors of one dtype, got {tensors[0].dtype} and {x.dtype}; "
                "convert one with .to(dtype)"
            )


@of_tensor
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (M, K) @ (K, N) -> (M, N)."""
    _expect("mm", "input", input, 2)
    _expect("mm", "mat2", mat2, 2)
    _expect_dtype("mm", input, mat2)
    return matmul(input, mat2)


@of_tensor
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices, (B, M, K) @ (B, K, N) -> (B, M, N)."""
    _expect("bmm", "input", input, 3)
    _expect("bmm", "mat2", mat2, 3)
    _expect_dtype("bmm", input, mat2)
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: mat2: expected {input.shape[0]} matrices, got {mat2.shape[0]}")
    return matmul(input, mat2)


@of_tensor
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix times vector, (M, K) @ (K,) -> (M,)."""
    _expect("mv", "input", input, 2)
    _expect("mv", "vec", vec, 1)
    _expect_dtype("mv", input, vec)
    return matmul(input, vec)


@of_tensor
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors of one length."""
    _expect("dot", "input", input, 1)
    _expect("dot", "tensor", tensor, 1)
    _expect_dtype("dot", input, tensor)
    if input.shape != tensor.shape:
        raise ValueError(f"dot: tensor: expected shape {input.shape}, got {tensor.shape}")
    return total(mul(input, tensor)).to(input.dtype)


vdot = dot


@of_tensor
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Dot products along the last axes: (..., K), (..., K) -> the leading axes of both."""
    check_tensor("inner", "other", other)
    if input.ndim == 0 or other.ndim == 0:
        return mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise ValueError(f"inner: last axes differ: shapes {input.shape} and {other.shape}")
    rows, columns = (reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])) for x in (input, other))
    return reshape(matmul(rows, columns.T), (*input.shape[:-1], *other.shape[:-1]))


@of_tensor
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of an element of (M,) and one of (N,): (M, N)."""
    _expect("outer", "input", input, 1)
    _expect("outer", "vec2", vec2, 1)
    return mul(reshape(input, (-1, 1)), vec2)


ger = outer


@of_tensor
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of input times the whole of other, as blocks."""
    check_tensor("kron", "other", other)
    ndim = max(input.ndim, other.ndim)
    a, b = ((*[1] * (ndim - x.ndim), *x.shape) for x in (input, other))
    apart = [n for m in a for n in (m, 1)], [n for m in b for n in (1, m)]
    product = mul(reshape(input, tuple(apart[0])), reshape(other, tuple(apart[1])))
    return reshape(product, tuple(m * n for m, n in zip(a, b, strict=True)))


@op("(..., M, N), (..., M, K), (..., K, N) -> (..., M, N)", name="addmm")
def _addmm(ctx: Node, c: Array, a: Array, b: Array, beta: float, alpha: float) -> Array:
    ctx.save(c.shape, a, b, beta, alpha)
    if beta == 0:  # c may be NaN
        return _C.gemm(a, b, alpha=alpha)
    shape = (*a.shape[:-1], b.shape[-1])
    out = np.empty_like(a, shape=shape, order="C")
    out[...] = c
    return _C.gemm(a, b, alpha=alpha, beta=beta, out=out)


@_addmm.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, a, b, beta, alpha = ctx.saved
    return (
        _C.mul(unbroadcast(grad, shape), float(beta)) if ctx.needs[0] else None,
        _C.gemm(grad, b.swapaxes(-1, -2), alpha=alpha) if ctx.needs[1] else None,
        _C.gemm(a.swapaxes(-1, -2), grad, alpha=alpha) if ctx.needs[2] else None,
    )


def _added(name: str, c: Tensor, a: Tensor, b: Tensor, beta: Any, alpha: Any) -> Tensor:
    _expect_dtype(name, a, b, c)
    if a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} of the matrices do not fit")
    shape = (*a.shape[:-1], b.shape[-1])
    if c.ndim > len(shape) or builtins.any(
        n not in (1, m) for n, m in zip(reversed(c.shape), reversed(shape), strict=False)
    ):
        raise ValueError(f"{name}: input: expected a shape that repeats to {shape}, got {c.shape}")
    if a.dtype.kind != "f" or narrows(a.dtype):
        return plus(mul(c, beta), mul(matmul(a, b), alpha))
    return _addmm(c, a, b, beta=float(beta), alpha=float(alpha))


@of_tensor
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta input + alpha mat1 @ mat2, (M, K) @ (K, N); input repeats to (M, N).

    Where beta is 0, NaN in input does not count.
    """
    _expect("addmm", "mat1", mat1, 2)
    _expect("addmm", "mat2", mat2, 2)
    return _added("addmm", input, mat1, mat2, beta, alpha)


@of_tensor
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta input + alpha batch1 @ batch2, (B, M, K) @ (B, K, N); input repeats to (B, M, N)."""
    _expect("baddbmm", "batch1", batch1, 3)
    _expect("baddbmm", "batch2", batch2, 3)
    return _added("baddbmm", input, batch1, batch2, beta, alpha)


@of_tensor
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta input + alpha times the sum of the products of `bmm`."""
    _expect("addbmm", "batch1", batch1, 3)
    _expect("addbmm", "batch2", batch2, 3)
    if batch1.shape[0] != batch2.shape[0]:
        raise ValueError(f"addbmm: shapes {batch1.shape} and {batch2.shape} do not fit")
    b, m, k = batch1.shape
    rows = reshape(batch1.permute(1, 0, 2), (m, b * k))
    return _added("addbmm", input, rows, reshape(batch2, (b * k, batch2.shape[2])), beta, alpha)


@of_tensor
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat @ vec, (M, K) @ (K,); input repeats to (M,)."""
    _expect("addmv", "mat", mat, 2)
    _expect("addmv", "vec", vec, 1)
    column = reshape(input, (*input.shape, 1)) if input.ndim else input
    return reshape(_added("addmv", column, mat, reshape(vec, (-1, 1)), beta, alpha), (-1,))


@of_tensor
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha outer(vec1, vec2); input repeats to (M, N)."""
    _expect("addr", "vec1", vec1, 1)
    _expect("addr", "vec2", vec2, 1)
    return _added("addr", input, reshape(vec1, (-1, 1)), reshape(vec2, (1, -1)), beta, alpha)


@of_tensor
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    _expect("trace", "input", input, 2)
    return total(diagonal(input))


@op("(...) -> (...)", name="norm")
def _norm(ctx: Node, x: Array, ord: float, axes: tuple[int, ...]) -> Array:
    if ord == 2:
        y = as_result(np.sqrt(_C.sum(_C.mul(x, x), axes)))
    elif ord == 1:
        y = _C.sum(as_result(np.abs(x)), axes)
    elif ord == 0:
        y = as_result(np.sum(x != 0, axis=axes, dtype=x.dtype))
    elif math.isinf(ord):
        size = np.abs(x)
        extreme = largest(size, axes) if ord > 0 else np.min(size, axis=axes)
        y = as_result(extreme)
    else:
        with np.errstate(all="ignore"):
            y = as_result(_C.sum(as_result(np.abs(x) ** x.dtype.type(ord)), axes) ** (1 / ord))
    y = y.astype(x.dtype, copy=False)
    ctx.save(x, y, ord, axes)
    return y


@_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, y, ord, axes = ctx.saved
    shape = keep_dims(x.shape, axes)
    y, grad = y.reshape(shape), grad.reshape(shape)
    if ord == 0:
        return np.zeros_like(x)
    if ord == 1:
        return as_result(grad * np.sign(x))
    if math.isinf(ord):
        hits = np.abs(x) == y
        count = np.maximum(np.sum(hits, axis=axes, keepdims=True), 1).astype(x.dtype)
        return as_result(np.where(hits, grad / count * np.sign(x), x.dtype.type(0)))
    with np.errstate(all="ignore"):
        slope = np.sign(x) * (np.abs(x) / y) ** x.dtype.type(ord - 1) if ord != 2 else x / y
    return as_result(np.where((y == 0) | (x == 0), x.dtype.type(0), grad * slope))


@explained
def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`; the largest |x| for inf, the smallest for -inf.

    ord 0 counts elements that are not 0. The slope at 0 is 0.
    """
    check_tensor("vector_norm", "x", x)
    if isinstance(ord, bool) or not isinstance(ord, (int, float, np.integer, np.floating)):
        raise TypeError(f"vector_norm: ord: expected a number, got {ord!r}")
    if dtype is not None:
        x = x.to(dtype)
    if x.dtype.kind != "f":
        raise TypeError(f"vector_norm: x: expected float32 or float64, got {x.dtype}")
    axes = axes_of("vector_norm", dim, x.ndim)
    if ord < 0 and math.prod(x.shape[a] for a in axes) == 0:
        raise ValueError(f"vector_norm: of no elements: shape {x.shape} with ord {ord}")
    out: Tensor = _norm(x, ord=float(ord), axes=axes)
    return reshape(out, keep_dims(x.shape, axes)) if keepdim else out


def _matrix_norm(x: Tensor, ord: Any, dim: tuple[int, int], keepdim: bool) -> Tensor:
    """Frobenius, or the largest (smallest) sum of a column (1, -1) or row (inf, -inf)."""
    if ord == "fro":
        return vector_norm(x, 2, dim, keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(
            f'norm: ord: expected "fro", 1, -1, inf or -inf for matrices, got {ord!r}; norms by '
            "singular values are not here"
        )
    rows, columns = (axis_of("norm", d, x.ndim) for d in dim)
    along, across = (rows, columns) if builtins.abs(ord) == 1 else (columns, rows)
    sums = total(absolute(x), along, keepdim=True)
    extreme = sums.amax(across, keepdim=True) if ord > 0 else sums.amin(across, keepdim=True)
    if keepdim:
        return extreme
    return reshape(extreme, tuple(n for d, n in enumerate(x.shape) if d not in (rows, columns)))


@of_tensor
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements over `dim`; "fro", the default, is p = 2."""
    if p == "fro" or p is None:
        p = 2
    if isinstance(p, str):
        raise ValueError(f'norm: p: expected a number or "fro", got {p!r}')
    return vector_norm(input, p, dim, keepdim)

# SPDX-License-Identifier: Apache-2.0
"""Matrix products: matmul, and linear with bias and relu in its epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.dtypes import result_type
from striate.ops.arithmetic import as_operand, unbroadcast
from striate.ops.record import op
from striate.tensor import Array, Tensor


def _product(a: Array, b: Array) -> Array:
    """a @ b with any leading axes, broadcast."""
    if a.ndim == 2 and b.ndim == 2:
        return _C.gemm(a, b)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.flags.c_contiguous:  # one matrix for all: one tall product
        return _C.gemm(a.reshape(-1, a.shape[-1]), b).reshape(*lead, a.shape[-2], b.shape[-1])
    a3 = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    b3 = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    return _C.gemm(a3, b3).reshape(*lead, a.shape[-2], b.shape[-1])


@op("(..., M, K), (..., K, N) -> (..., M, N)", name="matmul")
def _matmul(ctx: Node, a: Array, b: Array) -> Array:
    ctx.save(a, b)
    return _product(a, b)


@_matmul.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    return (
        unbroadcast(_product(grad, b.swapaxes(-1, -2)), a.shape) if ctx.needs[0] else None,
        unbroadcast(_product(a.swapaxes(-1, -2), grad), b.shape) if ctx.needs[1] else None,
    )


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product: (..., M, K) @ (..., K, N) -> (..., M, N), leading axes broadcast.

    A vector counts as one row (left) or one column (right), and that axis is dropped again.
    Raises ValueError where the inner sizes differ.
    """
    if type(input) is not Tensor or type(other) is not Tensor or input.dtype != other.dtype:
        dtype = result_type(input, other)
        input, other = (as_operand(x, dtype, "matmul") for x in (input, other))
    if input.dtype.kind != "f":
        return Tensor._wrap(np.asarray(np.matmul(input._array, other._array)))
    m, n = input.ndim, other.ndim
    if m >= 2 and n >= 2:
        if input.shape[-1] != other.shape[-2]:
            raise ValueError(
                f"matmul: shapes {input.shape} and {other.shape} do not fit: {input.shape[-1]} "
                f"columns against {other.shape[-2]} rows"
            )
        return _matmul(input, other)
    if m == 0 or n == 0:
        raise ValueError(f"matmul: expected at least one axis, got {input.shape}, {other.shape}")
    product = matmul(
        input.reshape(1, -1) if m == 1 else input, other.reshape(-1, 1) if n == 1 else other
    )
    if n == 1:
        product = product.reshape(product.shape[:-1])
    if m == 1:
        lead = product.shape[:-1] if n == 1 else (*product.shape[:-2], product.shape[-1])
        product = product.reshape(lead)
    return product


@op("(..., I), (O, I), (O,)? -> (..., O)", name="linear")
def _linear(ctx: Node, x: Array, weight: Array, *bias: Array, relu: bool = False) -> Array:
    rows = x if x.ndim == 2 else np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    y = _C.gemm(rows, weight.T, bias=bias[0] if bias else None, relu=relu)
    if x.ndim != 2:
        y = y.reshape(*x.shape[:-1], weight.shape[0])
    ctx.save(x, weight, y if relu else None)
    return y


@_linear.backward
def _(ctx: Node, grad: Array) -> Any:
    x, weight, y = ctx.saved
    if y is not None:
        grad = _C.relu_backward(y, grad)
    if grad.ndim != 2:
        grad = np.ascontiguousarray(grad).reshape(-1, grad.shape[-1])
    rows = x if x.ndim == 2 else np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    dx = _C.gemm(grad, weight).reshape(x.shape) if ctx.needs[0] else None
    dw = _C.gemm(grad.T, rows) if ctx.needs[1] else None
    if len(ctx.needs) == 2:
        return dx, dw
    return dx, dw, _C.sum(grad, (0,)) if ctx.needs[2] else None


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """y = x W^T + b, then relu if asked: x (..., I), W (O, I), b (O,) -> (..., O).

    Raises ValueError where the last axis of x is not I.
    """
    if weight.ndim != 2:
        raise ValueError(f"linear: weight: expected (out, in), got shape {weight.shape}")
    if input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input: expected (..., {weight.shape[1]}), got shape {input.shape}; weight is "
            f"(out={weight.shape[0]}, in={weight.shape[1]})"
        )
    if bias is None:
        return _linear(input, weight, relu=relu)
    return _linear(input, weight, bias, relu=relu)

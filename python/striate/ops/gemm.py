# SPDX-License-Identifier: Apache-2.0
"""Matrix products: matmul, and linear with bias and relu in its epilogue.

Operands may be bfloat16; inside `autocast` those of float32 are rounded to it. Sums are float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import is_floating, result_type
from striate.ops import low as bfloat16
from striate.ops.activation import Numbers, with_activation
from striate.ops.activation import gradient as fused_gradient
from striate.ops.arithmetic import as_operand, same_dtype, unbroadcast
from striate.ops.layout import c_order, reshaped
from striate.ops.record import op
from striate.precision import _mode as _precision
from striate.tensor import Array, Tensor

__all__ = [
    "linear",
    "matmul",
]
METHODS = [
    "matmul",
]


def _product(a: Array, b: Array) -> Array:
    """a @ b with any leading axes, broadcast."""
    if a.ndim == 2 and b.ndim == 2:
        return _C.gemm(a, b)
    if a.ndim < 2 or b.ndim < 2:
        raise ValueError(f"matmul: expected matrices, got shapes {a.shape} and {b.shape}")
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.flags.c_contiguous:  # one matrix for all: one tall product
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return _C.gemm(rows, b).reshape(*lead, a.shape[-2], b.shape[-1])
    count = math.prod(lead)
    a3 = reshaped(np.broadcast_to(a, (*lead, *a.shape[-2:])), (count, *a.shape[-2:]))
    b3 = reshaped(np.broadcast_to(b, (*lead, *b.shape[-2:])), (count, *b.shape[-2:]))
    return _C.gemm(a3, b3).reshape(*lead, a.shape[-2], b.shape[-1])


@op("(..., M, K), (..., K, N) -> (..., M, N)", name="matmul")
def _matmul(ctx: Node, a: Array, b: Array) -> Array:
    low = a.dtype.kind == "V"  # bfloat16
    if _precision.enabled and a.dtype == b.dtype == np.float32:
        a, b = _C.narrow(a), _C.narrow(b)
    ctx.save(a, b, low)
    return bfloat16.like(_product(a, b), low)


@_matmul.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b, low = ctx.saved
    need_a, need_b = ctx.needs
    if a.dtype.kind == "V":
        grad = bfloat16.fitting(grad, a)
    if grad.ndim == a.ndim == b.ndim == 2:
        da = _C.gemm(grad, b.T) if need_a else None
        db = _C.gemm(a.T, grad) if need_b else None
    else:
        da = unbroadcast(_product(grad, b.swapaxes(-1, -2)), a.shape) if need_a else None
        db = unbroadcast(_product(a.swapaxes(-1, -2), grad), b.shape) if need_b else None
    if low:
        return None if da is None else _C.narrow(da), None if db is None else _C.narrow(db)
    return da, db


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product: (..., M, K) @ (..., K, N) -> (..., M, N), leading axes broadcast.

    A vector counts as one row (left) or one column (right), and that axis is dropped again.
    bfloat16 operands are summed in float32 and the result is rounded once. Raises ValueError where
    the inner sizes differ.
    """
    try:  # two matrices, or stacks of them, that fit
        return _matmul.of_two(input, other)
    except (AttributeError, TypeError, ValueError, IndexError):
        pass
    if not isinstance(input, Tensor) or not isinstance(other, Tensor) or input.dtype != other.dtype:
        dtype = result_type(input, other)
        input, other = (as_operand(x, dtype, "matmul") for x in (input, other))
    if not is_floating(input.dtype):
        if input.is_cuda or other.is_cuda:
            raise TypeError(
                f"matmul: expected a floating dtype on a GPU, got {input.dtype}; use .float()"
            )
        return Tensor._wrap(as_result(np.matmul(input._array, other._array)))
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


def _rows(x: Array) -> Array:
    """The leading axes as one."""
    return x if x.ndim == 2 else c_order(x).reshape(-1, x.shape[-1])


@op("(..., I), (O, I), (O,)? -> (..., O)", name="linear")
def _linear(
    ctx: Node,
    x: Array,
    weight: Array,
    *bias: Array,
    activation: str | None = None,
    parameter: Numbers = 0.0,
) -> Array:
    low = x.dtype.kind == "V"  # bfloat16
    if low:
        bias = tuple(_C.widen(b) for b in bias)
    elif _precision.enabled and x.dtype == np.float32:
        x, weight = _C.narrow(x), _C.narrow(weight)
    y = _C.gemm(_rows(x), weight.T, bias[0] if bias else None, activation, parameter)
    if x.ndim != 2:
        y = y.reshape(*x.shape[:-1], weight.shape[0])
    ctx.save(x, weight, y if activation else None, activation, parameter, low)
    return bfloat16.like(y, low)


@_linear.backward
def _(ctx: Node, grad: Array) -> Any:
    x, weight, y, activation, parameter, low = ctx.saved
    if low:
        grad = _C.widen(grad)
    grad = sums = _rows(fused_gradient(activation, parameter, y, grad))
    if x.dtype.kind == "V":
        grad = _C.narrow(grad)
    dx = bfloat16.like(_C.gemm(grad, weight), low).reshape(x.shape) if ctx.needs[0] else None
    dw = bfloat16.like(_C.gemm(grad.T, _rows(x)), low) if ctx.needs[1] else None
    if len(ctx.needs) == 2:
        return dx, dw
    return dx, dw, bfloat16.like(_C.sum(sums, (0,)), low) if ctx.needs[2] else None


def linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    activation_parameter: Numbers | None = None,
) -> Tensor:
    """y = f(x W^T + b): x (..., I), W (O, I), b (O,) -> (..., O).

    `activation` names f, applied in the same pass; `activation_parameter` is its parameter, such as
    leaky_relu's slope. Raises ValueError where the last axis of x is not I, or no activation has
    that name; TypeError where the operands are not tensors of one floating dtype.
    """
    operands = same_dtype("linear", {"input": input, "weight": weight, "bias": bias}, low=True)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight: expected (out, in), got shape {weight.shape}")
    if input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input: expected (..., {weight.shape[1]}), got shape {input.shape}; weight is "
            f"(out={weight.shape[0]}, in={weight.shape[1]})"
        )
    return with_activation("linear", _linear, operands, activation, activation_parameter)

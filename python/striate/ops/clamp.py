# SPDX-License-Identifier: Apache-2.0
"""Limits and blends: clamp, lerp, products and quotients added to a tensor, NaN replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import result_type
from striate.ops.arithmetic import as_operand, mul, plus, true_divide, unbroadcast
from striate.ops.operand import of_tensor
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "addcdiv",
    "addcmul",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "fmax",
    "fmin",
    "lerp",
    "nan_to_num",
]
METHODS = __all__


@op("(...), (...), (...) -> (...)", name="clamp")
def _clamp(ctx: Node, x: Array, low: Array, high: Array) -> Array:
    ctx.save(x, low, high)
    if x.dtype.kind == "f":
        return _C.minimum(_C.maximum(x, low), high)
    return as_result(np.minimum(np.maximum(x, low), high))


@_clamp.backward
def _(ctx: Node, grad: Array) -> Any:
    x, low, high = ctx.saved
    below, above, crossed = x < low, x > high, low > high
    parts = (~(below | above), below & ~crossed, above | crossed)
    zero = grad.dtype.type(0)
    return tuple(
        unbroadcast(np.where(part, grad, zero), y.shape) if needed else None
        for part, y, needed in zip(parts, ctx.saved, ctx.needs, strict=True)
    )


@op("(...) -> (...)", name="clamp")
def _clamp_one(ctx: Node, x: Array, bound: Array, largest: bool) -> Array:
    ctx.save(x, bound, largest)
    if x.dtype.kind == "f":
        return _C.minimum(x, bound) if largest else _C.maximum(x, bound)
    return as_result(np.minimum(x, bound) if largest else np.maximum(x, bound))


@_clamp_one.backward
def _(ctx: Node, grad: Array) -> Any:
    x, bound, largest = ctx.saved
    inside = x <= bound if largest else x >= bound
    return np.where(inside, grad, grad.dtype.type(0))


@of_tensor
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """min where input < min, max where input > max, else input; NaN stays NaN.

    The bounds are numbers or tensors, broadcast; None is no bound. Where min > max the result is
    max. The gradient goes to whichever the result is, and to input where it equals a bound.
    """
    if min is None and max is None:
        raise ValueError("clamp: expected at least one of min and max")
    given = [v for v in (min, max) if v is not None]
    dtype = result_type(input, *given)
    x = as_operand(input, dtype, "clamp: input")
    try:
        if len(given) == 1 and not isinstance(given[0], Tensor):
            bound = as_operand(given[0], dtype, "clamp: bound")
            return _clamp_one(x, bound=bound._array, largest=min is None)
        top, bottom = (np.inf, -np.inf) if dtype.kind == "f" else _range(dtype)
        low = as_operand(bottom if min is None else min, dtype, "clamp: min")
        high = as_operand(top if max is None else max, dtype, "clamp: max")
        return _clamp(x, low, high)
    except ValueError as error:
        raise ValueError(f"clamp: {error}") from None


def _range(dtype: Any) -> tuple[int, int]:
    if dtype.kind == "b":
        return 1, 0
    info = np.iinfo(dtype)
    return int(info.max), int(info.min)


clip = clamp


@of_tensor
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`clamp` with a lower bound only."""
    return clamp(input, min=min)


@of_tensor
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`clamp` with an upper bound only."""
    return clamp(input, max=max)


def _beside_nan(name: str, numpy: Any, doc: str) -> Any:
    """The larger or smaller of two, the other one where one is NaN."""

    @op("(...), (...) -> (...)", name=name)
    def record(ctx: Node, a: Array, b: Array) -> Array:
        ctx.save(a, b)
        return as_result(numpy(a, b))

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        a, b = ctx.saved
        first = np.isnan(b) | (a >= b if name == "fmax" else a <= b)
        zero = grad.dtype.type(0)
        return (
            unbroadcast(np.where(first, grad, zero), a.shape) if ctx.needs[0] else None,
            unbroadcast(np.where(first, zero, grad), b.shape) if ctx.needs[1] else None,
        )

    def call(input: Tensor, other: Tensor) -> Tensor:
        dtype = result_type(input, other)
        a, b = as_operand(input, dtype, name), as_operand(other, dtype, name)
        try:
            return record(a, b)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


fmax = _beside_nan("fmax", np.fmax, "The larger of the two; beside a NaN, the other one.")
fmin = _beside_nan("fmin", np.fmin, "The smaller of the two; beside a NaN, the other one.")


@of_tensor
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight (end - input), broadcast; weight is a number or a tensor."""
    return plus(input, mul(weight, end - input))


@of_tensor
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 tensor2, broadcast."""
    product = mul(tensor1, tensor2)
    return plus(input, product if value == 1 else mul(product, value))


@of_tensor
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 / tensor2, broadcast."""
    quotient = true_divide(tensor1, tensor2)
    return plus(input, quotient if value == 1 else mul(quotient, value))


@op("(...) -> (...)", name="nan_to_num")
def _nan_to_num(ctx: Node, x: Array, nan: float, posinf: float, neginf: float) -> Array:
    ctx.save(x)
    return as_result(np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf))


@_nan_to_num.backward
def _(ctx: Node, grad: Array) -> Any:
    return np.where(np.isfinite(ctx.saved[0]), grad, grad.dtype.type(0))


@of_tensor
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers in place of NaN and infinities (by default 0 and the largest and smallest finite)."""
    if input.dtype.kind != "f":
        return input.clone()
    info = np.finfo(input.dtype)
    high = float(info.max) if posinf is None else posinf
    low = float(info.min) if neginf is None else neginf
    return _nan_to_num(input, nan=nan, posinf=high, neginf=low)

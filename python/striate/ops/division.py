# SPDX-License-Identifier: Apache-2.0
"""Division in its forms: true, rounded, and what remains of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import result_type
from striate.ops.arithmetic import as_operand, true_divide, unbroadcast
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor

__all__ = [
    "div",
    "divide",
    "floor_divide",
    "fmod",
    "remainder",
]
METHODS = __all__


def _rounded(name: str, quotient: Callable[..., Any]) -> Op:
    """A quotient rounded to whole numbers, whose slope is 0."""

    @op("(...), (...) -> (...)", name=name)
    def record(ctx: Node, a: Array, b: Array) -> Array:
        ctx.save(a.shape, b.shape)
        return as_result(quotient(a, b))

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        return tuple(np.zeros_like(grad, shape=shape) for shape in ctx.saved)

    return record


def _remains(name: str, remainder: Callable[..., Any], rounded: Callable[..., Any]) -> Op:
    """a - b rounded(a / b)."""

    @op("(...), (...) -> (...)", name=name)
    def record(ctx: Node, a: Array, b: Array) -> Array:
        ctx.save(a, b)
        return as_result(remainder(a, b))

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        a, b = ctx.saved
        with np.errstate(all="ignore"):
            slope = -rounded(a / b)
        return (
            unbroadcast(grad, a.shape) if ctx.needs[0] else None,
            unbroadcast(as_result(grad * slope), b.shape) if ctx.needs[1] else None,
        )

    return record


def _truncated(a: Array, b: Array) -> Array:
    """The quotient of integers rounded towards 0."""
    if a.dtype.kind == "f":
        return np.trunc(a / b)
    quotient = np.floor_divide(a, b)
    inexact = (np.remainder(a, b) != 0) & ((a < 0) != (b < 0))
    return as_result(quotient + inexact).astype(quotient.dtype)


_floor_divide = _rounded("floor_divide", np.floor_divide)
_trunc_divide = _rounded("div", _truncated)
_remainder = _remains("remainder", np.remainder, np.floor)
_fmod = _remains("fmod", np.fmod, np.trunc)


def _divided(record: Op, input: Any, other: Any) -> Tensor:
    name = record.name
    for x in (input, other):
        if not isinstance(x, (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)):
            raise TypeError(f"{name}: expected tensors or numbers, got {type(x).__name__}")
    dtype = result_type(input, other)
    if dtype.kind == "b":
        raise TypeError(f"{name}: expected numbers, got bools")
    a, b = as_operand(input, dtype, name), as_operand(other, dtype, name)
    if dtype.kind != "f" and not np.all(b._array):
        raise ZeroDivisionError(f"{name}: other: expected no 0 among integers")
    try:
        with np.errstate(all="ignore"):
            return record(a, b)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def floor_divide(input: Any, other: Any) -> Tensor:
    """input / other rounded down, broadcast; slope 0. ZeroDivisionError for integers over 0."""
    return _divided(_floor_divide, input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """input - other floor(input / other), broadcast: has the sign of `other`."""
    return _divided(_remainder, input, other)


def fmod(input: Any, other: Any) -> Tensor:
    """input - other trunc(input / other), broadcast: has the sign of `input`."""
    return _divided(_fmod, input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, broadcast; integers give floats.

    `rounding_mode` "floor" rounds the quotient down and "trunc" towards 0, with slope 0; integers
    stay integers then.
    """
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(
            f'div: rounding_mode: expected None, "floor" or "trunc", got {rounding_mode!r}'
        )
    return _divided(_floor_divide if rounding_mode == "floor" else _trunc_divide, input, other)


divide = div

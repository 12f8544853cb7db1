# SPDX-License-Identifier: Apache-2.0
"""Activation functions, element by element. Integers become the default float dtype."""

from __future__ import annotations

from typing import Any

from striate import _C
from striate.autograd import Node
from striate.dtypes import get_default_dtype
from striate.ops.arithmetic import cast
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor


def _record(name: str, saves: str) -> Op:
    """The record of an activation whose gradient needs its result "y" or its operand "x"."""
    forward, backward = getattr(_C, name), getattr(_C, f"{name}_backward")

    @op("(...) -> (...)", name=name)
    def record(ctx: Node, x: Array, parameter: float = 0.0) -> Array:
        y = forward(x, parameter)
        ctx.save(y if saves == "y" else x, parameter)
        return y

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        saved, parameter = ctx.saved
        return backward(saved, grad, parameter)

    return record


def _activation(name: str, saves: str, doc: str) -> Any:
    """The public function of an activation without parameters."""
    record = _record(name, saves)

    def call(input: Tensor) -> Tensor:
        return record(as_float(input, name))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def as_float(input: Tensor, name: str) -> Tensor:
    """`input`, or where it holds integers, the same in the default float dtype."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
    return input if input.dtype.kind == "f" else cast(input, get_default_dtype())


relu = _activation("relu", "y", "max(x, 0) (Nair and Hinton 2010). Slope 0 at 0; NaN stays NaN.")

# SPDX-License-Identifier: Apache-2.0
"""Mathematical functions of one operand that are no hot loop: NumPy's, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.autograd import Node
from striate.dtypes import get_default_dtype
from striate.ops.arithmetic import cast
from striate.ops.record import Op
from striate.tensor import Array, Tensor

__all__ = [
    "abs",
    "ceil",
    "cos",
    "floor",
    "round",
    "sign",
    "sin",
    "sqrt",
    "square",
]
METHODS = [
    "abs",
    "ceil",
    "cos",
    "floor",
    "round",
    "sign",
    "sin",
    "sqrt",
    "square",
]


def _function(
    name: str, forward: Callable[[Array], Any], slope: Callable[[Array, Array], Any], doc: str
) -> Any:
    """A function y = f(x) with dy/dx = slope(x, y). Integers become the default float dtype."""

    def run(ctx: Node, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = np.asarray(forward(x))
        ctx.save(x, y)
        return y

    def gradient(ctx: Node, grad: Array) -> Array:
        x, y = ctx.saved
        with np.errstate(all="ignore"):
            return np.asarray(grad * slope(x, y))

    record = Op(name, "(...) -> (...)", run)
    record.gradient = gradient

    def call(input: Tensor) -> Tensor:
        if input.dtype.kind != "f":
            input = cast(input, get_default_dtype())
        return record(input)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


sqrt = _function("sqrt", np.sqrt, lambda x, y: 0.5 / y, "Square root; NaN below 0.")
square = _function("square", np.square, lambda x, y: 2 * x, "x squared.")
abs = _function("abs", np.abs, lambda x, y: np.sign(x), "Absolute value; slope 0 at 0.")
sin = _function("sin", np.sin, lambda x, y: np.cos(x), "Sine of radians.")
cos = _function("cos", np.cos, lambda x, y: -np.sin(x), "Cosine of radians.")
sign = _function("sign", np.sign, lambda x, y: 0 * x, "-1, 0 or 1; slope 0.")
floor = _function("floor", np.floor, lambda x, y: 0 * x, "Largest integer below; slope 0.")
ceil = _function("ceil", np.ceil, lambda x, y: 0 * x, "Smallest integer above; slope 0.")
round = _function("round", np.round, lambda x, y: 0 * x, "Nearest integer, ties to even; slope 0.")

# SPDX-License-Identifier: Apache-2.0
"""Trigonometric and hyperbolic functions, their inverses, and angles of two operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import get_default_dtype, result_type
from striate.ops.arithmetic import as_operand, unbroadcast
from striate.ops.pointwise import function
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "hypot",
    "rad2deg",
    "sin",
    "sinh",
    "tan",
]
METHODS = __all__

sin = function("sin", np.sin, lambda x, y: np.cos(x), "Sine of radians.")
cos = function("cos", np.cos, lambda x, y: -np.sin(x), "Cosine of radians.")
tan = function("tan", np.tan, lambda x, y: 1 + y * y, "Tangent of radians.")
asin = arcsin = function(
    "asin", np.arcsin, lambda x, y: 1 / np.sqrt(1 - x * x), "Inverse sine; NaN beyond 1."
)
acos = arccos = function(
    "acos", np.arccos, lambda x, y: -1 / np.sqrt(1 - x * x), "Inverse cosine; NaN beyond 1."
)
atan = arctan = function("atan", np.arctan, lambda x, y: 1 / (1 + x * x), "Inverse tangent.")
sinh = function("sinh", np.sinh, lambda x, y: np.cosh(x), "Hyperbolic sine.")
cosh = function("cosh", np.cosh, lambda x, y: np.sinh(x), "Hyperbolic cosine.")
asinh = function(
    "asinh", np.arcsinh, lambda x, y: 1 / np.sqrt(x * x + 1), "Inverse hyperbolic sine."
)
acosh = function(
    "acosh",
    np.arccosh,
    lambda x, y: 1 / np.sqrt((x - 1) * (x + 1)),
    "Inverse hyperbolic cosine; NaN below 1.",
)
atanh = function(
    "atanh", np.arctanh, lambda x, y: 1 / (1 - x * x), "Inverse hyperbolic tangent; NaN beyond 1."
)
deg2rad = function(
    "deg2rad", np.deg2rad, lambda x, y: x.dtype.type(math.pi / 180), "Degrees as radians."
)
rad2deg = function(
    "rad2deg", np.rad2deg, lambda x, y: x.dtype.type(180 / math.pi), "Radians as degrees."
)


def function_of_two(
    name: str, numpy: Callable[..., Any], slopes: Callable[..., Any], integers: bool, doc: str
) -> Any:
    """y = f(a, b), broadcast, with (dy/da, dy/db) = slopes(a, b, y)."""

    @op("(...), (...) -> (...)", name=name)
    def record(ctx: Node, a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            y = as_result(numpy(a, b))
        ctx.save(a, b, y)
        return y

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        a, b, y = ctx.saved
        with np.errstate(all="ignore"):
            da, db = slopes(a, b, y)
        return (
            unbroadcast(as_result(grad * da), a.shape) if ctx.needs[0] else None,
            unbroadcast(as_result(grad * db), b.shape) if ctx.needs[1] else None,
        )

    def call(input: Tensor, other: Tensor) -> Tensor:
        dtype = result_type(input, other)
        if dtype.kind != "f":
            if not integers:
                raise TypeError(f"{name}: expected floating-point tensors, got {dtype}")
            dtype = get_default_dtype()
        try:
            return record(as_operand(input, dtype, name), as_operand(other, dtype, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def _angle_slopes(a: Array, b: Array, y: Array) -> tuple[Array, Array]:
    square = a * a + b * b
    flat = square == 0
    square = np.where(flat, 1, square)
    return np.where(flat, 0, b / square), np.where(flat, 0, -a / square)


atan2 = arctan2 = function_of_two(
    "atan2",
    np.arctan2,
    _angle_slopes,
    True,
    "The angle of the point (other, input), in radians from -pi to pi; slope 0 at the origin.",
)
hypot = function_of_two(
    "hypot",
    np.hypot,
    lambda a, b, y: (a / y, b / y),
    False,
    "sqrt(input^2 + other^2), without overflow in between.",
)

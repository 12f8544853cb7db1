# SPDX-License-Identifier: Apache-2.0
"""Mathematical functions of one operand that are no hot loop: NumPy's, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import get_default_dtype, is_floating
from striate.explain import explained
from striate.ops.arithmetic import cast
from striate.ops.record import Op
from striate.tensor import Array, Tensor

__all__ = [
    "abs",
    "absolute",
    "ceil",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "frac",
    "reciprocal",
    "round",
    "rsqrt",
    "sgn",
    "sign",
    "sqrt",
    "square",
    "trunc",
]
METHODS = __all__


def function(
    name: str,
    forward: Callable[[Array], Any],
    slope: Callable[[Array, Array], Any],
    doc: str,
    integers: Callable[[Array], Any] | None = None,
) -> Any:
    """A function y = f(x) with dy/dx = slope(x, y).

    Integers become the default float dtype, or where `integers` is given are its operand.
    """

    def run(ctx: Node, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = as_result(forward(x))
        ctx.save(x, y)
        return y

    def gradient(ctx: Node, grad: Array) -> Array:
        x, y = ctx.saved
        with np.errstate(all="ignore"):
            return as_result(grad * slope(x, y))

    record = Op(name, "(...) -> (...)", run)
    record.gradient = gradient

    def call(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
        if input.dtype.kind != "f":
            if integers is not None and not is_floating(input.dtype):
                return Tensor._wrap(as_result(integers(input._array)))
            input = cast(input, get_default_dtype())
        return record(input)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def _same(x: Array) -> Array:
    return x.copy(order="K")


def _sign(x: Array) -> Array:
    if x.dtype.kind in "bu":
        return (x > 0).astype(x.dtype)
    return np.subtract(x > 0, x < 0, dtype=x.dtype)


def _squared(x: Array) -> Array:
    return np.square(x, dtype=np.int64 if x.dtype.kind == "b" else x.dtype)


def _flat(x: Array, y: Array) -> Any:
    return x.dtype.type(0)


def _two_to_the(x: Array, y: Array) -> Array:
    return np.log(x.dtype.type(2)) * y


expm1 = function("expm1", np.expm1, lambda x, y: y + 1, "e^x - 1.")
exp2 = function("exp2", np.exp2, _two_to_the, "2 to the power of each element.")
sqrt = function("sqrt", np.sqrt, lambda x, y: 0.5 / y, "Square root; NaN below 0.")
rsqrt = function("rsqrt", lambda x: 1 / np.sqrt(x), lambda x, y: -0.5 * y * y * y, "1 / sqrt(x).")
reciprocal = function("reciprocal", lambda x: 1 / x, lambda x, y: -y * y, "1 / x.")
square = function("square", np.square, lambda x, y: 2 * x, "x squared.", _squared)
abs = absolute = function(
    "abs", np.abs, lambda x, y: np.sign(x), "Absolute value; slope 0 at 0.", np.abs
)
sign = sgn = function("sign", _sign, _flat, "-1, 0 or 1, 0 for NaN; slope 0.", _sign)
floor = function("floor", np.floor, _flat, "The largest integer not above x; slope 0.", _same)
ceil = function("ceil", np.ceil, _flat, "The smallest integer not below x; slope 0.", _same)
trunc = fix = function("trunc", np.trunc, _flat, "x without its fraction; slope 0.", _same)
frac = function("frac", lambda x: x - np.trunc(x), lambda x, y: x.dtype.type(1), "x - trunc(x).")
_round = function("round", np.round, _flat, "The nearest integer, ties to even; slope 0.", _same)


@explained
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, ties to even, or with `decimals` the nearest number of so many digits.

    The slope is 0.
    """
    if isinstance(decimals, bool) or not isinstance(decimals, (int, np.integer)):
        raise TypeError(f"round: decimals: expected an integer, got {decimals!r}")
    if decimals == 0:
        return _round(input)
    scale = 10.0**decimals
    return _round(input * scale) / scale

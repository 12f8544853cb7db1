# SPDX-License-Identifier: Apache-2.0
"""The error function, and functions of logarithms that keep to their limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.autograd import Node
from striate.dtypes import get_default_dtype
from striate.explain import explained
from striate.ops.activation import activation_of, as_float
from striate.ops.clamp import clamp
from striate.ops.logarithm import log
from striate.ops.operand import check_tensor, of_tensor
from striate.ops.record import op
from striate.ops.trigonometry import function_of_two
from striate.tensor import Array, Tensor

__all__ = [
    "copysign",
    "erf",
    "erfc",
    "erfinv",
    "logaddexp",
    "logit",
    "xlogy",
]
METHODS = __all__

erf = activation_of(
    "erf", "x", "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x; slope 2 / sqrt(pi) e^-x^2."
)
erfc = activation_of("erfc", "x", "1 - erf(x), with all digits where it is near 0.")


def _erfinv_of(y: Array) -> Array:
    """erf^-1 in float64: Winitzki's approximation (2008, within 0.2 %), then three steps of Halley.

    A step triples the digits. Past 1/2 it solves erfc(x) = 1 - |y|, whose difference is exact.
    """
    size = np.abs(y, dtype=np.float64)
    with np.errstate(all="ignore"):
        logs = np.log1p(-size * size)
        middle = 2 / (np.pi * 0.147) + logs / 2
        x = np.sqrt(np.sqrt(middle * middle - logs / 0.147) - middle)
        for _ in range(3):
            missing = np.where(size < 0.5, _C.erf(x) - size, (1 - size) - _C.erfc(x))
            step = missing * (math.sqrt(math.pi) / 2) * np.exp(x * x)
            x = x - step / (1 + x * step)
    x = np.where(size == 1, np.inf, np.where(size == 0, 0.0, x))  # NaN past 1
    return as_result(np.copysign(x, y)).astype(y.dtype)


@op("(...) -> (...)", name="erfinv")
def _erfinv(ctx: Node, y: Array) -> Array:
    x = _erfinv_of(y)
    ctx.save(x)
    return x


@_erfinv.backward
def _(ctx: Node, grad: Array) -> Any:
    (x,) = ctx.saved
    with np.errstate(all="ignore"):
        return as_result(grad * (np.exp(x * x) * x.dtype.type(math.sqrt(math.pi) / 2)))


@of_tensor
def erfinv(input: Tensor) -> Tensor:
    """The number whose `erf` is input: infinite at -1 and 1, NaN outside.

    Slope sqrt(pi) / 2 e^(result^2). Integers give floats.
    """
    return _erfinv(as_float(input, "erfinv"))


def _shares(a: Array, b: Array, y: Array) -> tuple[Array, Array]:
    """Each operand's share of e^a + e^b; half each where both are infinite."""
    even, half = a == b, a.dtype.type(0.5)
    return np.where(even, half, np.exp(a - y)), np.where(even, half, np.exp(b - y))


logaddexp = function_of_two(
    "logaddexp", np.logaddexp, _shares, False, "log(e^input + e^other), broadcast, no overflow."
)
xlogy = function_of_two(
    "xlogy",
    lambda a, b: np.where((a == 0) & ~np.isnan(b), a.dtype.type(0), a * np.log(b)),
    lambda a, b, y: (np.where((a == 0) & (b <= 0), a.dtype.type(0), np.log(b)), a / b),
    True,
    "input log(other), broadcast; 0 where input is 0, unless other is NaN.",
)
copysign = function_of_two(
    "copysign",
    np.copysign,
    lambda a, b, y: (np.where(a == 0, a, np.copysign(a, b) / a), a.dtype.type(0)),
    True,
    "The size of input with the sign of other, broadcast; slope 0 at 0.",
)


@explained
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)); x is first brought to [eps, 1 - eps] if eps is given, else NaN outside."""
    check_tensor("logit", "input", input)
    x = input if input.dtype.kind == "f" else input.to(get_default_dtype())
    if eps is not None:
        x = clamp(x, eps, 1 - eps)
    return log(x / (1 - x))

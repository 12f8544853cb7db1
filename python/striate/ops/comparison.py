# SPDX-License-Identifier: Apache-2.0
"""Comparisons, logic and bits: operations without gradients, of bools and integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from striate.arrays import as_result
from striate.device import beside_gpu
from striate.dtypes import result_type
from striate.explain import explained
from striate.ops.operand import check_tensor
from striate.tensor import Array, Tensor, as_array

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
    "signbit",
]
METHODS = __all__


def _compared(numpy: Callable[..., Any], symbol: str, doc: str, integers: bool = False) -> Any:
    """A function without gradient, in the dtype that arithmetic on its operands would have."""

    def call(input: Any, other: Any) -> Any:
        arrays = []
        for argument, x in (("input", input), ("other", other)):
            if not isinstance(x, (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)):
                raise TypeError(
                    f"{symbol}: {argument}: expected a tensor or numbers, got {type(x).__name__}"
                )
            if isinstance(x, (list, tuple)):
                x = as_array(x, argument=f"{symbol}: {argument}")
            arrays.append(x._array if isinstance(x, Tensor) else x)
        a, b = beside_gpu(symbol, *arrays)
        if hasattr(a, "strides") and hasattr(b, "strides") and a.dtype != b.dtype:
            dtype = result_type(a, b)
            a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        try:
            if integers:  # a number does not widen what it meets
                dtype = result_type(input, other)
                a, b = (x.astype(dtype) if hasattr(x, "astype") else dtype.type(x) for x in (a, b))
            return Tensor._wrap(as_result(numpy(a, b)))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{symbol}: {error}") from None
        except OverflowError:
            raise ValueError(f"{symbol}: expected integers of 64 bits, got a larger one") from None

    call.__name__ = call.__qualname__ = symbol.split()[0]
    call.__doc__ = doc
    return call


def _comparison(numpy: Callable[..., Any], symbol: str) -> Any:
    doc = f"input {symbol} other, element by element: a bool tensor."
    return _compared(numpy, f"comparison {symbol}", doc)


def _bitwise(numpy: Callable[..., Any], symbol: str) -> Any:
    doc = f"input {symbol} other, bit by bit, of integers or bools."
    return _compared(numpy, f"bitwise {symbol}", doc)


def _shifted(numpy: Callable[..., Any]) -> Callable[..., Any]:
    """Shifts by less than nothing, or by all the bits and more, leave what PyTorch leaves."""
    left = numpy is np.left_shift

    def shift(a: Any, b: Any) -> Any:
        if np.result_type(a, b).kind not in "iu":
            raise TypeError(f"expected integers, got {np.result_type(a, b)}")
        bits = np.result_type(a, b).itemsize * 8
        outside = (b < 0) | (b >= bits)
        inside = numpy(a, np.where(outside, 0, b).astype(np.result_type(a, b)))
        beyond = np.zeros_like(a) if left else np.where(a < 0, -1, 0).astype(inside.dtype)
        return np.where(outside, beyond, inside)

    return shift


eq = _comparison(np.equal, "==")
ne = _comparison(np.not_equal, "!=")
lt = _comparison(np.less, "<")
le = _comparison(np.less_equal, "<=")
gt = _comparison(np.greater, ">")
ge = _comparison(np.greater_equal, ">=")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
logical_and = _comparison(np.logical_and, "and")
logical_or = _comparison(np.logical_or, "or")
logical_xor = _comparison(np.logical_xor, "xor")
bitwise_and = _bitwise(np.bitwise_and, "&")
bitwise_or = _bitwise(np.bitwise_or, "|")
bitwise_xor = _bitwise(np.bitwise_xor, "^")
bitwise_left_shift = _compared(
    _shifted(np.left_shift), "bitwise <<", "input 2^other for integers; 0 beyond the bits.", True
)
bitwise_right_shift = _compared(
    _shifted(np.right_shift), "bitwise >>", "input / 2^other for integers, rounded down.", True
)


def bitwise_not(input: Tensor) -> Tensor:
    """The bits of integers inverted; for bools, whether each is false."""
    check_tensor("bitwise ~", "input", input)
    if input.dtype.kind == "f":
        raise TypeError(f"bitwise ~: input: expected integers or bools, got {input.dtype}")
    return Tensor._wrap(as_result(np.invert(input._array)))


def _test(name: str, numpy: Callable[[Array], Any], doc: str) -> Any:
    def call(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
        return Tensor._wrap(as_result(numpy(input._array)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


logical_not = _test("logical_not", np.logical_not, "Whether each element is zero.")
isnan = _test("isnan", np.isnan, "Whether each element is NaN.")
isinf = _test("isinf", np.isinf, "Whether each element is infinite.")
isfinite = _test("isfinite", np.isfinite, "Whether each element is neither infinite nor NaN.")
isposinf = _test("isposinf", lambda x: x == math.inf, "Whether each element is +inf.")
isneginf = _test("isneginf", lambda x: x == -math.inf, "Whether each element is -inf.")
signbit = _test(
    "signbit",
    lambda x: np.signbit(x) if x.dtype.kind == "f" else x < x.dtype.type(0),
    "Whether the sign of each element is set, also that of -0.",
)


def _both(name: str, input: Any, other: Any) -> tuple[Array, Array]:
    for argument, x in (("input", input), ("other", other)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(x).__name__}")
    return input._array, other._array


@explained
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|input - other| <= atol + rtol |other|, element by element; infinities by equality."""
    a, b = _both("isclose", input, other)
    if a.dtype != b.dtype:
        raise TypeError(f"isclose: other: expected {a.dtype} like input, got {b.dtype}")
    if not rtol >= 0 or not atol >= 0:
        raise ValueError(f"isclose: expected rtol and atol of 0 or more, got {rtol} and {atol}")
    try:
        return Tensor._wrap(as_result(np.isclose(a, b, rtol, atol, equal_nan)))
    except ValueError as error:
        raise ValueError(f"isclose: {error}") from None


@explained
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(np.all(isclose(input, other, rtol, atol, equal_nan)._array))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements."""
    return bool(np.array_equal(*_both("equal", input, other)))

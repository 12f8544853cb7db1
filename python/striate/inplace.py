# SPDX-License-Identifier: Apache-2.0
"""Methods of Tensor that write into it: `name_` is the operation `name`, kept in the tensor.

Where the tape does not watch, the result goes into the storage, and views see it. On a result that
the tape watches, the tensor becomes the new result and what was recorded stays as it was. On leaves
and views that require gradients they raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate import _C, autograd, ops
from striate.dtypes import CATEGORY
from striate.tensor import Tensor


def _of(name: str) -> Callable[..., Tensor]:
    """The in-place method of an operation."""
    method_name = f"{name}_"
    function = ops.METHODS[name] if name in ops.METHODS else getattr(ops, name)

    def method(self: Tensor, *operands: Any, **parameters: Any) -> Tensor:
        return self._in_place(method_name, function, *operands, **parameters)

    method.__name__ = method.__qualname__ = method_name
    method.__doc__ = f"`{name}`, kept in this tensor."
    return method


def _arithmetic(
    name: str, symbol: str, function: Callable[..., Tensor], kernel: Callable[..., Any]
) -> Any:
    """(name_, the operator): by one kernel call into the storage where it has the dtypes."""

    def into(self: Tensor, where: str, other: Any) -> Tensor:
        if self._watched(other):
            return self._in_place(where, function, other)
        operand = other._array if isinstance(other, Tensor) else other
        mine = self._array
        if mine.dtype.kind == "f" and _fits(mine, operand):
            kernel(mine, operand, out=mine)
            self._touch()
            return self
        return self._in_place(where, function, other)

    def method(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
        return into(self, f"{name}_", other if alpha == 1 else ops.mul(other, alpha))

    def plain(self: Tensor, other: Any) -> Tensor:
        return into(self, f"{name}_", other)

    def rounded(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        if rounding_mode is None:
            return into(self, f"{name}_", other)
        return self._in_place(f"{name}_", function, other, rounding_mode=rounding_mode)

    def operator(self: Tensor, other: Any) -> Tensor:
        return into(self, f"{symbol}=", other)

    with_arguments: dict[str, Any] = {"add": method, "sub": method, "div": rounded}
    chosen = with_arguments.get(name, plain)
    chosen.__name__ = chosen.__qualname__ = f"{name}_"
    chosen.__doc__ = f"self {symbol} other, kept in this tensor."
    return chosen, operator


def _fits(mine: Any, operand: Any) -> bool:
    """Whether a kernel may read `operand` while it writes `mine`."""
    if not isinstance(mine, np.ndarray):
        return _fits_on_gpu(mine, operand)
    if type(operand) is float or type(operand) is int:
        return mine.flags.writeable
    return (
        type(operand) is np.ndarray
        and operand.dtype == mine.dtype
        and operand.shape == mine.shape
        and mine.flags.writeable
        and (operand is mine or not np.may_share_memory(operand, mine))
    )


def _fits_on_gpu(mine: Any, operand: Any) -> bool:
    if type(operand) is float or type(operand) is int:
        return True
    if type(operand) is not type(mine):
        return False
    apart = operand is mine or (operand.base is None and mine.base is None)
    return operand.dtype == mine.dtype and operand.shape == mine.shape and apart


def _copied(self: Tensor, other: Tensor) -> Tensor:
    result = ops.cast(other, self.dtype)
    return ops.clone(result if result.shape == self.shape else ops.expand(result, self.shape))


def copy_(self: Tensor, other: Any) -> Tensor:
    """The elements of `other`, broadcast and cast, in this tensor."""
    if self._watched(other):
        source = other if isinstance(other, Tensor) else Tensor(other)
        return self._in_place("copy_", _copied, source)
    return self._write("copy_", other)


def fill_(self: Tensor, value: Any) -> Tensor:
    """One number everywhere."""
    if getattr(value, "ndim", 0) != 0:
        raise ValueError(f"fill_: value: expected one number, got shape {value.shape}")
    if self._watched(value):
        number = value if isinstance(value, Tensor) else Tensor(value)
        return self._in_place("fill_", _copied, number)
    return self._write("fill_", value)


def zero_(self: Tensor) -> Tensor:
    """Zeros everywhere."""
    return fill_(self, 0) if self._watched() else self._write("zero_", 0)


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """One number on the diagonal of a matrix; with `wrap` again below it in a tall one."""
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) != 1):
        raise ValueError(f"fill_diagonal_: expected a matrix, got shape {self.shape}")
    mask = np.zeros(self.shape, bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    return self._in_place("fill_diagonal_", ops.masked_fill, Tensor._wrap(mask), fill_value)


def set_(self: Tensor, name: str, draw: Callable[[Any], Any]) -> Tensor:
    """What `draw(shape)` gives, in this tensor's dtype: the random fillers."""
    self._check_in_place(name)
    with autograd.no_grad():
        return self._write(name, np.asarray(draw(self.shape)))


def _random(name: str, doc: str, floating: bool = True) -> Any:
    """A method that fills a tensor from the function `name` of striate.sampling."""

    def method(self: Tensor, *parameters: Any, generator: Any = None, **named: Any) -> Tensor:
        from striate import sampling

        if floating and CATEGORY[self.dtype.kind] < 2:
            raise TypeError(f"{name}: expected a floating-point tensor, got {self.dtype}")
        draw = sampling.DRAWS[name]
        return set_(self, name, lambda shape: draw(self, generator, *parameters, **named))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = doc
    return method


METHODS: dict[str, Any] = {
    "copy_": copy_,
    "fill_": fill_,
    "zero_": zero_,
    "fill_diagonal_": fill_diagonal_,
    "uniform_": _random("uniform_", "Uniform numbers in [from_, to), by default [0, 1)."),
    "normal_": _random("normal_", "Normal numbers of a mean and a standard deviation."),
    "log_normal_": _random("log_normal_", "e to the power of normal numbers."),
    "exponential_": _random("exponential_", "Exponential numbers of rate lambd."),
    "bernoulli_": _random("bernoulli_", "1 with probability p, else 0.", floating=False),
    "geometric_": _random("geometric_", "Trials up to a success of probability p.", floating=False),
    "random_": _random("random_", "Integers from from_ to to - 1.", floating=False),
}
for _name, _symbol, _function, _kernel in (
    ("add", "+", ops.add, _C.add),
    ("sub", "-", ops.sub, _C.sub),
    ("mul", "*", ops.mul, _C.mul),
    ("div", "/", ops.div, _C.div),
):
    _method, _operator = _arithmetic(_name, _symbol, _function, _kernel)
    METHODS[f"{_name}_"] = _method
    METHODS[f"__i{'truediv' if _name == 'div' else _name}__"] = _operator
for _name in [
    "abs",
    "acos",
    "acosh",
    "addbmm",
    "addcdiv",
    "addcmul",
    "addmm",
    "addmv",
    "addr",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "baddbmm",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "divide",
    "eq",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "ge",
    "gt",
    "hypot",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "le",
    "lerp",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "masked_scatter",
    "multiply",
    "nan_to_num",
    "ne",
    "neg",
    "negative",
    "pow",
    "put",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "tril",
    "triu",
    "trunc",
]:
    METHODS[f"{_name}_"] = _of(_name)
for _operator_name, _name in {
    "__ifloordiv__": "floor_divide",
    "__imod__": "remainder",
    "__ipow__": "pow",
    "__iand__": "bitwise_and",
    "__ior__": "bitwise_or",
    "__ixor__": "bitwise_xor",
    "__ilshift__": "bitwise_left_shift",
    "__irshift__": "bitwise_right_shift",
}.items():
    METHODS[_operator_name] = _of(_name)

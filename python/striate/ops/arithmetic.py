# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and comparisons on two operands, with broadcasting.

float32 and float64 go through our kernels; integers, bools and mixtures of them through NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.dtypes import get_default_dtype, result_type
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor, as_array

__all__ = [
    "add",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "div",
    "eq",
    "ge",
    "gt",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "sub",
]
METHODS = [
    "add",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "div",
    "eq",
    "ge",
    "gt",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "sub",
]


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """`grad` summed over the axes along which an operand of `shape` was repeated."""
    if grad.shape == shape:
        return grad
    lead = grad.ndim - len(shape)
    axes = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1))
    axes = tuple(i for i in axes if i < lead or grad.shape[i] != 1)
    return _C.sum(grad, axes).reshape(shape)


@op("(...), (...) -> (...)")
def _add(ctx: Node, a: Array, b: Array) -> Array:
    if a.shape != b.shape:
        ctx.save(a.shape, b.shape)
    return _C.add(a, b)


@_add.backward
def _(ctx: Node, grad: Array) -> Any:
    if not ctx.saved:
        return grad, grad
    a, b = ctx.saved
    return (
        unbroadcast(grad, a) if ctx.needs[0] else None,
        unbroadcast(grad, b) if ctx.needs[1] else None,
    )


@op("(...), (...) -> (...)")
def _sub(ctx: Node, a: Array, b: Array) -> Array:
    ctx.save(a.shape, b.shape)
    return _C.sub(a, b)


@_sub.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    return (
        unbroadcast(grad, a) if ctx.needs[0] else None,
        _C.mul(unbroadcast(grad, b), -1.0) if ctx.needs[1] else None,
    )


@op("(...), (...) -> (...)")
def _mul(ctx: Node, a: Array, b: Array) -> Array:
    ctx.save(a, b)
    return _C.mul(a, b)


@_mul.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    return (
        unbroadcast(_C.mul(grad, b), a.shape) if ctx.needs[0] else None,
        unbroadcast(_C.mul(grad, a), b.shape) if ctx.needs[1] else None,
    )


@op("(...), (...) -> (...)")
def _div(ctx: Node, a: Array, b: Array) -> Array:
    ctx.save(a, b)
    return _C.div(a, b)


@_div.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    by_b = _C.div(grad, b)
    da = unbroadcast(by_b, a.shape) if ctx.needs[0] else None
    if not ctx.needs[1]:
        return da, None
    return da, unbroadcast(_C.mul(_C.mul(by_b, -1.0), _C.div(a, b)), b.shape)


@op("(...), (...) -> (...)")
def _maximum(ctx: Node, a: Array, b: Array) -> Array:
    """The larger of a and b; where they are equal each gets half of the gradient."""
    ctx.save(a, b)
    return _C.maximum(a, b)


@op("(...), (...) -> (...)")
def _minimum(ctx: Node, a: Array, b: Array) -> Array:
    ctx.save(a, b)
    return _C.minimum(a, b)


def _share(ctx: Node, grad: Array, a_wins: Array) -> Any:
    a, b = ctx.saved
    half = (a == b) * grad.dtype.type(0.5)
    da, db = np.asarray(grad * (a_wins + half)), np.asarray(grad * (1 - a_wins - half))
    return (
        unbroadcast(da, a.shape) if ctx.needs[0] else None,
        unbroadcast(db, b.shape) if ctx.needs[1] else None,
    )


@_maximum.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    return _share(ctx, grad, (a > b).astype(grad.dtype))


@_minimum.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = ctx.saved
    return _share(ctx, grad, (a < b).astype(grad.dtype))


@op("(...), (...) -> (...)")
def _pow(ctx: Node, a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        result = np.asarray(np.power(a, b))
    ctx.save(a, b, result)
    return result


@_pow.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b, result = ctx.saved
    da = db = None
    with np.errstate(all="ignore"):
        if ctx.needs[0]:
            slope = np.where(b == 0, 0, b * np.power(a, b - 1))
            da = unbroadcast(np.asarray(grad * slope), a.shape)
        if ctx.needs[1]:
            slope = np.where((a == 0) & (b >= 0), 0, result * np.log(a))
            db = unbroadcast(np.asarray(grad * slope), b.shape)
    return da, db


@op("(...) -> (...)", name="cast")
def _cast_op(ctx: Node, x: Array, dtype: Any = None) -> Array:
    """x in another dtype."""
    ctx.save(x.dtype)
    with np.errstate(all="ignore"):  # too large is inf
        return x.astype(dtype, copy=False)


@_cast_op.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad.astype(ctx.saved[0], copy=False)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; differentiable where both are floating."""
    if x.dtype == dtype:
        return x
    if dtype.kind != "f":
        with np.errstate(all="ignore"):  # NaN is any integer
            return Tensor._wrap(x._array.astype(dtype))
    return _cast_op(x, dtype=dtype)


def as_operand(x: Any, dtype: Any, name: str) -> Tensor:
    """x as a tensor of this dtype."""
    if isinstance(x, Tensor):
        return cast(x, dtype)
    if isinstance(x, (bool, int, float)):
        if dtype.kind in "iu":  # a number out of its range wraps round, as in PyTorch
            return Tensor._wrap(np.array(x).astype(dtype))
        return Tensor._wrap(np.array(x, dtype))
    if isinstance(x, (np.ndarray, np.generic, list, tuple)):
        return Tensor._wrap(as_array(x, argument=name).astype(dtype, copy=False))
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}")


def same_dtype(name: str, operands: dict[str, Tensor | None]) -> list[Tensor]:
    """The operands that are there; TypeError unless all are tensors of one floating dtype."""
    given: list[Tensor] = []
    for argument, value in operands.items():
        if value is None and argument == "bias":
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")
        given.append(value)
        if value._array.dtype is given[0]._array.dtype and value._array.dtype.kind == "f":
            continue
        if value.dtype.kind != "f":
            raise TypeError(
                f"{name}: {argument}: expected float32 or float64, got {value.dtype}; convert it "
                "with .float()"
            )
        if value.dtype != given[0].dtype:
            raise TypeError(
                f"{name}: {argument}: expected {given[0].dtype} like {next(iter(operands))}, got "
                f"{value.dtype}; convert one with .to(dtype)"
            )
    return given


_SHORTCUTS: list[Callable[[bool], None]] = []


def use_kernels_directly(direct: bool) -> None:
    """Whether operands without gradients go straight to the kernel, past the record.

    They do, unless somebody observes the records (autograd/observe.py).
    """
    for use in _SHORTCUTS:
        use(direct)


def _binary(
    record: Op,
    numpy: Callable[..., Any],
    doc: str,
    kernel: Callable[[Array, Array], Array] | None = None,
    floating: bool = False,
) -> Any:
    """The public function of a two-operand op: kernels where they serve, NumPy for the rest.

    `kernel`, where there is one, is the forward of the record without its saving.
    """
    new = Tensor.__new__

    def call(input: Any, other: Any) -> Tensor:
        try:  # what nearly every call is, at the price of a few attributes
            if input.requires_grad or other.requires_grad:
                return record.of_two(input, other)
            if kernel is not None:
                out = new(Tensor)
                out._array = kernel(input._array, other._array)
                return out
        except (AttributeError, TypeError):  # not two tensors of a kernel's dtype
            pass
        return mixed(input, other)

    def mixed(input: Any, other: Any) -> Tensor:
        name = record.name
        for x in (input, other):
            if not isinstance(x, (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)):
                raise TypeError(f"{name}: expected tensors or numbers, got {type(x).__name__}")
        dtype = result_type(input, other)
        if floating and dtype.kind != "f":
            dtype = get_default_dtype()
        a, b = as_operand(input, dtype, name), as_operand(other, dtype, name)
        if dtype.kind == "f":
            return record(a, b)
        try:
            return Tensor._wrap(np.asarray(numpy(a._array, b._array)))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name}: {error}") from None

    def use(direct: bool, chosen: Any = kernel) -> None:
        nonlocal kernel
        kernel = chosen if direct else None

    _SHORTCUTS.append(use)
    call.__name__ = call.__qualname__ = record.name
    call.__doc__ = doc
    return call


add = _binary(_add, np.add, "input + other, broadcast.", _C.add)
sub = _binary(_sub, np.subtract, "input - other, broadcast.", _C.sub)
mul = _binary(_mul, np.multiply, "input * other, broadcast.", _C.mul)
div = _binary(
    _div, np.divide, "input / other, broadcast; integers give floats.", _C.div, floating=True
)
maximum = _binary(_maximum, np.maximum, "The larger of the two, NaN where either is.")
minimum = _binary(_minimum, np.minimum, "The smaller of the two, NaN where either is.")
pow = _binary(_pow, np.power, "input ** other, broadcast.")


def neg(input: Tensor) -> Tensor:
    """-input."""
    return mul(input, -1)


def _compared(numpy: Callable[..., Any], symbol: str, doc: str) -> Any:
    """A function without gradient, in the dtype that arithmetic on its operands would have."""

    def call(input: Any, other: Any) -> Any:
        arrays = []
        for x in (input, other):
            if not isinstance(x, (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)):
                return NotImplemented
            arrays.append(x._array if isinstance(x, Tensor) else x)
        a, b = arrays
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype != b.dtype:
            dtype = result_type(a, b)
            a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        try:
            return Tensor._wrap(np.asarray(numpy(a, b)))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{symbol}: {error}") from None

    call.__doc__ = doc
    return call


def _comparison(numpy: Callable[..., Any], symbol: str) -> Any:
    doc = f"input {symbol} other, element by element: a bool tensor."
    return _compared(numpy, f"comparison {symbol}", doc)


def _bitwise(numpy: Callable[..., Any], symbol: str) -> Any:
    doc = f"input {symbol} other, bit by bit, of integers or bools."
    return _compared(numpy, f"bitwise {symbol}", doc)


eq = _comparison(np.equal, "==")
ne = _comparison(np.not_equal, "!=")
lt = _comparison(np.less, "<")
le = _comparison(np.less_equal, "<=")
gt = _comparison(np.greater, ">")
ge = _comparison(np.greater_equal, ">=")
logical_and = _comparison(np.logical_and, "and")
logical_or = _comparison(np.logical_or, "or")
bitwise_and = _bitwise(np.bitwise_and, "&")
bitwise_or = _bitwise(np.bitwise_or, "|")
bitwise_xor = _bitwise(np.bitwise_xor, "^")


def bitwise_not(input: Tensor) -> Tensor:
    """The bits of integers inverted; for bools, whether each is false."""
    if input.dtype.kind == "f":
        raise TypeError(f"bitwise ~: input: expected integers or bools, got {input.dtype}")
    return Tensor._wrap(np.asarray(np.invert(input._array)))


def logical_not(input: Tensor) -> Tensor:
    """Whether each element is zero."""
    return Tensor._wrap(np.asarray(np.logical_not(input._array)))

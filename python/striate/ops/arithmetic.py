# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on two operands, with broadcasting.

float32 and float64 go through our kernels; integers, bools and mixtures of them through NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.autograd import Node
from striate.device import beside_gpu
from striate.dtypes import get_default_dtype, is_floating, result_type
from striate.ops.record import Op, op
from striate.tensor import Array, Tensor, as_array

__all__ = [
    "add",
    "cast",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "neg",
    "negative",
    "positive",
    "pow",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
]
METHODS = [name for name in __all__ if name not in ("cast", "rsub")]


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


def _share(ctx: Node, grad: Array, a: Any, b: Any, a_wins: Any) -> Any:
    half = (a == b) * grad.dtype.type(0.5)
    da, db = as_result(grad * (a_wins + half)), as_result(grad * (1 - a_wins - half))
    return (
        unbroadcast(da, a.shape) if ctx.needs[0] else None,
        unbroadcast(db, b.shape) if ctx.needs[1] else None,
    )


@_maximum.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = beside_gpu("maximum", *ctx.saved)
    return _share(ctx, grad, a, b, (a > b).astype(grad.dtype))


@_minimum.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b = beside_gpu("minimum", *ctx.saved)
    return _share(ctx, grad, a, b, (a < b).astype(grad.dtype))


@op("(...), (...) -> (...)")
def _pow(ctx: Node, a: Array, b: Array) -> Array:
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(f"pow: expected one floating dtype, got {a.dtype} and {b.dtype}")
    try:
        with np.errstate(all="ignore"):
            result = as_result(np.power(a, b))
    except ValueError as error:
        raise ValueError(f"pow: {error}") from None
    ctx.save(a, b, result)
    return result


@_pow.backward
def _(ctx: Node, grad: Array) -> Any:
    a, b, result = ctx.saved
    da = db = None
    with np.errstate(all="ignore"):
        if ctx.needs[0]:
            slope = np.where(b == 0, 0, b * np.power(a, b - 1))
            da = unbroadcast(as_result(grad * slope), a.shape)
        if ctx.needs[1]:
            slope = np.where((a == 0) & (b >= 0), 0, result * np.log(a))
            db = unbroadcast(as_result(grad * slope), b.shape)
    return da, db


@op("(...) -> (...)", name="cast")
def _cast_op(ctx: Node, x: Array, dtype: Any = None) -> Array:
    """x in another dtype."""
    ctx.save(x.dtype)
    return converted(x, dtype)


@_cast_op.backward
def _(ctx: Node, grad: Array) -> Any:
    return converted(grad, ctx.saved[0])


def converted(x: Array, dtype: Any) -> Array:
    """The array itself, or one of another dtype; bfloat16 by our kernels, on a GPU from and to
    float32 alone."""
    on_gpu = not isinstance(x, np.ndarray)
    if dtype.kind == "V" and (x.dtype == np.float32 or (on_gpu and x.dtype.kind != "V")):
        return _C.narrow(x.astype(np.float32, copy=False))
    if x.dtype.kind == "V" and (dtype == np.float32 or (on_gpu and dtype.kind != "V")):
        x = _C.widen(x)
    with np.errstate(all="ignore"):  # too large is inf, NaN is any integer
        return x.astype(dtype, copy=False)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; differentiable where both are floating."""
    if x.dtype == dtype:
        return x
    if not is_floating(dtype):
        return Tensor._wrap(converted(x._array, dtype))
    return _cast_op(x, dtype=dtype)


@op("(...) -> (...)", name="rounded")
def _rounded(ctx: Node, x: Array) -> Array:
    return _C.widen(_C.narrow(x))


@_rounded.backward
def _(ctx: Node, grad: Array) -> Any:
    return grad


def rounded(x: Tensor) -> Tensor:
    """float32 values to the nearest bfloat16, as float32; the gradient passes as it is."""
    return _rounded(x)


def as_operand(x: Any, dtype: Any, name: str) -> Tensor:
    """x as a tensor of this dtype."""
    if isinstance(x, Tensor):
        return cast(x, dtype)
    if isinstance(x, (bool, int, float)):
        if isinstance(x, int) and not -(2**63) <= x < 2**64:
            raise ValueError(f"{name}: expected a number of 64 bits, got {x}")
        if dtype.kind in "iu":  # a number out of its range wraps round, as in PyTorch
            return Tensor._wrap(np.array(x).astype(dtype))
        return Tensor._wrap(np.array(x, dtype))
    if isinstance(x, (np.ndarray, np.generic, list, tuple)):
        return Tensor._wrap(as_array(x, argument=name).astype(dtype, copy=False))
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}")


def same_dtype(name: str, operands: dict[str, Tensor | None], low: bool = False) -> list[Tensor]:
    """The operands that are there; TypeError unless all are tensors of one floating dtype.

    bfloat16 is one where `low`.
    """
    given: list[Tensor] = []
    for argument, value in operands.items():
        if value is None and argument == "bias":
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")
        given.append(value)
        if value._array.dtype is given[0]._array.dtype and value._array.dtype.kind == "f":
            continue
        if value.dtype.kind != "f" and not (low and is_floating(value.dtype)):
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

    `kernel`, where there is one, is the forward of the record without its saving. It takes numbers
    of the CPU beside arrays on a GPU.
    """
    new = Tensor.__new__
    record.takes_numbers = kernel is not None

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
        if floating and not is_floating(dtype):
            dtype = get_default_dtype()
        a, b = as_operand(input, dtype, name), as_operand(other, dtype, name)
        if is_floating(dtype):
            return record(a, b)
        try:
            return Tensor._wrap(as_result(numpy(*beside_gpu(name, a._array, b._array))))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name}: {error}") from None

    def use(direct: bool, chosen: Any = kernel) -> None:
        nonlocal kernel
        kernel = chosen if direct else None

    _SHORTCUTS.append(use)
    call.__name__ = call.__qualname__ = record.name
    call.__doc__ = doc
    return call


# What the operators + - * / ** call. `add` and `sub` below also take alpha.
plus = _binary(_add, np.add, "input + other, broadcast.", _C.add)
minus = _binary(_sub, np.subtract, "input - other, broadcast.", _C.sub)
mul: Any = _binary(_mul, np.multiply, "input * other, broadcast.", _C.mul)
true_divide = _binary(
    _div, np.divide, "input / other, broadcast; integers give floats.", _C.div, floating=True
)
maximum = _binary(_maximum, np.maximum, "The larger of the two, NaN where either is.")
minimum = _binary(_minimum, np.minimum, "The smaller of the two, NaN where either is.")
pow = _binary(_pow, np.power, "input ** other, broadcast.")


multiply = mul


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha other, broadcast."""
    return plus(input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha other, broadcast."""
    return minus(input, other if alpha == 1 else mul(other, alpha))


subtract = sub


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha input, broadcast."""
    return minus(other, input if alpha == 1 else mul(input, alpha))


def neg(input: Tensor) -> Tensor:
    """-input."""
    if not isinstance(input, (Tensor, bool, int, float, np.ndarray, np.generic)):
        raise TypeError(f"neg: input: expected a Tensor, got {type(input).__name__}")
    return mul(input, -1)


negative = neg


def positive(input: Tensor) -> Tensor:
    """The tensor itself, of numbers."""
    if not isinstance(input, Tensor):
        raise TypeError(f"positive: input: expected a Tensor, got {type(input).__name__}")
    if input.dtype.kind == "b":
        raise TypeError("positive: input: expected numbers, got bool")
    return input

# SPDX-License-Identifier: Apache-2.0
"""Softmax and its logarithm along one axis."""

from __future__ import annotations

from typing import Any

from striate import _C
from striate.autograd import Node
from striate.dtypes import as_dtype
from striate.ops.activation import as_float
from striate.ops.arithmetic import cast, neg
from striate.ops.record import op
from striate.ops.reduction import axes_of
from striate.tensor import Array, Tensor

__all__ = [
    "log_softmax",
    "softmax",
    "softmin",
]
METHODS = [
    "log_softmax",
    "softmax",
]


@op("(...) -> (...)", name="softmax")
def _softmax(ctx: Node, x: Array, axis: int) -> Array:
    y = _C.softmax(x, axis)
    ctx.save(y, axis)
    return y


@_softmax.backward
def _(ctx: Node, grad: Array) -> Any:
    y, axis = ctx.saved
    return _C.softmax_backward(y, grad, axis)


@op("(...) -> (...)", name="log_softmax")
def _log_softmax(ctx: Node, x: Array, axis: int) -> Array:
    y = _C.log_softmax(x, axis)
    ctx.save(y, axis)
    return y


@_log_softmax.backward
def _(ctx: Node, grad: Array) -> Any:
    y, axis = ctx.saved
    return _C.log_softmax_backward(y, grad, axis)


def _floating(name: str, dtype: Any) -> Any:
    wanted = as_dtype(dtype, f"{name}: dtype")
    if wanted.kind != "f":
        raise TypeError(f"{name}: dtype: expected float32 or float64, got {wanted}")
    return wanted


def _along(record: Any, input: Tensor, dim: int, dtype: Any) -> Tensor:
    x = as_float(input, record.name)
    if dtype is not None:
        x = cast(input, _floating(record.name, dtype))
    if x.ndim == 0:
        return record(x.reshape(1), axis=0).reshape(())
    (axis,) = axes_of(record.name, (dim,), x.ndim)
    return record(x, axis=axis)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(x) / sum of exp(x) along `dim`, computed as exp(x - max x) so that nothing overflows.

    A row that is -inf throughout, or holds inf or NaN, gives NaN, as in PyTorch. With `dtype`
    (float32 or float64) the input is converted first.
    """
    return _along(_softmax, input, dim, dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along `dim`, as (x - max x) - log sum exp(x - max x): no digits are lost."""
    return _along(_log_softmax, input, dim, dtype)


def softmin(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """softmax(-x) along `dim`: the smallest weighs most."""
    return _along(_softmax, neg(as_float(input, "softmin")), dim, dtype)

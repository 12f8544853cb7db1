# SPDX-License-Identifier: Apache-2.0
"""Losses between two tensors of one shape, element by element: value and gradient in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.dtypes import get_default_dtype, result_type
from striate.ops.activation import softplus
from striate.ops.arithmetic import cast
from striate.ops.record import Op, op
from striate.ops.reduction import mean, sum
from striate.tensor import Array, Tensor

__all__ = [
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f'{name}: reduction: expected "mean", "sum" or "none", got {reduction!r}')


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of losses, or the losses as they are."""
    if reduction == "none":
        return loss
    return mean(loss) if reduction == "mean" else sum(loss)


def check_number(name: str, argument: str, value: Any, low: float, above: bool = False) -> float:
    """`value` as a float; ValueError unless it is finite and at least (or above) `low`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {argument}: expected a number, got {type(value).__name__}")
    if not (low < value if above else low <= value) or value == float("inf"):
        kind = "above" if above else "of at least"
        raise ValueError(f"{name}: {argument}: expected a number {kind} {low:g}, got {value}")
    return float(value)


def floating(name: str, **tensors: Any) -> list[Tensor]:
    """Tensors as floats of the one dtype that mixing them gives. TypeError for what is none."""
    for argument, x in tensors.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(x).__name__}")
    dtype = result_type(*tensors.values())
    if dtype.kind != "f":
        dtype = get_default_dtype()
    return [cast(x, dtype) for x in tensors.values()]


def same_shape(name: str, input: Tensor, target: Tensor) -> None:
    """ValueError unless target has input's shape: broadcasting one is almost always a mistake."""
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: target: expected shape {input.shape}, as input has, got {target.shape}"
        )


def times(gradient: Array | None, grad: Array) -> Array | None:
    """The kept gradient of a loss, times what arrived at the loss."""
    if gradient is None:
        return None
    one = grad.ndim == 0 and isinstance(grad, np.ndarray) and grad == 1  # a GPU is not waited for
    return gradient if one else _C.mul(gradient, grad)


def _of_difference(name: str, kernel: Callable[..., Any]) -> Op:
    """The record of a loss of input - target, whose gradients are opposite to each other."""

    @op("(...), (...) -> () or (...)", name=name)
    def record(ctx: Node, x: Array, target: Array, **options: Any) -> Array:
        needed = ctx.needs[0] or ctx.needs[1]
        loss, gradient = kernel(x, target, gradient=needed, **options)
        ctx.save(gradient)
        return loss

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        (gradient,) = ctx.saved
        return (
            times(gradient, grad) if ctx.needs[0] else None,
            _C.mul(gradient, _C.mul(grad, -1.0)) if ctx.needs[1] else None,
        )

    return record


_mse = _of_difference("mse_loss", _C.mse_loss)
_l1 = _of_difference("l1_loss", _C.l1_loss)
_huber = _of_difference("huber_loss", _C.huber_loss)
_smooth_l1 = _of_difference("smooth_l1_loss", _C.huber_loss)


def _call(record: Op, input: Tensor, target: Tensor, reduction: str, **options: Any) -> Tensor:
    x, t = floating(record.name, input=input, target=target)
    same_shape(record.name, x, t)
    check_reduction(record.name, reduction)
    return record(x, t, reduction=reduction, **options)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The mean (or "sum", or each: "none") of (input - target)^2.

    Shapes must be equal: broadcasting a target is almost always a mistake (PyTorch warns).
    """
    return _call(_mse, input, target, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The mean (or "sum", or each: "none") of |input - target|; slope 0 at 0. Shapes are equal."""
    return _call(_l1, input, target, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d^2 / 2 where d = |input - target| <= delta, delta (d - delta / 2) elsewhere (Huber 1964)."""
    delta = check_number("huber_loss", "delta", delta, low=0, above=True)
    return _call(_huber, input, target, reduction, delta=delta)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d^2 / (2 beta) where d = |input - target| < beta, d - beta / 2 elsewhere (Girshick 2015).

    The Huber loss of delta = beta over beta; with beta = 0 the L1 loss.
    """
    beta = check_number("smooth_l1_loss", "beta", beta, low=0)
    if beta == 0:
        return _call(_l1, input, target, reduction)
    return _call(_smooth_l1, input, target, reduction, delta=beta, factor=1 / beta)


@op("(...), (...) -> () or (...)", name="binary_cross_entropy_with_logits")
def _binary_logits(ctx: Node, x: Array, target: Array, reduction: str) -> Array:
    loss, gradient = _C.binary_cross_entropy_with_logits(
        x, target, reduction=reduction, gradient=ctx.needs[0]
    )
    ctx.save(gradient, x if ctx.needs[1] else None, reduction)
    return loss


@_binary_logits.backward
def _(ctx: Node, grad: Array) -> Any:
    gradient, x, reduction = ctx.saved
    if x is not None:  # the slope in the target is -x
        x = _C.mul(x, -1.0 / (x.size if reduction == "mean" else 1))
    return times(gradient, grad), times(x, grad)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w (p t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), so made that nothing overflows.

    x is `input`, t `target` of its shape, w `weight` and p `pos_weight`, 1 unless given, which are
    broadcast to it. p > 1 favours recall, p < 1 precision.
    """
    name = "binary_cross_entropy_with_logits"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    if weight is None and pos_weight is None:
        return _binary_logits(x, t, reduction=reduction)
    if pos_weight is None:
        loss = _binary_logits(x, t, reduction="none")
    else:
        share = (check_weight(name, "pos_weight", pos_weight, x) - 1) * t + 1
        loss = (1 - t) * x + share * softplus(-x)
    if weight is not None:
        loss = loss * check_weight(name, "weight", weight, x)
    return reduced(loss, reduction)


def check_weight(name: str, argument: str, weight: Any, input: Tensor) -> Tensor:
    """A weight, which must be a tensor that broadcasts to the input."""
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(weight).__name__}")
    lead = input.ndim - weight.ndim
    pairs = zip(weight.shape, input.shape[max(lead, 0) :], strict=False)
    if lead < 0 or any(w not in (1, n) for w, n in pairs):
        raise ValueError(
            f"{name}: {argument}: expected a shape that broadcasts to input's {input.shape}, got "
            f"{weight.shape}"
        )
    return cast(weight, input.dtype)

# SPDX-License-Identifier: Apache-2.0
"""Distances and angles between vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import as_result, largest
from striate.autograd import Node
from striate.explain import explained
from striate.ops.arithmetic import maximum
from striate.ops.loss_pointwise import check_number, floating
from striate.ops.record import op
from striate.ops.reduction import axes_of, sum
from striate.ops.shape import expand
from striate.tensor import Array, Tensor

__all__ = ["cdist", "cosine_similarity", "pairwise_distance"]


@op("(..., M) -> (...)")
def _length(ctx: Node, x: Array, p: float, axis: int = -1) -> Array:
    """The p-norm along an axis; its gradient is 0 where it is 0."""
    with np.errstate(all="ignore"):
        if p == 2:
            y = np.sqrt(np.sum(x * x, axis))
        elif p == np.inf:
            y = largest(np.abs(x), axis)
        elif p == 0:
            y = np.sum(x != 0, axis).astype(x.dtype)
        else:
            y = np.sum(np.abs(x) ** p, axis) ** (1 / p)
    y = as_result(y).astype(x.dtype, copy=False)
    ctx.save(x, y, p, axis)
    return y


@_length.backward
def _(ctx: Node, grad: Array) -> Any:
    x, y, p, axis = ctx.saved
    y, grad = np.expand_dims(y, axis), np.expand_dims(grad, axis)
    with np.errstate(all="ignore"):
        if p == 0:
            return np.zeros_like(x)
        if p == np.inf:
            at = np.abs(x) == y
            slope = np.sign(x) * at / np.sum(at, axis, keepdims=True)
        elif p == 2:
            slope = x / y
        else:
            slope = np.where(x == 0, 0, np.sign(x) * (np.abs(x) / y) ** (p - 1))
        return as_result(grad * np.where(y == 0, 0, slope)).astype(x.dtype, copy=False)


def length(x: Tensor, p: float = 2.0, axis: int = -1) -> Tensor:
    """The p-norm of vectors along an axis; its gradient is 0 where it is 0."""
    return _length(x, p=p, axis=axis)


def _order(name: str, p: Any) -> float:
    if p == float("inf"):
        return float("inf")
    return check_number(name, "p", p, low=0)


def _broadcast(name: str, x1: Tensor, x2: Tensor, names: tuple[str, str]) -> None:
    try:
        np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        raise ValueError(
            f"{name}: {names[1]}: expected a shape that broadcasts with {names[0]}'s {x1.shape}, "
            f"got {x2.shape}"
        ) from None


@explained
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis. The operands are broadcast."""
    name = "pairwise_distance"
    a, b = floating(name, x1=x1, x2=x2)
    _broadcast(name, a, b, ("x1", "x2"))
    off = a - b + check_number(name, "eps", eps, low=-np.inf)
    if off.ndim == 0:
        raise ValueError(f"{name}: x1: expected at least one axis, got shape {x1.shape}")
    y = length(off, _order(name, p))
    return y.reshape(*y.shape, 1) if keepdim else y


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """<x1, x2> / (max(|x1|, eps) max(|x2|, eps)) along `dim`. The operands are broadcast."""
    name = "cosine_similarity"
    a, b = floating(name, x1=x1, x2=x2)
    _broadcast(name, a, b, ("x1", "x2"))
    shape = np.broadcast_shapes(a.shape, b.shape)
    if not shape:  # dim 0 and -1 of one number are its own
        return cosine_similarity(a.reshape(1), b.reshape(1), dim, eps).reshape(())
    (axis,) = axes_of(name, (dim,), len(shape))
    eps = check_number(name, "eps", eps, low=0)
    units = []
    for x in (a, b):
        x = x if x.shape == shape else expand(x, shape)
        size = maximum(length(x, axis=axis), eps)
        units.append(x / size.reshape(*shape[:axis], 1, *shape[axis + 1 :]))
    return sum(units[0] * units[1], axis)


@explained
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of every difference: (..., P, M), (..., R, M) -> (..., P, R).

    All P R differences are made, M numbers each.
    """
    name = "cdist"
    a, b = floating(name, x1=x1, x2=x2)
    for argument, x in (("x1", a), ("x2", b)):
        if x.ndim < 2:
            raise ValueError(f"{name}: {argument}: expected (..., rows, M), got shape {x.shape}")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"{name}: x2: expected {a.shape[-1]} columns as x1, got {b.shape[-1]}")
    a = a.reshape(*a.shape[:-1], 1, a.shape[-1])
    b = b.reshape(*b.shape[:-2], 1, *b.shape[-2:])
    _broadcast(name, a, b, ("x1", "x2"))
    return length(a - b, _order(name, p))

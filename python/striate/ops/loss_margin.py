# SPDX-License-Identifier: Apache-2.0
"""Losses that ask for a margin: between scores, or between distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.autograd import Node
from striate.ops.activation import as_float, softplus
from striate.ops.arithmetic import minimum
from striate.ops.distance import length, pairwise_distance
from striate.ops.loss_distribution import check_labels, class_weight, integers
from striate.ops.loss_pointwise import (
    binary_cross_entropy_with_logits,
    check_number,
    check_reduction,
    check_weight,
    floating,
    reduced,
    same_shape,
)
from striate.ops.pointwise import sqrt
from striate.ops.record import op
from striate.ops.reduction import mean, sum
from striate.ops.shape import where
from striate.tensor import Array, Tensor

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

_ANY = -np.inf


def _positive(x: Tensor) -> Tensor:
    """max(x, 0), with slope 1 at 0."""
    return where(x < 0, 0.0, x)


def _check_targets(name: str, target: Tensor, values: tuple[int, int]) -> None:
    """ValueError unless the target holds these two values alone."""
    bad = (target._array != values[0]) & (target._array != values[1])
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: target: expected {values[0]} or {values[1]}, got {target._array[at]} at {at}"
        )


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1; x is a distance."""
    name = "hinge_embedding_loss"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    _check_targets(name, t, (1, -1))
    margin = check_number(name, "margin", margin, low=_ANY)
    return reduced(where(t == 1, x, _positive(margin - x)), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-t x)), targets t being 1 or -1."""
    name = "soft_margin_loss"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    return reduced(softplus(-t * x), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - t (x1 - x2)): x1 should be the larger where t is 1, the smaller where -1."""
    name = "margin_ranking_loss"
    a, b, t = floating(name, input1=input1, input2=input2, target=target)
    check_reduction(name, reduction)
    for argument, x in (("input2", b), ("target", t)):
        if x.shape != a.shape:
            raise ValueError(
                f"{name}: {argument}: expected shape {a.shape}, as input1 has, got {x.shape}"
            )
    margin = check_number(name, "margin", margin, low=_ANY)
    return reduced(_positive(margin - t * (a - b)), reduction)


@op("(N, C), (N) -> (N)", name="multi_margin_loss")
def _multi_margin(
    ctx: Node, x: Array, labels: Array, p: int, margin: float, weight: Array | None
) -> Array:
    at = labels[:, None]
    over = margin - np.take_along_axis(x, at, 1) + x
    over = np.where((over < 0) | (np.arange(x.shape[1]) == at), 0, over)
    scale = np.asarray((1 if weight is None else weight[at]) / x.dtype.type(x.shape[1]))
    ctx.save(scale * (over > 0 if p == 1 else 2 * over), at)
    return np.asarray(np.sum(scale * over**p, 1), x.dtype)


@_multi_margin.backward
def _(ctx: Node, grad: Array) -> Any:
    slope, at = ctx.saved
    dx = np.array(slope, grad.dtype)
    np.put_along_axis(dx, at, -np.sum(slope, 1, keepdims=True), 1)
    return dx * grad[:, None], None


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """w[y] sum over i != y of max(0, margin - x[y] + x[i])^p / C (Crammer and Singer 2001).

    `input` (N, C) or (C,), `target` labels y (N,) or (), p 1 or 2.
    """
    name = "multi_margin_loss"
    x, labels = _rows(name, input), integers(name, "target", target)
    check_reduction(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: p: expected 1 or 2, got {p!r}")
    if labels.shape != input.shape[:-1]:
        raise ValueError(
            f"{name}: target: expected shape {input.shape[:-1]}, a class for each row of input, "
            f"got {labels.shape}"
        )
    check_labels(name, labels, x.shape[1], None)
    margin = check_number(name, "margin", margin, low=_ANY)
    if weight is not None:
        weight = class_weight(name, weight, x.shape[1], x)
    loss = _multi_margin(
        x,
        Tensor._wrap(labels.reshape(-1)),
        p=p,
        margin=margin,
        weight=None if weight is None else weight._array,
    )
    return reduced(loss.reshape(input.shape[:-1]), reduction)


def _rows(name: str, input: Tensor) -> Tensor:
    """(N, C), or (C,) as one row."""
    x = as_float(input, name)
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ValueError(f"{name}: input: expected (N, C) or (C,), C above 0, got {x.shape}")
    return x.reshape(-1, x.shape[-1])


@op("(N, C), (N, C) -> (N)", name="multilabel_margin_loss")
def _multilabel_margin(ctx: Node, x: Array, labels: Array) -> Array:
    rows, classes = x.shape
    listed = np.cumsum(labels < 0, 1) == 0  # a row's labels end at its first negative one
    is_target = np.zeros(x.shape, bool)
    where_listed = np.nonzero(listed)
    is_target[where_listed[0], labels[where_listed]] = True
    total, slope = np.zeros(rows, x.dtype), np.zeros_like(x)
    for j in range(classes):
        own = np.where(listed[:, j], labels[:, j], 0)[:, None]
        over = 1 - np.take_along_axis(x, own, 1) + x
        over = np.where((over > 0) & ~is_target & listed[:, j, None], over, 0)
        total += np.sum(over, 1)
        count = np.sum(over > 0, 1)
        slope += over > 0
        slope[np.arange(rows), own[:, 0]] -= count
    ctx.save(slope / x.dtype.type(classes))
    return total / x.dtype.type(classes)


@_multilabel_margin.backward
def _(ctx: Node, grad: Array) -> Any:
    return np.asarray(ctx.saved[0] * grad[:, None]), None


def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """sum over labels j and classes i that are no label of max(0, 1 - x[j] + x[i]), over C.

    `input` (N, C) or (C,); `target`, of its shape, lists each row's labels, ended by a negative
    number.
    """
    name = "multilabel_margin_loss"
    x, labels = _rows(name, input), integers(name, "target", target)
    check_reduction(name, reduction)
    if labels.shape != input.shape:
        raise ValueError(
            f"{name}: target: expected shape {input.shape}, as input has, got {labels.shape}"
        )
    check_labels(name, np.where(labels < 0, 0, labels), x.shape[1], None)
    loss = _multilabel_margin(x, Tensor._wrap(labels.reshape(x.shape)))
    return reduced(loss.reshape(input.shape[:-1]), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over the last axis of -w (t log sigmoid(x) + (1 - t) log sigmoid(-x))."""
    name = "multilabel_soft_margin_loss"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    if x.ndim == 0:
        raise ValueError(f"{name}: input: expected (N, C) or (C,), got shape ()")
    loss = binary_cross_entropy_with_logits(x, t, reduction="none")
    if weight is not None:
        loss = loss * check_weight(name, "weight", weight, x)
    return reduced(mean(loss, -1), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    Inputs (N, D) and target (N,), or (D,) and (). cos is <x1, x2> / sqrt((|x1|^2 + e)(|x2|^2 + e)),
    e = 1e-12.
    """
    name = "cosine_embedding_loss"
    a, b, t = floating(name, input1=input1, input2=input2, target=target)
    check_reduction(name, reduction)
    if a.ndim not in (1, 2) or a.shape != b.shape:
        raise ValueError(
            f"{name}: input2: expected (N, D) or (D,) like input1's {a.shape}, got {b.shape}"
        )
    if t.shape != a.shape[:-1]:
        raise ValueError(f"{name}: target: expected shape {a.shape[:-1]}, got {t.shape}")
    _check_targets(name, t, (1, -1))
    margin = check_number(name, "margin", margin, low=_ANY)
    size = (sum(a * a, -1) + 1e-12) * (sum(b * b, -1) + 1e-12)
    cos = sum(a * b, -1) / sqrt(size)
    return reduced(where(t == 1, 1 - cos, _positive(cos - margin)), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d = pairwise_distance.

    Balntas et al. 2016; `swap` takes d(positive, negative) where that is smaller, as they do.
    """

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return _triplet(
        "triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with a distance of one's own (pairwise_distance if None)."""
    name = "triplet_margin_with_distance_loss"
    distance = distance_function or pairwise_distance
    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    a, p, n = floating(name, anchor=anchor, positive=positive, negative=negative)
    check_reduction(name, reduction)
    margin = check_number(name, "margin", margin, low=0, above=True)
    if a.ndim != p.ndim or a.ndim != n.ndim:
        raise ValueError(
            f"{name}: anchor: expected as many axes as the others, got shapes {a.shape}, "
            f"{p.shape} and {n.shape}"
        )
    near, far = distance(a, p), distance(a, n)
    if swap:
        far = minimum(far, distance(p, n))
    return reduced(_positive(near - far + margin), reduction)


def contrastive_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """(1 - y) d^2 / 2 + y max(0, margin - d)^2 / 2, d = |x1 - x2| along the last axis.

    Hadsell, Chopra and LeCun 2006, equation 4: `target` y is 0 for a pair that is alike, 1 for one
    that is not. Inputs (..., D), target their shape without the last axis. Not in PyTorch.
    """
    name = "contrastive_loss"
    a, b, y = floating(name, input1=input1, input2=input2, target=target)
    check_reduction(name, reduction)
    if a.ndim == 0 or a.shape != b.shape:
        raise ValueError(
            f"{name}: input2: expected (..., D) like input1's {a.shape}, got {b.shape}"
        )
    if y.shape != a.shape[:-1]:
        raise ValueError(f"{name}: target: expected shape {a.shape[:-1]}, got {y.shape}")
    _check_targets(name, y, (0, 1))
    margin = check_number(name, "margin", margin, low=0, above=True)
    off = a - b
    short = _positive(margin - length(off))
    return reduced(0.5 * where(y == 0, sum(off * off, -1), short * short), reduction)

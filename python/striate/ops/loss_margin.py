# SPDX-License-Identifier: Apache-2.0
"""Losses that ask for a margin between scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import as_result, put_along_axis
from striate.autograd import Node
from striate.explain import explained
from striate.ops.activation import as_float, softplus
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
from striate.ops.record import op
from striate.ops.reduction import mean
from striate.ops.shape import where
from striate.tensor import Array, Tensor

__all__ = [
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]

ANY = -np.inf


def positive_part(x: Tensor) -> Tensor:
    """max(x, 0), with slope 1 at 0."""
    return where(x < 0, 0.0, x)


def check_two_values(name: str, target: Tensor, values: tuple[int, int]) -> None:
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
    check_two_values(name, t, (1, -1))
    margin = check_number(name, "margin", margin, low=ANY)
    return reduced(where(t == 1, x, positive_part(margin - x)), reduction)


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
    margin = check_number(name, "margin", margin, low=ANY)
    return reduced(positive_part(margin - t * (a - b)), reduction)


@op("(N, C), (N) -> (N)", name="multi_margin_loss")
def _multi_margin(
    ctx: Node, x: Array, labels: Array, p: int, margin: float, weight: Array | None
) -> Array:
    at = labels[:, None]
    over = margin - np.take_along_axis(x, at, 1) + x
    over = np.where((over < 0) | (np.arange(x.shape[1]) == at), 0, over)
    scale = as_result((1 if weight is None else weight[at]) / x.dtype.type(x.shape[1]))
    ctx.save(scale * (over > 0 if p == 1 else 2 * over), at)
    return np.asarray(np.sum(scale * over**p, 1), x.dtype)


@_multi_margin.backward
def _(ctx: Node, grad: Array) -> Any:
    slope, at = ctx.saved
    dx = np.array(slope, grad.dtype)
    put_along_axis(dx, at, -np.sum(slope, 1, keepdims=True), 1)
    return dx * grad[:, None], None


@explained
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
    margin = check_number(name, "margin", margin, low=ANY)
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
    return as_result(ctx.saved[0] * grad[:, None]), None


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

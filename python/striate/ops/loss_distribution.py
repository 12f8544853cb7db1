# SPDX-License-Identifier: Apache-2.0
"""Losses that are likelihoods: negative logarithms of what a distribution gives the target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result, put_along_axis
from striate.autograd import Node, no_grad
from striate.explain import explained
from striate.ops.activation import as_float, exp
from striate.ops.arithmetic import cast, maximum
from striate.ops.logarithm import log
from striate.ops.loss_pointwise import (
    REDUCTIONS,
    check_number,
    check_reduction,
    check_weight,
    floating,
    reduced,
    same_shape,
)
from striate.ops.record import op
from striate.ops.reduction import sum
from striate.ops.shape import where
from striate.tensor import Array, Tensor

__all__ = ["binary_cross_entropy", "gaussian_nll_loss", "kl_div", "nll_loss", "poisson_nll_loss"]


@op("(...), (...) -> (...)", name="binary_cross_entropy")
def _binary(ctx: Node, x: Array, target: Array) -> Array:
    ctx.save(x, target)
    yes, no = (_C.maximum(f, -100.0) for f in (_C.log(x), _C.log1p(_C.mul(x, -1.0))))
    return as_result((target - 1) * no - target * yes)


@_binary.backward
def _(ctx: Node, grad: Array) -> Any:
    x, target = ctx.saved
    dt = None
    if ctx.needs[1]:
        no = _C.maximum(_C.log1p(_C.mul(x, -1.0)), -100.0)
        dt = as_result(grad * (no - _C.maximum(_C.log(x), -100.0)))
    return as_result(grad * ((x - target) / np.maximum((1 - x) * x, 1e-12))), dt


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-w (t log(x) + (1 - t) log(1 - x)) of probabilities x, each logarithm at least -100.

    `weight` w is broadcast. binary_cross_entropy_with_logits takes logits and keeps more digits.
    Raises ValueError, with the number and its place, for an input outside [0, 1].
    """
    name = "binary_cross_entropy"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    outside = ~((x._array >= 0) & (x._array <= 1))
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"{name}: input: expected probabilities from 0 to 1, got {x._array[at]} at {at}; for "
            "logits there is binary_cross_entropy_with_logits"
        )
    loss = _binary(x, t)
    if weight is not None:
        loss = loss * check_weight(name, "weight", weight, x)
    return reduced(loss, reduction)


@op("(N, C, ...), (N, ...) -> () or (N, ...)", name="nll_loss")
def _nll(
    ctx: Node, x: Array, labels: Array, weight: Array | None, ignore: int, reduction: str
) -> Array:
    axis = 0 if x.ndim == 1 else 1
    counts = labels != ignore
    at = np.expand_dims(np.where(counts, labels, 0), axis)
    picked = np.take_along_axis(x, at, axis).squeeze(axis) if x.size else np.zeros(labels.shape)
    scale = np.ones(labels.shape) if weight is None else weight[at.squeeze(axis)]
    total = np.sum(scale, where=counts) if reduction == "mean" else x.dtype.type(1)
    with np.errstate(all="ignore"):
        scale = np.where(counts, -scale / total, 0).astype(x.dtype)
        loss = np.where(counts, scale * picked, 0).astype(x.dtype)
    ctx.save(x.shape, at, scale, axis)
    if reduction == "none":
        return loss
    return np.asarray(np.sum(loss) if reduction == "sum" or counts.any() else np.nan, x.dtype)


@_nll.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, at, scale, axis = ctx.saved
    dx = np.zeros_like(grad, shape=shape)
    if dx.size:
        put_along_axis(dx, at, np.expand_dims(grad * scale, axis), axis)
    return dx, None


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w[label] input[label]: the negative log likelihood, of log probabilities.

    `input` (C,), (N, C) or (N, C, d1, ...), `target` integers of the same shape without C. Labels
    equal to `ignore_index` count nothing; "mean" divides by the weights of those that count, and is
    NaN where none does. Raises IndexError, with the label and its place, for one that is no class.
    """
    name = "nll_loss"
    x = as_float(input, name)
    check_reduction(name, reduction)
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"{name}: ignore_index: expected an integer, got {ignore_index!r}")
    labels = integers(name, "target", target)
    if x.ndim == 0:
        raise ValueError(f"{name}: input: expected (C,), (N, C) or (N, C, d1, ...), got shape ()")
    axis = 0 if x.ndim == 1 else 1
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    if labels.shape != rows:
        raise ValueError(
            f"{name}: target: expected shape {rows}, a class for each row of input {x.shape}, got "
            f"{labels.shape}"
        )
    check_labels(name, labels, x.shape[axis], ignore_index)
    if weight is not None:
        weight = class_weight(name, weight, x.shape[axis], x)
    return _nll(
        x,
        Tensor._wrap(labels),
        weight=None if weight is None else weight._array,
        ignore=ignore_index,
        reduction=reduction,
    )


def integers(name: str, argument: str, x: Any) -> Array:
    """A tensor of integers as an int64 array."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(x).__name__}")
    if x.dtype.kind not in "iu":
        raise TypeError(f"{name}: {argument}: expected integers, got {x.dtype}")
    return x._array.astype(np.int64, copy=False)


def check_labels(name: str, labels: Array, classes: int, ignored: int | None) -> None:
    """IndexError for a label that is no class, with the label and its place."""
    bad = (labels < 0) | (labels >= classes)
    if ignored is not None:
        bad &= labels != ignored
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        other = "" if ignored is None else f", or ignore_index {ignored}"
        raise IndexError(
            f"{name}: target: expected a class from 0 to {classes - 1}{other}, got {labels[at]} at "
            f"index {at}"
        )


def class_weight(name: str, weight: Any, classes: int, input: Tensor) -> Tensor:
    """One number a class, in the dtype of the input."""
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name}: weight: expected a Tensor, got {type(weight).__name__}")
    if weight.shape != (classes,):
        raise ValueError(f"{name}: weight: expected shape ({classes},), got {weight.shape}")
    return cast(weight, input.dtype)


@explained
def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """t (log t - x), 0 where t = 0: Kullback-Leibler divergence of exp(x) from t, term by term.

    `input` x holds logarithms, `target` t probabilities, or with `log_target` their logarithms.
    "batchmean" divides the sum by the first axis' size, which is the divergence; "mean" divides by
    all elements, and is not.
    """
    name = "kl_div"
    x, t = floating(name, input=input, target=target)
    if reduction not in (*REDUCTIONS, "batchmean"):
        raise ValueError(
            f'{name}: reduction: expected "batchmean", "mean", "sum" or "none", got {reduction!r}'
        )
    same_shape(name, x, t)
    if log_target:
        loss = exp(t) * (t - x)
    else:
        zero = t == 0
        loss = where(zero, 0.0, t * log(where(zero, 1.0, t))) - t * x
    if reduction != "batchmean":
        return reduced(loss, reduction)
    if not x.ndim:
        raise ValueError(f'{name}: reduction: expected a batch for "batchmean", got shape ()')
    return sum(loss) / (x.shape[0] or float("nan"))


@explained
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x, or with log_input=False x - t log(x + eps): counts t of rate exp(x), or x.

    `full` adds Stirling's t log t - t + log(2 pi t) / 2 where t > 1.
    """
    name = "poisson_nll_loss"
    x, t = floating(name, input=input, target=target)
    same_shape(name, x, t)
    check_reduction(name, reduction)
    eps = check_number(name, "eps", eps, low=0)
    loss = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        above = where(t > 1, t, 1.0)
        stirling = above * log(above) - above + 0.5 * log(2 * math.pi * above)
        loss = loss + where(t > 1, stirling, 0.0)
    return reduced(loss, reduction)


@explained
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x - t)^2 / v) / 2, v = max(var, eps) (Nix and Weigend 1994).

    `var` is a number, or has input's shape, or that with a last axis of 1 or without it. Its
    gradient is that of v. `full` adds log(2 pi) / 2. ValueError for a negative variance.
    """
    name = "gaussian_nll_loss"
    check_reduction(name, reduction)
    eps = check_number(name, "eps", eps, low=0, above=True)
    if isinstance(var, (int, float)):
        var = Tensor(np.full(input.shape, var, input.dtype if input.dtype.kind == "f" else None))
    x, t, v = floating(name, input=input, target=target, var=var)
    same_shape(name, x, t)
    if v.shape != x.shape:
        if v.shape == x.shape[:-1]:
            v = v.reshape(*v.shape, 1)
        elif v.shape[:-1] != x.shape[:-1] or v.shape[-1:] != (1,):
            raise ValueError(
                f"{name}: var: expected shape {x.shape}, {x.shape[:-1]} or {(*x.shape[:-1], 1)}, "
                f"got {v.shape}"
            )
    if (v._array < 0).any():
        raise ValueError(f"{name}: var: expected no negative numbers, got {v._array.min()}")
    with no_grad():
        raised = maximum(v, eps) - v
    v = v + raised
    off = x - t
    loss = 0.5 * (log(v) + off * off / v)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)

# SPDX-License-Identifier: Apache-2.0
"""Kernels that GPUs don't have yet, made of those that they have and of CuPy's functions.

Each function has the name, the arguments and the results of a binding in `striate._C`: for arrays
on the CPU it is that binding, on a GPU the composition that stands here. Once a GPU has a kernel of
its own, the operation calls the binding and the function goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import Array, add_at, put_along_axis
from striate.device import device_of, placed

Function = Callable[..., Any]
Loss = tuple[Array, Array | None]


def _for(kernel: Function) -> Callable[[Function], Function]:
    """Decorator: `kernel` for a first array on the CPU, the function for one on a GPU."""

    def make(composed: Function) -> Function:
        @wraps(composed)
        def call(x: Array, *arguments: Any, **options: Any) -> Any:
            function = kernel if isinstance(x, np.ndarray) else composed
            return function(x, *arguments, **options)

        return call

    return make


# --- losses: (loss, its gradient by x or None) ---------------------------------------------------


def _reduced(loss: Array, slope: Callable[[], Array], reduction: str, gradient: bool) -> Loss:
    """The losses of elements, or their mean or sum; and its slope, which slope() gives for each."""
    every = tuple(range(loss.ndim))
    share = 1 / loss.size if reduction == "mean" and loss.size else 1.0
    if reduction == "mean":
        total = _C.mul(_C.sum(loss, every), share if loss.size else math.nan)
    else:
        total = loss if reduction == "none" else _C.sum(loss, every)
    return total, _C.mul(slope(), share) if gradient else None


@_for(_C.mse_loss)
def mse_loss(x: Array, target: Array, reduction: str = "mean", gradient: bool = False) -> Loss:
    apart = _C.sub(x, target)
    return _reduced(_C.mul(apart, apart), lambda: _C.mul(apart, 2.0), reduction, gradient)


@_for(_C.l1_loss)
def l1_loss(x: Array, target: Array, reduction: str = "mean", gradient: bool = False) -> Loss:
    apart = _C.sub(x, target)
    return _reduced(np.abs(apart), lambda: np.sign(apart), reduction, gradient)


@_for(_C.huber_loss)
def huber_loss(
    x: Array,
    target: Array,
    delta: float = 1.0,
    factor: float = 1.0,
    reduction: str = "mean",
    gradient: bool = False,
) -> Loss:
    apart = _C.sub(x, target)
    inside = _C.maximum(_C.minimum(apart, delta), -delta)
    # d^2 / 2 inside, delta (|d| - delta / 2) outside
    loss = _C.mul(_C.mul(inside, _C.sub(apart, _C.mul(inside, 0.5))), factor)
    return _reduced(loss, lambda: _C.mul(inside, factor), reduction, gradient)


@_for(_C.binary_cross_entropy_with_logits)
def binary_cross_entropy_with_logits(
    x: Array, target: Array, reduction: str = "mean", gradient: bool = False
) -> Loss:
    # max(x, 0) - x t + log(1 + e^-|x|)
    tail = _C.log1p(_C.exp(_C.mul(np.abs(x), -1.0)))
    loss = _C.add(_C.sub(_C.relu(x), _C.mul(x, target)), tail)
    return _reduced(loss, lambda: _C.sub(_C.sigmoid(x), target), reduction, gradient)


@_for(_C.cross_entropy)
def cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    gradient: bool = False,
) -> Loss:
    """-sum over c of q[c] log softmax(x)[c], q the target's shares times the classes' weights.

    The gradient is softmax(x) sum of q - q.
    """
    axis = 0 if x.ndim == 1 else 1
    logs = _C.log_softmax(x, axis)
    shares, total = _shares(x, target, weight, axis, ignore_index, label_smoothing)
    loss = _C.mul(_C.sum(_C.mul(shares, logs), (axis,)), -1.0)
    if reduction != "none":
        loss = _C.sum(loss, tuple(range(loss.ndim)))
    if reduction == "mean":
        loss = _C.div(loss, total)
    if not gradient:
        return loss, None
    sums = np.expand_dims(_C.sum(shares, (axis,)), axis)
    slope = _C.sub(_C.mul(_C.exp(logs), sums), shares)
    return loss, _C.div(slope, total) if reduction == "mean" else slope


def _shares(
    x: Array, target: Array, weight: Array | None, axis: int, ignore: int, smoothing: float
) -> tuple[Array, Any]:
    """(q, what a mean divides by): the weights of the labels that count, or the rows."""
    classes = x.shape[axis]
    along = [classes if i == axis else 1 for i in range(x.ndim)]
    if target.dtype.kind == "f":
        shares = _C.add(_C.mul(target, 1 - smoothing), smoothing / classes)
        rows = x.size // max(classes, 1)
        return shares if weight is None else _C.mul(shares, weight.reshape(along)), float(rows)
    counts = target != ignore
    labels = np.where(counts, target, 0)
    _check_labels(target, counts & ((labels < 0) | (labels >= classes)), classes)
    labels, counts = np.expand_dims(labels, axis), np.expand_dims(counts, axis).astype(x.dtype)
    shares = np.zeros_like(x)
    own = counts if weight is None else _C.mul(counts, weight[labels])
    put_along_axis(shares, labels, _C.mul(own, 1 - smoothing), axis)
    if smoothing:
        rest = _C.mul(counts, smoothing / classes)
        shares = _C.add(shares, rest if weight is None else _C.mul(rest, weight.reshape(along)))
    return shares, _C.sum(own, tuple(range(own.ndim)))


def _check_labels(target: Array, wrong: Array, classes: int) -> None:
    if wrong.any():
        at = tuple(int(i) for i in placed("", np.argwhere(wrong), "cpu")[0])
        raise IndexError(
            f"cross_entropy: target: expected labels from 0 to {classes - 1}, got "
            f"{int(target[at])} at {at}"
        )


# --- activations ---------------------------------------------------------------------------------


@_for(_C.prelu)
def prelu(x: Array, weight: Array) -> Array:
    return np.where(x > 0, x, _C.mul(x, weight))


@_for(_C.prelu_backward)
def prelu_backward(x: Array, weight: Array, dy: Array) -> tuple[Array, Array]:
    above = x > 0
    return np.where(above, dy, _C.mul(dy, weight)), np.where(above, x.dtype.type(0), _C.mul(x, dy))


# --- normalisation -------------------------------------------------------------------------------


def _row_gradients(
    dy: Array, x: Array, axes: int, mean: Array | None, invstd: Array, weight: Array | None
) -> tuple[Array, Array]:
    """(dx, dy x^), of csrc/ops/layer_norm/layer_norm.h."""
    last = tuple(range(x.ndim - axes, x.ndim))
    rows = (*invstd.shape, *[1] * axes)
    count = math.prod(x.shape[x.ndim - axes :]) or 1

    def mean_of(values: Array) -> Array:
        return _C.mul(_C.sum(values, last).reshape(rows), 1 / count)

    scale = invstd.reshape(rows)
    unit = _C.mul(x if mean is None else _C.sub(x, mean.reshape(rows)), scale)
    g = dy if weight is None else _C.mul(dy, weight)
    rest = _C.mul(unit, mean_of(_C.mul(g, unit)))
    if mean is not None:
        rest = _C.add(rest, mean_of(g))
    return _C.mul(_C.sub(g, rest), scale), _C.mul(dy, unit)


@_for(_C.layer_norm_backward)
def layer_norm_backward(
    dy: Array,
    x: Array,
    axes: int,
    mean: Array,
    invstd: Array,
    weight: Array | None = None,
    biased: bool = False,
) -> tuple[Array, Array | None, Array | None]:
    first = tuple(range(x.ndim - axes))
    dx, of_weight = _row_gradients(dy, x, axes, mean, invstd, weight)
    return (
        dx,
        None if weight is None else _C.sum(of_weight, first),
        _C.sum(dy, first) if biased else None,
    )


@_for(_C.rms_norm_backward)
def rms_norm_backward(
    dy: Array, x: Array, axes: int, invstd: Array, weight: Array | None = None
) -> tuple[Array, Array | None]:
    dx, of_weight = _row_gradients(dy, x, axes, None, invstd, weight)
    return dx, None if weight is None else _C.sum(of_weight, tuple(range(x.ndim - axes)))


# --- dropout -------------------------------------------------------------------------------------


@_for(_C.dropout)
def dropout(
    x: Array, p: float, key: int, scale: float, kept: float = 0.0, dropped: float = 0.0
) -> Array:
    """By the CPU's mask, which is copied."""
    where = device_of(x)
    mask = _C.dropout(np.ones(x.shape, x.dtype), p, key, scale)
    y = _C.mul(x, placed("dropout", mask, where))
    if not kept and not dropped:
        return y
    added = _C.dropout(np.zeros(x.shape, x.dtype), p, key, 1.0, kept, dropped)
    return _C.add(y, placed("dropout", added, where))


# --- tables and borders --------------------------------------------------------------------------


@_for(_C.embedding)
def embedding(weight: Array, indices: Array) -> Array:
    wrong = (indices < 0) | (indices >= len(weight))
    if wrong.any():
        at = tuple(int(i) for i in placed("", np.argwhere(wrong), "cpu")[0])
        raise IndexError(
            f"embedding: indices: expected 0 to {len(weight) - 1}, got {int(indices[at])} at {at}"
        )
    return np.take(weight, indices, 0)


@_for(_C.embedding_backward)
def embedding_backward(
    dy: Array, indices: Array, rows: int, padding: int = -1, by_frequency: bool = False
) -> Array:
    """CuPy adds in any order: bits may differ from run to run."""
    total = np.zeros_like(dy, shape=(rows, dy.shape[1]))
    add_at(total, indices, dy)
    if by_frequency:
        counts = np.maximum(np.bincount(indices, None, rows), 1).astype(dy.dtype)
        total = _C.div(total, np.expand_dims(counts, 1))
    if padding >= 0:
        total[padding] = 0
    return total


@_for(_C.pad)
def pad(x: Array, widths: tuple[int, ...], value: float) -> Array:
    """Negative widths crop."""
    shape, to, of = list(x.shape), [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for i in range(len(widths) // 2):
        axis, (before, after) = x.ndim - 1 - i, widths[2 * i : 2 * i + 2]
        shape[axis] += before + after
        to[axis] = slice(max(before, 0), shape[axis] - max(after, 0))
        of[axis] = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
    y = np.full_like(x, value, shape=tuple(shape))
    y[tuple(to)] = x[tuple(of)]
    return y


# --- pooling -------------------------------------------------------------------------------------


def _window_axis(window: tuple[int, ...], axis: int, size: int, out: int) -> tuple[Any, int, int]:
    """(where each output's window begins, the distance of its taps, how many the largest has)."""
    at = np.arange(out)
    if len(window) == 2:  # windows that cover the axis
        begins = at * size // out
        return begins, 1, int((-(-(at + 1) * size // out) - begins).max(initial=1))
    kernel, stride, padding, dilation = window[axis:8:2]
    return at * stride - padding, dilation, kernel


@_for(_C.max_pool2d_indices)
def max_pool2d_indices(
    taps: Array, y: Array, size: tuple[int, int], window: tuple[int, ...]
) -> Array:
    height, width = size
    rows, down, _ = _window_axis(window, 0, height, taps.shape[1])
    cols, right, wide = _window_axis(window, 1, width, taps.shape[2])
    tops, lefts = (
        placed("max_pool2d", begins.reshape(shape), device_of(taps))
        for begins, shape in ((rows, (-1, 1, 1)), (cols, (-1, 1)))
    )
    tap = taps.astype(np.int64)
    r, s = tap // wide, tap % wide
    # A dilated window may lie in the padding on both sides; its index stays in the plane.
    h, w = np.minimum(tops + r * down, height - 1), np.minimum(lefts + s * right, width - 1)
    return h * width + w


@_for(_C.max_unpool2d)
def max_unpool2d(x: Array, indices: Array, size: tuple[int, int]) -> Array:
    """Of equal indices any one stays."""
    n, c, p, q = x.shape
    places = size[0] * size[1]
    wrong = (indices < 0) | (indices >= places)
    if wrong.any():
        raise IndexError(
            f"max_unpool2d: indices: expected 0 to {places - 1}, got {int(indices[wrong][0])}"
        )
    y = np.zeros_like(x, shape=(n, places, c))
    values = np.moveaxis(x, 1, -1).reshape(n, p * q, c)
    put_along_axis(y, indices.reshape(n, p * q, c), values, 1)
    return np.moveaxis(y.reshape(n, *size, c), -1, 1)


@_for(_C.max_unpool2d_backward)
def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    n, c, h, w = dy.shape
    flat = np.moveaxis(dy, 1, -1).reshape(n, h * w, c)
    taken = np.take_along_axis(flat, indices.reshape(n, -1, c), 1)
    return np.moveaxis(taken.reshape(indices.shape), -1, 1)

# SPDX-License-Identifier: Apache-2.0
"""Cross entropy. Its gradient is made in the forward pass, while the operands are in cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.arrays import in_c_order
from striate.autograd import Node
from striate.explain import explained
from striate.ops.activation import as_float
from striate.ops.loss_pointwise import check_reduction, times
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = ["cross_entropy"]


@op("(N, C, ...), (N, ...) or (N, C, ...) -> () or (N, ...)", name="cross_entropy")
def _cross_entropy(ctx: Node, x: Array, target: Array, **options: Any) -> Array:
    loss, gradient = _C.cross_entropy(x, target, gradient=ctx.needs[0], **options)
    ctx.save(gradient, _target_gradient(x, **options) if ctx.needs[1] else None)
    return loss


@_cross_entropy.backward
def _(ctx: Node, grad: Array) -> Any:
    if grad.ndim:
        grad = np.expand_dims(grad, 1)
    return tuple(times(gradient, grad) for gradient in ctx.saved)


def _target_gradient(
    x: Array,
    weight: Array | None,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
) -> Array:
    """d loss / d target = -(1 - smoothing) w log softmax(x), for probabilities."""
    axis = 0 if x.ndim == 1 else 1
    rows = x.size // x.shape[axis] if reduction == "mean" else 1
    slope = _C.mul(_C.log_softmax(x, axis), (label_smoothing - 1) / max(rows, 1))
    if weight is None:
        return slope
    return _C.mul(slope, weight.reshape([-1 if i == axis else 1 for i in range(x.ndim)]))


@explained
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross entropy of logits: -sum over c of w[c] t[c] log softmax(x)[c] for each row.

    `input` (C,), (N, C) or (N, C, d1, …); `target` holds class labels as integers, of the same
    shape without C, or probabilities of input's own shape and dtype. t is the target (1 at the
    label), smoothed to (1 - s) t + s / C by `label_smoothing` s (Szegedy et al. 2016, section 7).
    Labels equal to `ignore_index` count nothing. `reduction` "mean" divides the sum by the weights
    of the labels that count (by N d1 … for probabilities), "sum" leaves it, "none" gives every
    row's own loss. With every label ignored the mean is NaN, as in PyTorch.

    Raises IndexError, with the label and its place, for one that is no class.
    """
    x = as_float(input, "cross_entropy")
    if not isinstance(target, Tensor):
        raise TypeError(f"cross_entropy: target: expected a Tensor, got {type(target).__name__}")
    if weight is not None and not isinstance(weight, Tensor):
        raise TypeError(f"cross_entropy: weight: expected a Tensor, got {type(weight).__name__}")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"cross_entropy: ignore_index: expected an integer, got {ignore_index!r}")
    check_reduction("cross_entropy", reduction)
    kind = target.dtype.kind
    if kind == "b":
        raise TypeError("cross_entropy: target: expected integers or probabilities, got bool")
    if kind != "f":
        target = Tensor._wrap(in_c_order(target._array.astype(np.int64, copy=False)))
    elif ignore_index >= 0:
        raise ValueError(
            "cross_entropy: ignore_index: probabilities have no label to ignore, got "
            f"{ignore_index}"
        )
    return _cross_entropy(
        x,
        target,
        weight=None if weight is None else weight._array,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )

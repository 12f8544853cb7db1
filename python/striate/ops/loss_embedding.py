# SPDX-License-Identifier: Apache-2.0
"""Losses of vectors that should lie close together or far apart."""

from __future__ import annotations

from collections.abc import Callable

from striate.explain import explained
from striate.ops.arithmetic import minimum
from striate.ops.distance import length, pairwise_distance
from striate.ops.loss_margin import ANY, check_two_values, positive_part
from striate.ops.loss_pointwise import check_number, check_reduction, floating, reduced
from striate.ops.pointwise import sqrt
from striate.ops.reduction import sum
from striate.ops.shape import where
from striate.tensor import Tensor

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


@explained
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
    check_two_values(name, t, (1, -1))
    margin = check_number(name, "margin", margin, low=ANY)
    size = (sum(a * a, -1) + 1e-12) * (sum(b * b, -1) + 1e-12)
    cos = sum(a * b, -1) / sqrt(size)
    return reduced(where(t == 1, 1 - cos, positive_part(cos - margin)), reduction)


@explained
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


@explained
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
    return reduced(positive_part(near - far + margin), reduction)


@explained
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
    check_two_values(name, y, (0, 1))
    margin = check_number(name, "margin", margin, low=0, above=True)
    off = a - b
    short = positive_part(margin - length(off))
    return reduced(0.5 * where(y == 0, sum(off * off, -1), short * short), reduction)

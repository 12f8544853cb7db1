# SPDX-License-Identifier: Apache-2.0
"""Distances and angles as modules."""

from __future__ import annotations

import math

from striate import ops
from striate.nn.arguments import flag, integer, number
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "CosineSimilarity",
    "PairwiseDistance",
]


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        name = "PairwiseDistance"
        self.norm = p if p == math.inf else number(name, "p", p, low=0)
        self.eps, self.keepdim = number(name, "eps", eps), flag(name, "keepdim", keepdim)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """<x1, x2> / (|x1| |x2|) along `dim`: see ops.cosine_similarity."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = integer("CosineSimilarity", "dim", dim, least=-8)
        self.eps = number("CosineSimilarity", "eps", eps, low=0)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.cosine_similarity(x1, x2, self.dim, self.eps)

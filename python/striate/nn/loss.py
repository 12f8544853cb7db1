# SPDX-License-Identifier: Apache-2.0
"""Loss functions as modules: what the function of the same name in ops says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from striate import ops
from striate.nn.arguments import choice, flag, integer, number, refuse
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PairwiseDistance",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]

_REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    """A loss with a reduction, and perhaps weights, which are buffers."""

    _choices: tuple[str, ...] = _REDUCTIONS

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = choice(type(self).__name__, "reduction", reduction, self._choices)

    def _register(self, argument: str, weight: Tensor | None, classes: bool = False) -> None:
        name = type(self).__name__
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(weight).__name__}")
        if classes and weight is not None and weight.ndim != 1:
            refuse(name, argument, "one number a class", f"shape {weight.shape}")
        self.register_buffer(argument, weight)


class CrossEntropyLoss(_Loss):
    """-log softmax(input)[target], over scores (N, C) or (N, C, H, W) and integer labels.

    `weight` (C,) scales classes, and the mean divides by the weights used; labels equal to
    `ignore_index` count nothing; `label_smoothing` s mixes the label with the uniform distribution:
    (1 - s) of the one, s of the other (Szegedy et al. 2016, section 7).
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        name = "CrossEntropyLoss"
        self._register("weight", weight, classes=True)
        self.ignore_index = integer(name, "ignore_index", ignore_index, least=-(2**63))
        self.label_smoothing = number(name, "label_smoothing", label_smoothing, 0.0, 1.0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.cross_entropy(
            input,
            target,
            self.weight,
            self.ignore_index,
            self.reduction,
            self.label_smoothing,
        )


class NLLLoss(_Loss):
    """-weight[label] input[label] of log probabilities: see ops.nll_loss."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self._register("weight", weight, classes=True)
        self.ignore_index = integer("NLLLoss", "ignore_index", ignore_index, least=-(2**63))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """-w (t log x + (1 - t) log(1 - x)) of probabilities: see ops.binary_cross_entropy."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """BCELoss of sigmoid(input): see ops.binary_cross_entropy_with_logits."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self._register("weight", weight)
        self._register("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class MSELoss(_Loss):
    """(input - target)^2, averaged, summed or as it is."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|input - target|, averaged, summed or as it is."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """A square over 2 beta up to beta, a line from there on: see ops.smooth_l1_loss."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = number("SmoothL1Loss", "beta", beta, low=0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Half a square up to delta, a line from there on: see ops.huber_loss."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = number("HuberLoss", "delta", delta, low=0, open_low=True)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence of exp(input) from target: see ops.kl_div."""

    _choices = ("mean", "sum", "none", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = flag("KLDivLoss", "log_target", log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.kl_div(input, target, self.reduction, self.log_target)


class PoissonNLLLoss(_Loss):
    """-log of a Poisson distribution's probability of target: see ops.poisson_nll_loss."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input = flag("PoissonNLLLoss", "log_input", log_input)
        self.full = flag("PoissonNLLLoss", "full", full)
        self.eps = number("PoissonNLLLoss", "eps", eps, low=0)

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return ops.poisson_nll_loss(
            log_input, target, self.log_input, self.full, self.eps, self.reduction
        )


class GaussianNLLLoss(_Loss):
    """-log of a normal distribution's density at target: see ops.gaussian_nll_loss."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = flag("GaussianNLLLoss", "full", full)
        self.eps = number("GaussianNLLLoss", "eps", eps, low=0, open_low=True)

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return ops.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """x, or max(0, margin - x) where the target is -1: see ops.hinge_embedding_loss."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("HingeEmbeddingLoss", "margin", margin)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.hinge_embedding_loss(input, target, self.margin, self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target input))."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.soft_margin_loss(input, target, self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, margin - target (input1 - input2))."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("MarginRankingLoss", "margin", margin)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return ops.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class MultiMarginLoss(_Loss):
    """Hinges between the label's score and the others': see ops.multi_margin_loss."""

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self._register("weight", weight, classes=True)
        if p not in (1, 2):
            refuse("MultiMarginLoss", "p", "1 or 2", repr(p))
        self.p, self.margin = p, number("MultiMarginLoss", "margin", margin)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, self.reduction
        )


class MultiLabelMarginLoss(_Loss):
    """Hinges between labels' scores and the others': see ops.multilabel_margin_loss."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multilabel_margin_loss(input, target, self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """BCEWithLogitsLoss averaged over classes: see ops.multilabel_soft_margin_loss."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos, or max(0, cos - margin) where the target is -1: see ops.cosine_embedding_loss."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("CosineEmbeddingLoss", "margin", margin)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return ops.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin): see ops.triplet_margin_loss."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        name = "TripletMarginLoss"
        self.margin = number(name, "margin", margin, low=0, open_low=True)
        self.p = p if p == math.inf else number(name, "p", p, low=0)
        self.eps, self.swap = number(name, "eps", eps), flag(name, "swap", swap)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return ops.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """TripletMarginLoss with a distance of one's own."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        name = "TripletMarginWithDistanceLoss"
        self.distance_function: Any = distance_function
        self.margin = number(name, "margin", margin, low=0, open_low=True)
        self.swap = flag(name, "swap", swap)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return ops.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class ContrastiveLoss(_Loss):
    """d^2 / 2 of pairs alike, max(0, margin - d)^2 / 2 of others: see ops.contrastive_loss."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("ContrastiveLoss", "margin", margin, low=0, open_low=True)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return ops.contrastive_loss(input1, input2, target, self.margin, self.reduction)


class CTCLoss(_Loss):
    """Connectionist temporal classification: see ops.ctc_loss."""

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction)
        self.blank = integer("CTCLoss", "blank", blank, least=0)
        self.zero_infinity = flag("CTCLoss", "zero_infinity", zero_infinity)

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        return ops.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )


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

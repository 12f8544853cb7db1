# SPDX-License-Identifier: Apache-2.0
"""Loss functions as modules."""

from __future__ import annotations

from striate import ops
from striate.nn.arguments import choice, integer, number, refuse
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "CrossEntropyLoss",
    "MSELoss",
]

_REDUCTIONS = ("mean", "sum", "none")


class CrossEntropyLoss(Module):
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
        super().__init__()
        name = "CrossEntropyLoss"
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(f"{name}: weight: expected a Tensor, got {type(weight).__name__}")
        if weight is not None and weight.ndim != 1:
            refuse(name, "weight", "one number a class", f"shape {weight.shape}")
        self.register_buffer("weight", weight)
        self.ignore_index = integer(name, "ignore_index", ignore_index, least=-(2**63))
        self.reduction = choice(name, "reduction", reduction, _REDUCTIONS)
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


class MSELoss(Module):
    """(input - target)^2, averaged, summed or as it is."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = choice("MSELoss", "reduction", reduction, _REDUCTIONS)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.mse_loss(input, target, self.reduction)

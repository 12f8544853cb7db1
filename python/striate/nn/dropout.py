# SPDX-License-Identifier: Apache-2.0
"""Dropout layers: active in training, the identity in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from striate import ops
from striate.nn.arguments import flag, number
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        self.p = number(name, "p", p, 0.0, 1.0)
        self.inplace = flag(name, "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


def _layer(function: Callable[..., Tensor]) -> Any:
    return staticmethod(function)


class Dropout(_Dropout):
    """In training each element is 0 with probability p, x / (1 - p) otherwise.

    Srivastava et al. 2014. Masks follow `striate.manual_seed`, and don't depend on threads or
    memory order. `inplace` is accepted, and changes nothing.
    """

    function = _layer(ops.dropout)


class Dropout1d(_Dropout):
    """In training whole channels of (N, C, L) or (C, L) are 0 with probability p (Tompson et al.
    2015)."""

    function = _layer(ops.dropout1d)


class Dropout2d(_Dropout):
    """In training whole channels of (N, C, H, W) are 0 with probability p (Tompson et al. 2015)."""

    function = _layer(ops.dropout2d)


class Dropout3d(_Dropout):
    """In training whole channels of (N, C, D, H, W) or (C, D, H, W) are 0 with probability p
    (Tompson et al. 2015)."""

    function = _layer(ops.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for networks of SELU: mean 0 and variance 1 stay (Klambauer et al. 2017)."""

    function = _layer(ops.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of (N, C, ...)."""

    function = _layer(ops.feature_alpha_dropout)

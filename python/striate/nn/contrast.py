# SPDX-License-Identifier: Apache-2.0
"""Layers of local contrast normalisation."""

from __future__ import annotations

from typing import Any

from striate import ops
from striate.nn.module import Module
from striate.ops.contrast import threshold_of, window_of
from striate.tensor import Tensor

__all__ = [
    "DivisiveNorm",
    "LocalContrastNorm",
    "SubtractiveNorm",
]


class _Windowed(Module):
    def __init__(self, kernel_size: int | tuple[int, int] = 9, sigma: float | None = None) -> None:
        super().__init__()
        window_of(type(self).__name__, kernel_size, sigma)  # refuses what is wrong
        self.kernel_size: Any = kernel_size
        self.sigma = sigma

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}"


class SubtractiveNorm(_Windowed):
    """x minus its mean under a Gaussian window, over all channels (Jarrett et al. 2009).

    (N, C, H, W) -> the same. `kernel_size` and `sigma` as in `functional.subtractive_norm`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.subtractive_norm(input, self.kernel_size, self.sigma)


class _Thresholded(_Windowed):
    def __init__(
        self,
        kernel_size: int | tuple[int, int] = 9,
        sigma: float | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(kernel_size, sigma)
        self.threshold = threshold_of(type(self).__name__, threshold)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, threshold={self.threshold}"


class DivisiveNorm(_Thresholded):
    """x over its root mean square under a Gaussian window, or over that one's mean if larger.

    (N, C, H, W) -> the same (Jarrett et al. 2009). Arguments as in `functional.divisive_norm`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.divisive_norm(input, self.kernel_size, self.sigma, self.threshold)


class LocalContrastNorm(_Thresholded):
    """SubtractiveNorm, then DivisiveNorm: (N, C, H, W) -> the same (Jarrett et al. 2009)."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.local_contrast_norm(input, self.kernel_size, self.sigma, self.threshold)

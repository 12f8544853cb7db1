# SPDX-License-Identifier: Apache-2.0
"""The normal distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import ops, random
from striate.distributions.distribution import Distribution, as_parameters
from striate.tensor import Tensor


class Normal(Distribution):
    """Density e^(-(x - loc)^2 / (2 scale^2)) / (scale sqrt(2 pi)); loc and scale broadcast."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = as_parameters("Normal", loc=loc, scale=scale)
        super().__init__(self.loc.shape, validate_args)
        self._expect("loc", self.loc, np.isfinite(self.loc._array), "finite numbers")
        scale_array = self.scale._array
        held = np.isfinite(scale_array) & (scale_array > 0)
        self._expect("scale", self.scale, held, "finite numbers above 0")

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale^2."""
        return self.scale * self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """loc + scale e, e standard normal: samples with gradients (Kingma and Welling 2014)."""
        return self._drawn((*tuple(sample_shape), *self.batch_shape))

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * random.randn(shape, dtype=self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density at `value`."""
        off = (self._value(value) - self.loc) / self.scale
        return off * off * -0.5 - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        """1/2 + log(scale sqrt(2 pi))."""
        return self.scale.log() + (0.5 + 0.5 * math.log(2 * math.pi))

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of being at most `value`."""
        off = (self._value(value) - self.loc) / self.scale
        return ops.erfc(off * -math.sqrt(0.5)) * 0.5

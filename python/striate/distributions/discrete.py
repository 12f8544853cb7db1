# SPDX-License-Identifier: Apache-2.0
"""Distributions over classes and over 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import ops, sampling
from striate.distributions.distribution import Distribution, as_parameters, one_of
from striate.tensor import Tensor


class Categorical(Distribution):
    """Classes 0 to K - 1 along the last axis of `probs` (need not sum to 1) or `logits`."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of("Categorical", probs, logits)
        argument, value = ("probs", probs) if logits is None else ("logits", logits)
        (given,) = as_parameters("Categorical", **{argument: value})
        if given.ndim < 1 or given.shape[-1] == 0:
            raise ValueError(f"Categorical: expected classes on the last axis, got {given.shape}")
        super().__init__(given.shape[:-1], validate_args)
        self.event_count = given.shape[-1]
        if logits is None:
            held = (given._array >= 0) & np.isfinite(given._array)
            self._expect("probs", given, held, "finite numbers of 0 or more")
            total = given.sum(-1, keepdim=True)
            self._expect("probs", total, total._array > 0, "a sum above 0")
            self.probs = given / total
            self.logits = _clamped(self.probs).log()
        else:
            self._expect("logits", given, ~np.isnan(given._array), "no NaN")
            self.logits = ops.log_softmax(given, -1)
            self.probs = ops.softmax(given, -1)

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no mean."""
        return ops.sum(self.probs, -1) * float("nan")

    @property
    def variance(self) -> Tensor:
        """NaN: classes have no variance."""
        return self.mean

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return ops.argmax(self.probs, -1)

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        rows = self.probs.reshape(-1, self.event_count)
        lead = shape[: len(shape) - len(self.batch_shape)]
        count = int(np.prod(lead))
        if count == 0 or rows.shape[0] == 0:
            return Tensor(np.zeros(shape, np.int64))
        drawn = sampling.multinomial(rows, count, replacement=True)
        return drawn.T.reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of each class in `value`."""
        wanted = self._value(value)._array
        held = (wanted >= 0) & (wanted < self.event_count) & (wanted == np.floor(wanted))
        self._expect("value", value, held, f"classes from 0 to {self.event_count - 1}")
        shape = np.broadcast_shapes(wanted.shape, self.batch_shape)
        index = np.broadcast_to(wanted.astype(np.int64), shape)[..., None]
        logits = ops.expand(self.logits, (*shape, self.event_count))
        return ops.gather(logits, -1, Tensor._wrap(index)).squeeze(-1)

    def entropy(self) -> Tensor:
        """-sum p log p."""
        least = np.finfo(self.logits.dtype).min
        return -(self.probs * ops.clamp(self.logits, min=float(least))).sum(-1)


def _clamped(probs: Tensor) -> Tensor:
    """Probabilities away from 0 and 1 by as much as the dtype tells apart."""
    eps = float(np.finfo(probs.dtype).eps)
    return ops.clamp(probs, eps, 1 - eps)


class Bernoulli(Distribution):
    """1 with probability p, else 0; given as `probs` or as `logits`, log(p / (1 - p))."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of("Bernoulli", probs, logits)
        if logits is None:
            (self.probs,) = as_parameters("Bernoulli", probs=probs)
            super().__init__(self.probs.shape, validate_args)
            array = self.probs._array
            self._expect("probs", self.probs, (array >= 0) & (array <= 1), "from 0 to 1")
            inside = _clamped(self.probs)
            self.logits = inside.log() - (1 - inside).log()
        else:
            (self.logits,) = as_parameters("Bernoulli", logits=logits)
            super().__init__(self.logits.shape, validate_args)
            self._expect("logits", self.logits, ~np.isnan(self.logits._array), "no NaN")
            self.probs = ops.sigmoid(self.logits)

    @property
    def mean(self) -> Tensor:
        """p."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """p (1 - p)."""
        return self.probs * (1 - self.probs)

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        return sampling.bernoulli(ops.expand(self.probs, shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p where `value` is 1, log (1 - p) where it is 0."""
        held = (self._value(value)._array == 0) | (value._array == 1)
        self._expect("value", value, held, "0 or 1")
        return value * self.logits - ops.softplus(self.logits)

    def entropy(self) -> Tensor:
        """-p log p - (1 - p) log (1 - p)."""
        return ops.softplus(self.logits) - self.probs * self.logits

# SPDX-License-Identifier: Apache-2.0
"""What the distributions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import autograd, ops
from striate.dtypes import get_default_dtype
from striate.tensor import Tensor


class Distribution:
    """A batch of distributions: `batch_shape` of them, each over values of `event_shape`.

    Parameters are checked when one is made (finite, in range), and values in `log_prob`; pass
    validate_args=False to leave that out.
    """

    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...] = ()

    def __init__(self, batch_shape: tuple[int, ...], validate_args: bool | None) -> None:
        self.batch_shape = batch_shape
        self._validate = validate_args is not False

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        raise NotImplementedError

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values of shape sample_shape + batch_shape, without gradient."""
        if not isinstance(sample_shape, (tuple, list)):
            raise TypeError(f"sample: sample_shape: expected a tuple, got {sample_shape!r}")
        with autograd.no_grad():
            return self._drawn((*tuple(sample_shape), *self.batch_shape)).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        raise NotImplementedError

    def _expect(self, argument: str, t: Tensor, holds: Any, expected: str) -> None:
        """Raises, naming the first element that is wrong, unless `holds` everywhere."""
        if self._validate and not np.all(holds):
            wrong = np.broadcast_to(t._array, np.shape(holds))[~np.asarray(holds)].ravel()[0]
            name = type(self).__name__
            raise ValueError(f"{name}: {argument}: expected {expected}, got {wrong}")

    def _value(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            name = type(self).__name__
            raise TypeError(f"{name}: value: expected a Tensor, got {type(value).__name__}")
        try:
            np.broadcast_shapes(value.shape, self.batch_shape)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: value: expected a shape that broadcasts with "
                f"{self.batch_shape}, got {value.shape}"
            ) from None
        return value


def as_parameters(name: str, **given: Any) -> list[Tensor]:
    """Floating tensors of one shape, of numbers and tensors."""
    tensors = []
    for argument, value in given.items():
        if not isinstance(value, (Tensor, int, float)):
            raise TypeError(
                f"{name}: {argument}: expected a Tensor or a number, got {type(value).__name__}"
            )
        t = value if isinstance(value, Tensor) else Tensor(float(value))
        tensors.append(t if t.dtype.kind == "f" else t.to(get_default_dtype()))
    return list(ops.broadcast_tensors(*tensors))


def one_of(name: str, probs: Any, logits: Any) -> None:
    """Raises unless exactly one is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: expected either probs or logits")

# SPDX-License-Identifier: Apache-2.0
"""Logarithms, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from striate.testing.cases.activation import _activation
from striate.testing.cases.case import Array


def _draw_above(low: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """From just above `low` to large; where the slope is steep, not so close that it blows up."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.asarray(low + np.exp(rng.uniform(-2, 6, shape)))

    return draw


CASES = [
    *_activation(
        "log", lambda x, p: np.log(x), lambda x, p: 1 / x, saves="x", draw=_draw_above(0.0)
    ),
    *_activation(
        "log1p",
        lambda x, p: np.log1p(x),
        lambda x, p: 1 / (1 + x),
        saves="x",
        draw=_draw_above(-1.0),
    ),
    *_activation(
        "log2",
        lambda x, p: np.log2(x),
        lambda x, p: 1 / (x * math.log(2)),
        saves="x",
        draw=_draw_above(0.0),
    ),
    *_activation(
        "log10",
        lambda x, p: np.log10(x),
        lambda x, p: 1 / (x * math.log(10)),
        saves="x",
        draw=_draw_above(0.0),
    ),
]

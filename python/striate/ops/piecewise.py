# SPDX-License-Identifier: Apache-2.0
"""Activation functions made of pieces of straight lines, but for ReLU and leaky ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.explain import explained
from striate.ops.activation import activation_of, as_float, number, record_of
from striate.tensor import Tensor

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "relu6",
    "softshrink",
    "step",
    "threshold",
]
METHODS = [
    "hardshrink",
]

hardsigmoid = activation_of("hardsigmoid", "y", "min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).")
hardswish = activation_of("hardswish", "x", "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).")
_hardtanh = record_of("hardtanh", "y")
_hardshrink, _softshrink = record_of("hardshrink", "x"), record_of("softshrink", "x")
_threshold, _step = record_of("threshold", "x"), record_of("step", "x")


@explained
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """min(max(x, min_val), max_val). Slope 0 at the limits and beyond; NaN stays.

    Raises ValueError unless min_val <= max_val.
    """
    low = number(min_val, "hardtanh", "min_val")
    high = number(max_val, "hardtanh", "max_val")
    if low > high:
        raise ValueError(f"hardtanh: min_val: expected at most max_val {high:g}, got {low:g}")
    return _hardtanh(as_float(input, "hardtanh"), parameter=(low, high))


def relu6(input: Tensor) -> Tensor:
    """min(max(x, 0), 6) (Krizhevsky 2010)."""
    return _hardtanh(as_float(input, "relu6"), parameter=(0.0, 6.0))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, 0 elsewhere: hard thresholding (Donoho and Johnstone 1994)."""
    size = number(lambd, "hardshrink", "lambd")
    return _hardshrink(as_float(input, "hardshrink"), parameter=size)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd >= 0, and 0 where |x| <= lambd (Donoho and Johnstone 1994)."""
    size = number(lambd, "softshrink", "lambd")
    if size < 0:
        raise ValueError(f"softshrink: lambd: expected 0 or more, got {size:g}")
    return _softshrink(as_float(input, "softshrink"), parameter=size)


@explained
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > threshold, value elsewhere, with slope 0 there."""
    limits = number(threshold, "threshold", "threshold"), number(value, "threshold", "value")
    return _threshold(as_float(input, "threshold"), parameter=limits)


def step(input: Tensor, window: Any = 1.0) -> Tensor:
    """1 where x > 0, else 0: the threshold unit (McCulloch and Pitts 1943). NaN stays.

    Its true slope is 0 wherever there is one, and teaches nothing. So the gradient is that of a
    stand-in, the straight-through estimator (Bengio, Leonard and Courville 2013): dy where
    |x| <= window, else 0. window=0 leaves (all but) nothing, window=float("inf") lets all pass.
    """
    if isinstance(window, float) and window == np.inf:
        size = window
    else:
        size = number(window, "step", "window")
    if size < 0:
        raise ValueError(f"step: window: expected 0 or more, got {size:g}")
    return _step(as_float(input, "step"), parameter=size)

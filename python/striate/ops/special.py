# SPDX-License-Identifier: Apache-2.0
"""The error function, by the kernels of the activations."""

from __future__ import annotations

from striate.ops.activation import _activation

__all__ = [
    "erf",
    "erfc",
]
METHODS = __all__

erf = _activation(
    "erf", "x", "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x; slope 2 / sqrt(pi) e^-x^2."
)
erfc = _activation("erfc", "x", "1 - erf(x), with all digits where it is near 0.")

# SPDX-License-Identifier: Apache-2.0
"""The error function, by the kernels of the activations."""

from __future__ import annotations

from striate.ops.activation import activation_of

__all__ = [
    "erf",
    "erfc",
]
METHODS = __all__

erf = activation_of(
    "erf", "x", "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x; slope 2 / sqrt(pi) e^-x^2."
)
erfc = activation_of("erfc", "x", "1 - erf(x), with all digits where it is near 0.")

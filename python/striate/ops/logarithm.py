# SPDX-License-Identifier: Apache-2.0
"""Logarithms, through the kernels of csrc/ops/activation. Integers become the default float.

Numbers too small to be normal count as 0, as in every kernel.
"""

from striate.ops.activation import activation_of

__all__ = ["log", "log1p", "log2", "log10"]
METHODS = ["log", "log1p", "log2", "log10"]

log = activation_of("log", "x", "Natural logarithm; -inf at 0, NaN below.")
log1p = activation_of("log1p", "x", "log(1 + x), with all digits near 0; -inf at -1, NaN below.")
log2 = activation_of("log2", "x", "Logarithm to the base 2, exact at powers of 2; NaN below 0.")
log10 = activation_of("log10", "x", "Logarithm to the base 10; NaN below 0.")

# SPDX-License-Identifier: Apache-2.0
"""Operands of products in bfloat16, given so or rounded to it inside `autocast`."""

from __future__ import annotations

import numpy as np

from striate import _C
from striate.precision import _mode as _precision
from striate.tensor import Array


def operands(a: Array, b: Array) -> tuple[Array, Array, bool]:
    """a and b as they are multiplied, and whether the result is to be bfloat16."""
    low = a.dtype.kind == "V"
    if _precision.enabled and a.dtype == b.dtype == np.float32:
        a, b = _C.narrow(a), _C.narrow(b)
    return a, b, low


def like(x: Array, low: bool) -> Array:
    """A float32 result in the dtype of its operands."""
    return _C.narrow(x) if low else x


def wide(x: Array) -> Array:
    """bfloat16 as float32, others as they are."""
    return _C.widen(x) if x.dtype.kind == "V" else x


def fitting(grad: Array, operand: Array) -> Array:
    """A gradient as it is multiplied with an operand that was saved."""
    return _C.narrow(grad) if operand.dtype.kind == "V" and grad.dtype.kind != "V" else grad

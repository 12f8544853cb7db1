# SPDX-License-Identifier: Apache-2.0
"""Gradients: the tape, and what can be asked of it.

`tape.py` records operations and sweeps back along them. The other files are for those who want
more than `backward()`: gradients of chosen tensors, functions with a gradient of their own, hooks,
and the search for the first NaN.
"""

from striate.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from striate.autograd.function import Function
from striate.autograd.graph import backward, copied_for_backward, grad, seed
from striate.autograd.tape import (
    Array,
    Node,
    Version,
    _mode,
    _next_number,
    add_to_leaf,
    enable_grad,
    heeded,
    inference_mode,
    is_grad_enabled,
    no_grad,
    not_recording,
    one_like,
    set_grad_enabled,
    sweep,
)

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

# SPDX-License-Identifier: Apache-2.0
"""Optimizers: they change parameters by their gradients. Names and semantics are PyTorch's."""

from striate.optim.optimizer import Optimizer
from striate.optim.sgd import SGD

__all__ = [
    "SGD",
    "Optimizer",
]

# SPDX-License-Identifier: Apache-2.0
"""Optimizers: they change parameters by their gradients. Names and semantics are PyTorch's."""

from striate.optim import lr_scheduler
from striate.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from striate.optim.adaptive import Adadelta, Adagrad, RMSprop
from striate.optim.optimizer import Optimizer
from striate.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
]

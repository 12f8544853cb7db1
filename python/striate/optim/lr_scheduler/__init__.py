# SPDX-License-Identifier: Apache-2.0
"""Schedules of the learning rate: step() after the optimizer's, once an epoch or once a batch.

Names, arguments and values are PyTorch's. step() takes no epoch, and a schedule prints nothing.
"""

from striate.optim.lr_scheduler.annealing import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    PolynomialLR,
)
from striate.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from striate.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from striate.optim.lr_scheduler.plateau import ReduceLROnPlateau
from striate.optim.lr_scheduler.scheduler import LRScheduler
from striate.optim.lr_scheduler.steps import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

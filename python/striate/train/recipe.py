# SPDX-License-Identifier: Apache-2.0
"""The optimizer and the schedule that a config names."""

from __future__ import annotations

import math
from collections.abc import Iterable

from striate import optim
from striate.optim import lr_scheduler
from striate.tensor import Tensor
from striate.train.config import Config


def make_optimizer(config: Config, parameters: Iterable[Tensor]) -> optim.Optimizer:
    """SGD and RMSprop take the config's momentum, SGD as Nesterov's."""
    lr, decay, momentum = config.lr, config.weight_decay, config.momentum
    if config.optimizer == "sgd":
        return optim.SGD(
            parameters, lr, momentum=momentum, weight_decay=decay, nesterov=momentum > 0
        )
    if config.optimizer == "rmsprop":
        return optim.RMSprop(parameters, lr, momentum=momentum, weight_decay=decay)
    kinds: dict[str, type[optim.Adam | optim.Adagrad | optim.Adadelta]] = {
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "adagrad": optim.Adagrad,
        "adadelta": optim.Adadelta,
    }
    return kinds[config.optimizer](parameters, lr, weight_decay=decay)


def share_of_rate(config: Config, step: int, steps: int) -> float:
    """The learning rate of a step, as a share of the highest.

    A linear rise over the first `warmup` of the steps (Goyal et al., Accurate, Large Minibatch SGD,
    2017, section 2.2), then: "cosine" down to 0 (Loshchilov and Hutter, SGDR, ICLR 2017, equation
    5, one period); "step", a tenth after half of the steps and a hundredth after three quarters;
    "constant".
    """
    rise = config.warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))
    if config.schedule == "step":
        return 1.0 if 2 * step < steps else 0.1 if 4 * step < 3 * steps else 0.01
    return 1.0


def make_schedule(
    config: Config, optimizer: optim.Optimizer, steps: int
) -> lr_scheduler.LRScheduler:
    """One step of it goes with every step of the optimizer."""
    if config.schedule == "onecycle":
        moves = any(option in optimizer.defaults for option in ("momentum", "betas"))
        return lr_scheduler.OneCycleLR(optimizer, config.lr, steps, cycle_momentum=moves)
    return lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(config, step, steps))

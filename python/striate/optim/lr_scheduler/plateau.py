# SPDX-License-Identifier: Apache-2.0
"""A schedule that waits for a figure to stop improving."""

from __future__ import annotations

import math
from typing import Any

from striate.nn.arguments import choice
from striate.optim.lr_scheduler.scheduler import (
    LRScheduler,
    check_optimizer,
    each_group,
    integer,
    number,
    refuse,
)
from striate.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """rate * factor after more than `patience` steps in which step(metrics) saw no improvement.

    An improvement (downwards in `mode` "min", upwards in "max") is one by more than `threshold`,
    relative to the best ("rel") or as it is ("abs"). After a cut, `cooldown` steps don't count. The
    rate stays at least `min_lr`; changes of `eps` or less are left out.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = check_optimizer(name, optimizer)
        self.mode = choice(name, "mode", mode, ("min", "max"))
        self.factor = number(name, "factor", factor, low=0)
        if factor >= 1:
            refuse(name, "factor", "a number below 1", factor)
        self.patience = integer(name, "patience", patience, least=0)
        self.threshold = number(name, "threshold", threshold)
        self.threshold_mode = choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = integer(name, "cooldown", cooldown, least=0)
        self.min_lrs = [
            number(name, "min_lr", m, low=0) for m in each_group(name, "min_lr", min_lr, optimizer)
        ]
        self.eps = number(name, "eps", eps, low=0)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Takes the latest figure (a number, or a tensor of one), and cuts the rate if it must."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            cut = [max(lr * self.factor, m) for lr, m in zip(rates, self.min_lrs, strict=True)]
            rates = [c if lr - c > self.eps else lr for lr, c in zip(rates, cut, strict=True)]
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._set(rates)

    def _is_better(self, current: float) -> bool:
        down = self.mode == "min"
        sign = -1 if down else 1
        if self.threshold_mode == "rel":
            limit = self.best * (1.0 + sign * self.threshold)
        else:
            limit = self.best + sign * self.threshold
        return current < limit if down else current > limit

# SPDX-License-Identifier: Apache-2.0
"""Schedules that lead from one rate to another along a line, a power or a cosine."""

from __future__ import annotations

import math

from striate.optim.lr_scheduler.scheduler import LRScheduler, integer, number
from striate.optim.optimizer import Optimizer


class LinearLR(LRScheduler):
    """A factor of the rate that goes from start_factor to end_factor in `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        name = "LinearLR"
        self.start_factor = number(name, "start_factor", start_factor, 0.0, 1.0, open_low=True)
        self.end_factor = number(name, "end_factor", end_factor, 0.0, 1.0)
        self.total_iters = integer(name, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return lr * (1.0 + rise / before)

    def closed_rate(self, base: float) -> float:
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class PolynomialLR(LRScheduler):
    """initial rate * (1 - step / total_iters)^power, and 0 from there on."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = integer("PolynomialLR", "total_iters", total_iters)
        self.power = number("PolynomialLR", "power", power, low=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        left = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return float(lr * (left / before) ** self.power)

    def closed_rate(self, base: float) -> float:
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        return float(base * (1.0 - share) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """eta_min + (initial rate - eta_min) (1 + cos(pi step / T_max)) / 2.

    Loshchilov and Hutter 2017, equation 5, without restarts: after T_max it rises again.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, low=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        if self._is_initial:
            return lr
        step, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._step_count == 1 and step > 0:  # the first after going on from somewhere
            return self.closed_rate(base)
        if (step - 1 - period) % (2 * period) == 0:  # from the lowest, which has no ratio
            return lr + (base - low) * (1 - math.cos(math.pi / period)) / 2
        here, before = (1 + math.cos(math.pi * n / period) for n in (step, step - 1))
        return here / before * (lr - low) + low

    def closed_rate(self, base: float) -> float:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * share


class CosineAnnealingWarmRestarts(LRScheduler):
    """The cosine over T_0 steps, then from the top over T_0 T_mult, then T_0 T_mult^2, ...

    Loshchilov and Hutter 2017, equation 5.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        name = "CosineAnnealingWarmRestarts"
        self.T_0 = integer(name, "T_0", T_0)
        self.T_mult = integer(name, "T_mult", T_mult)
        self.eta_min = number(name, "eta_min", eta_min, low=0)
        self.T_i, self.T_cur = self.T_0, last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        if self.last_epoch < 0:
            self.T_i, self.T_cur = self.T_0, 0
        else:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        super().step()

    def rate(self, lr: float, base: float) -> float:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return self.eta_min + (base - self.eta_min) * share

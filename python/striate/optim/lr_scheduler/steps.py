# SPDX-License-Identifier: Apache-2.0
"""Schedules that multiply the rate by a factor, at every step or at some."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from striate.explain import explained
from striate.optim.lr_scheduler.scheduler import (
    LRScheduler,
    check_optimizer,
    each_group,
    function_state,
    integer,
    number,
)
from striate.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _OfFunctions(LRScheduler):
    """A schedule with a function of the step for every group."""

    _unsaved = ("optimizer", "lr_lambdas")

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1
    ) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.lr_lambdas = each_group(name, "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                kind = type(function).__name__
                raise TypeError(f"{name}: lr_lambda: expected a function, got {kind}")
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "lr_lambdas": [function_state(f) for f in self.lr_lambdas]}

    def _load(self, state: dict[str, Any]) -> None:
        for function, attributes in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            vars(function).update(attributes or {})
        super()._load(state)


class LambdaLR(_OfFunctions):
    """initial rate * lr_lambda(step). `lr_lambda` is one function, or a list of one a group."""

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class MultiplicativeLR(_OfFunctions):
    """rate * lr_lambda(step), from step 1 on."""

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        pairs = zip(rates, self.lr_lambdas, strict=True)
        return [lr * function(self.last_epoch) for lr, function in pairs]


class StepLR(LRScheduler):
    """rate * gamma at every multiple of `step_size`."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = integer("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        stays = self.last_epoch == 0 or self.last_epoch % self.step_size != 0
        return lr if stays else lr * self.gamma

    def closed_rate(self, base: float) -> float:
        return float(base * self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """rate * gamma at each of the milestones; one that is named twice counts twice."""

    @explained
    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        name = "MultiStepLR"
        self.milestones = sorted(integer(name, "milestones", m, least=0) for m in milestones)
        self.gamma = number(name, "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        count = self.milestones.count(self.last_epoch)
        return float(lr * self.gamma**count) if count else lr

    def closed_rate(self, base: float) -> float:
        return float(base * self.gamma ** bisect_right(self.milestones, self.last_epoch))


class ConstantLR(LRScheduler):
    """rate * factor until step `total_iters`, then as it would have been."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = number("ConstantLR", "factor", factor, 0.0, 1.0, open_low=True)
        self.total_iters = integer("ConstantLR", "total_iters", total_iters, least=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        return lr if self.last_epoch != self.total_iters else lr * (1.0 / self.factor)

    def closed_rate(self, base: float) -> float:
        return base if self.last_epoch >= self.total_iters else base * self.factor


class ExponentialLR(LRScheduler):
    """rate * gamma at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        return lr if self._is_initial else lr * self.gamma

    def closed_rate(self, base: float) -> float:
        return float(base * self.gamma**self.last_epoch)

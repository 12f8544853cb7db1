# SPDX-License-Identifier: Apache-2.0
"""Schedules that go up and come down again, and may take the momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from striate.nn.arguments import choice, flag
from striate.optim.lr_scheduler.scheduler import (
    LRScheduler,
    check_optimizer,
    each_group,
    function_state,
    integer,
    number,
    refuse,
)
from striate.optim.optimizer import Optimizer


class _WithMomentum(LRScheduler):
    """A schedule that also moves the momentum, or beta1, where the optimizer has one."""

    cycle_momentum: bool
    use_beta1: bool

    def _begin_momentum(self, base: Any, most: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
        """The lowest and the highest momentum of every group, which the highest is set in."""
        name = type(self).__name__
        options = self.optimizer.defaults
        if "momentum" not in options and "betas" not in options:
            raise ValueError(
                f"{name}: cycle_momentum: expected an optimizer with momentum or betas, got "
                f"{type(self.optimizer).__name__}; pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in options
        lows = each_group(name, "base_momentum", base, self.optimizer)
        highs = each_group(name, "max_momentum", most, self.optimizer)
        if last_epoch == -1:
            for low, high, group in zip(lows, highs, self.optimizer.param_groups, strict=True):
                group["base_momentum"] = number(name, "base_momentum", low, 0.0, 1.0)
                group["max_momentum"] = number(name, "max_momentum", high, 0.0, 1.0)
                self._set_momentum(group, high)
        return lows, highs

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_WithMomentum):
    """From base_lr up to max_lr in step_size_up steps, and down in step_size_down (Smith 2017).

    `mode` "triangular" keeps the height, "triangular2" halves it every cycle, "exp_range" takes it
    times gamma^step; `scale_fn`, of the cycle (from 1) or of the step as `scale_mode` says, takes
    their place. The momentum (beta1 of Adam) goes the other way, from max_momentum down.
    """

    _unsaved = ("optimizer", "_scale_fn_custom")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = "CyclicLR"
        self.optimizer = check_optimizer(name, optimizer)
        base_lrs = each_group(name, "base_lr", base_lr, optimizer)
        self.max_lrs = each_group(name, "max_lr", max_lr, optimizer)
        for argument, values in (("base_lr", base_lrs), ("max_lr", self.max_lrs)):
            for value in values:
                number(name, argument, value, low=0)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                group["lr"] = lr
        up = integer(name, "step_size_up", step_size_up)
        down = up if step_size_down is None else integer(name, "step_size_down", step_size_down)
        self.total_size = float(up + down)
        self.step_ratio = up / self.total_size
        if scale_fn is not None and not callable(scale_fn):
            refuse(name, "scale_fn", "a function or None", repr(scale_fn))
        if scale_fn is None:
            choice(name, "mode", mode, ("triangular", "triangular2", "exp_range"))
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.mode, self.gamma = mode, number(name, "gamma", gamma, low=0)
        self._scale_fn_custom = scale_fn
        self.scale_mode = choice(name, "scale_mode", scale_mode, ("cycle", "iterations"))
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._begin_momentum(
                base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of the cycle or step x, as a factor."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 0.5 ** (x - 1) if self.mode == "triangular2" else float(self.gamma**x)

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ends, strict=True):
                self._set_momentum(group, high - (high - low) * height)
        ends = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in ends]

    def state_dict(self) -> dict[str, Any]:
        function = self._scale_fn_custom
        state = None if function is None else function_state(function)
        return {**super().state_dict(), "_scale_fn_custom": state}

    def _load(self, state: dict[str, Any]) -> None:
        attributes = state.pop("_scale_fn_custom")
        if attributes is not None and self._scale_fn_custom is not None:
            vars(self._scale_fn_custom).update(attributes)
        super()._load(state)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1 + math.cos(math.pi * share))


def _linear(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


# Where a phase of OneCycleLR ends (in units of pct_start * total_steps - 1; None: at the end), and
# from what to what it leads, as keys of a group.
_Phase = tuple[int | None, str, str, str, str]
_PHASES: dict[bool, list[_Phase]] = {
    False: [
        (1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
        (None, "max_lr", "min_lr", "base_momentum", "max_momentum"),
    ],
    True: [
        (1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
        (2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
        (None, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
    ],
}


class OneCycleLR(_WithMomentum):
    """One rise to max_lr and one long way down, over all steps of a training (Smith 2018).

    From max_lr / div_factor up in the first `pct_start` of the steps, then down to that start over
    final_div_factor, along a cosine or a line (`anneal_strategy`); with `three_phase` down to the
    start as fast as it went up, and from there to the end. The momentum (beta1 of Adam) goes the
    other way. Give `total_steps`, or `epochs` and `steps_per_epoch`; a further step is refused.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        self.optimizer = check_optimizer(name, optimizer)
        if total_steps is not None:
            self.total_steps = integer(name, "total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            each = integer(name, "steps_per_epoch", steps_per_epoch)
            self.total_steps = integer(name, "epochs", epochs) * each
        else:
            refuse(name, "total_steps", "a number, or epochs and steps_per_epoch", None)
        self.pct_start = number(name, "pct_start", pct_start, 0.0, 1.0)
        self.three_phase = flag("OneCycleLR", "three_phase", three_phase)
        self.anneal_strategy = choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        number(name, "div_factor", div_factor, 0.0, open_low=True)
        number(name, "final_div_factor", final_div_factor, 0.0, open_low=True)
        highs = each_group(name, "max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for high, group in zip(highs, optimizer.param_groups, strict=True):
                group["max_lr"] = number(name, "max_lr", high, low=0)
                group["initial_lr"] = high / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phase(self) -> tuple[float, str, str, str, str]:
        """How far the step is in its phase, and what that leads from and to."""
        start = 0.0
        for phase in _PHASES[self.three_phase]:
            multiple = phase[0]
            if multiple is None:
                end = float(self.total_steps - 1)
            else:
                end = multiple * self.pct_start * self.total_steps - multiple
            if multiple is None or self.last_epoch <= end:
                break
            start = end
        return (self.last_epoch - start) / (end - start), *phase[1:]

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: expected at most total_steps={self.total_steps} steps, got "
                f"{self.last_epoch}"
            )
        share, lr_from, lr_to, momentum_from, momentum_to = self._phase()
        between = _cosine if self.anneal_strategy == "cos" else _linear
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                self._set_momentum(group, between(group[momentum_from], group[momentum_to], share))
        return [between(group[lr_from], group[lr_to], share) for group in groups]

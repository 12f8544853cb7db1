# SPDX-License-Identifier: Apache-2.0
"""What all schedules share: counting steps, setting the groups' rates, saving and loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.nn.arguments import integer, number, refuse
from striate.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "each_group", "function_state", "integer", "number", "refuse"]


class LRScheduler:
    """Base class. A subclass gives `rate`, or `get_lr` for all groups at once.

    `last_epoch` counts the steps from 0; the first one is taken on construction. The next rate
    comes from the group's present one, so that schedules of one optimizer multiply. With
    `last_epoch` other than -1 a schedule goes on from there, and takes the groups' "initial_lr".
    """

    _unsaved: tuple[str, ...] = ("optimizer",)
    _is_initial = False
    _last_lr: list[float]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        self.optimizer = check_optimizer(name, optimizer)
        last_epoch = integer(name, "last_epoch", last_epoch, least=-1)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{name}: last_epoch: group {i} has no 'initial_lr' to go on from; load the "
                    "optimizer's state_dict first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def rate(self, lr: float, base: float) -> float:
        """The rate of step `last_epoch`, from the last one and the initial one."""
        raise NotImplementedError(f"{type(self).__name__} defines neither rate() nor get_lr()")

    def closed_rate(self, base: float) -> float | None:
        """The rate of step `last_epoch` from the initial one alone, where there is a formula."""
        return None

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`, one a group. get_last_lr() gives those that are set."""
        groups = self.optimizer.param_groups
        return [self.rate(g["lr"], b) for g, b in zip(groups, self.base_lrs, strict=True)]

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set, one a group."""
        return self._last_lr

    def step(self) -> None:
        """Goes one step on and sets the rates of all groups."""
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def _restart(self) -> None:
        """Sets the rates of step 0, whatever the groups have now."""
        self.last_epoch = 0
        closed = [self.closed_rate(base) for base in self.base_lrs]
        self._set([lr for lr in closed if lr is not None] or self.get_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = list(rates)

    # --- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions; of callable objects, their attributes."""
        return {k: v for k, v in vars(self).items() if k not in self._unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what state_dict() gave. ValueError where it is another schedule's."""
        own = self.state_dict()
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(own):
            got = sorted(state_dict) if isinstance(state_dict, Mapping) else state_dict
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {sorted(own)}, got {got}"
            )
        self._load(dict(state_dict))

    def _load(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def check_optimizer(name: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: optimizer: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def each_group(name: str, argument: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value a group: `value` itself for all of them, or those of a list."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        refuse(name, argument, f"one value, or one for each of {groups} groups", len(value))
    return list(value)


def function_state(function: Callable[..., Any]) -> dict[str, Any] | None:
    """The attributes of a callable object; None for a plain function."""
    return dict(getattr(function, "__dict__", {})) or None

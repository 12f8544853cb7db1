# SPDX-License-Identifier: Apache-2.0
"""Schedules made of others: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from striate.explain import explained
from striate.optim.lr_scheduler.plateau import ReduceLROnPlateau
from striate.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, integer, refuse
from striate.optim.optimizer import Optimizer


def _members(
    name: str, schedulers: Sequence[LRScheduler], optimizer: Optimizer
) -> list[LRScheduler]:
    for i, s in enumerate(schedulers):
        if not isinstance(s, LRScheduler):
            raise TypeError(f"{name}: schedulers[{i}]: expected a schedule, got {type(s).__name__}")
        if isinstance(s, ReduceLROnPlateau):
            refuse(name, f"schedulers[{i}]", "one that steps without a figure", type(s).__name__)
        if s.optimizer is not optimizer:
            refuse(name, f"schedulers[{i}]", "a schedule of the same optimizer", type(s).__name__)
    return list(schedulers)


class _Combined(LRScheduler):
    """A schedule that holds others, whose states are in its own."""

    _unsaved = ("optimizer", "_schedulers")
    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def _load(self, state: dict[str, Any]) -> None:
        states = state.pop("_schedulers")
        if len(states) != len(self._schedulers):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {len(self._schedulers)} "
                f"schedules, got {len(states)}"
            )
        for s, own in zip(self._schedulers, states, strict=True):
            s.load_state_dict(own)
        super()._load(state)


class SequentialLR(_Combined):
    """The first schedule until the first milestone, then the second from its own start, ..."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        name = "SequentialLR"
        self.optimizer = check_optimizer(name, optimizer)
        if not schedulers:
            refuse(name, "schedulers", "at least one schedule", "none")
        self._schedulers = _members(name, schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            refuse(name, "milestones", f"{len(schedulers) - 1}, between the schedules", milestones)
        self._milestones = [integer(name, "milestones", m, least=0) for m in milestones]
        self.last_epoch = integer(name, "last_epoch", last_epoch, least=-1) + 1
        # The members took their first steps when they were made; only the first one's may count.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self._schedulers)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        at = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[at]
        if at > 0 and self._milestones[at - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(schedulers: Sequence[LRScheduler]) -> None:
    """Takes back one step of each, and of those that they hold."""
    for s in schedulers:
        if isinstance(s, _Combined):
            _undo(s._schedulers)
        else:
            s.last_epoch -= 1


class ChainedScheduler(_Combined):
    """Every schedule at every step, one after the other: their factors multiply."""

    @explained
    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        name = "ChainedScheduler"
        if not schedulers:
            refuse(name, "schedulers", "at least one schedule", "none")
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self.optimizer = check_optimizer(name, optimizer)
        self._schedulers = _members(name, schedulers, self.optimizer)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        for s in self._schedulers:
            s.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

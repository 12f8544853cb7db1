# SPDX-License-Identifier: Apache-2.0
"""Whether the machine was quiet while a row was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

OTHERS = 0.15  # cores that others may use before a row is flagged
SLOWER = 0.90  # of the best multiply-add rate seen: below, the clock was down, or a core was shared


def _busy() -> float | None:
    """Seconds that all cores together have worked, theft by the hypervisor among them."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(v) for v in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _wait, irq, soft, steal = fields
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


class Guard:
    """Compares beginning and end of a row: others' work, load average, multiply-add rate."""

    def __init__(
        self,
        threads: int,
        busy: Callable[[], float | None] = _busy,
        own: Callable[[], float] = _own,
        now: Callable[[], float] = time.monotonic,
        load: Callable[[], tuple[float, float, float]] = os.getloadavg,
    ) -> None:
        self.threads, self.best = threads, 0.0
        self._busy, self._own, self._now, self._load = busy, own, now, load

    def begin(self) -> None:
        self._start = (self._busy(), self._own(), self._now(), self._load()[0])

    def end(self, peaks: tuple[float, float]) -> tuple[dict[str, float], list[str]]:
        """What was seen, and the flags of the row: none if the machine was quiet."""
        busy, own, began, load = self._start
        after = self._busy()
        self.best = max(self.best, *peaks)
        steady = min(peaks) / self.best
        seen, flags = {"load": load, "steady": steady}, []
        if busy is not None and after is not None:
            elapsed = max(self._now() - began, 1e-3)
            seen["others"] = max(0.0, (after - busy) - (self._own() - own)) / elapsed
            if seen["others"] > OTHERS:
                flags.append(f"others used {seen['others']:.2f} cores")
        if load > self.threads + 1:
            flags.append(f"load average {load:.1f}")
        if steady < SLOWER:
            flags.append(f"multiply-adds at {steady:.0%} of the best seen")
        return seen, flags

# SPDX-License-Identifier: Apache-2.0
"""What the machine can do at best, measured beside the rows: multiply-adds, and copying."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from striate import _C
from striate.bench.clock import HOST, PAUSE, Clock
from striate.bench.machine import caches, level
from striate.bench.task import unwritten

LEVELS = ("L1", "L2", "L3", "DRAM")
MOST = 1 << 30  # bytes of the largest copy
LONGEST = 0.05  # seconds of copies, if three take no longer


def copy_bytes(level: str, threads: int) -> int:
    """Bytes in and out of the copy that measures a level: half of a cache, or 8 L3 for DRAM."""
    sizes = caches()
    if level == "DRAM":
        return min(8 * sizes["L3"], MOST)
    return sizes[level] // 2 * (1 if level == "L3" else threads)


class Meter:
    """Rates of this process's kernels with its threads, for rows of one dtype."""

    levels = LEVELS

    def __init__(
        self, threads: int, dtype: str = "float32", pin: Sequence[str] = (), clock: Clock = HOST
    ) -> None:
        self.threads, self.clock, self.pin = threads, clock, list(pin)
        self._one = np.zeros(1, dtype)
        self._buffers: dict[str, tuple[Any, Any]] = {}
        self._known: dict[str, float] = {}

    def level(self, footprint: float) -> str:
        """The nearest memory that holds so many bytes."""
        return level(footprint, self.threads)

    def peak(self) -> float:
        """Multiply-adds in registers on every thread, operations a second: the median of 15 ms."""
        with _C.pin_rows(self.pin):
            start = self.clock.now()
            done = _C.peak_fma(self._one, 1000)
            pace = max(self.clock.now() - start, 1e-7)
            rounds = max(1000, int(1000 * 1e-3 / pace))
            self.clock.sleep(PAUSE)
            rates = []
            for _ in range(15):
                start = self.clock.now()
                done = _C.peak_fma(self._one, rounds)
                rates.append(done / max(self.clock.now() - start, 1e-9))
        return statistics.median(rates)

    def copy(self, level: str) -> float:
        """Bytes a second of our copy at a level, read and written counted. Measured anew."""
        total = copy_bytes(level, self.threads)
        if level not in self._buffers:
            items = max(1, total // 8)
            self._buffers[level] = unwritten((items,), np.float32), unwritten((items,), np.float32)
            self._buffers[level][0].fill(1)
        x, y = self._buffers[level]
        small = x[:1], y[:1]
        repeats = max(1, min(1000, int(2e6 // total)))
        self.clock.sleep(PAUSE)
        _C.to_c_order(x, out=y)
        times: list[float] = []
        until = self.clock.now() + LONGEST
        while len(times) < 3 or (len(times) < 15 and self.clock.now() < until):
            start = self.clock.now()
            for _ in range(repeats):
                _C.to_c_order(x, out=y)
            taken = self.clock.now() - start
            if level in ("L1", "L2"):  # less what a call costs that copies next to nothing
                start = self.clock.now()
                for _ in range(repeats):
                    _C.to_c_order(small[0], out=small[1])
                taken = max(taken - (self.clock.now() - start), taken / 10)
            times.append(taken / repeats)
        self._known[level] = 8 * x.size / max(statistics.median(times), 1e-12)
        return self._known[level]

    def known(self, level: str) -> float:
        """The last figure of copy(level)."""
        return self._known[level] if level in self._known else self.copy(level)

    @cached_property
    def _filler(self) -> Any:
        return np.ones(caches()["L3"] // 2, np.float32)  # 2 L3 in bytes

    def flush(self) -> None:
        """Fills every thread's caches with something else."""
        _C.relu(self._filler, out=self._filler)

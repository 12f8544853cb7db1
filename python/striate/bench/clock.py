# SPDX-License-Identifier: Apache-2.0
"""Timing rivals in turns, so that what the machine does meanwhile meets all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from striate.bench.peers.peer import Rival

PAUSE = (
    0.005  # seconds before a turn: idle threads of the one before spin on our cores for 1 to 3 ms
)
SHORTEST = 1e-4  # seconds a sample takes at least: shorter calls are timed several at a time
TURNS = 5  # about so many a rival
LEAST = 3  # at least so many
SLOW = 0.1  # seconds from which a run needs no untimed one before it


class Clock:
    """Time, as tests may replace it."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


def summary(times: Sequence[float]) -> dict[str, float]:
    """Median, minimum, quartiles and count of seconds a call."""
    low, middle, high = np.percentile(times, (25, 50, 75)).tolist()
    return {"median": middle, "min": min(times), "q1": low, "q3": high, "count": len(times)}


def once(call: Callable[[], Any], clock: Any = Clock) -> tuple[float, Any]:
    """Seconds of one call, and its value."""
    start = clock.now()
    value = call()
    return clock.now() - start, value


def _sample(call: Callable[[], Any], calls: int, clock: Any) -> float:
    """Seconds a call, of so many calls."""
    start = clock.now()
    for _ in repeat(None, calls):
        call()
    return float(clock.now() - start) / calls


def _warm(rival: Rival, clock: Any) -> float:
    """Runs it untimed until it has settled: three runs and ten milliseconds; its pace."""
    with rival.around():
        start, best, runs = clock.now(), math.inf, 0
        while runs < 3 or (clock.now() - start < 0.01 and runs < 1000):
            best = min(best, once(rival.call, clock)[0])
            runs += 1
            if best > SLOW:
                break
    return max(best, 1e-9)


def turns(rivals: Sequence[Rival], seconds: float, clock: Any = Clock) -> list[list[float]]:
    """Seconds a call of each rival, warm: about `seconds` of runs each, and three at least.

    A turn begins with a pause and an untimed run, so that caches and clocks are those of work that
    goes on; then come some timed samples.
    """
    plans = []
    for rival in rivals:
        pace = _warm(rival, clock)
        calls = max(1, min(10_000, math.ceil(SHORTEST / pace)))
        samples = max(1, min(25, int(seconds / TURNS / (pace * calls))))
        plans.append((rival, calls, samples, pace < SLOW))
    times: list[list[float]] = [[] for _ in rivals]
    until, turn = clock.now() + seconds * len(rivals), 0
    while turn < LEAST or clock.now() < until:
        for taken, (rival, calls, samples, settle) in zip(times, plans, strict=True):
            clock.sleep(PAUSE)
            with rival.around():
                if settle:
                    rival.call()
                taken.extend(_sample(rival.call, calls, clock) for _ in range(samples))
        turn += 1
    return times


def cold(
    rivals: Sequence[Rival], flush: Callable[[], Any], runs: int, clock: Any = Clock
) -> list[list[float]]:
    """Seconds of single calls, each after `flush` has filled the caches with something else."""
    times: list[list[float]] = [[] for _ in rivals]
    for _ in range(runs):
        for taken, rival in zip(times, rivals, strict=True):
            clock.sleep(PAUSE)
            flush()
            with rival.around():
                taken.append(once(rival.call, clock)[0])
    return times

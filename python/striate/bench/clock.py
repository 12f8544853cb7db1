# SPDX-License-Identifier: Apache-2.0
"""Timing rivals in turns, so that what the machine does meanwhile meets all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from striate.bench.peers.peer import Rival

PAUSE = (
    0.005  # seconds before a turn: idle threads of the one before spin on our cores for 1 to 3 ms
)
SHORTEST = 1e-4  # seconds a sample takes at least: shorter calls are timed several at a time
TURNS = 8  # about so many a rival
LEAST = 3  # at least so many, of those that lead
SLOW = 0.02  # seconds from which a run needs no untimed one before it, and is itself a sample
LONG = 1.0  # seconds from which one run after the first call is all
TIGHT = 0.02  # quartile range, of the median, below which more runs bring nothing
BEHIND, FAR = 1.15, 2.0  # times the second fastest: out of the race after LEAST turns, after one


class Clock:
    """Time, as tests may replace it."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)

    def calls(self, call: Callable[[], Any], count: int) -> tuple[float, Any]:
        """Seconds a call, of so many calls, and the last one's value."""
        value = None
        start = self.now()
        for _ in repeat(None, count):
            value = call()
        return float(self.now() - start) / count, value


HOST = Clock()


def summary(times: Sequence[float]) -> dict[str, float]:
    """Median, minimum, quartiles and count of seconds a call."""
    low, middle, high = np.percentile(times, (25, 50, 75)).tolist()
    return {"median": middle, "min": min(times), "q1": low, "q3": high, "count": len(times)}


@dataclass
class _Runner:
    """A rival with its samples so far."""

    rival: Rival
    clock: Clock
    calls: int = 1  # a sample
    samples: int = 1  # a turn
    times: list[float] = field(default_factory=list)
    spent: float = 0.0
    running: bool = True

    def warm(self, seconds: float) -> None:
        """Runs untimed until it has settled: three runs and ten milliseconds. A slow run counts."""
        with self.rival.around():
            start, best, runs = self.clock.now(), math.inf, 0
            while runs < 3 or (self.clock.now() - start < 0.01 and runs < 1000):
                best = min(best, self.clock.calls(self.rival.call, 1)[0])
                runs += 1
                if best > SLOW:
                    self.times.append(best)
                    self.spent += best
                    break
        pace = max(best, 1e-9)
        self.calls = max(1, min(10_000, math.ceil(SHORTEST / pace)))
        self.samples = max(1, min(25, int(seconds / TURNS / (pace * self.calls))))

    def turn(self) -> None:
        """A pause, an untimed run where runs are short, and some samples."""
        self.clock.sleep(PAUSE)
        start = self.clock.now()
        with self.rival.around():
            if not self.times or self.times[0] < SLOW:
                self.rival.call()
            for _ in range(self.samples):
                self.times.append(self.clock.calls(self.rival.call, self.calls)[0])
        self.spent += self.clock.now() - start

    def settled(self, seconds: float) -> bool:
        """Whether it has had its time, or its quartiles are close together."""
        if self.times[0] >= LONG:
            return True
        if len(self.times) < LEAST:
            return False
        low, middle, high = np.percentile(self.times, (25, 50, 75))
        enough = len(self.times) >= 10 and high - low <= TIGHT * middle
        return self.spent >= seconds or enough


def turns(rivals: Sequence[Rival], seconds: float, clock: Clock = HOST) -> list[list[float]]:
    """Seconds a call of each rival, warm: at most about `seconds` of runs each.

    A turn begins with a pause and an untimed run, so that caches and clocks are those of work that
    goes on; then come some timed samples. The two fastest, and all that are near them, go on turn
    by turn until every one of them has settled; who is far behind is known after few runs.
    """
    runners = [_Runner(rival, clock) for rival in rivals]
    for runner in runners:
        runner.warm(seconds)
        runner.running = not runner.times or runner.times[0] < LONG
    turn = 0
    while running := [r for r in runners if r.running]:
        for runner in running:
            runner.turn()
        turn += 1
        medians = {id(r): float(np.median(r.times)) for r in runners}
        second = sorted(medians.values())[:2][-1]
        for r in running:
            behind = BEHIND if min(turn, len(r.times)) >= LEAST - (r.times[0] >= SLOW) else FAR
            alone = len(r.times) == 1  # which something may have held up
            r.running = alone or medians[id(r)] <= behind * second
        leading = [r for r in runners if r.running]
        if all(r.settled(seconds) for r in leading) and (
            turn >= LEAST or all(r.times[0] >= SLOW for r in leading)
        ):
            break
    return [r.times for r in runners]


def cold(
    rivals: Sequence[Rival],
    flush: Callable[[], Any],
    runs: int,
    seconds: float = math.inf,
    clock: Clock = HOST,
) -> list[list[float]]:
    """Seconds of single calls, each after `flush` has filled the caches with something else: so
    many rounds, or fewer where they are long: two at least, then about `seconds` a rival."""
    times: list[list[float]] = [[] for _ in rivals]
    until = clock.now() + seconds * len(rivals)
    for i in range(runs):
        if i >= 2 and clock.now() >= until:
            break
        for taken, rival in zip(times, rivals, strict=True):
            clock.sleep(PAUSE)
            flush()
            with rival.around():
                taken.append(clock.calls(rival.call, 1)[0])
    return times

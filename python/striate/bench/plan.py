# SPDX-License-Identifier: Apache-2.0
"""How long rows take: to say so beforehand, to deal out shards, to share out a quick run's time.

An estimate adds what a row costs before anything is timed (operands, the reference, every rival's
preparation and first call) and what is timed. Its constants were fitted to a run on one core of an
Emerald Rapids with all peers; without peers a row takes a fraction of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from striate.bench import clock, families
from striate.bench.machine import caches
from striate.bench.problem import Problem

PART = 10e9  # operations a thread beyond which a part of a problem stands for it
SAMPLED_ONCE = 50e9  # operations a thread from which, with --whole, one call is all that is timed
COLD_UP_TO = 0.05  # seconds of a call from which cold and warm are the same
GPU = 200  # threads that a GPU counts as
LEAST = 0.1  # of the time asked for, in a quick run that is short of it
_RATE, _BANDWIDTH = 90e9, 10e9  # operations and bytes a second, of a rival in the middle
_FRESH = 0.5e9  # bytes a second of drawing operands and of copying them for every rival
_CACHE = 32 << 20  # bytes of L3, where estimates must not depend on the machine
_FLUSH = 25e9  # bytes a second of filling the caches

# family: contenders that are timed, of these to the end, seconds before anything is timed
_FAMILIES = {
    "gemm": (6, 3.0, 0.15), "conv": (5, 2.5, 0.35), "pool": (4, 2.0, 0.5), "norm": (4, 2.0, 0.5),
    "activation": (4, 2.5, 0.1), "softmax": (3, 2.5, 0.1), "lstm": (3, 2.3, 0.3),
    "layout": (4, 2.5, 0.2), "overhead": (3, 2.5, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """What is asked of every row."""

    seconds: float  # of timed runs a rival
    cold: int  # runs with cold caches, at most
    threads: int = 1
    whole: bool = False
    cache: int = _CACHE

    @staticmethod
    def here(seconds: float, cold: int, threads: int = 1, whole: bool = False) -> Effort:
        """On this machine, whose caches take their time to fill."""
        return Effort(seconds, cold, threads, whole, caches()["L3"])


def costs(one: Problem, effort: Effort) -> tuple[float, float]:
    """(seconds before timing, seconds of timing) of a row."""
    less = one if effort.whole else families.part(one, PART * effort.threads)[0]
    flops, moved = families.cost(less)
    rivals, leading, before = _FAMILIES[one.family]
    call = max(flops / _RATE / effort.threads, moved / _BANDWIDTH, 1e-6)
    before += moved / _FRESH + rivals * call
    if effort.whole and flops >= SAMPLED_ONCE * effort.threads:
        return before, 0.0
    runs = clock.LEAST if call < clock.LONG else 1
    timed = leading * max(effort.seconds, runs * call) + (rivals - leading) * 2 * call
    timed += rivals * 0.05 + 0.6 * max(effort.seconds, 2 * call)  # settling; some are taken again
    if effort.cold and call < COLD_UP_TO and moved < 2 * effort.cache:
        flush = 4 * effort.cache / _FLUSH + 0.01 + call
        fit = max(2.0, effort.seconds / 2 / flush)
        timed += leading * flush * min(effort.cold, fit)
    return before, timed


def estimate(one: Problem, effort: Effort) -> float:
    """Seconds that a row takes, with all peers."""
    return sum(costs(one, effort))


def share(left: float, jobs: Sequence[tuple[float, float]], pace: float) -> float:
    """The part of the time asked for that leaves the rows to come their turn within `left` seconds:
    of jobs (before, timed), on a machine that takes `pace` times what was estimated."""
    before, timed = (sum(times) for times in zip(*jobs, strict=True))
    return min(1.0, max(LEAST, (left / pace - before) / max(timed, 1e-9)))

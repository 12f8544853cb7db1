# SPDX-License-Identifier: Apache-2.0
"""The process that measures: problems one after the other, each row written as it is known.

It is started by command.py with the environment of environment.py, reads its orders as JSON from
standard input, and speaks through the journal and the terminal.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from striate import _C
from striate.bench import clock, families, kernel, plan, problem, summary
from striate.bench.guard import Guard
from striate.bench.journal import FORMAT, Writer, check, read
from striate.bench.machine import available_memory, caches, describe
from striate.bench.meter import Meter
from striate.bench.ours import OURS, Ours
from striate.bench.peers import Absent, Peer, Rival, classes
from striate.bench.problem import Problem
from striate.bench.task import Spots, Task, Unfit, forget
from striate.bench.terminal import Screen

AGAIN = 0.1  # of the time that rows took: so long flagged ones are measured again
ROOM = 0.6  # of the free memory that operands and results may take


Job = tuple[str, Callable[[], dict[str, Any]]]


@dataclass
class Orders:
    """What a worker is asked to do."""

    names: list[str]
    journal: str
    threads: int = 1
    seconds: float = 0.15  # of timed runs, a rival and row; less where time is short
    cold_runs: int = 7  # at most; 0: not at all
    whole: bool = False  # never a part of a problem
    peers: list[str] = field(default_factory=list)
    until: float = 0.0  # time.time() after which no row is begun; 0: no limit
    kernel: str = ""  # a table row to measure by name
    progress: bool = True
    device: str = "cpu"
    precision: str = "high"  # of products in float32 on a GPU; or problem.LOW

    @property
    def like_threads(self) -> int:
        """Threads of a CPU that would take about as long: what is cut, and what is expected."""
        return self.threads if self.device == "cpu" else plan.GPU


@dataclass
class Bench:
    """Contenders and instruments of one session."""

    orders: Orders
    contenders: Sequence[Peer]
    meter: Any  # meter.Meter, or gpu.GpuMeter
    guard: Guard
    ours: str = OURS
    clock: clock.Clock = clock.HOST
    place: Callable[[Task], Task] = lambda task: task  # to where contenders work
    seconds: float = 0.15
    cold_runs: int = 7
    wrong: set[str] = field(default_factory=set)  # rows of ours

    def row(self, one: Problem) -> dict[str, Any]:
        """The record of a problem. Raises Unfit where it can't be measured."""
        most = plan.PART * self.orders.like_threads
        less, cut = (one, {}) if self.orders.whole else families.part(one, most)
        _, moved = families.cost(less)
        if moved * (1 + len(self.contenders) / 4) > ROOM * available_memory():
            raise Unfit(f"{moved / 2**30:.1f} GiB of operands do not fit into memory")
        named = {"name": one.name, "family": one.family, "sizes": one.sizes}
        task = self.place(families.task(less))
        return self.measure(task, **named, **({"part": cut} if cut else {}))

    def measure(self, task: Task, **named: Any) -> dict[str, Any]:
        """Checks every rival, then times those that are right."""
        began = time.monotonic()
        self.guard.begin()
        rivals, found = self._checked(task)
        before = self.meter.peak()
        bound = self._bound(task, before)
        self._time(task, rivals, found)
        peaks = (before, self.meter.peak())
        after = self._bound(task, max(peaks), again=True)
        if after["floor"] and bound["floor"]:
            after["floor"] = min(after["floor"], bound["floor"])
        row = {
            **named, "threads": self.orders.threads, "flops": task.flops, "bytes": task.bytes,
            "ours": self.ours, "peak": max(peaks), **after, "rivals": found,
        }  # fmt: skip
        if summary.behind(row):
            self._again(rivals, row)
        seen, flags = self.guard.end(peaks)
        return {**row, **seen, "flags": flags, "seconds": time.monotonic() - began}

    def _checked(self, task: Task) -> tuple[list[Rival], dict[str, Any]]:
        """Every contender's rivals after their first call, and its seconds or what was wrong."""
        spots, rivals, found = task.spots(), [], {}
        for contender in self.contenders:
            try:
                for rival in contender.rivals(task):
                    found[rival.column] = self._first(rival, task, spots)
                    if "failed" not in found[rival.column]:
                        rivals.append(rival)
            except Exception as error:
                words = f"{type(error).__name__}: {error}".split("\n")[0][:200]
                if contender.name == self.ours:
                    if self.orders.device == "cpu":
                        raise
                    if isinstance(error, TypeError):  # there is no kernel for it yet
                        raise Unfit(words) from None
                found.setdefault(contender.columns[0], {"failed": words})
        return rivals, found

    def _first(self, rival: Rival, task: Task, spots: Spots) -> dict[str, Any]:
        if task.out is not None:
            forget(task.out)
        with rival.around():
            seconds, value = self.clock.calls(rival.call, 1)
        error = spots.error(rival.array(value))
        if not error <= 1:
            return {"failed": f"wrong: {error:.3g} times the error allowed"}
        return {"first": seconds, "error": error}

    def _bound(self, task: Task, peak: float, again: bool = False) -> dict[str, Any]:
        """The least seconds that operations and bytes allow, and which of them bind."""
        if not task.flops and not task.bytes:
            return {"floor": None, "bound": None}
        where = self.meter.level(task.bytes)
        by_flops = task.flops / peak
        copy = self.meter.known(where)
        if task.bytes / copy > by_flops:
            copy = max(copy, self.meter.copy(where)) if again else self.meter.copy(where)
        by_bytes = task.bytes / copy
        names = {"level": where, "copy": copy}
        if by_flops >= by_bytes:
            return {**names, "floor": by_flops, "bound": "multiply-adds"}
        return {**names, "floor": by_bytes, "bound": where}

    def _time(self, task: Task, rivals: list[Rival], found: dict[str, Any]) -> None:
        """Fills in medians and quartiles, warm and cold."""
        if self._once(task.flops):
            for rival in rivals:
                found[rival.column] |= clock.summary([found[rival.column]["first"]])
            return
        for rival, times in zip(rivals, self._turns(rivals), strict=True):
            found[rival.column] |= clock.summary(times)
        fits = task.bytes < 2 * caches()["L3"]
        medians = sorted(found[r.column]["median"] for r in rivals)
        most = clock.BEHIND * (medians[:2] or [0.0])[-1]
        near = [r for r in rivals if found[r.column]["median"] <= most or r.column == self.ours]
        quick = [r for r in near if found[r.column]["median"] < plan.COLD_UP_TO]
        if self.cold_runs and fits and task.bytes and quick:
            flushed = clock.cold(
                quick, self.meter.flush, self.cold_runs, self.seconds / 2, self.clock
            )
            for rival, times in zip(quick, flushed, strict=True):
                found[rival.column]["cold"] = clock.summary(times)

    def _once(self, flops: float) -> bool:
        return self.orders.whole and flops >= plan.SAMPLED_ONCE * self.orders.like_threads

    def _turns(self, rivals: list[Rival]) -> list[list[float]]:
        return clock.turns(rivals, self.seconds, self.clock)

    def _again(self, rivals: list[Rival], row: dict[str, Any]) -> None:
        """A second measurement of ours and the best peer, before it is called a loss."""
        both = [r for r in rivals if r.column in (self.ours, summary.best_peer(row))]
        if self._once(row["flops"]):
            times = [[self.clock.calls(r.call, 1)[0]] for r in both]
        else:
            times = self._turns(both)
        for rival, taken in zip(both, times, strict=True):
            row["rivals"][rival.column]["again"] = clock.summary(taken)


def find(
    names: Sequence[str], threads: int, device: str = "cpu"
) -> tuple[list[Peer], dict[str, Any]]:
    """The peers that are here, and for the head: version and path of each, or why it is absent."""
    found: list[Peer] = []
    said: dict[str, Any] = {}
    for peer in classes(device):
        if peer.name not in names:
            said[peer.name] = {"columns": list(peer.columns), "absent": "not asked for"}
            continue
        try:
            found.append(peer(threads) if device == "cpu" else peer.on(device))
        except Absent as reason:
            said[peer.name] = {"columns": list(peer.columns), "absent": str(reason)}
        except Exception as error:  # installed, but broken: no reason to stop the others
            words = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            said[peer.name] = {"columns": list(peer.columns), "absent": words}
        else:
            version, path = found[-1].version, found[-1].path
            said[peer.name] = {"columns": list(peer.columns), "version": version, "path": path}
    return found, said


def head(orders: Orders, machine: dict[str, Any], peers: dict[str, Any], meter: Any) -> Any:
    """The journal's line before the rows of a session."""
    return {
        "format": FORMAT,
        "machine": machine,
        "peers": peers,
        "threads": orders.threads,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "options": {
            k: v for k, v in asdict(orders).items() if k in ("seconds", "cold_runs", "kernel")
        },
        "peak": meter.peak(),
        "copy": {name: meter.copy(name) for name in meter.levels},
        **({"units": meter.units()} if orders.device == "cuda" else {}),
        "load": os.getloadavg()[0],
    }


def _on_cpu(orders: Orders) -> tuple[Bench, dict[str, Any]]:
    """Contenders and instruments, and what is said of the peers."""
    threads = orders.threads
    peers, said = find(orders.peers, threads)
    contenders: list[Peer]
    if orders.kernel:
        contenders, meter = kernel.contenders(orders.kernel, threads)
        ours, said = orders.kernel, {}
    else:
        contenders, meter, ours = [Ours(threads), *peers], Meter(threads), OURS
    bench = Bench(
        orders, contenders, meter, Guard(threads), ours, seconds=orders.seconds,
        cold_runs=orders.cold_runs,
    )  # fmt: skip
    return bench, said


def _on_gpu(orders: Orders, machine: dict[str, Any]) -> tuple[Bench, dict[str, Any]]:
    """The same on a GPU, where every run is one with a cold cache; `machine` is told of it."""
    from striate.bench import gpu

    if orders.precision != problem.LOW:
        _C.set_float32_precision(orders.precision)
    machine |= gpu.machine(orders.precision)
    peers, said = find(orders.peers, orders.threads, orders.device)
    ticks = gpu.GpuClock()
    bench = Bench(
        orders,
        [gpu.OursOnGpu(), *peers],
        gpu.GpuMeter(ticks, orders.precision),
        Guard(orders.threads),
        clock=ticks,
        place=partial(gpu.on_gpu, precision=orders.precision),
        seconds=orders.seconds,
        cold_runs=0,
    )
    return bench, said


def _jobs(orders: Orders, bench: Bench) -> list[Job]:
    """What is to be measured, by name."""
    if orders.kernel:
        return kernel.jobs(orders.kernel, bench)
    known = {p.name: p for p in problem.read()}
    return [(name, partial(bench.row, known[name])) for name in orders.names]


def run(orders: Orders, screen: Screen) -> int:
    """Measures; returns how many rows of ours were wrong."""
    threads, machine = orders.threads, describe()
    if orders.device == "cuda":
        bench, said = _on_gpu(orders, machine)
    else:
        bench, said = _on_cpu(orders)
    path = Path(orders.journal)
    heads, rows = read(path) if path.exists() else ([], [])
    check(path, heads, machine)
    done = {(r["name"], r["threads"]) for r in rows if not (orders.whole and "part" in r)}
    asked = _jobs(orders, bench)
    jobs = [j for j in asked if (j[0], threads) not in done]
    writer = Writer(path)
    first = head(orders, machine, said, bench.meter)
    writer.write("head", first)
    screen.begin(first, len(jobs), len(asked) - len(jobs))
    try:
        left = _rows(jobs, bench, writer, screen)
        if left:
            screen.note(f"time is up: {left} rows left out")
            writer.write("note", {"time_is_up": left})
    finally:
        writer.close()
        screen.end()
    return len(bench.wrong)


def _rows(jobs: Sequence[Job], bench: Bench, writer: Writer, screen: Screen) -> int:
    """Measures, writes and shows every row; then the flagged ones again. Rows left out."""
    until, began = bench.orders.until, time.time()
    known = {p.name: p for p in problem.read()}
    orders = bench.orders
    effort = plan.Effort.here(orders.seconds, bench.cold_runs, orders.like_threads, orders.whole)
    costs = [plan.costs(known[n], effort) if n in known else (1.0, 1.0) for n, _ in jobs]
    said, flagged, parent = 1.0, [], os.getppid()
    for i, (name, job) in enumerate(jobs):
        if os.getppid() != parent:  # ended: nobody waits for the rest
            raise KeyboardInterrupt
        if until:
            left = until - time.time()
            if left <= 0:
                return len(jobs) - i
            pace = (time.time() - began + 10) / (said + 9)  # as estimated, until rows say otherwise
            part = plan.share(left, costs[i:], pace)
            bench.seconds = bench.orders.seconds * part
            bench.cold_runs = min(
                bench.orders.cold_runs, 7 if part > 0.5 else int(part > plan.LEAST)
            )
            said += costs[i][0] + costs[i][1] * bench.seconds / bench.orders.seconds
        row = _one(name, job, bench)
        writer.write("row", row)
        screen.row(row)
        if row.get("flags"):
            flagged.append((row, job))
    bench.seconds, bench.cold_runs = bench.orders.seconds, bench.orders.cold_runs
    ends = time.time() + AGAIN * (time.time() - began)
    _flagged(flagged, min(ends, until or ends), bench, writer, screen)
    return 0


def _flagged(
    rows: Sequence[tuple[Any, Any]], ends: float, bench: Bench, writer: Writer, screen: Screen
) -> None:
    """Measures flagged rows once more, the least steady first, and keeps the quieter of two."""
    quieter = 0
    rows = sorted(rows, key=lambda r: r[0]["steady"])
    for i, (row, job) in enumerate(rows):
        if time.time() + row["seconds"] > ends:
            break
        if i == 0:
            screen.note("flagged rows once more:")
        again = _one(row["name"], job, bench)
        if "rivals" in again and _noise(again) < _noise(row):
            quieter += 1
            writer.write("row", again)
            screen.row(again)
    if quieter:
        screen.note(f"{quieter} of {len(rows)} flagged rows were quieter, and replaced")


def _noise(row: dict[str, Any]) -> tuple[int, float]:
    """Less is quieter."""
    return len(row["flags"]), row.get("others", 0.0) - row["steady"]


def _one(name: str, job: Any, bench: Bench) -> dict[str, Any]:
    """The record of a row, or why there is none; counts the rows of ours that were wrong."""
    try:
        row: dict[str, Any] = job()
    except (Unfit, MemoryError) as error:
        row = {"name": name, "threads": bench.orders.threads, "skipped": str(error) or "no memory"}
    gc.collect()
    _C.memory_trim()
    if "rivals" in row and "failed" in row["rivals"].get(bench.ours, {}):
        bench.wrong.add(name)
    return row


def main() -> int:
    orders = Orders(**json.load(sys.stdin))
    try:
        return 1 if run(orders, Screen(orders.progress)) else 0
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        print(f"striate: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

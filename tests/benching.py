# SPDX-License-Identifier: Apache-2.0
"""What the tests of the benchmark suite share."""

from pathlib import Path

from striate.bench import (
    families,
    guard,
    machine,
    meter,
    problem,
    results,
    worker,
)
from striate.bench.ours import OURS, Ours

ROOT = Path(__file__).parent.parent
PROBLEMS = problem.read()
TINY = "gemm/odd-and-tiny/4x4x4"


def small(one):
    flops, moved = families.cost(one)
    return flops < 2e8 and moved < 2e7 and not one.network.startswith("deepbench")


def cheapest():
    """The smallest problem of each kind that a family distinguishes."""
    kinds = {}
    for one in filter(families.available, PROBLEMS):
        z = one.sizes
        kind = (one.family, one.pass_, z.get("kind"), z.get("function"), z.get("cell"),
                z.get("trans"), "gap" in z, "batch" in z, z.get("groups", 1) > 1)  # fmt: skip
        if small(one) and z.get("kind") != "import":
            kinds.setdefault(kind, []).append(one)
    return [min(group, key=lambda p: sum(families.cost(p))) for group in kinds.values()]


def bench(*contenders, **options):
    orders = worker.Orders([], "", seconds=0.005, cold_runs=1, **options)
    return worker.Bench(
        orders, [Ours(1), *contenders], meter.Meter(1), guard.Guard(1), seconds=0.005,
        cold_runs=1,
    )  # fmt: skip


def tiny():
    return next(p for p in PROBLEMS if p.name == TINY)


def orders_of(path, *names, **options):
    return worker.Orders(list(names), str(path), seconds=0.005, cold_runs=0, **options)


def made(name="gemm/a/b", mine=1.0, its=2.0, threads=1, again=None, **more):
    def timing(t):
        return {"median": t, "min": t, "q1": t * 0.99, "q3": t * 1.01, "count": 9, "first": t}

    rivals = {OURS: timing(mine), "torch": timing(its), "numpy": timing(10.0)}
    if again:
        rivals[OURS]["again"], rivals["torch"]["again"] = timing(again[0]), timing(again[1])
    return {
        "name": name, "family": name.split("/")[0], "threads": threads, "flops": 1e9, "bytes": 1e6,
        "ours": OURS, "floor": 0.5, "bound": "multiply-adds", "peak": 2e9, "copy": 1e9,
        "rivals": rivals, "flags": [], "seconds": 1.0, "sizes": {}, "level": "L2", **more,
    }  # fmt: skip


def full(rows, **machine_):
    about = {
        "cpu": "A <CPU> & co", "cores": 2, "isa": "avx512", "caches": machine.caches(),
        "striate": "0.1", "numpy": "2", "python": "3.11", "system": "Linux", "build": "b",
        **machine_,
    }  # fmt: skip
    head = {
        "format": 1, "machine": about, "threads": 1, "time": "2030-01-01T00:00:00", "peak": 250e9,
        "copy": {"L1": 300e9, "L2": 200e9, "L3": 100e9, "DRAM": 60e9}, "load": 0.1,
        "peers": {
            "torch": {"columns": ["torch"], "version": "9", "path": "AVX512"},
            "jax": {"columns": ["jax"], "absent": "not installed"},
        },
    }  # fmt: skip
    return results.gather([head, {**head, "threads": 2}], rows)

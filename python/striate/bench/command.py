# SPDX-License-Identifier: Apache-2.0
"""`striate bench`: chooses problems, starts a worker a thread count, reports what they found."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from striate import _C, report
from striate.arguments import UserError, on_gpu
from striate.bench import (
    compare,
    environment,
    families,
    journal,
    kernel,
    page,
    plan,
    problem,
    results,
    terminal,
)
from striate.bench.machine import describe
from striate.bench.peers import classes
from striate.bench.problem import Problem
from striate.bench.worker import Orders
from striate.dtypes import as_dtype

HOST = ("overhead",)  # families of what the host does
QUICK_SECONDS = 170  # of a quick run, all thread counts together; then rows are left out


def run(options: argparse.Namespace) -> int:
    """The command. Exit status 1 where a result of ours was wrong."""
    words = options.words
    if words and words[0] == "compare":
        if len(words) != 3:
            raise UserError("compare: expected two files", "striate bench compare A.json B.json")
        print(compare.report(*(results.load(Path(w)) for w in words[1:])))
        return 0
    if words and words[0] == "report":
        if len(words) < 2:
            raise UserError("report: expected journals or result files")
        return _report(results.read(map(Path, words[1:])), options)
    if words:
        raise UserError(f"unknown argument '{words[0]}'", "expected compare, report, or options")
    _check_device(options)
    _check_peers(options)
    chosen = _choose(options)
    if options.list:
        print(_listing(chosen, options))
        return 0
    return _measure(chosen, options)


def _check_device(options: argparse.Namespace) -> None:
    if options.device == "cpu":
        if options.precision is not None:
            raise UserError("--precision goes with --device cuda")
        return
    if options.kernel or options.threads != [1]:
        raise UserError("--device cuda goes without --kernel and --threads")
    if not options.list:
        on_gpu(options)
        if options.precision == problem.LOW:
            _needs_ml_dtypes()


def _needs_ml_dtypes() -> None:
    try:
        as_dtype(problem.LOW)
    except ImportError as error:
        raise UserError(f"--precision {error}") from None


def _check_peers(options: argparse.Namespace) -> None:
    known = [p.name for p in classes(options.device)]
    for name in options.peers or []:
        if name not in (*known, "none"):
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"peers: {', '.join(known)}, or none"
            raise UserError(f"--peers: no peer '{name}'", meant)


# --- choosing -------------------------------------------------------------------------------------


def _seconds(options: argparse.Namespace) -> float:
    return float(options.seconds or (0.05 if options.quick else 0.15))


def _cold(options: argparse.Namespace) -> int:
    return int((2 if options.quick else 7) if options.cold is None else options.cold)


def _effort(options: argparse.Namespace) -> plan.Effort:
    """What is asked of rows, alike on every machine so that shards agree."""
    return plan.Effort(_seconds(options), _cold(options), whole=options.whole)


def _choose(options: argparse.Namespace) -> list[Problem]:
    if options.kernel:
        if options.family or options.match or options.shard or options.peers:
            raise UserError("--kernel goes without --family, --match, --shard and --peers")
        kernel.find(options.kernel)
        return []
    chosen = problem.select(problem.read(), options.family, options.match, options.quick)
    chosen = [p for p in chosen if families.available(p)]
    if options.device == "cuda":
        chosen = [p for p in chosen if p.family not in HOST]
        if options.precision == problem.LOW:
            chosen = [p for p in chosen if p.family in problem.OF_LOW]
    if not chosen:
        raise UserError("no problem fits these options", "striate bench --list shows all")
    if options.shard:
        costs = [plan.estimate(p, _effort(options)) for p in chosen]
        chosen = problem.shard(chosen, costs, *options.shard)
    return chosen


def _listing(chosen: Sequence[Problem], options: argparse.Namespace) -> str:
    """Names, then families with the time that each takes."""
    lines = [p.name for p in chosen] if options.match or options.quick or options.family else []
    rows = [("family", "rows", "about")]
    total = 0.0
    threads = plan.GPU if options.device == "cuda" else 1
    here = plan.Effort.here(_seconds(options), _cold(options), threads, options.whole)
    for family in dict.fromkeys(p.family for p in chosen):
        of = [p for p in chosen if p.family == family]
        took = sum(plan.estimate(p, here) for p in of)
        total += took
        rows.append((family, str(len(of)), terminal.seconds(took)))
    rows.append(("all", str(len(chosen)), terminal.seconds(total)))
    lines += [report.table(rows), "a thread count, with all peers; --threads 1,2 takes twice that"]
    return "\n".join(lines)


# --- measuring ------------------------------------------------------------------------------------


def _journal(options: argparse.Namespace) -> Path | None:
    """Where the journal lies; None for one that is thrown away."""
    if options.journal:
        return Path(options.journal)
    if options.quick or options.kernel:
        return None
    part = "-cuda" if options.device == "cuda" else ""
    part += "-{}of{}".format(*options.shard) if options.shard else ""
    return Path(f"striate-bench{part}.jsonl")


def _measure(chosen: Sequence[Problem], options: argparse.Namespace) -> int:
    for name in (options.json, options.html, options.journal):
        if name:
            _check_writable(Path(name))
    path = _journal(options)
    if path is not None and path.exists():
        journal.check(path, journal.read(path)[0], _machine(options))
    with tempfile.TemporaryDirectory() as scratch:
        where = path or Path(scratch) / "rows.jsonl"
        status = 0
        until = time.time() + QUICK_SECONDS if options.quick else 0.0
        for i, threads in enumerate(options.threads):
            left = len(options.threads) - i
            ends = time.time() + (until - time.time()) / left if until else 0.0
            try:
                status = max(status, _work(chosen, where, threads, ends, options))
            except KeyboardInterrupt:
                if path is not None:
                    print(f"rows so far are in {path}; the same command goes on", file=sys.stderr)
                raise
        heads, rows = journal.read(where)
    names = {p.name for p in chosen}
    rows = [
        r
        for r in rows
        if r["threads"] in options.threads and (r["name"] in names or options.kernel)
    ]
    _report(results.gather(heads, rows), options)
    if path is not None:
        print(f"journal: {path}")
    return status


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    if options.device == "cpu":
        return describe()
    from striate.bench import gpu

    return describe() | gpu.machine(_precision(options))


def _precision(options: argparse.Namespace) -> str:
    return options.precision or "high"


def _check_writable(path: Path) -> None:
    """Before hours of measuring, not after."""
    if path.is_dir():
        raise UserError(f"{path}: expected a file, got a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{path}: can't be written")


def _work(
    chosen: Sequence[Problem], where: Path, threads: int, until: float, options: argparse.Namespace
) -> int:
    """Runs a worker to its end. Raises KeyboardInterrupt or UserError as it ended."""
    known = classes(options.device)
    peers = [p for p in known if options.peers is None or p.name in options.peers]
    orders = Orders(
        names=[p.name for p in chosen],
        journal=str(where.absolute()),
        threads=threads,
        seconds=_seconds(options),
        cold_runs=_cold(options),
        peers=[] if options.kernel else [p.name for p in peers],
        until=until,
        whole=options.whole,
        kernel=options.kernel,
        progress=not options.no_progress,
        device=options.device,
        precision=_precision(options),
    )
    env = environment.merged(_C.isa(), threads, [] if options.kernel else peers)
    sys.stdout.flush()
    worker = subprocess.Popen(
        [sys.executable, "-m", "striate.bench.worker"], stdin=subprocess.PIPE, text=True, env=env
    )
    try:
        worker.communicate(json.dumps(asdict(orders)))
    except KeyboardInterrupt:  # the worker got it too, and closes its journal
        worker.wait()
        raise
    if worker.returncode in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if worker.returncode < 0:
        ended = signal.Signals(-worker.returncode).name
        hint = "the same command goes on from the journal; --peers leaves a library out"
        raise UserError(f"the process that measures was ended by {ended}", hint)
    if worker.returncode not in (0, 1):
        raise UserError(f"the process that measures ended with status {worker.returncode}")
    return int(worker.returncode)


# --- reporting ------------------------------------------------------------------------------------


def _report(found: results.Results, options: argparse.Namespace) -> int:
    print(terminal.report(found["rows"]))
    if options.json:
        results.write(Path(options.json), results.to_json(found))
        print(f"results: {options.json}")
    if options.html:
        results.write(Path(options.html), page.render(found))
        print(f"page: {options.html}")
    return 0

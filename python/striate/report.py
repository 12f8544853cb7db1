# SPDX-License-Identifier: Apache-2.0
"""What the process runs on and may use, as text: `striate info` and `striate kernels`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import striate
from striate import _C

# Packages that some commands need, and what for.
OPTIONAL = {
    "tqdm": "progress bars",
    "matplotlib": "pictures of a run",
    "pillow": "striate predict",
    "scikit-learn": "the digits data",
}


def installed(package: str) -> str:
    """The version of a package, or ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Rows of words in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(f"{w:{n}}" for w, n in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(indent + line.rstrip() for line in lines)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    return f"{name}={value}" if value else f"{name} is not set"


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def info() -> str:
    """Version, CPU, instruction sets, threads, memory, packages."""
    usable = [name for name, why in _C.isas().items() if not why]
    memory = _C.memory_stats()
    rows = _C.rows()
    runnable = sum(not row["why_not"] for row in rows)
    lines = [
        ("version", f"striate {striate.__version__}"),
        ("python", f"{platform.python_version()}, numpy {np.__version__}"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("cpu", f"{_C.cpu_name()}, {usable_cpus()} of {os.cpu_count()} usable"),
        ("isa", f"{_C.isa()} in use; usable: {', '.join(usable)}; {_variable('STRIATE_ISA')}"),
        *((name, why) for name, why in _C.isas().items() if why),
        ("threads", f"{_C.num_threads()}; {_variable('STRIATE_NUM_THREADS')}"),
        (
            "memory",
            f"{memory['in_use'] / 2**20:.1f} MiB in use, {memory['cached'] / 2**20:.1f} kept for "
            f"reuse, {memory['peak'] / 2**20:.1f} at most",
        ),
        ("kernels", f"{runnable} of {len(rows)} can run; `striate kernels` lists them"),
    ]
    for package, purpose in OPTIONAL.items():
        found = installed(package) or 'missing; pip install "striate[train]"'
        lines.append((package, f"{found} ({purpose})"))
    return table(lines)


def kernels(op: str | None = None, isa: str | None = None) -> str:
    """Every row of every table, or those of one op or one instruction set."""
    rows: list[Any] = _C.rows()
    for name, wanted, key in (("--op", op, "op"), ("--isa", isa, "isa")):
        known = sorted({row[key] for row in rows})
        if wanted is not None and wanted not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got '{wanted}'")
    shown = [r for r in rows if op in (None, r["op"]) and isa in (None, r["isa"])]
    heads = ("op", "kind", "name", "dtype", "isa", "runs here")
    body = [
        (r["op"], r["kind"], r["name"], r["dtype"], r["isa"], r["why_not"] or "yes") for r in shown
    ]
    runnable = sum(not r["why_not"] for r in shown)
    what = f"{len(shown)} rows" if len(shown) == len(rows) else f"{len(shown)} of {len(rows)} rows"
    return f"{table([heads, *body])}\n\n{what}, {runnable} can run here; {_C.isa()} in use"

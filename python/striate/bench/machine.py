# SPDX-License-Identifier: Apache-2.0
"""The machine: caches, memory, processor, and the versions of what is compared."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import striate
from striate import _C

_USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
_CPU = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(text: str) -> int:
    text = text.strip()
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1:] in _UNITS else int(text)


@cache
def caches() -> dict[str, int]:
    """Bytes of the data caches as Linux states them; usual sizes where it doesn't."""
    found = dict(_USUAL)
    for index in sorted(_CPU.glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = (index / "level").read_text().strip()
            size = _size((index / "size").read_text())
        except (OSError, ValueError):
            continue
        if kind in ("Data", "Unified") and f"L{level}" in found:
            found[f"L{level}"] = size
    found["L3"] = max(found["L3"], found["L2"])
    return found


def available_memory() -> int:
    """Bytes that can be had without swapping."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def level(footprint: float, threads: int = 1) -> str:
    """The nearest memory that holds so many bytes: L1 and L2 are each thread's own."""
    sizes = caches()
    for name in ("L1", "L2"):
        if footprint <= sizes[name] * threads:
            return name
    return "L3" if footprint <= sizes["L3"] else "DRAM"


def build() -> str:
    """The first digits of the extension's SHA-256: rows of other code are told apart by it."""
    path = _C.__file__
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12] if path else "unknown"


def describe() -> dict[str, Any]:
    """What a reader of the figures must know of the machine."""
    sizes = caches()
    return {
        "cpu": _C.cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "caches": sizes,
        "isa": _C.isa(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "striate": striate.__version__,
        "build": build(),
    }

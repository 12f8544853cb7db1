# SPDX-License-Identifier: Apache-2.0
"""NumPy, with OpenBLAS on the core type that is fastest here."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from striate.bench.peers.peer import Peer, Rival
from striate.bench.task import Task

# Core types of OpenBLAS that a processor may run; those it can't end in a crash, and are passed by.
CORES = {
    "avx512": ("SkylakeX", "Cooperlake", "SapphireRapids", "Zen", "Haswell"),
    "avx2": ("Haswell", "Zen"),
    "scalar": ("Nehalem", "Prescott"),
}
_TRY = """
import time, numpy as np
a, b = (np.random.default_rng(0).standard_normal((384, 384), np.float32) for _ in range(2))
c, times = np.empty_like(a), []
for _ in range(30):
    start = time.perf_counter()
    np.matmul(a, b, out=c)
    times.append(time.perf_counter() - start)
print(min(times))
"""


@cache
def best_core(isa: str) -> str:
    """The core type with the fastest product, each tried in a process of its own; "" for none."""
    times = {}
    for core in CORES.get("avx512" if isa.startswith("avx512") else isa, ()):
        env = {**os.environ, "OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": "1"}
        env.pop("OPENBLAS_L2_SIZE", None)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _TRY], env=env, capture_output=True, text=True, timeout=60
            )
            times[core] = float(done.stdout)
        except (subprocess.SubprocessError, ValueError):
            continue
    return min(times, key=lambda core: times[core]) if times else ""


def _openblas() -> Any:
    """The library that NumPy loaded, or None."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in folder.glob("*openblas*"):
        return ctypes.CDLL(str(path))
    return None


def core_in_use() -> str:
    """What OpenBLAS says that it uses."""
    library = _openblas()
    for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_"):
        function = getattr(library, name, None)
        if function:
            function.restype = ctypes.c_char_p
            return str(function().decode())
    return ""


class PEER(Peer):
    name = "numpy"
    columns = ("numpy",)

    def __init__(self, threads: int) -> None:
        self.version = np.__version__
        core = core_in_use()
        self.path = f"OpenBLAS core {core}" if core else "unknown BLAS"

    @staticmethod
    def environment(isa: str, threads: int) -> dict[str, str]:
        """The timeout lets OpenBLAS's idle threads sleep after about a millisecond. What was set
        before gives way to what is best."""
        found = {"OPENBLAS_NUM_THREADS": str(threads), "OPENBLAS_THREAD_TIMEOUT": "22"}
        found |= {"OPENBLAS_CORETYPE": best_core(isa), "OPENBLAS_L2_SIZE": ""}
        if not isa.startswith("avx512"):
            past = ("AVX512", "X86_V4") if isa == "avx2" else ("AVX", "X86_V3", "X86_V4", "FMA")
            known = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
            found["NPY_DISABLE_CPU_FEATURES"] = " ".join(f for f in known if f.startswith(past))
        return found

    def gemm(self, task: Task) -> Iterable[Rival]:
        a, b, out = task["a"], task["b"], task.out
        yield Rival("numpy", lambda: np.matmul(a, b, out=out))

    gemm_packed = gemm

    def activation(self, task: Task) -> Iterable[Rival]:
        x, out = task["x"], task.out
        functions: Any = {"exp": np.exp, "tanh": np.tanh}
        if f := functions.get(task.options["function"]):
            yield Rival("numpy", lambda: f(x, out=out))
        elif task.options["function"] == "relu":
            zero = x.dtype.type(0)
            yield Rival("numpy", lambda: np.maximum(x, zero, out=out))

    def to_channels_last(self, task: Task) -> Iterable[Rival]:
        x = task["x"]
        out: Any = task.out

        def call() -> Any:
            np.copyto(out, x)
            return out

        yield Rival("numpy", call)

    to_c_order = to_channels_last

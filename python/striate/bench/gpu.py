# SPDX-License-Identifier: Apache-2.0
"""`--device cuda`: problems on CuPy's arrays, a GPU's own clock, and what the GPU can do at best.

Rivals work on CuPy's current stream, which is PyTorch's too (the default one). Everything that a
time is made of is enqueued before the host waits, so launching is not measured as long as it takes
less than the flush before it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import striate
from striate import _C, cupy_arrays
from striate.arrays import Array
from striate.bench.clock import Clock
from striate.bench.ours import Ours
from striate.bench.problem import LOW
from striate.bench.task import Spots, Task
from striate.device import placed
from striate.dtypes import as_dtype

FLUSH = 4  # L2 caches written before each timed call
COPY = 8  # L2 caches of memory that are copied to measure bandwidth
LONG_ENOUGH = 2e-3  # seconds of a run that measures a peak
WARPS = 16  # of a multiprocessor, where peaks are measured
UNITS = ("tf32", "bf16", "f16")  # of tensor cores
# One product of TF32 keeps 11 bits of each factor where float32 has 24: "medium" is allowed for it.
LOOSER = {"medium": 2.0**13}
PRODUCTS = ("gemm", "conv2d", "recurrent")
_HALF_DIGIT = 2.0**-8  # of bfloat16, relative


def l2_bytes() -> int:
    """Of the current GPU's L2."""
    return int(cupy_arrays.cupy().cuda.Device().attributes["L2CacheSize"])


class GpuClock(Clock):
    """Seconds between events on the GPU around each call, with other data in its L2."""

    def __init__(self) -> None:
        self._cuda = cupy_arrays.cupy().cuda
        self._filler = cupy_arrays.cupy().empty(FLUSH * l2_bytes() // 4, np.float32)

    def calls(self, call: Callable[[], Any], count: int) -> tuple[float, Any]:
        events = []
        for _ in range(count):
            self._filler.fill(1.0)
            begin, end = self._cuda.Event(), self._cuda.Event()
            begin.record()
            value = call()
            end.record()
            events.append((begin, end))
        events[-1][1].synchronize()
        total = sum(self._cuda.get_elapsed_time(*pair) for pair in events)
        return total * 1e-3 / count, value


class GpuMeter:
    """As meter.Meter, of the current GPU."""

    levels = ("DRAM",)

    def __init__(self, clock: Clock, precision: str = "high") -> None:
        self.clock, self._precision = clock, precision
        module = cupy_arrays.cupy()
        device = _C.cuda_devices()[cupy_arrays.current_device()]
        warps = WARPS * device["multiprocessors"]
        self._fma = module.zeros(32 * warps, np.float32)
        self._tiles = module.zeros((warps, 16, 8), np.float32)
        random = np.random.default_rng(0).standard_normal((2, 16 * 24), np.float32)
        self._factors = module.asarray(random)
        self._known: float | None = None

    def level(self, footprint: float) -> str:
        """Caches are cold: all comes from the GPU's memory."""
        return "DRAM"

    def _rate(self, run: Callable[[int], float]) -> float:
        """Operations a second of run(rounds), which returns them: the median of five runs of two
        milliseconds or more."""
        run(1)  # compiles
        rounds, seconds = 1, 0.0
        while seconds < LONG_ENOUGH and rounds < 1 << 30:
            rounds *= 4
            seconds = self.clock.calls(partial(run, rounds), 1)[0]
        rates = []
        for _ in range(5):
            seconds, done = self.clock.calls(partial(run, rounds), 1)
            rates.append(done / max(seconds, 1e-9))
        return statistics.median(rates)

    def unit(self, name: str) -> float:
        """Operations a second of "fma", on CUDA cores, or of a unit of tensor cores by mma.sync."""
        if name == "fma":
            return self._rate(lambda rounds: _C.peak_fma(self._fma, rounds))
        x = self._factors[0][: 24 * (8 if name == "tf32" else 16)]
        return self._rate(lambda rounds: _C.peak_mma(x, name, rounds, self._tiles))

    def units(self) -> dict[str, float]:
        """Every unit's rate."""
        return {name: self.unit(name) for name in ("fma", *UNITS)}

    def peak(self) -> float:
        """The rate that products may reach at the precision that is asked for: of CUDA cores; a
        third of TF32's for three products; TF32's; or bfloat16's."""
        how = self._precision
        if how == LOW:
            return self.unit("bf16")
        if how == "highest":
            return self.unit("fma")
        return max(self.unit("fma"), self.unit("tf32") / (3 if how == "high" else 1))

    def copy(self, level: str) -> float:
        """Bytes a second of CuPy's copy of a large array, read and written counted."""
        module = cupy_arrays.cupy()
        x, y = (module.empty(COPY * l2_bytes() // 4, np.float32) for _ in range(2))
        x.fill(1.0)

        def call() -> None:
            y[...] = x

        times = [self.clock.calls(call, 1)[0] for _ in range(9)]
        self._known = 8 * x.size / max(statistics.median(times), 1e-12)
        return self._known

    def known(self, level: str) -> float:
        """The last figure of copy(level)."""
        return self.copy(level) if self._known is None else self._known


class OursOnGpu(Ours):
    """The same calls, on CuPy's arrays."""

    def __init__(self) -> None:
        super().__init__(_C.num_threads())
        self.path = striate.cuda.get_device_name()

    def _network(self, t: Task) -> Any:
        host = replace(t, arrays={name: placed("bench", a, "cpu") for name, a in t.arrays.items()})
        return super()._network(host).to("cuda")


def _narrowed(host: Array) -> Array:
    """The array in bfloat16 and the same memory order; the operand itself is rounded too, which is
    what the reference is made of."""
    low = np.empty_like(host, as_dtype(LOW))
    _C.narrow(host, out=low)
    host[...] = _C.widen(low)
    return low


def _in_bfloat16(task: Task) -> Task:
    """The task with operands and result of bfloat16, half as many bytes; results may be off by
    half a digit more."""

    def spots() -> Spots:
        found = task.spots()
        return replace(found, bound=found.bound + _HALF_DIGIT * np.abs(found.expected))

    arrays = {name: _narrowed(a) for name, a in task.arrays.items()}
    out = None if task.out is None else np.empty_like(task.out, as_dtype(LOW))
    return replace(task, arrays=arrays, out=out, spots=spots, bytes=task.bytes / 2)


def on_gpu(task: Task, precision: str = "high") -> Task:
    """The task with operands and result on the GPU, in their memory order."""
    if precision == LOW:
        task = _in_bfloat16(task)
    arrays = {name: placed("bench", a, "cuda") for name, a in task.arrays.items()}
    out = None if task.out is None else placed("bench", task.out, "cuda")
    looser = LOOSER.get(_C.float32_precision(), 1.0)
    if not task.op.startswith(PRODUCTS):
        looser = 1.0

    def spots() -> Spots:
        found = task.spots()
        return replace(found, bound=looser * found.bound)

    return replace(task, arrays=arrays, out=out, spots=spots)


def machine(precision: str) -> dict[str, Any]:
    """What a reader of the figures must know of the GPU and its software."""
    found = _C.cuda_devices()[cupy_arrays.current_device()]
    return {
        "gpu": found["name"],
        "capability": ".".join(map(str, found["capability"])),
        "multiprocessors": found["multiprocessors"],
        "gpu_memory": found["memory"],
        "driver": _C.cuda_driver()["version"],
        "nvrtc": _C.cuda_compiler()["version"],
        "cupy": striate.cuda.cupy_version(),
        "precision": precision,
    }

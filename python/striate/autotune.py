# SPDX-License-Identifier: Apache-2.0
"""Which method a convolution takes, why, and how to have it measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from striate import _C
from striate.dtypes import as_dtype, float32, float64
from striate.ops.conv import numbers, paddings

__all__ = [
    "Algorithm",
    "Candidate",
    "conv_algorithm",
    "get_autotune",
    "get_conv_workspace",
    "set_autotune",
    "set_conv_workspace",
]

_PASSES = ("fwd", "bwd_data", "bwd_weight")
_RUNS = 3


@dataclass(frozen=True)
class Candidate:
    """A method that takes the problem.

    Times are in seconds, `measured` None if it was not run. `workspace`: bytes beside the operands.
    """

    method: str
    predicted: float
    measured: float | None
    workspace: int


@dataclass(frozen=True)
class Algorithm:
    """What conv_algorithm found; its text is a table."""

    method: str
    reason: str
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.method}: {self.reason}",
            f"{'method':<16}{'predicted':>12}{'measured':>12}{'workspace':>12}",
        ]
        for c in self.candidates:
            measured = "" if c.measured is None else f"{c.measured * 1e6:.0f} us"
            space = f"{c.workspace / 2**20:.1f} MiB"
            lines.append(f"{c.method:<16}{c.predicted * 1e6:>9.0f} us{measured:>12}{space:>12}")
        return "\n".join(lines)


def _quickest(call: Callable[[], Any], runs: int = _RUNS) -> float:
    times = []
    call()
    for _ in range(runs):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


@cache
def _rate(dtype: Any, threads: int) -> float:
    """Multiply-adds a second of a product that runs from cache; takes some milliseconds, once."""
    n = 384
    a, b = np.ones((n, n), dtype), np.ones((n, n), dtype)
    out = np.empty_like(a)
    return n**3 / _quickest(lambda: _C.gemm(a, b, out=out), 5)


def conv_algorithm(
    input: tuple[int, int, int, int],
    weight: tuple[int, int, int, int],
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    direction: str = "fwd",
    dtype: Any = float32,
    measure: bool = True,
) -> Algorithm:
    """Which method conv2d takes for input (N, C, H, W) and weight (K, C / groups, R, S), and why.

    The same options as conv2d's; `direction` is "fwd", "bwd_data" or "bwd_weight". Every method
    that takes the problem is listed with the time that the model predicts, the memory it takes
    (set_conv_workspace) and, with `measure`, the quickest of three runs on random data. Printing
    the result shows a table.

        print(striate.conv_algorithm((1, 64, 56, 56), (64, 64, 3, 3), padding=1))
    """
    name = "conv_algorithm"
    x_shape, w_shape, options = _problem(name, input, weight, stride, padding, dilation, groups)
    if direction not in _PASSES:
        raise ValueError(f"{name}: direction: expected one of {_PASSES}, got {direction!r}")
    kind = as_dtype(dtype, f"{name}: dtype")
    if kind not in (float32, float64):
        raise TypeError(f"{name}: dtype: expected float32 or float64, got {kind}")
    found = _C.conv2d_candidates(direction, str(kind), x_shape, w_shape, **options)
    rate = _rate(kind, _C.num_threads())
    try:
        call = _caller(x_shape, w_shape, direction, kind, options) if measure else None
    except (MemoryError, ValueError) as error:
        raise MemoryError(
            f"{name}: measure: {error}; measure=False predicts without data"
        ) from None

    def candidate(row: str, cost: float, workspace: float) -> Candidate:
        if call is None:
            measured = None
        else:
            with _C.pin_rows([row]):
                measured = _quickest(call)
        return Candidate(_method(row), cost / rate, measured, int(workspace))

    candidates = tuple(candidate(row, cost, workspace) for row, cost, workspace, _ in found)
    recorded = [i for i, (*_, record) in enumerate(found) if record]
    if recorded:
        chosen, reason = recorded[0], "on record as the quickest (set_autotune)"
    else:
        chosen = min(range(len(found)), key=lambda i: found[i][1])
        reason = "the model's least time" if len(found) > 1 else "no other takes the problem"
    return Algorithm(candidates[chosen].method, reason, candidates)


def _problem(
    name: str, input: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """The shapes, and the options as kernels take them."""
    for argument, shape in (("input", input), ("weight", weight)):
        if not isinstance(shape, (tuple, list)) or len(shape) != 4:
            raise ValueError(f"{name}: {argument}: expected a shape of four sizes, got {shape!r}")
    x_shape, w_shape = numbers(name, "input", input, 4, 1), numbers(name, "weight", weight, 4, 1)
    strides = numbers(name, "stride", stride, 2, 1)
    dilations = numbers(name, "dilation", dilation, 2, 1)
    options = {
        "stride": strides,
        "padding": paddings(name, padding, w_shape[2:], strides, dilations),
        "dilation": dilations,
        "groups": numbers(name, "groups", groups, 1, 1)[0],
    }
    return x_shape, w_shape, options


def _method(row: str) -> str:
    """conv2d_bwd_data_f32_winograd_f4x4 -> winograd_f4x4."""
    return row.split("_f32_")[-1].split("_f64_")[-1]


def _caller(
    x_shape: Any, w_shape: Any, direction: str, dtype: Any, options: dict[str, Any]
) -> Callable[[], Any]:
    random = np.random.default_rng(0)

    def images(shape: Any) -> Any:
        n, c, h, w = shape
        return random.standard_normal((n, h, w, c), dtype).transpose(0, 3, 1, 2)

    x, weight = images(x_shape), images(w_shape)
    if direction == "fwd":
        return lambda: _C.conv2d(x, weight, None, **options)
    dy = images(_C.conv2d(x, weight, None, **options).shape)
    if direction == "bwd_data":
        return lambda: _C.conv2d_bwd_data(dy, weight, size=x_shape[2:], **options)
    return lambda: _C.conv2d_bwd_weight(x, dy, size=w_shape[2:], **options)


def _default_file() -> Path:
    folder = _C.cache_folder()
    if not folder:
        raise OSError("set_autotune: file: this user has no home folder; give one")
    return Path(folder) / "conv.txt"


def set_autotune(on: bool, file: str | os.PathLike[str] | None = None) -> None:
    """Whether convolutions measure their methods when they first meet a problem.

    The first call of a shape then runs every method that takes it a few times on the caller's own
    data, and keeps the quickest, for later calls, and for later processes in `file`: conv.txt in
    $STRIATE_CACHE_DIR, $XDG_CACHE_HOME/striate or ~/.cache/striate unless given, "" for none.
    Results depend on the method in their last digits, so they may differ from run to run until a
    shape is on record.
    """
    if not isinstance(on, bool):
        raise TypeError(f"set_autotune: on: expected True or False, got {on!r}")
    if not on or file == "":
        return _C.set_conv_autotune(on, "")
    path = _default_file() if file is None else Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _C.set_conv_autotune(True, str(path))
    except (OSError, RuntimeError) as error:
        raise OSError(f"set_autotune: file: {path} can't be written: {error}") from None


def get_autotune() -> bool:
    """Whether set_autotune is on."""
    return _C.conv_autotune()


def set_conv_workspace(bytes: int) -> None:
    """How much memory a 2-D convolution may take beside its operands; 64 MiB unless set.

    Methods that want more are left out (conv_algorithm shows what each takes). Those that are left
    pack as many filters at a time as fit, a panel of 16 or 32 at least. Each thread has blocks of
    the size of its L2 cache besides. Results depend on the method in their last digits.
    """
    _C.set_conv_workspace(numbers("set_conv_workspace", "bytes", bytes, 1, 0)[0])


def get_conv_workspace() -> int:
    """What set_conv_workspace set."""
    return _C.conv_workspace()

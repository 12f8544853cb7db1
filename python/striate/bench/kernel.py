# SPDX-License-Identifier: Apache-2.0
"""`--kernel NAME`: one row of a kernel or method table, beside what would be chosen without it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from striate import _C
from striate.bench import families, problem
from striate.bench.meter import Meter
from striate.bench.ours import Ours
from striate.bench.peers import Peer, Rival
from striate.bench.task import Spots, Task
from striate.dtypes import as_dtype, is_bfloat16
from striate.testing.cases import CASES, Case, Sample

CHOSEN = "as chosen"
_LARGEST = 3  # samples of a case that no family has problems for


def find(name: str) -> dict[str, Any]:
    """The table row. Raises ValueError where there is none, or it can't run here."""
    rows: dict[str, Any] = {r["name"]: r for r in _C.rows()}
    if name not in rows:
        near = difflib.get_close_matches(name, rows, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"--kernel: no row '{name}'{meant} (striate kernels lists them)")
    if why := rows[name]["why_not"]:
        raise ValueError(f"--kernel: {name} can't run here: {why}")
    return dict(rows[name])


class _Named(Ours):
    """Ours under another column, with rows pinned while it runs."""

    def __init__(self, threads: int, column: str, pins: list[str]) -> None:
        super().__init__(threads)
        self.name, self.columns, self._pins = column, (column,), pins  # type: ignore[misc]

    def case(self, task: Task) -> Iterable[Rival]:
        """A test case's binding, where no family has the operation."""
        operands, call = list(task.arrays.values()), task.options["call"]
        yield Rival("", lambda: call(*operands))

    def rivals(self, task: Task) -> Iterator[Rival]:
        for rival in super().rivals(task):
            yield Rival(self.name, rival.call, rival.array, lambda: _C.pin_rows(self._pins))


def contenders(name: str, threads: int) -> tuple[list[Peer], Meter]:
    """The row by name and the usual choice, and a meter of the row's type and instructions: where
    that is bfloat16 those of float32, which its sums are."""
    row = find(name)
    try:
        dtype = _of_sums(as_dtype(row["dtype"]))
    except ImportError as error:
        raise ValueError(f"--kernel: {name} can't run here: {error}") from None
    short = {"float32": "f32", "float64": "f64"}[dtype.name]
    pin = [f"peak_fma_{short}_{row['isa'].removesuffix('bf16')}"]
    meter = Meter(threads, dtype.name, pin)
    return [_Named(threads, name, [name]), _Named(threads, CHOSEN, [])], meter


def _of_sums(dtype: Any) -> Any:
    return np.dtype(np.float32) if is_bfloat16(dtype) else dtype


def jobs(name: str, bench: Any) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Quick problems of the family that the row serves; else the largest samples of its cases."""
    dtype = find(name)["dtype"]
    found: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for one in problem.select(problem.read(), quick=True):
        if dtype == "bfloat16":  # families are of float32 and float64
            break
        if families.available(one) and name.startswith(families.rows(one)):
            found.append((one.name, partial(_measured, bench, one, dtype)))
    if found:
        return found
    for case in CASES:
        if case.serves(name):
            for sample in sorted(case.samples, key=_size)[-_LARGEST:]:
                label = f"case/{case.name}/{sample}"
                found.append((label, partial(_case, bench, case, sample, label, dtype)))
    return found


def _measured(bench: Any, one: problem.Problem, dtype: str) -> dict[str, Any]:
    task = families.task(one, dtype)
    record: dict[str, Any] = bench.measure(task, name=one.name, family=one.family, sizes=one.sizes)
    return record


def _size(sample: Sample) -> float:
    return sum(float(np.prod(s)) for s in sample.shapes if s is not None)


def _case(bench: Any, case: Case, sample: Sample, name: str, dtype: str) -> dict[str, Any]:
    """A test's sample as a task: reference and bound are the test's."""
    held = as_dtype(dtype)
    sums = _of_sums(held)
    arrays = case.arrays(sample, held)
    wide = [None if a is None else a.astype(np.float64) for a in arrays]

    def spots() -> Spots:
        with np.errstate(all="ignore"):
            expected = np.asarray(case.reference(*wide, **sample.parameters), np.float64)
            eps = np.finfo(sums).eps
            return Spots((...,), expected, case.bound(expected, eps, *wide, **sample.parameters))

    scale = sums.itemsize / 4  # cases count bytes of float32, those of bfloat16 their own
    task = Task(
        op="case",
        arrays={str(i): a for i, a in enumerate(arrays)},  # type: ignore[misc]
        shape=(),
        spots=spots,
        options={"call": lambda *operands: case.kernel(*operands, **sample.parameters)},
        flops=case.flops(*sample.shapes, **sample.parameters),
        bytes=case.bytes(*sample.shapes, **sample.parameters) * scale,
    )
    record: dict[str, Any] = bench.measure(task, name=name, family="case", sizes={})
    return record

# SPDX-License-Identifier: Apache-2.0
"""`striate doctor`: does everything work here?

Every kernel row that can run is run on small problems of the case table, the same that the tests
read, and compared with its float64 NumPy reference.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from striate import _C, doctor_cuda
from striate.dtypes import as_dtype, is_bfloat16
from striate.report import OPTIONAL, installed, usable_cpus

_UNSEEN = ", but for those unseen: bfloat16 needs the package ml_dtypes"
_SAMPLES = 4  # of each case, spread over its list
_LARGEST = 20_000  # elements of an operand


def run() -> int:
    """Prints what was found; 0 if all is well, 1 otherwise."""
    wrong, unseen = 0, False
    print("kernels, against NumPy in double precision")
    for op, (passed, total, failures) in check_kernels().items():
        state = "WRONG" if failures else "ok" if passed == total else "unseen"
        unseen |= state == "unseen"
        print(f"  {op:12} {state:6} {passed} of {total} kernels and methods right")
        for failure in failures:
            print(f"      {failure}")
        wrong += len(failures)
    gpu, faults = doctor_cuda.findings()
    for title, found in (("machine", [*machine(), *packages()]), ("GPU", gpu)):
        print(title)
        for good, line in found:
            print(f"  {'ok  ' if good else 'note'}  {line}")
    if wrong:
        print(
            f"\n{wrong} kernels compute wrong here. STRIATE_ISA=avx2 or scalar may avoid them; "
            "please report this text with the output of `striate info`."
        )
    else:
        print("\nall kernels that can run here compute right" + _UNSEEN * unseen)
    for fault in faults:
        print(f"the GPU's side is wrong: {fault}")
    return 1 if wrong or faults else 0


def check_kernels() -> dict[str, tuple[int, int, list[str]]]:
    """For each op: how many rows passed, of how many, and what failed."""
    from striate.testing.cases import CASES

    passed: Counter[str] = Counter()
    failures: dict[str, list[str]] = defaultdict(list)
    rows = [r for r in _C.rows() if not r["why_not"]]
    progress = sys.stderr.isatty()
    for i, row in enumerate(rows):
        if progress:
            print(f"\r  {i + 1} of {len(rows)} ", end="", file=sys.stderr, flush=True)
        serving = [case for case in CASES if case.serves(row["name"]) and can_be_asked(row)]
        problems = [check_row(row, case) for case in serving]
        if any(problems):
            failures[row["op"]] += [f"{row['name']}: {p}" for p in problems if p]
        elif problems:
            passed[row["op"]] += 1
    if progress:
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    total = Counter(r["op"] for r in rows)
    return {op: (passed[op], n, failures[op]) for op, n in total.items()}


def can_be_asked(row: Mapping[str, Any]) -> bool:
    """Whether its operands can be made: those of bfloat16 need the package ml_dtypes."""
    return bool(installed("ml_dtypes")) or ("bf16" not in row["name"] and row["op"] != "cast")


def check_row(row: Mapping[str, Any], case: Any) -> str:
    """What is wrong with the row on this case; "" if nothing."""
    dtype = as_dtype(row["dtype"])
    rounded = np.finfo(np.float32 if is_bfloat16(dtype) else dtype)  # where sums are
    small = [s for s in case.samples if all(n is None or np.prod(n) <= _LARGEST for n in s.shapes)]
    with _C.pin_rows([row["name"]]), np.errstate(all="ignore"):
        for sample in small[:: max(1, len(small) // _SAMPLES)]:
            arrays = case.arrays(sample, dtype)
            wide = [a if a is None else a.astype(np.float64) for a in arrays]
            reference = np.asarray(case.reference(*wide, **sample.parameters))
            bound = case.bound(reference, rounded.eps, *wide, **sample.parameters)
            try:
                got = np.asarray(case.kernel(*arrays, **sample.parameters))
            except Exception as error:
                return f"{case.name} {sample}: {error}"
            if got.shape != reference.shape:
                return f"{case.name} {sample}: expected shape {reference.shape}, got {got.shape}"
            off = np.abs(got.astype(np.float64) - reference)
            if not np.all((off <= bound + rounded.tiny) | ~np.isfinite(reference)):
                return f"{case.name} {sample}: off by {np.nanmax(off, initial=0):.3g}"
    return ""


def machine() -> list[tuple[bool, str]]:
    """Processor, instruction sets, cache, threads."""
    found = [(True, f"{_C.cpu_name()}, {_C.l2_bytes() // 1024} KiB of second cache a core")]
    for name, why in _C.isas().items():
        if not why:
            found.append((True, f"{name} kernels can run"))
        elif why.startswith("STRIATE_ISA"):
            found.append((False, f"{name} kernels are switched off by {why}; unset it for speed"))
        else:
            found.append((True, f"{name} kernels can't run: {why}"))
    threads, cpus = _C.num_threads(), usable_cpus()
    if threads > cpus:
        hint = "they take turns; STRIATE_NUM_THREADS sets their number"
        found.append((False, f"{threads} threads on {cpus} CPUs: {hint}"))
    elif threads < cpus and not os.environ.get("STRIATE_NUM_THREADS"):
        hint = "a CPU quota, OMP_NUM_THREADS or the affinity limits them"
        found.append((True, f"{threads} threads on {cpus} CPUs: {hint}"))
    else:
        found.append((True, f"{threads} threads on {cpus} CPUs"))
    return found


def packages() -> list[tuple[bool, str]]:
    """Optional packages: which there are, and what the missing ones are for."""
    found = []
    for package, purpose in OPTIONAL.items():
        have = installed(package)
        hint = f'{package} is missing ({purpose}): pip install "striate[train]"'
        found.append((bool(have), f"{package} {have}" if have else hint))
    return found

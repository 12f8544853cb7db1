# SPDX-License-Identifier: Apache-2.0
"""The kernels themselves: drivers called on NumPy arrays, without tensors and gradients.

    striate.kernels.gemm(a, b, out=c)       # c = a @ b
    striate.kernels.softmax(x, axis=1)

An operand is an aligned, native-endian array of float32 or float64 whose strides are multiples of
the item; nothing is converted. `out=` takes a writable array of the result's shape and dtype, also
a strided one; an `out` that overlaps an operand must be that very operand, and only element-wise
kernels may be given it. Without `out` a new array is made. help(striate.kernels.gemm) shows
signature and meaning.

`striate.kernels()` lists every row of the kernel and method tables: op, kind, name, dtype, isa, and
why it can't run here (empty if it can). Threads are `striate.set_num_threads`'s.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from striate import _C
from striate._C import *  # noqa: F403  (what the stub declares, for type checkers)

# What tells of the machine and the process; `striate info` and others show it.
_RUNTIME = {
    "cache_folder",
    "conv2d_candidates",
    "conv_autotune",
    "conv_workspace",
    "cpu_name",
    "cuda_cache",
    "cuda_architecture",
    "cuda_compile",
    "cuda_compiler",
    "cuda_current_device",
    "cuda_devices",
    "cuda_driver",
    "cuda_probe",
    "cuda_source_folder",
    "cuda_synchronize",
    "float32_precision",
    "isa",
    "isas",
    "l2_bytes",
    "memory_reset_peak",
    "memory_set_cap",
    "memory_fail_at",
    "memory_stats",
    "memory_trim",
    "num_threads",
    "pin_rows",
    "rows",
    "set_conv_autotune",
    "set_conv_workspace",
    "set_float32_precision",
    "set_num_threads",
}
__all__ = sorted(n for n in dir(_C) if not n.startswith("_") and n not in _RUNTIME)
for _name in _RUNTIME:
    globals().pop(_name, None)


class _Kernels(ModuleType):
    """This module, which can be called."""

    def __call__(self, op: str | None = None) -> list[dict[str, Any]]:
        """Every row of every table, or those of one op."""
        rows = [dict(row) for row in _C.rows()]
        if op is None:
            return rows
        chosen = [row for row in rows if row["op"] == op]
        if not chosen:
            names = ", ".join(sorted({str(row["op"]) for row in rows}))
            raise ValueError(f"kernels: op: expected one of {names}, got {op!r}")
        return chosen

    def __dir__(self) -> list[str]:
        return __all__


sys.modules[__name__].__class__ = _Kernels

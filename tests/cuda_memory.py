# SPDX-License-Identifier: Apache-2.0
"""Operands of CUDA kernels on the CPU (cuda_on_cpu.py), against closed pages, and launches with a
struct, in both orders of threads."""

from __future__ import annotations

import ctypes

import cuda_on_cpu
import numpy as np
from cuda_on_cpu import CSRC, Divisor, pointer
from striate.testing import guarded

DTYPES = {"f32": np.float32, "f64": np.float64}
SIDES = ("end", "start")


def _real(dtype: np.dtype) -> type:
    return ctypes.c_float if dtype.itemsize == 4 else ctypes.c_double


def structure(name: str, fields: str, dtype: np.dtype, values: dict) -> ctypes.Structure:
    """A struct of csrc from words `name:kind`, kind p(ointer), i(nt), l(ong long), u and U
    (unsigned), t (the dtype's), d(ouble), f(loat) or D(ivisor); what `values` leaves out is 0 or
    null."""
    kinds = {
        "p": ctypes.c_void_p,
        "u": ctypes.c_uint,
        "U": ctypes.c_ulonglong,
        "i": ctypes.c_int,
        "l": ctypes.c_longlong,
        "D": Divisor,
        "t": _real(dtype),
        "d": ctypes.c_double,
        "f": ctypes.c_float,
    }
    members = [word.rsplit(":") for word in fields.split()]
    made = type(name, (ctypes.Structure,), {"_fields_": [(n, kinds[k]) for n, k in members]})()
    for key, value in values.items():
        given = isinstance(value, np.ndarray)
        setattr(made, key, pointer(value) if given else value)
    return made


class Memory:
    """Operands and results against closed pages; results are NaN before every launch."""

    def __init__(self, dtype, seed, side):
        self.kind, self.side = np.dtype(dtype), side
        self.rng = np.random.default_rng(seed)
        self.arrays = []

    def put(self, values, dtype=None):
        self.arrays.append(guarded(np.asarray(values).astype(dtype or self.kind), self.side))
        return self.arrays[-1]

    def empty(self, *shape):
        return self.put(np.full(shape, np.nan))

    def draw(self, *shape):
        return self.put(self.rng.standard_normal(shape))

    def structure(self, fields, values):
        return structure("Arguments", fields, self.kind, values)

    def launch(self, file, kernel, grid, block, fields, values, made):
        """A kernel whose one parameter is a struct."""
        self.call(file, kernel, grid, block, [self.structure(fields, values)], made)

    def call(self, file, kernel, grid, block, arguments, made):
        """Both orders of blocks and threads must give the same bits."""
        before, results = [a.copy() for a in made], []
        library = cuda_on_cpu.library(CSRC / f"ops/{file}_cuda.cu")
        for reverse in (False, True):
            for a, old in zip(made, before, strict=True):
                a[...] = old
            library.launch(
                kernel, grid, block, *arguments, buffers=tuple(self.arrays), reverse=reverse
            )
            results.append([a.tobytes() for a in made])
        assert results[0] == results[1], "the order of threads shows"

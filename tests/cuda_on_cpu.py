# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels compiled as C++ against tests/cuda_shim, and launched on the CPU."""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SHIM = Path(__file__).parent / "cuda_shim"
CSRC = Path(__file__).parents[1] / "csrc"
SOURCES = sorted(CSRC.glob("ops/*/*_cuda.cu"))
COMPILER = shutil.which("g++") or shutil.which("c++")
# Fibers change stacks by longjmp, which hardened builds take for an attack.
FLAGS = [
    "-U_FORTIFY_SOURCE",
    *("-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function"),
    *(f"-I{SHIM}", f"-I{CSRC}"),
]


class LaunchError(Exception):
    """What the shim found wrong."""


class _Buffer(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_shared", ctypes.c_int),
        ("reversed", ctypes.c_int),
        ("buffers", ctypes.POINTER(_Buffer)),
        ("buffer_count", ctypes.c_int),
        ("shared_bytes", ctypes.c_int),
        ("wavefronts", ctypes.c_longlong),
        ("ideal_wavefronts", ctypes.c_longlong),
    ]


def _compile(*arguments: str) -> str:
    ran = subprocess.run([COMPILER, *FLAGS, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[:2000]
    return ran.stdout


@functools.cache
def _folder() -> Path:
    """Of this process; removed with it."""
    _folder.keep = tempfile.TemporaryDirectory(prefix="striate-shim-")
    return Path(_folder.keep.name)


@functools.cache
def _core() -> list[str]:
    objects = []
    for source in sorted(SHIM.glob("*.cpp")):
        objects.append(str(_folder() / f"{source.stem}.o"))
        _compile("-c", str(source), "-o", objects[-1])
    return objects


def kernel_names(source: Path) -> list[str]:
    """Of the kernels of a .cu file, whatever macros make them."""
    text = re.sub(r"\s+", " ", _compile("-E", "-P", "-x", "c++", str(source)))
    return re.findall(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+) ?\(', text)


class Library:
    """The kernels of one .cu file."""

    def __init__(self, source: Path) -> None:
        self.names = kernel_names(source)
        program = _folder() / f"{source.stem}.cpp"
        lines = ['#include "cuda_shim.h"', f'#include "{source}"']
        lines += [f"SHIM_KERNEL({name})" for name in self.names]
        program.write_text("\n".join(lines) + "\n")
        self.file = _folder() / f"{source.stem}.so"
        _compile("-shared", str(program), *_core(), "-o", str(self.file))
        self._launch = ctypes.CDLL(str(self.file)).shim_launch
        self._launch.restype = ctypes.c_char_p

    def launch(
        self,
        kernel: str,
        grid: tuple[int, ...] | int,
        block: tuple[int, ...] | int,
        *arguments: object,
        buffers: tuple[np.ndarray, ...] = (),
        shared: int = 0,
        reverse: bool = False,
    ) -> _Launch:
        """Arrays and `buffers` are all the memory that the kernel may touch."""
        given = (a.array if isinstance(a, At) else a for a in arguments)
        arrays = [*(a for a in given if isinstance(a, np.ndarray)), *buffers]
        bounds = [np.lib.array_utils.byte_bounds(a) if a.size else (0, 0) for a in arrays]
        ranges = (_Buffer * len(arrays))(*(_Buffer(low, high - low) for low, high in bounds))
        values = [_argument(a) for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        launch = _Launch(
            _three(grid), _three(block), shared, int(reverse), ranges, len(arrays), 0, 0, 0
        )
        error = self._launch(kernel.encode(), pointers, ctypes.byref(launch))
        if error is not None:
            raise LaunchError(error.decode())
        return launch


def _three(size: tuple[int, ...] | int) -> ctypes.Array[ctypes.c_uint]:
    size = size if isinstance(size, tuple) else (size,)
    return (ctypes.c_uint * 3)(*size, *(1,) * (3 - len(size)))


def pointer(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data


def _argument(value: object) -> object:
    if isinstance(value, At):
        return ctypes.c_void_p(pointer(value.array))
    if value is None or isinstance(value, np.ndarray):
        assert value is None or value.flags.c_contiguous, "a kernel would not see its strides"
        return ctypes.c_void_p(pointer(value))
    if isinstance(value, np.floating):
        return (ctypes.c_float if value.itemsize == 4 else ctypes.c_double)(value)
    if isinstance(value, int):
        return ctypes.c_longlong(value)
    assert isinstance(value, ctypes.Structure), value
    return value


@functools.cache
def library(source: Path) -> Library:
    return Library(source)


def stored(x, dtype):
    """As the kernel reads it; bfloat16 as its bits, rounded to nearest even."""
    if dtype == "f8":
        return np.ascontiguousarray(x, np.float64)
    x = np.ascontiguousarray(x, np.float32)
    if dtype != "bf16":
        return x.astype(dtype)
    bits = x.view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), bits >> 16 | 0x40, rounded).astype(np.uint16)


def loaded(x):
    """In float64."""
    if x.dtype == np.uint16:
        return (x.astype(np.uint32) << 16).view(np.float32).astype("f8")
    return x.astype("f8")


# --- what launches pass: the structs of csrc/ops/*/*_cuda.h --------------------------------------


class At:
    """The first element of an array with any strides, and all of its memory."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class StridedPair(ctypes.Structure):
    _fields_ = [
        ("rank", ctypes.c_int),
        ("n", ctypes.c_longlong),
        *((f, ctypes.c_longlong * 8) for f in ("shape", "a_stride", "b_stride", "out_stride")),
    ]

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> StridedPair:
        strides = [[s // x.itemsize for s in x.strides] for x in (a, b, out)]
        eight = ctypes.c_longlong * 8
        return cls(out.ndim, out.size, eight(*out.shape), *(eight(*s) for s in strides))


def layer_norm_arguments(x, weight, bias, rows, n, eps, y, mean, invstd) -> ctypes.Structure:
    real = ctypes.c_float if x.itemsize == 4 else ctypes.c_double

    class LayerNormCuda(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_void_p) for name in ("x", "weight", "bias")),
            *(("rows", ctypes.c_longlong), ("n", ctypes.c_longlong), ("eps", real)),
            *((name, ctypes.c_void_p) for name in ("mean", "invstd", "y")),
        ]

    inputs = [pointer(a) for a in (x, weight, bias)]
    return LayerNormCuda(*inputs, rows, n, eps, *(pointer(a) for a in (mean, invstd, y)))


def _gemm_fields(real: type) -> list[tuple[str, type]]:
    return [
        *((name, ctypes.c_void_p) for name in ("a", "b", "c", "bias")),
        *((name, ctypes.c_int) for name in ("m", "n", "k", "bias_axis")),
        *((name, ctypes.c_longlong) for name in ("a_ld", "b_ld", "c_ld")),
        *((name, ctypes.c_longlong) for name in ("a_batch", "b_batch", "c_batch")),
        *((name, real) for name in ("alpha", "beta", "low", "high")),
        *(("c_is_narrow", ctypes.c_int), ("k_part", ctypes.c_int), ("c_part", ctypes.c_longlong)),
    ]


class GemmCuda(ctypes.Structure):
    _fields_ = _gemm_fields(ctypes.c_float)


class GemmCuda64(ctypes.Structure):
    _fields_ = _gemm_fields(ctypes.c_double)


class Divisor(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_int),
        ("multiplier", ctypes.c_uint),
        ("shift", ctypes.c_int),
    ]

    @classmethod
    def of(cls, value: int) -> Divisor:
        shift = max(value - 1, 0).bit_length()
        return cls(value, (2**shift - value) * 2**32 // value + 1, shift)


class ConvAxis(ctypes.Structure):
    _fields_ = [
        *((f, ctypes.c_int) for f in ("input", "output", "taps", "stride", "before", "dilation")),
        *(("tap_step", ctypes.c_int), ("output_step", ctypes.c_int)),
        *(("pixels", Divisor), ("steps", Divisor * 2)),
    ]


def _conv_fields(product: type) -> list[tuple[str, type]]:
    return [
        ("product", product),
        *(("h", ConvAxis), ("w", ConvAxis)),
        *(("images", ctypes.c_int), ("channels", Divisor), ("pixel", ctypes.c_longlong)),
    ]


class ConvCuda(ctypes.Structure):
    _fields_ = _conv_fields(GemmCuda)


class ConvCuda64(ctypes.Structure):
    _fields_ = _conv_fields(GemmCuda64)


def _depthwise_fields(real: type) -> list[tuple[str, type]]:
    return [
        *((name, ctypes.c_void_p) for name in ("x", "dy", "w", "bias", "out")),
        *((name, ctypes.c_int) for name in ("images", "channels", "filters")),
        *((name, ctypes.c_int) for name in ("height", "width", "taps_h", "taps_w")),
        *((name, Divisor) for name in ("out_h", "out_w", "in_h", "in_w", "stride_h", "stride_w")),
        ("multiplier", Divisor),
        *((name, ctypes.c_int) for name in ("top", "left", "dilation_h", "dilation_w", "part")),
        *(("low", real), ("high", real), ("out_is_narrow", ctypes.c_int)),
    ]


class DepthwiseCuda(ctypes.Structure):
    _fields_ = _depthwise_fields(ctypes.c_float)


class DepthwiseCuda64(ctypes.Structure):
    _fields_ = _depthwise_fields(ctypes.c_double)


class PoolAxis(ctypes.Structure):
    """`stride` 0: adaptive."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("input", "output", "kernel", "stride", "padding")),
        *(("dilation", ctypes.c_int), ("size", Divisor)),
    ]


class PoolCuda(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "y", "taps")),
        *((name, ctypes.c_int) for name in ("wide_taps", "images", "channels")),
        *(("packs", Divisor), ("h", PoolAxis), ("w", PoolAxis)),
        *(("divisor_kind", ctypes.c_int), ("divisor", ctypes.c_double)),
    ]


class OfDtype:
    """What follows from `dtype`, "f4", "f8", "bf16" or "f2", of a way to multiply."""

    dtype: str

    @property
    def sums(self):
        return "f8" if self.dtype == "f8" else "f4"

    @property
    def halves(self):
        return self.dtype in ("bf16", "f2")

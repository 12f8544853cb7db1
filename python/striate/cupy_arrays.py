# SPDX-License-Identifier: Apache-2.0
"""Arrays on GPUs are CuPy's, which is imported when the first of them is made, and not before.

Operations need not know. A binding that meets a CuPy array launches a CUDA kernel
(csrc/bindings/device_array.h), and NumPy's functions hand CuPy arrays on to CuPy's of the same name
(NEP 13 and 18). What neither does is here: memory, copies to and fro, and the stream.

CuPy before 14 holds arrays of bfloat16 and makes views of them, but copies and computes nothing: it
gets their `bits` to copy, and our kernels compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import bits
from striate.autograd.streams import note
from striate.dtypes import as_dtype

Array = Any  # cupy.ndarray
_loaded: ModuleType | None = None


def cupy() -> ModuleType:
    """The module. What it brings is made known to the bindings at the first call."""
    global _loaded
    if _loaded is None:
        import cupy as module

        _C.cuda_arrays(module.ndarray, empty, _stream)
        _loaded = module
    return _loaded


def current_device() -> int:
    """The number of the GPU on which CuPy makes arrays."""
    return int(cupy().cuda.Device().id)


def index_of(array: Array) -> int:
    """The number of the GPU that an array lies on."""
    return int(array.data.device_id)


def empty(
    shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None, device: int
) -> Array:
    """Uninitialised, with these strides in bytes, which leave no gaps; None is C order.

    MemoryError where the GPU has not as much left; the process may go on.
    """
    low = isinstance(dtype, str) and dtype == "bfloat16"  # whose package may not be loaded yet
    module, dtype = cupy(), as_dtype(dtype) if low else np.dtype(dtype)
    try:
        with module.cuda.Device(device):
            memory = module.cuda.alloc(math.prod(shape) * dtype.itemsize)
            return module.ndarray(shape, dtype, memory, strides)
    except Exception as error:
        if not _is_full(error):
            raise
        raise MemoryError(f"cuda:{device}: {dtype} of shape {shape}: {error}") from None


def _is_full(error: Exception) -> bool:
    """Whether memory was lacking. Without CuPy's pool that is an error of the CUDA runtime, 2."""
    return isinstance(error, MemoryError) or getattr(error, "status", None) == 2


def strided_view(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view of this shape and of these strides in bytes."""
    return cupy().ndarray(shape, array.dtype, array.data, strides)


def to_device(array: Any, device: int) -> Array:
    """A copy of a NumPy array, or of another GPU's, in its memory order; itself if it is there."""
    if not isinstance(array, np.ndarray) and index_of(array) == device:
        return array
    order, back = _memory_order(array)
    dense = bits(array.transpose(order))
    copy = empty(dense.shape, array.dtype, None, device)
    with cupy().cuda.Device(device):
        if isinstance(array, np.ndarray):
            bits(copy).set(np.ascontiguousarray(dense).reshape(dense.shape))
        else:
            bits(copy)[...] = dense
    return copy if order == tuple(range(array.ndim)) else copy.transpose(back)


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """A NumPy copy in the array's memory order, there when this returns."""
    order, back = _memory_order(array)
    with cupy().cuda.Device(index_of(array)):
        host: np.ndarray[Any, Any] = bits(array.transpose(order)).get()
    return host.view(array.dtype).transpose(back)


@dataclass
class Groups:
    """Places of equal numbers: those of `value[g]` are order[begin[g]:begin[g + 1]], ascending.

    Where a group is long, it is cut into runs, of which run r is order[runs[r]:runs[r + 1]], and
    group g has those from begin_of_runs[g] to begin_of_runs[g + 1].
    """

    order: Array
    begin: Array
    value: Array
    runs: Array | None = None
    begin_of_runs: Array | None = None

    def shares(self, dtype: str) -> Array:
        """1 over each group's size."""
        shares: Array = (1 / (self.begin[1:] - self.begin[:-1])).astype(dtype)
        return shares


def groups_of_equal(numbers: Array, longest: int = 256) -> Groups:
    """The groups of int64 numbers, 1 at least; with runs if one has more than `longest`."""
    module, n = cupy(), numbers.size
    with module.cuda.Device(index_of(numbers)):
        order = module.argsort(numbers, kind="stable")
        ascending = numbers[order]
        first = module.ones(n, bool)
        first[1:] = ascending[1:] != ascending[:-1]
        own = module.flatnonzero(first)
        begin = module.full(own.size + 1, n, numbers.dtype)
        begin[:-1] = own
        groups = Groups(order, begin, ascending[own])
        if int((begin[1:] - begin[:-1]).max()) > longest:
            # The beginnings of groups, and every `longest`th place.
            first[::longest] = True
            within = module.flatnonzero(first)
            groups.runs = module.full(within.size + 1, n, numbers.dtype)
            groups.runs[:-1] = within
            groups.begin_of_runs = module.searchsorted(groups.runs, begin)
    return groups


def _memory_order(array: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes by descending stride, and the order that gives the array back."""
    order = sorted(range(array.ndim), key=lambda i: (-abs(array.strides[i]), i))
    return tuple(order), tuple(sorted(range(array.ndim), key=order.__getitem__))


def note_stream(device: int) -> None:
    """Something is computed on CuPy's current stream."""
    note(device, cupy().cuda.get_current_stream(device))


def _stream(device: int) -> int:
    """CuPy's current stream, as the driver knows it, for a launch."""
    stream = cupy().cuda.get_current_stream(device)
    note(device, stream)
    return int(stream.ptr)

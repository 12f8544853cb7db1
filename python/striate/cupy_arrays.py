# SPDX-License-Identifier: Apache-2.0
"""Arrays on GPUs are CuPy's, which is imported when the first of them is made, and not before.

Operations need not know. A binding that meets a CuPy array launches a CUDA kernel
(csrc/bindings/device_array.h), and NumPy's functions hand CuPy arrays on to CuPy's of the same name
(NEP 13 and 18). What neither does is here: memory, copies to and fro, and the stream.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from striate import _C

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
    module, dtype = cupy(), np.dtype(dtype)
    try:
        with module.cuda.Device(device):
            memory = module.cuda.alloc(math.prod(shape) * dtype.itemsize)
            return module.ndarray(shape, dtype, memory, strides)
    except MemoryError as error:
        raise MemoryError(f"cuda:{device}: {dtype} of shape {shape}: {error}") from None


def to_device(array: Any, device: int) -> Array:
    """A copy of a NumPy array, or of another GPU's, in its memory order; itself if it is there."""
    if not isinstance(array, np.ndarray) and index_of(array) == device:
        return array
    if array.dtype.kind == "V":
        raise TypeError("bfloat16 tensors on a GPU are not supported yet; use .float() first")
    order, back = _memory_order(array)
    dense = array.transpose(order)
    copy = empty(dense.shape, dense.dtype, None, device)
    with cupy().cuda.Device(device):
        if isinstance(array, np.ndarray):
            copy.set(np.ascontiguousarray(dense).reshape(dense.shape))
        else:
            copy[...] = dense
    return copy if order == tuple(range(array.ndim)) else copy.transpose(back)


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """A NumPy copy in the array's memory order, there when this returns."""
    order, back = _memory_order(array)
    with cupy().cuda.Device(index_of(array)):
        host: np.ndarray[Any, Any] = array.transpose(order).get()
    return host.transpose(back)


def _memory_order(array: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes by descending stride, and the order that gives the array back."""
    order = sorted(range(array.ndim), key=lambda i: (-abs(array.strides[i]), i))
    return tuple(order), tuple(sorted(range(array.ndim), key=order.__getitem__))


def _stream(device: int) -> int:
    """CuPy's current stream, as the driver knows it."""
    return int(cupy().cuda.get_current_stream(device).ptr)

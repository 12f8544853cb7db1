# SPDX-License-Identifier: Apache-2.0
"""What users pass, as the arrays and shapes that kernels accept."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from striate.dtypes import SUPPORTED, as_dtype, get_default_dtype, is_supported

Array = np.ndarray[Any, Any]


def is_on_gpu(data: Any) -> bool:
    """Whether `data` is an array of CuPy's."""
    return hasattr(data, "__cuda_array_interface__") and hasattr(data, "get")


def as_it_lies(data: Any) -> Array:
    """The array of a tensor, wherever it is; what is no array yet as one of the CPU."""
    data = getattr(data, "_array", data)
    return data if is_on_gpu(data) else np.asarray(data)


def bits(x: Any) -> Any:
    """bfloat16 as the whole numbers that it is kept in, which any library copies; others as they
    are."""
    return x.view(np.uint16) if x.dtype.kind == "V" else x


def copied(x: Any, order: Any = "C") -> Any:
    """A copy in this memory order."""
    return bits(x).copy(order=order).view(x.dtype) if x.dtype.kind == "V" else x.copy(order=order)


def as_result(value: Any) -> Array:
    """NumPy gives numbers for results without axes, CuPy arrays: an array in either case."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def add_at(array: Array, index: Any, values: Any) -> None:
    """array[index] += values, again for an element that the index names again."""
    if isinstance(array, np.ndarray):
        np.add.at(array, index, values)
        return
    import cupyx

    cupyx.scatter_add(array, index, values)


def put_along_axis(array: Array, index: Array, values: Any, axis: int) -> None:
    """As NumPy's, which CuPy lacks."""
    if isinstance(array, np.ndarray):
        np.put_along_axis(array, index, values, axis)
        return
    from striate.cupy_arrays import cupy

    places = [
        cupy().arange(n).reshape([-1 if j == i else 1 for j in range(array.ndim)])
        for i, n in enumerate(index.shape)
    ]
    places[axis] = index
    array[tuple(places)] = values


def strided_view(
    array: Array, shape: tuple[int, ...], strides: tuple[int, ...], writable: bool = True
) -> Array:
    """A view of this shape and of these strides in bytes; of CuPy's, all may be written to."""
    if isinstance(array, np.ndarray):
        return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=writable)
    from striate import cupy_arrays

    return cupy_arrays.strided_view(array, shape, strides)


def running(ufunc: np.ufunc, array: Array, axis: int) -> Array:
    """ufunc.accumulate, which CuPy lacks: there each pass joins twice as many elements."""
    if isinstance(array, np.ndarray):
        y: Array = ufunc.accumulate(array, axis=axis)
        return y
    y, step = array.copy(), 1
    while step < y.shape[axis]:
        ahead, behind = (
            (*[slice(None)] * axis, cut) for cut in (slice(step, None), slice(None, -step))
        )
        y[ahead] = ufunc(y[behind], y[ahead])
        step *= 2
    return y


def largest(array: Array, axis: Any) -> Any:
    """The largest element along an axis, or axes; 0 of none."""
    return np.max(array, axis, initial=0) if array.size == 0 else np.max(array, axis)


def in_c_order(array: Array) -> Array:
    """The array itself, or a copy that is in C order."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def as_array(data: Any, dtype: Any = None, argument: str = "data") -> Array:
    """`data` as an array that kernels accept: exact ndarray, native endian, aligned, whole strides.

    Shares memory where it can. Python floats become the default dtype.
    """
    data = getattr(data, "_array", data)
    if isinstance(data, np.ndarray):
        array = data if type(data) is np.ndarray else np.asarray(data)
    elif hasattr(data, "__cuda_array_interface__"):
        return _as_gpu_array(data, dtype, argument)
    else:
        try:
            array = np.asarray(_unwrapped(data))
        except ValueError as error:
            raise ValueError(f"{argument}: expected rectangular nested lists: {error}") from None
        if dtype is None and array.dtype.kind == "f" and not isinstance(data, np.generic):
            array = array.astype(get_default_dtype())
    if dtype is not None:
        array = array.astype(as_dtype(dtype), copy=False)
    native = array.dtype.newbyteorder("=")
    _expect_supported(native, array.dtype, argument)
    whole = all(s % array.itemsize == 0 for s in array.strides)
    if not array.dtype.isnative or not array.flags.aligned or not whole:
        array = array.astype(native, copy=True)
    return array


def _expect_supported(native: Any, dtype: Any, argument: str) -> None:
    if not is_supported(native):
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"{argument}: expected one of {names}, got {dtype}")


def _as_gpu_array(array: Any, dtype: Any, argument: str) -> Array:
    """An array of CuPy's, or one that shares its memory by its interface, as kernels know it."""
    from striate import cupy_arrays

    cupy = cupy_arrays.cupy()
    if not is_on_gpu(array):
        array = cupy.asarray(array)
    if dtype is not None:
        array = array.astype(as_dtype(dtype), copy=False)
    _expect_supported(array.dtype, array.dtype, argument)
    return array


def _unwrapped(data: Any) -> Any:
    """Nested lists with tensors in them, as nested lists with arrays of the CPU in them."""
    if isinstance(data, (list, tuple)):
        return [_unwrapped(x) for x in data]
    array = getattr(data, "_array", data)
    return array.get() if is_on_gpu(array) else array


def _varargs(values: Sequence[Any], name: str = "sizes") -> tuple[int, ...]:
    """f(2, 3) and f((2, 3)) alike."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    try:
        return tuple(index(v) for v in values)
    except TypeError:
        given = values[0] if len(values) == 1 else tuple(values)
        raise TypeError(f"{name}: shape: expected integers, got {given!r}") from None

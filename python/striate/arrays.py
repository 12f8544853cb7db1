# SPDX-License-Identifier: Apache-2.0
"""What users pass, as the arrays and shapes that kernels accept."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from striate.dtypes import SUPPORTED, as_dtype, get_default_dtype, is_supported

Array = np.ndarray[Any, Any]


def as_array(data: Any, dtype: Any = None, argument: str = "data") -> Array:
    """`data` as an array that kernels accept: exact ndarray, native endian, aligned, whole strides.

    Shares memory where it can. Python floats become the default dtype.
    """
    data = getattr(data, "_array", data)
    if isinstance(data, np.ndarray):
        array = data if type(data) is np.ndarray else np.asarray(data)
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
    if not is_supported(native):
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"{argument}: expected one of {names}, got {array.dtype}")
    whole = all(s % array.itemsize == 0 for s in array.strides)
    if not array.dtype.isnative or not array.flags.aligned or not whole:
        array = array.astype(native, copy=True)
    return array


def _unwrapped(data: Any) -> Any:
    """Nested lists with tensors in them, as nested lists with arrays in them."""
    if isinstance(data, (list, tuple)):
        return [_unwrapped(x) for x in data]
    return getattr(data, "_array", data)


def _varargs(values: Sequence[Any], name: str = "sizes") -> tuple[int, ...]:
    """f(2, 3) and f((2, 3)) alike."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    try:
        return tuple(index(v) for v in values)
    except TypeError:
        given = values[0] if len(values) == 1 else tuple(values)
        raise TypeError(f"{name}: shape: expected integers, got {given!r}") from None

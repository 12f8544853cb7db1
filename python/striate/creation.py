# SPDX-License-Identifier: Apache-2.0
"""Making tensors: from data, filled, and random."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.dtypes import as_dtype, get_default_dtype
from striate.tensor import Array, Tensor, _varargs, as_array


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor holding a copy of `data`: numbers, nested lists, arrays or tensors.

    Python floats become the default dtype (float32), integers int64; arrays keep theirs.
    """
    array = as_array(data, dtype)
    shared = isinstance(data, (np.ndarray, Tensor)) and np.may_share_memory(array, as_array(data))
    return Tensor(array.copy(order="K") if shared else array, requires_grad=requires_grad)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor(array)


def _shape(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    try:
        shape = _varargs(sizes)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected sizes as integers, got {sizes}") from None
    if any(n < 0 for n in shape):
        raise ValueError(f"{name}: expected sizes of 0 or more, got {shape}")
    count = 1
    for n in shape:
        count *= n
    if count * 8 > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: shape {shape} is larger than the address space")
    return shape


def _made(array: Array, requires_grad: bool) -> Tensor:
    t = Tensor._wrap(array)
    return t.requires_grad_() if requires_grad else t


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return full(_shape("zeros", size), 0, dtype or get_default_dtype(), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return full(_shape("ones", size), 1, dtype or get_default_dtype(), requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory."""
    wanted = as_dtype(dtype or get_default_dtype())
    return _made(np.empty(_shape("empty", size), wanted), requires_grad)


def full(size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` everywhere."""
    shape = _shape("full", (size,) if isinstance(size, int) else size)
    if dtype is None:
        dtype = as_array(fill_value).dtype
    return _made(np.full(shape, fill_value, as_dtype(dtype)), requires_grad)


def zeros_like(input: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape, dtype and memory order of `input`."""
    return Tensor._wrap(np.zeros_like(input._array, dtype and as_dtype(dtype)))


def ones_like(input: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape, dtype and memory order of `input`."""
    return Tensor._wrap(np.ones_like(input._array, dtype and as_dtype(dtype)))


def full_like(input: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value` in the shape, dtype and memory order of `input`."""
    return Tensor._wrap(np.full_like(input._array, fill_value, dtype and as_dtype(dtype)))


def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, … below end. arange(n) counts from 0."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step: expected not 0")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    wanted = as_dtype(dtype) if dtype is not None else np.int64 if whole else get_default_dtype()
    return Tensor._wrap(np.arange(start, end, step).astype(wanted))


def linspace(start: float, end: float, steps: int, dtype: Any = None) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    return Tensor._wrap(np.linspace(start, end, steps).astype(dtype or get_default_dtype()))


def eye(n: int, m: int | None = None, dtype: Any = None) -> Tensor:
    """Ones on the diagonal."""
    return Tensor._wrap(np.eye(n, m, dtype=dtype or get_default_dtype()))

# SPDX-License-Identifier: Apache-2.0
"""Making tensors: from data, and filled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate.arrays import Array, _varargs, as_array
from striate.device import expect_cpu
from striate.dtypes import as_dtype, get_default_dtype, is_floating
from striate.explain import explained
from striate.tensor import Tensor


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor holding a copy of `data`: numbers, nested lists, arrays or tensors.

    Python floats become the default dtype (float32), integers int64; arrays keep theirs.
    """
    expect_cpu("tensor", device)
    array = as_array(data, dtype)
    shared = isinstance(data, (np.ndarray, Tensor)) and np.may_share_memory(array, as_array(data))
    return Tensor(array.copy(order="K") if shared else array, requires_grad=requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of `data` that shares its memory where the dtype allows; a tensor as it is."""
    expect_cpu("as_tensor", device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    return Tensor(data, dtype)


@explained
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of `obj`: shares memory unless `copy` is True; False refuses to copy."""
    expect_cpu("asarray", device)
    made = Tensor(obj._array if isinstance(obj, Tensor) else obj, dtype)
    source = getattr(obj, "_array", obj)
    shared = isinstance(source, np.ndarray) and np.may_share_memory(made._array, source)
    if copy is False and not shared:
        raise ValueError("asarray: copy: False, but the data can't be shared")
    if copy and shared:
        made = Tensor._wrap(made._array.copy(order="K"))
    elif isinstance(obj, Tensor) and shared:
        made = obj.detach() if made._array is obj._array else made
    return made.requires_grad_() if requires_grad else made


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor(array)


@explained
def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A vector that shares the memory of an object with the buffer protocol.

    `offset` counts bytes, `count` elements (-1: all). It can be written to if the buffer can.
    """
    wanted = as_dtype(dtype)
    try:
        return _made(np.frombuffer(buffer, wanted, count, offset), requires_grad)
    except (ValueError, TypeError, BufferError) as error:
        raise type(error)(f"frombuffer: {error}") from None


def _shape(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    try:
        shape = _varargs(sizes)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected sizes as integers, got {sizes}") from None
    if any(n < 0 for n in shape):
        raise ValueError(f"{name}: expected sizes of 0 or more, got {shape}")
    if math.prod(n for n in shape if n) * 8 > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: shape {shape} is larger than the address space")
    if len(shape) > 64:
        raise ValueError(f"{name}: expected at most 64 axes, got {len(shape)}")
    return shape


def _made(array: Array, requires_grad: bool) -> Tensor:
    t = Tensor._wrap(array)
    return t.requires_grad_() if requires_grad else t


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    expect_cpu("zeros", device)
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.zeros(_shape("zeros", size), wanted), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    expect_cpu("ones", device)
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.ones(_shape("ones", size), wanted), requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory."""
    expect_cpu("empty", device)
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.empty(_shape("empty", size), wanted), requires_grad)


def full(
    size: Any,
    fill_value: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere."""
    expect_cpu("full", device)
    shape = _shape("full", (size,) if isinstance(size, (int, np.integer)) else size)
    value = as_array(fill_value, argument="full: fill_value")
    if value.ndim:
        raise ValueError(f"full: fill_value: expected one number, got shape {value.shape}")
    wanted = value.dtype if dtype is None else as_dtype(dtype)
    return _made(np.full(shape, value.astype(wanted), wanted), requires_grad)


def _like(name: str, numpy: Any, doc: str) -> Any:
    @explained
    def call(
        input: Tensor, *, dtype: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        expect_cpu(name, device)
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
        wanted = None if dtype is None else as_dtype(dtype)
        return _made(numpy(input._array, dtype=wanted), requires_grad)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


zeros_like = _like(
    "zeros_like", np.zeros_like, "Zeros of the shape, dtype and memory order of `input`."
)
ones_like = _like(
    "ones_like", np.ones_like, "Ones of the shape, dtype and memory order of `input`."
)
empty_like = _like(
    "empty_like", np.empty_like, "Uninitialised memory of the shape, dtype and order of `input`."
)


@explained
def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` in the shape, dtype and memory order of `input`."""
    expect_cpu("full_like", device)
    wanted = input.dtype if dtype is None else as_dtype(dtype)
    value = as_array(fill_value, argument="full_like: fill_value").astype(wanted)
    return _made(np.full_like(input._array, value, wanted), requires_grad)


def _numbers(name: str, **values: Any) -> list[Any]:
    """Python numbers of numbers and of tensors without axes."""
    numbers = []
    for argument, value in values.items():
        number = value.item() if isinstance(value, (Tensor, np.generic, np.ndarray)) else value
        if not isinstance(number, (int, float)):
            raise TypeError(f"{name}: {argument}: expected a number, got {value!r}")
        if not math.isfinite(number):
            raise ValueError(f"{name}: {argument}: expected a finite number, got {value}")
        numbers.append(number)
    return numbers


@explained
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below end. arange(n) counts from 0."""
    expect_cpu("arange", device)
    if end is None:
        start, end = 0, start
    start, end, step = _numbers("arange", start=start, end=end, step=step)
    whole = all(isinstance(v, int) for v in (start, end, step))
    wanted = as_dtype(dtype or (np.int64 if whole else get_default_dtype()))
    if not whole and wanted.kind in "iu":  # as PyTorch: the limits are cut before the steps
        start, end, step, whole = int(start), int(end), int(step), True
    if step == 0:
        raise ValueError("arange: step: expected not 0")
    if (end - start) / step < 0:
        raise ValueError(f"arange: expected a step towards end, got {start} to {end} by {step}")
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    (count,) = _shape("arange", (count,))
    if whole:
        if max(abs(start), abs(end)) > 2**62:
            raise ValueError(f"arange: expected numbers within int64, got {start} and {end}")
        return _made((np.arange(count) * step + start).astype(wanted, copy=False), requires_grad)
    return _made((np.arange(count) * float(step) + start).astype(wanted), requires_grad)


@explained
def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    expect_cpu("linspace", device)
    start, end = _numbers("linspace", start=start, end=end)
    (steps,) = _shape("linspace", (steps,))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.linspace(start, end, steps).astype(wanted), requires_grad)


@explained
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base to the power of `linspace`."""
    expect_cpu("logspace", device)
    start, end = _numbers("logspace", start=start, end=end)
    (steps,) = _shape("logspace", (steps,))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.logspace(start, end, steps, base=base).astype(wanted), requires_grad)


@explained
def eye(
    n: int,
    m: int | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal."""
    expect_cpu("eye", device)
    rows, columns = _shape("eye", (n, n if m is None else m))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(np.eye(rows, columns, dtype=wanted), requires_grad)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


@explained
def numel(input: Tensor) -> int:
    """How many elements there are."""
    return input.numel()


@explained
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float32, float64 or bfloat16."""
    return is_floating(input.dtype)


@explained
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero."""
    if input.numel() != 1:
        raise ValueError(f"is_nonzero: expected one element, got shape {input.shape}")
    return bool(input.item())

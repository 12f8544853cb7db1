# SPDX-License-Identifier: Apache-2.0
"""Making tensors: from data, and filled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate.arrays import Array, _varargs, as_array, is_on_gpu
from striate.device import made_on, placed
from striate.dtypes import as_dtype, get_default_dtype, is_floating
from striate.explain import explained
from striate.tensor import Tensor


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor holding a copy of `data`: numbers, nested lists, arrays or tensors.

    Python floats become the default dtype (float32), integers int64; arrays keep theirs.
    """
    array, source = as_array(data, dtype), getattr(data, "_array", data)
    made = placed("tensor", array, device)
    if made is array and _shared(array, source):
        made = array.copy(order="K")
    return Tensor(made, requires_grad=requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of `data` that shares its memory where the dtype allows; a tensor as it is."""
    if isinstance(data, Tensor):
        data = data if dtype is None else data.to(as_dtype(dtype))
        return data if device is None else data.to(device)
    return Tensor(placed("as_tensor", as_array(data, dtype), device))


def _shared(array: Array, source: Any) -> bool:
    """Whether an array may lie in the memory of what it was made of."""
    if isinstance(source, np.ndarray) and isinstance(array, np.ndarray):
        return np.may_share_memory(array, source)
    return hasattr(source, "__cuda_array_interface__") and is_on_gpu(array)


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
    source = getattr(obj, "_array", obj)
    made = Tensor(placed("asarray", as_array(source, dtype), device))
    shared = _shared(made._array, source)
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
        return _made(
            "frombuffer", np.frombuffer(buffer, wanted, count, offset), None, requires_grad
        )
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


def _made(name: str, array: Array, device: Any, requires_grad: bool) -> Tensor:
    t = Tensor._wrap(placed(name, array, device))
    return t.requires_grad_() if requires_grad else t


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    array = made_on("zeros", device, np.zeros, _shape("zeros", size), wanted)
    return _made("zeros", array, None, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    array = made_on("ones", device, np.ones, _shape("ones", size), wanted)
    return _made("ones", array, None, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory."""
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    array = made_on("empty", device, np.empty, _shape("empty", size), wanted)
    return _made("empty", array, None, requires_grad)


def full(
    size: Any,
    fill_value: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere."""
    shape = _shape("full", (size,) if isinstance(size, (int, np.integer)) else size)
    value = as_array(_number(fill_value), argument="full: fill_value")
    if value.ndim:
        raise ValueError(f"full: fill_value: expected one number, got shape {value.shape}")
    wanted = value.dtype if dtype is None else as_dtype(dtype)
    array = made_on("full", device, np.full, shape, value.astype(wanted)[()], wanted)
    return _made("full", array, None, requires_grad)


def _like(name: str, numpy: Any, doc: str) -> Any:
    @explained
    def call(
        input: Tensor, *, dtype: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
        wanted = None if dtype is None else as_dtype(dtype)
        return _made(name, numpy(input._array, dtype=wanted), device, requires_grad)

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
    wanted = input.dtype if dtype is None else as_dtype(dtype)
    value = as_array(_number(fill_value), argument="full_like: fill_value").astype(wanted)[()]
    return _made("full_like", np.full_like(input._array, value, wanted), device, requires_grad)


def _number(value: Any) -> Any:
    """A number of a tensor without axes, wherever it is; anything else as it is."""
    return value.cpu() if isinstance(value, Tensor) else value


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
        return _made(
            "arange",
            (np.arange(count) * step + start).astype(wanted, copy=False),
            device,
            requires_grad,
        )
    return _made(
        "arange", (np.arange(count) * float(step) + start).astype(wanted), device, requires_grad
    )


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
    start, end = _numbers("linspace", start=start, end=end)
    (steps,) = _shape("linspace", (steps,))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made("linspace", np.linspace(start, end, steps).astype(wanted), device, requires_grad)


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
    start, end = _numbers("logspace", start=start, end=end)
    (steps,) = _shape("logspace", (steps,))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made(
        "logspace", np.logspace(start, end, steps, base=base).astype(wanted), device, requires_grad
    )


@explained
def eye(
    n: int,
    m: int | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal."""
    rows, columns = _shape("eye", (n, n if m is None else m))
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    return _made("eye", np.eye(rows, columns, dtype=wanted), device, requires_grad)


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

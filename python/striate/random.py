# SPDX-License-Identifier: Apache-2.0
"""Random numbers: NumPy's Philox. One seeded stream for the process, and Generators beside it."""

from __future__ import annotations

import threading
from operator import index as as_int
from typing import Any

import numpy as np

from striate.creation import _made, _shape
from striate.device import expect_cpu
from striate.dtypes import as_dtype, get_default_dtype
from striate.explain import explained
from striate.tensor import Tensor

_lock = threading.Lock()
_stream: np.random.Generator | None = None  # made at first use: importing NumPy's random is slow


def _seeded(seed: Any) -> np.random.Generator:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"manual_seed: seed: expected an integer of 0 or more, got {seed!r}")
    return np.random.Generator(np.random.Philox(int(seed)))


def manual_seed(seed: int) -> None:
    """Starts the random stream anew. The same seed gives the same numbers on every machine."""
    global _stream
    fresh = _seeded(seed)
    with _lock:
        _stream = fresh


def seed() -> int:
    """Starts the random stream anew from the system's entropy, and returns the seed."""
    value = int(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]
    manual_seed(value)
    return value


def generator() -> np.random.Generator:
    """The process's random stream, as NumPy's Generator."""
    global _stream
    if _stream is None:
        with _lock:
            if _stream is None:
                _stream = np.random.Generator(np.random.Philox())
    return _stream


def _state_of(stream: np.random.Generator) -> dict[str, Any]:
    state: Any = stream.bit_generator.state
    words = {k: [int(v) for v in a] for k, a in state["state"].items()}
    return {**state, "state": words, "buffer": [int(v) for v in state["buffer"]]}


def _set_state(stream: np.random.Generator, state: dict[str, Any]) -> None:
    words = {k: np.array(a, np.uint64) for k, a in state["state"].items()}
    full = {**state, "state": words, "buffer": np.array(state["buffer"], np.uint64)}
    stream.bit_generator.state = full


def get_rng_state() -> dict[str, Any]:
    """The state of the stream, of plain integers and lists, for a checkpoint."""
    return _state_of(generator())


def set_rng_state(state: dict[str, Any]) -> None:
    """Continues a stream from `get_rng_state`."""
    if not isinstance(state, dict) or "state" not in state:
        raise TypeError(f"set_rng_state: state: expected what get_rng_state() gave, got {state!r}")
    _set_state(generator(), state)


class Generator:
    """A random stream of its own, for `generator=` of the functions that draw.

    Two of the same seed give the same numbers, whatever else is drawn in the process.
    """

    def __init__(self, device: Any = "cpu") -> None:
        expect_cpu("Generator", device)
        self._seed = 67280421310721  # PyTorch's: a generator that nobody seeded repeats, too
        self._stream = _seeded(self._seed)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream anew from `seed`."""
        self._stream, self._seed = _seeded(seed), int(seed)
        return self

    def seed(self) -> int:
        """Starts the stream anew from the system's entropy, and returns the seed."""
        value = int(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Where the stream is, of plain integers and lists."""
        return _state_of(self._stream)

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Continues from `get_state`."""
        _set_state(self._stream, state)
        return self


def stream_of(name: str, given: Generator | None) -> np.random.Generator:
    """The stream that `generator=` names: the process's if None."""
    if given is None:
        return generator()
    if not isinstance(given, Generator):
        raise TypeError(
            f"{name}: generator: expected a striate.Generator, got {type(given).__name__}"
        )
    return given._stream


def floating(name: str, dtype: Any) -> Any:
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    if wanted.kind != "f":
        raise TypeError(f"{name}: dtype: expected float32 or float64, got {wanted}")
    return wanted


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1)."""
    wanted = floating("rand", dtype)
    values = stream_of("rand", generator).random(_shape("rand", size), dtype=wanted.type)
    return _made("rand", np.asarray(values), device, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1."""
    wanted = floating("randn", dtype)
    stream = stream_of("randn", generator)
    values = stream.standard_normal(_shape("randn", size), dtype=wanted.type)
    return _made("randn", np.asarray(values), device, requires_grad)


@explained
def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """randint(low, high, size) or randint(high, size): integers from low, or 0, to high - 1."""
    if size is None:  # two positional arguments
        low, high, size = 0, low, high
    low = 0 if low is None else low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size: expected a tuple of integers, got {size!r}")
    for argument, value in (("low", low), ("high", high)):
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"randint: {argument}: expected an integer, got {value!r}")
    wanted = as_dtype(np.int64 if dtype is None else dtype)
    if high <= low:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    if low < -(2**63) or high > 2**63:
        raise ValueError(f"randint: expected limits within int64, got {low} and {high}")
    values = stream_of("randint", generator).integers(low, high, _shape("randint", (size,)))
    array = np.asarray(values).astype(wanted, copy=False)
    return _made("randint", array, device, requires_grad)


@explained
def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    (n,) = _shape("randperm", (n,))
    order = stream_of("randperm", generator).permutation(n)
    return _made(
        "randperm", order.astype(as_dtype(np.int64 if dtype is None else dtype)), device, False
    )


@explained
def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in the shape and dtype of `input`."""
    where = input.device if device is None else device
    return rand(input.shape, dtype=dtype or input.dtype, device=where, requires_grad=requires_grad)


@explained
def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers in the shape and dtype of `input`."""
    where = input.device if device is None else device
    return randn(input.shape, dtype=dtype or input.dtype, device=where, requires_grad=requires_grad)


@explained
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """`randint` in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (as_int(low), high)
    where = input.device if device is None else device
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=where)

# SPDX-License-Identifier: Apache-2.0
"""Random numbers: NumPy's Philox, one seeded stream for the whole process."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from striate.creation import _made, _shape
from striate.dtypes import as_dtype, get_default_dtype
from striate.tensor import Tensor, _varargs

_lock = threading.Lock()
_stream: np.random.Generator | None = None  # made at first use: importing NumPy's random is slow


def manual_seed(seed: int) -> None:
    """Starts the random stream anew. The same seed gives the same numbers on every machine."""
    global _stream
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"manual_seed: seed: expected an integer of 0 or more, got {seed!r}")
    with _lock:
        _stream = np.random.Generator(np.random.Philox(int(seed)))


def generator() -> np.random.Generator:
    """The process's random stream, as NumPy's Generator."""
    global _stream
    if _stream is None:
        with _lock:
            if _stream is None:
                _stream = np.random.Generator(np.random.Philox())
    return _stream


def get_rng_state() -> dict[str, Any]:
    """The state of the stream, of plain integers and lists, for a checkpoint."""
    state = generator().bit_generator.state
    words = {k: [int(v) for v in a] for k, a in state["state"].items()}
    return {**state, "state": words, "buffer": [int(v) for v in state["buffer"]]}


def set_rng_state(state: dict[str, Any]) -> None:
    """Continues a stream from `get_rng_state`."""
    words = {k: np.array(a, np.uint64) for k, a in state["state"].items()}
    full = {**state, "state": words, "buffer": np.array(state["buffer"], np.uint64)}
    generator().bit_generator.state = full


def rand(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    wanted = as_dtype(dtype or get_default_dtype())
    values = generator().random(_shape("rand", size), dtype=wanted.type)
    return _made(np.asarray(values), requires_grad)


def randn(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers of mean 0 and variance 1."""
    wanted = as_dtype(dtype or get_default_dtype())
    values = generator().standard_normal(_shape("randn", size), dtype=wanted.type)
    return _made(np.asarray(values), requires_grad)


def randint(low: int, high: int, size: Any) -> Tensor:
    """Integers from low (included) to high (excluded)."""
    if high <= low:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    return Tensor._wrap(np.asarray(generator().integers(low, high, _varargs(tuple(size)))))


def randperm(n: int) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    return Tensor._wrap(generator().permutation(n).astype(np.int64))


def rand_like(input: Tensor) -> Tensor:
    """Uniform numbers in the shape and dtype of `input`."""
    return rand(input.shape, dtype=input.dtype)


def randn_like(input: Tensor) -> Tensor:
    """Normal numbers in the shape and dtype of `input`."""
    return randn(input.shape, dtype=input.dtype)

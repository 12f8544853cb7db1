# SPDX-License-Identifier: Apache-2.0
"""What families hand to contenders: operands, and how to see that a result is right."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from striate.arrays import bits

Array = np.ndarray[Any, Any]
PROBE = 4096  # about how many elements of a result are compared
PERIOD = (1 << 22) - 3  # elements after which operands repeat: a prime, so rows differ


class Unfit(Exception):
    """A problem that can't be measured here, and why."""


@dataclass
class Spots:
    """Elements of a result, what they must be in float64, and the error allowed to each."""

    index: tuple[Any, ...]
    expected: Array
    bound: Any

    def error(self, result: Array) -> float:
        """The largest error as a part of what is allowed: more than 1 is wrong."""
        got = np.asarray(result[self.index], np.float64)
        if got.shape != self.expected.shape:
            return float("inf")
        off = np.abs(got - self.expected)
        allowed = self.bound + np.finfo(np.float32).tiny
        worst = np.max(off / allowed, initial=0.0)
        return float("inf") if np.isnan(worst) else float(worst)


@dataclass
class Task:
    """A problem with its operands. Contenders have a method named like `op`.

    `out` is the result's memory, which contenders that can write into share in turns. `flops` are
    counted as if nothing were saved by a better algorithm; `bytes` are the fewest that must move:
    operands read once, results written once.
    """

    op: str
    arrays: dict[str, Array]
    shape: tuple[int, ...]  # the result's
    spots: Callable[[], Spots]
    options: dict[str, Any] = field(default_factory=dict)
    out: Array | None = None
    flops: float = 0.0
    bytes: float = 0.0

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]


def rng(name: str) -> np.random.Generator:
    """The generator of a problem's operands: the same in every run and process."""
    return np.random.Generator(np.random.SFC64(list(name.encode())))


def memory(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory from the beginning of a cache line on, as the libraries' own is; NumPy's begins 16
    bytes off, where every load of a whole line meets two."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    space = np.empty(count + 64, np.uint8)
    start = -space.ctypes.data % 64
    return space[start : start + count].view(dtype).reshape(shape)


def unwritten(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory of NaN, every page of it touched."""
    out = memory(shape, dtype)
    out.fill(np.nan)
    return out


def normal(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Standard normal numbers: never zeros, on which some processors are faster. Large arrays
    repeat a block, as drawing takes longer than what is measured."""
    count = math.prod(shape)
    return repeated(random.standard_normal(min(count, PERIOD), dtype), count).reshape(shape)


def repeated(block: Array, count: int) -> Array:
    """A block over and over, to so many elements."""
    x = memory((count,), block.dtype)
    for at in range(0, count, max(block.size, 1)):
        x[at : at + block.size] = block[: count - at]
    return x


def images(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """(N, C, H, W), normal, in channels-last memory."""
    n, c, h, w = shape
    return normal(random, (n, h, w, c), dtype).transpose(0, 3, 1, 2)


def forget(out: Array) -> None:
    """Fills a result's memory with NaN."""
    if out.dtype.kind == "V":  # bfloat16
        bits(out)[...] = 0x7FC0
    else:
        out[...] = np.nan


def empty_images(shape: tuple[int, ...], dtype: Any) -> Array:
    """The same for (N, C, H, W) by channels last."""
    n, c, h, w = shape
    return unwritten((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def some(random: np.random.Generator, n: int, most: int) -> Array:
    """At most `most` of n indices, the first and the last among them, in order."""
    if n <= most:
        return np.arange(n)
    inner = random.choice(n - 2, most - 2, replace=False) + 1
    return np.sort(np.concatenate(([0, n - 1], inner)))


def probe(random: np.random.Generator, shape: tuple[int, ...], most: int = PROBE) -> Any:
    """Index arrays of some elements of an array of that shape."""
    return np.unravel_index(some(random, int(np.prod(shape)), most), shape)

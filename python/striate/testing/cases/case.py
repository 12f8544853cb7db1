# SPDX-License-Identifier: Apache-2.0
"""What is known of an operation, once, for every test and benchmark that wants to know.

Kernel tests, op tests, gradient checks, error tests and benchmarks all read the table that
`striate.testing.cases.CASES` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """The arguments of one call: float arrays by shape, then parameters by name.

    A shape of None is an operand left out. `images` draws arrays of rank 4 and 5 in channels-last
    memory.
    """

    shapes: tuple[tuple[int, ...] | None, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    images: bool = True

    def __str__(self) -> str:
        sizes = "-".join(
            "x".join(map(str, s)) or "0d" if s is not None else "_" for s in self.shapes
        )
        values = ",".join(f"{k}={v}" for k, v in self.parameters.items())
        return f"{sizes},{values}" if values else sizes


@dataclass(frozen=True)
class Misuse:
    """A call that must be refused: which error, and words that its message must hold."""

    call: Callable[[], Any]
    error: type[Exception]
    words: tuple[str, ...]


def channels_last(array: Array) -> Array:
    """The same values, rank 4 and 5 in channels-last memory."""
    if array.ndim not in (4, 5):
        return array
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


@dataclass(frozen=True)
class Case:
    """One operation.

    `function(*tensors, **parameters)` is what users call; `kernel(*arrays, out=, **parameters)` the
    binding below it. `reference` computes the same in float64 NumPy, and never by the library.
    `bound(reference, eps, *arrays, **parameters)` is the error allowed, absolute, scalar or an
    array. `rows` are the beginnings of the names of the table rows that this case exercises.
    """

    name: str
    rows: tuple[str, ...]
    function: Callable[..., Any] | None
    kernel: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Sequence[Sample]
    bound: Callable[..., Any]
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array] = normal
    misuses: Sequence[Misuse] = ()
    gradient: bool = True  # whether `function` has one to check
    takes_out: bool = True  # whether `kernel` has out=
    flops: Callable[..., float] = lambda *shapes, **_: 0.0
    bytes: Callable[..., float] = lambda *shapes, **_: 0.0  # the fewest that must be moved

    def arrays(self, sample: Sample, dtype: Any, seed: int = 0) -> list[Array | None]:
        """Fresh operands for a sample."""
        rng = np.random.default_rng(seed)
        drawn: list[Array | None] = []
        for shape in sample.shapes:
            if shape is None:
                drawn.append(None)
                continue
            x = np.asarray(self.draw(rng, shape)).astype(dtype)
            drawn.append(channels_last(x) if sample.images else x)
        return drawn

    def serves(self, row: str) -> bool:
        """Whether this case exercises the table row of that name."""
        return row.startswith(self.rows)

# SPDX-License-Identifier: Apache-2.0
"""Softmax and its logarithm along the rows of a matrix, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import Array, Spots, Task, normal, rng, some, unwritten


def cost(problem: Problem) -> tuple[float, float]:
    moved = 8.0 if problem.pass_ == "fwd" else 12.0  # x, y; or y, dy, dx
    return 0.0, moved * problem.sizes["rows"] * problem.sizes["columns"]


def rows(problem: Problem) -> tuple[str, ...]:
    name = problem.sizes["kind"]
    return (f"{name}_f",) if problem.pass_ == "fwd" else (f"{name}_backward_",)


def _softmax(x: Array, log: bool) -> Array:
    x = x - x.max(1, keepdims=True)
    total = np.exp(x).sum(1, keepdims=True)
    return np.asarray(x - np.log(total) if log else np.exp(x) / total)


def task(problem: Problem, dtype: Any) -> Task:
    z, random, forward = problem.sizes, rng(problem.name), problem.pass_ == "fwd"
    shape, log = (z["rows"], z["columns"]), z["kind"] == "log_softmax"
    x = normal(random, shape, dtype)
    if forward:
        arrays = {"x": x}
    else:
        y = np.concatenate(
            [_softmax(part.astype(np.float64), log) for part in np.array_split(x, 64)]
        )
        arrays = {"y": y.astype(dtype), "dy": normal(random, shape, dtype)}
    return Task(
        op="softmax" if forward else "softmax_backward",
        arrays=arrays,
        shape=shape,
        spots=lambda: _spots(problem, arrays, log),
        options={"log": log},
        out=unwritten(shape, dtype),
        bytes=cost(problem)[1] * np.dtype(dtype).itemsize / 4,
    )


def _spots(problem: Problem, arrays: dict[str, Array], log: bool) -> Spots:
    """Whole rows."""
    first = arrays["y"] if "y" in arrays else arrays["x"]
    rows = some(rng(problem.name), first.shape[0], 6)
    values, eps = first[rows].astype(np.float64), np.finfo(np.float32).eps
    if "x" in arrays:
        expected = _softmax(values, log)
        reach = 12 + 2 * np.max(np.abs(values)) + 2 * np.log2(values.shape[1] + 1)
        return Spots((rows,), expected, eps * reach * (1 if log else np.abs(expected)))
    dy, n = arrays["dy"][rows].astype(np.float64), values.shape[1]
    y = np.exp(values) if log else values
    total = (dy if log else dy * y).sum(1, keepdims=True)
    expected = dy - y * total if log else y * (dy - total)
    spread = np.abs(dy).sum(1, keepdims=True) * y
    bound = eps * (24 + 2 * np.log2(n + 1)) * ((np.abs(dy) if log else y * np.abs(dy)) + spread)
    return Spots((rows,), expected, bound)

# SPDX-License-Identifier: Apache-2.0
"""C = op(A) op(B), and the like product of every pair of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import Array, Spots, Task, normal, rng, some, unwritten

LEAST = 1024  # rows and columns that a part of a product keeps


def _sizes(problem: Problem) -> tuple[tuple[int, ...], int, int, int, str]:
    """(batch), m, n, k and trans of the product as it lies by rows."""
    s = problem.sizes
    m, n, k, trans = s["m"], s["n"], s["k"], s.get("trans", "NN")
    if s.get("order") == "columns":  # C^T = op(B)^T op(A)^T
        m, n, trans = n, m, trans[::-1]
    batch = (s["batch"],) if "batch" in s else ()
    return batch, m, n, k, trans


def cost(problem: Problem) -> tuple[float, float]:
    batch, m, n, k, _ = _sizes(problem)
    many = float(np.prod(batch))
    return 2.0 * many * m * n * k, 4.0 * many * (m * k + k * n + m * n)


def part(problem: Problem, most: float) -> Problem:
    """Half of the rows or columns, whichever are more, until it is small enough; never below LEAST,
    so that packing weighs no more than in the whole. k stays: blocks of it are what differs."""
    sizes = dict(problem.sizes)
    while cost(problem)[0] > most:
        longer = "m" if sizes["m"] >= sizes["n"] else "n"
        if sizes[longer] < 2 * LEAST:
            break
        sizes[longer] = (sizes[longer] + 1) // 2
        problem = replace(problem, sizes=dict(sizes))
    return problem


def rows(problem: Problem) -> tuple[str, ...]:
    return ("gemm_f32_", "gemm_f64_")


def _operand(
    random: Any, batch: Any, rows: int, columns: int, turned: bool, gap: int, dtype: Any
) -> Any:
    """(rows, columns), stored the other way round if turned, `gap` elements between the lines."""
    shape = (columns, rows) if turned else (rows, columns)
    wide = normal(random, (*batch, shape[0], shape[1] + gap), dtype)[..., : shape[1]]
    return np.swapaxes(wide, -1, -2) if turned else wide


def task(problem: Problem, dtype: Any) -> Task:
    batch, m, n, k, trans = _sizes(problem)
    random, gap = rng(problem.name), problem.sizes.get("gap", 0)
    a = _operand(random, batch, m, k, trans[0] == "T", gap, dtype)
    b = _operand(random, batch, k, n, trans[1] == "T", gap, dtype)
    out = unwritten((*batch, m, n + gap), dtype)[..., :n]
    flops, moved = cost(problem)
    packed = problem.pass_ == "packed"
    return Task(
        op="gemm_packed" if packed else "gemm",
        arrays={"a": a, "b": b},
        shape=out.shape,
        spots=lambda: _spots(rng(problem.name), a, b),
        out=out,
        flops=flops,
        bytes=moved * a.itemsize / 4,
    )


def _spots(random: np.random.Generator, a: Array, b: Array) -> Spots:
    rows, columns = some(random, a.shape[-2], 24), some(random, b.shape[-1], 24)
    if a.ndim == 3:
        of = some(random, a.shape[0], 6)
        index: tuple[Any, ...] = np.ix_(of, rows, columns)
        a, b = a[of], b[of]
    else:
        index = np.ix_(rows, columns)
    a, b = a[..., rows, :].astype(np.float64), b[..., columns].astype(np.float64)
    expected = a @ b
    largest = np.max(np.abs(a), initial=0) * np.max(np.abs(b), initial=0)
    eps = np.finfo(np.float32).eps
    return Spots(index, expected, eps * (a.shape[-1] + 6) * (largest + np.abs(expected)))

# SPDX-License-Identifier: Apache-2.0
"""Moving elements between memory orders: nothing may change but the place."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import (
    Array,
    Spots,
    Task,
    empty_images,
    images,
    normal,
    probe,
    rng,
    unwritten,
)

OPS = {
    "to_channels_last": "to_channels_last", "to_c_order": "to_c_order", "pad": "pad",
    "transpose": "to_c_order",
}  # fmt: skip


def _shapes(problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The operand's, and the result's."""
    z = problem.sizes
    if z["kind"] == "transpose":
        return (z["columns"], z["rows"]), (z["columns"], z["rows"])
    x, wide = (z["n"], z["c"], z["h"], z["w"]), 2 * z.get("width", 0)
    return x, (*x[:2], x[2] + wide, x[3] + wide)


def cost(problem: Problem) -> tuple[float, float]:
    return 0.0, 4.0 * sum(float(np.prod(s)) for s in _shapes(problem))


def rows(problem: Problem) -> tuple[str, ...]:
    return ("layout_",)


def task(problem: Problem, dtype: Any) -> Task:
    z, random = problem.sizes, rng(problem.name)
    x_shape, shape = _shapes(problem)
    if z["kind"] == "transpose":
        x = normal(random, x_shape[::-1], dtype).T
    elif z["kind"] == "to_channels_last":
        x = normal(random, x_shape, dtype)
    else:
        x = images(random, x_shape, dtype)
    last = z["kind"] in ("to_channels_last", "pad")
    return Task(
        op=OPS[z["kind"]],
        arrays={"x": x},
        shape=shape,
        spots=lambda: _spots(problem, x, shape),
        options={"width": z.get("width", 0)},
        out=empty_images(shape, dtype) if last else unwritten(shape, dtype),
        bytes=cost(problem)[1] * np.dtype(dtype).itemsize / 4,
    )


def _spots(problem: Problem, x: Array, shape: tuple[int, ...]) -> Spots:
    index = probe(rng(problem.name), shape)
    width = problem.sizes.get("width", 0)
    if not width:
        return Spots(index, x[index].astype(np.float64), 0.0)
    h, w = index[2] - width, index[3] - width
    inside = (h >= 0) & (h < x.shape[2]) & (w >= 0) & (w < x.shape[3])
    expected = np.where(
        inside, x[index[0], index[1], h.clip(0, x.shape[2] - 1), w.clip(0, x.shape[3] - 1)], 0
    )
    return Spots(index, expected.astype(np.float64), 0.0)

# SPDX-License-Identifier: Apache-2.0
"""Pooling of (N, C, H, W) by square windows, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import Array, Spots, Task, empty_images, images, rng, some

ROWS = {
    ("max", "fwd"): ("pool2d_max_f",),
    ("max", "bwd"): ("pool2d_max_bwd_",),
    ("avg", "fwd"): ("pool2d_sum_f",),
    ("avg", "bwd"): ("pool2d_sum_bwd_",),
}


def _shapes(problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...]]:
    z = problem.sizes
    x = (z["n"], z["c"], z["h"], z["w"])
    p, q = ((size + 2 * z["pad"] - z["size"]) // z["stride"] + 1 for size in x[2:])
    return x, (*x[:2], p, q)


def cost(problem: Problem) -> tuple[float, float]:
    """Backward reads dy (and where each maximum was: a byte an output) and writes dx."""
    x, y = (float(np.prod(s)) for s in _shapes(problem))
    taps = y if (problem.sizes["kind"], problem.pass_) == ("max", "bwd") else 0.0
    return 0.0, 4.0 * (x + y) + taps


def rows(problem: Problem) -> tuple[str, ...]:
    return ROWS[problem.sizes["kind"], problem.pass_]


def task(problem: Problem, dtype: Any) -> Task:
    z, random = problem.sizes, rng(problem.name)
    x_shape, y_shape = _shapes(problem)
    forward = problem.pass_ == "fwd"
    arrays = {"x": images(random, x_shape, dtype)}
    if not forward:
        arrays["dy"] = images(random, y_shape, dtype)
    shape = y_shape if forward else x_shape
    return Task(
        op=f"{z['kind']}_pool2d" + ("" if forward else "_backward"),
        arrays=arrays,
        shape=shape,
        spots=lambda: _spots(problem, arrays, shape),
        options={"size": z["size"], "stride": z["stride"], "pad": z["pad"]},
        out=empty_images(shape, dtype),
        bytes=cost(problem)[1] * np.dtype(dtype).itemsize / 4,
    )


def _spots(problem: Problem, arrays: dict[str, Array], shape: tuple[int, ...]) -> Spots:
    """All pixels of some planes."""
    planes = some(rng(problem.name), shape[0] * shape[1], 3)
    n, c = np.unravel_index(planes, shape[:2])
    x = arrays["x"][n, c].astype(np.float64)
    dy = arrays["dy"][n, c].astype(np.float64) if "dy" in arrays else None
    expected = np.stack(
        [_plane(problem, x[i], None if dy is None else dy[i]) for i in range(len(n))]
    )
    bound = 8 * np.finfo(np.float32).eps * problem.sizes["size"] ** 2 * (1 + np.abs(expected))
    return Spots((n, c), expected, bound)


def _plane(problem: Problem, x: Array, dy: Array | None) -> Array:
    """One plane's result. Padding counts in the divisor of a mean, as it does in PyTorch."""
    z = problem.sizes
    size, stride, pad, largest = z["size"], z["stride"], z["pad"], z["kind"] == "max"
    padded = np.pad(x, pad, constant_values=-np.inf if largest else 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::stride, ::stride]
    if dy is None:
        return np.asarray(windows.max((2, 3)) if largest else windows.mean((2, 3)))
    dx = np.zeros_like(padded)
    at = windows.reshape(*windows.shape[:2], -1).argmax(2)
    for p, q in np.ndindex(dy.shape):
        h, w = p * stride, q * stride
        if largest:
            dx[h + at[p, q] // size, w + at[p, q] % size] += dy[p, q]
        else:
            dx[h : h + size, w : w + size] += dy[p, q] / size**2
    return dx[pad : pad + x.shape[0], pad : pad + x.shape[1]]

# SPDX-License-Identifier: Apache-2.0
"""Batch norm, local response norm, layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.bench.problem import Problem
from striate.bench.task import (
    Array,
    Spots,
    Task,
    empty_images,
    images,
    normal,
    rng,
    some,
    unwritten,
)

EPS = 1e-5
LRN = {"alpha": 1e-4, "beta": 0.75, "k": 2.0}
ROWS = {
    "batch_norm_train": ("batch_norm_stats_", "batch_norm_fwd_"),
    "batch_norm_infer": ("batch_norm_fwd_",),
    "batch_norm_backward": ("batch_norm_sums_", "batch_norm_bwd_"),
    "local_response_norm": ("lrn_fwd_",),
    "local_response_norm_backward": ("lrn_bwd_",),
    "layer_norm": ("layer_norm_fwd_",),
    "layer_norm_backward": ("layer_norm_bwd_",),
}
_MOVED = {"train": 8.0, "infer": 8.0, "fwd": 8.0, "bwd": 12.0}  # bytes an element


def available(problem: Problem) -> bool:
    return problem.sizes["kind"] != "layer" or hasattr(_C, "layer_norm")


def _shape(problem: Problem) -> tuple[int, ...]:
    z = problem.sizes
    return (z["rows"], z["columns"]) if "rows" in z else (z["n"], z["c"], z["h"], z["w"])


def _op(problem: Problem) -> str:
    kind = f"{problem.sizes['kind']}_norm"
    suffix = {"train": "_train", "infer": "_infer", "fwd": "", "bwd": "_backward"}
    return kind + suffix[problem.pass_]


def cost(problem: Problem) -> tuple[float, float]:
    """x read and the result written; backward reads dy too. What stays in cache is not counted."""
    return 0.0, _MOVED[problem.pass_] * float(np.prod(_shape(problem)))


def rows(problem: Problem) -> tuple[str, ...]:
    return ROWS[_op(problem)]


def task(problem: Problem, dtype: Any) -> Task:
    random, shape, op = rng(problem.name), _shape(problem), _op(problem)
    draw = images if len(shape) == 4 else normal
    arrays = {"x": draw(random, shape, dtype)}
    if problem.pass_ == "bwd":
        arrays["dy"] = draw(random, shape, dtype)
    if "local_response" not in op:
        width = shape[1]
        arrays["weight"] = normal(random, (width,), dtype)
        arrays["bias"] = normal(random, (width,), dtype)
    if op == "batch_norm_infer":
        arrays["mean"] = normal(random, (shape[1],), dtype)
        arrays["var"] = random.uniform(0.5, 2, shape[1]).astype(dtype)
    check = {"batch": _batch, "layer": _layer, "local_response": _lrn}[problem.sizes["kind"]]
    out = empty_images(shape, dtype) if len(shape) == 4 else unwritten(shape, dtype)
    return Task(
        op=op,
        arrays=arrays,
        shape=shape,
        spots=lambda: check(rng(problem.name), op, problem.sizes, arrays),
        options={"eps": EPS, "size": problem.sizes.get("size"), **LRN},
        out=out,
        bytes=cost(problem)[1] * np.dtype(dtype).itemsize / 4,
    )


def _batch(random: Any, op: str, sizes: Any, arrays: dict[str, Array]) -> Spots:
    """Whole channels."""
    channels = some(random, arrays["x"].shape[1], 4)
    x = arrays["x"][:, channels].astype(np.float64)

    def along(name: str) -> Array:
        return arrays[name][channels].astype(np.float64)[:, None, None]

    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    if op == "batch_norm_infer":
        mean, var = along("mean"), along("var")
    invstd = 1 / np.sqrt(var + EPS)
    off = (x - mean) * invstd
    if op == "batch_norm_backward":
        dy = arrays["dy"][:, channels].astype(np.float64)
        through = dy - dy.mean((0, 2, 3), keepdims=True)
        through -= off * (dy * off).mean((0, 2, 3), keepdims=True)
        expected = invstd * through * along("weight")
    else:
        expected = off * along("weight") + along("bias")
    reach = (1 + np.max(np.abs(off))) ** 2 * (1 + np.max(invstd)) * (1 + np.abs(along("weight")))
    bound = 32 * np.finfo(np.float32).eps * (reach + np.abs(expected))
    return Spots((slice(None), channels), expected, bound)


def _layer(random: Any, op: str, sizes: Any, arrays: dict[str, Array]) -> Spots:
    """Whole rows."""
    rows = some(random, arrays["x"].shape[0], 8)
    x = arrays["x"][rows].astype(np.float64)
    invstd = 1 / np.sqrt(x.var(1, keepdims=True) + EPS)
    off = (x - x.mean(1, keepdims=True)) * invstd
    if op == "layer_norm":
        expected = off * arrays["weight"] + arrays["bias"]
    else:
        through = arrays["dy"][rows] * arrays["weight"].astype(np.float64)
        kept = through.mean(1, keepdims=True) + off * (through * off).mean(1, keepdims=True)
        expected = invstd * (through - kept)
    bound = 32 * np.finfo(np.float32).eps * (8 + np.abs(expected))
    return Spots((rows,), expected, bound)


def _lrn(random: Any, op: str, sizes: Any, arrays: dict[str, Array]) -> Spots:
    """All channels of some pixels. s[c] = k + alpha / size * (sum of x^2 over the window of c)."""
    n, _, h, w = arrays["x"].shape
    at = np.unravel_index(some(random, n * h * w, 64), (n, h, w))
    index = (at[0], slice(None), at[1], at[2])
    x, size = arrays["x"][index].astype(np.float64), sizes["size"]

    def window(v: Array, before: int) -> Array:
        """Sums over `size` channels, from c - before on."""
        padded = np.pad(v, ((0, 0), (before, size - 1 - before)))
        return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, size, 1).sum(2))

    share, beta = LRN["alpha"] / size, LRN["beta"]
    s = LRN["k"] + share * window(x * x, size // 2)
    if op == "local_response_norm":
        expected = x / s**beta
    else:
        dy = arrays["dy"][index].astype(np.float64)
        terms = window(dy * x * s ** (-beta - 1), (size - 1) // 2)
        expected = dy / s**beta - 2 * share * beta * x * terms
    bound = 32 * np.finfo(np.float32).eps * size * (1 + np.abs(expected))
    return Spots(index, expected, bound)

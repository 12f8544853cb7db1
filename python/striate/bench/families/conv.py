# SPDX-License-Identifier: Apache-2.0
"""Convolution of (N, C, H, W) with (K, C / groups, R, S): y (N, K, P, Q) and both gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import Array, Spots, Task, empty_images, images, rng, some

LEAST = 4  # images that a part of a batch keeps
OPS = {"fwd": "conv2d", "bwd_data": "conv2d_bwd_data", "bwd_weight": "conv2d_bwd_weight"}
ROWS = {
    "fwd": (
        "conv2d_fwd_", "conv2d_depthwise_blocks_", "conv2d_depthwise_taps_", "conv2d_winograd_",
        "gemm_",
    ),
    "bwd_data": (
        "conv2d_bwd_data_", "conv2d_depthwise_blocks_", "conv2d_depthwise_taps_",
        "conv2d_scatter_", "conv2d_winograd_", "gemm_",
    ),
    "bwd_weight": (
        "conv2d_bwd_weight_", "conv2d_depthwise_weight_", "conv2d_winograd_", "gemm_",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A layer's sizes by their letters."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    stride: tuple[int, int]
    pad: tuple[int, int]
    groups: int

    @property
    def p(self) -> int:
        return (self.h + 2 * self.pad[0] - self.r) // self.stride[0] + 1

    @property
    def q(self) -> int:
        return (self.w + 2 * self.pad[1] - self.s) // self.stride[1] + 1

    @property
    def depth(self) -> int:
        """Channels that a filter sees."""
        return self.c // self.groups


def layer(problem: Problem) -> Layer:
    z = problem.sizes
    stride, pad = (
        (z[name], z[name]) if name in z else (z[f"{name}_h"], z[f"{name}_w"])
        for name in ("stride", "pad")
    )
    return Layer(**{i: z[i] for i in "nchwkrs"}, stride=stride, pad=pad, groups=z.get("groups", 1))


def cost(problem: Problem) -> tuple[float, float]:
    v = layer(problem)
    weight, out = v.k * v.depth * v.r * v.s, v.n * v.k * v.p * v.q
    return 2.0 * v.n * v.p * v.q * weight, 4.0 * (v.n * v.c * v.h * v.w + weight + out)


def part(problem: Problem, most: float) -> Problem:
    """Fewer images: each costs what the others cost. At least LEAST of them."""
    n = problem.sizes["n"]
    images = min(n, max(LEAST, int(n * most / cost(problem)[0])))
    return replace(problem, sizes={**problem.sizes, "n": images})


def rows(problem: Problem) -> tuple[str, ...]:
    return ROWS[problem.pass_]


def task(problem: Problem, dtype: Any) -> Task:
    v, random = layer(problem), rng(problem.name)
    shapes = {"x": (v.n, v.c, v.h, v.w), "w": (v.k, v.depth, v.r, v.s), "dy": (v.n, v.k, v.p, v.q)}
    result = {"fwd": "dy", "bwd_data": "x", "bwd_weight": "w"}[problem.pass_]
    arrays = {name: images(random, s, dtype) for name, s in shapes.items() if name != result}
    flops, moved = cost(problem)
    check = {"fwd": _fwd, "bwd_data": _bwd_data, "bwd_weight": _bwd_weight}[problem.pass_]
    return Task(
        op=OPS[problem.pass_],
        arrays=arrays,
        shape=shapes[result],
        spots=lambda: check(rng(problem.name), v, arrays),
        options={
            "stride": v.stride, "pad": v.pad, "groups": v.groups, "size": (v.h, v.w),
            "taps": (v.r, v.s),
        },
        out=empty_images(shapes[result], dtype),
        flops=flops,
        bytes=moved * np.dtype(dtype).itemsize / 4,
    )  # fmt: skip


# --- what some elements must be -------------------------------------------------------------------


def _bounded(index: Any, expected: Array, depth: int, a: Array, b: Array) -> Spots:
    """As for a matrix product of that depth; Winograd's F(4x4) stays within it too."""
    largest = float(np.max(np.abs(a), initial=0)) * float(np.max(np.abs(b), initial=0))
    eps = np.finfo(np.float32).eps
    return Spots(index, expected, eps * (depth + 6) * (largest + np.abs(expected)))


def _reach(at: int, taps: int, stride: int, pad: int, size: int) -> tuple[slice, slice]:
    """Which taps of an output meet the image, and where they meet it."""
    first = at * stride - pad
    low, high = max(0, -first), min(taps, size - first)
    return slice(low, max(low, high)), slice(first + low, first + max(low, high))


def _fwd(random: np.random.Generator, v: Layer, arrays: dict[str, Array]) -> Spots:
    x, w = arrays["x"], arrays["w"]
    n, p, q = np.unravel_index(some(random, v.n * v.p * v.q, 48), (v.n, v.p, v.q))
    filters = some(random, v.k, 24)
    expected = np.zeros((len(n), len(filters)))
    per_group = v.k // v.groups
    for i, (image, row, column) in enumerate(zip(n, p, q, strict=True)):
        rs, hs = _reach(row, v.r, v.stride[0], v.pad[0], v.h)
        ss, ws = _reach(column, v.s, v.stride[1], v.pad[1], v.w)
        patch = x[image, :, hs, ws].astype(np.float64)
        for j, k in enumerate(filters):
            g = int(k) // per_group
            seen = patch[g * v.depth : (g + 1) * v.depth]
            expected[i, j] = np.sum(seen * w[k][:, rs, ss])
    index = (n[:, None], filters[None, :], p[:, None], q[:, None])
    return _bounded(index, expected, v.depth * v.r * v.s, x, w)


def _bwd_data(random: np.random.Generator, v: Layer, arrays: dict[str, Array]) -> Spots:
    dy, w = arrays["dy"], arrays["w"]
    n, h, u = np.unravel_index(some(random, v.n * v.h * v.w, 48), (v.n, v.h, v.w))
    channels = some(random, v.c, 24)
    expected = np.zeros((len(n), len(channels)))
    per_group = v.k // v.groups
    for i, (image, row, column) in enumerate(zip(n, h, u, strict=True)):
        rows = _sources(row, v.r, v.stride[0], v.pad[0], v.p)
        columns = _sources(column, v.s, v.stride[1], v.pad[1], v.q)
        for r, p in rows:
            for s, q in columns:
                above = dy[image, :, p, q].astype(np.float64)
                for j, c in enumerate(channels):
                    g = int(c) // v.depth
                    of = slice(g * per_group, (g + 1) * per_group)
                    expected[i, j] += above[of] @ w[of, int(c) % v.depth, r, s]
    index = (n[:, None], channels[None, :], h[:, None], u[:, None])
    return _bounded(index, expected, per_group * v.r * v.s, dy, w)


def _sources(at: int, taps: int, stride: int, pad: int, outputs: int) -> list[tuple[int, int]]:
    """(tap, output) of every output that saw the input at `at`."""
    found = []
    for tap in range(taps):
        output, rest = divmod(int(at) + pad - tap, stride)
        if rest == 0 and 0 <= output < outputs:
            found.append((tap, output))
    return found


def _bwd_weight(random: np.random.Generator, v: Layer, arrays: dict[str, Array]) -> Spots:
    x, dy = arrays["x"], arrays["dy"]
    pairs = np.unravel_index(some(random, v.k * v.depth, 6), (v.k, v.depth))
    taps = np.unravel_index(some(random, v.r * v.s, 4), (v.r, v.s))
    expected = np.zeros((len(pairs[0]), len(taps[0])))
    (up, left), (down, across) = v.pad, v.stride
    for i, (k, c) in enumerate(zip(*pairs, strict=True)):
        channel = int(k) // (v.k // v.groups) * v.depth + c
        padded = np.pad(x[:, channel].astype(np.float64), ((0, 0), (up, up), (left, left)))
        for j, (r, s) in enumerate(zip(*taps, strict=True)):
            under = padded[:, r : r + (v.p - 1) * down + 1 : down]
            under = under[:, :, s : s + (v.q - 1) * across + 1 : across]
            expected[i, j] = np.sum(under * dy[:, k])
    index = (pairs[0][:, None], pairs[1][:, None], taps[0][None, :], taps[1][None, :])
    return _bounded(index, expected, v.n * v.p * v.q, x, dy)

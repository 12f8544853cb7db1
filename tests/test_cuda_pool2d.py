# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of pooling, on the CPU (tests/cuda_shim), against float64 NumPy."""

from dataclasses import dataclass

import cuda_on_cpu
import numpy as np
import pytest
from cuda_on_cpu import CSRC, Divisor, PoolAxis, PoolCuda, pointer
from striate.testing import guarded

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
DTYPES = {"f32": np.float32, "f64": np.float64}
NUMBER, INSIDE, PADDED, SHARE = range(4)


@dataclass(frozen=True)
class Axis:
    size: int
    kernel: int = 2
    stride: int = 2  # 0: adaptive, `kernel` is the number of outputs
    padding: int = 0
    dilation: int = 1

    def windows(self):
        """(tap number, place) of the taps inside, and how many are in the padding too, by
        output."""
        if self.stride == 0:
            for o in range(self.kernel):
                begin = o * self.size // self.kernel
                end = -(-(o + 1) * self.size // self.kernel)
                yield list(enumerate(range(begin, end))), end - begin
            return
        span = (self.kernel - 1) * self.dilation + 1
        for begin in range(-self.padding, self.size + self.padding - span + 1, self.stride):
            places = enumerate(begin + i * self.dilation for i in range(self.kernel))
            inside = [(tap, at) for tap, at in places if 0 <= at < self.size]
            yield inside, min(begin + self.kernel, self.size + self.padding) - begin

    def taps(self):
        return self.kernel if self.stride else max(len(inside) for inside, _ in self.windows())

    def cuda(self, backward):
        outputs = len(list(self.windows()))
        counted = Divisor.of(self.size if backward else outputs)
        rest = (self.taps(), self.stride, self.padding, self.dilation)
        return PoolAxis(self.size, outputs, *rest, counted)


@dataclass(frozen=True)
class Problem:
    h: Axis
    w: Axis
    channels: int = 8
    images: int = 2

    def outputs(self):
        """(p, q, [(tap, h, w)…], padded rows and columns)."""
        for p, (rows, deep) in enumerate(self.h.windows()):
            for q, (cols, wide) in enumerate(self.w.windows()):
                width = self.w.taps()
                taps = [(r * width + s, y, x) for r, y in rows for s, x in cols]
                yield p, q, taps, (len(rows), len(cols)), (deep, wide)

    def divisor(self, kind, number, inside, padded):
        whole = self.h.taps() * self.w.taps()
        choices = (number, np.prod(inside), np.prod(padded), np.prod(padded) / whole)
        return choices[kind]


PROBLEMS = [
    Problem(Axis(4), Axis(6)),
    Problem(Axis(7, 3, 2, 1), Axis(6, 3, 2, 1), channels=7),
    Problem(Axis(5, 3, 1, 1), Axis(9, 2, 3), channels=5),
    Problem(Axis(9, 2, 2, 1, 3), Axis(7, 3, 1, 2, 2), channels=3),
    Problem(Axis(7, 3, 0), Axis(5, 4, 0), channels=9),  # adaptive
    Problem(Axis(3, 5, 0), Axis(6, 1, 0), channels=1),  # more outputs than inputs
    Problem(Axis(17, 17, 1), Axis(17, 17, 1, 8), channels=4, images=1),  # more than 256 taps
]


def launch(problem, kernel, dtype, x, y, taps=None, kind=NUMBER, number=1.0):
    """Fills y, and taps; both orders of blocks and threads must give the same bits."""
    made = [a for a in (y, taps) if a is not None]
    results = []
    wide = taps is not None and taps.dtype.itemsize > 1
    packs = Divisor.of(-(-problem.channels // (16 // x.itemsize)))
    backward = "bwd" in kernel
    axes = (problem.h.cuda(backward), problem.w.cuda(backward))
    arguments = PoolCuda(
        *(pointer(a) for a in (x, y, taps)),
        *(int(wide), problem.images, problem.channels, packs, *axes, kind, number),
    )
    library = cuda_on_cpu.library(CSRC / "ops/pool2d/pool2d_cuda.cu")
    for reverse in (False, True):
        y[...] = np.nan
        name = f"pool2d_{kernel}_{dtype}_cuda"
        library.launch(name, 2, 256, arguments, buffers=(x, *made), reverse=reverse)
        results.append([a.tobytes() for a in made])
    assert results[0] == results[1], "the order of threads shows"


def shapes(problem):
    p, q = (len(list(axis.windows())) for axis in (problem.h, problem.w))
    size = (problem.images, problem.h.size, problem.w.size, problem.channels)
    return size, (problem.images, p, q, problem.channels)


def draw(shape, dtype, seed, side):
    return guarded(np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype]), side)


def many_taps(problem):
    return problem.h.taps() * problem.w.taps() > 256


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_maximum(problem, dtype):
    """Exact, with the tap of the first of equal ones; its gradient follows the taps."""
    side = ("end", "start")[PROBLEMS.index(problem) % 2]
    size, made = shapes(problem)
    x, dy = draw(size, dtype, 1, side), draw(made, dtype, 2, side)
    x[...] = np.round(2 * x)  # so that there are equal ones
    y = guarded(np.zeros(made, DTYPES[dtype]), side)
    taps = guarded(np.zeros(made, DTYPES[dtype] if many_taps(problem) else np.uint8), side)
    launch(problem, "max", dtype, x, y, taps)
    without = np.zeros_like(y)
    launch(problem, "max", dtype, x, without)
    np.testing.assert_array_equal(without, y)
    want_dx, size_dx = np.zeros(size), np.zeros(size)
    channels = np.arange(problem.channels)
    for p, q, window, *_ in problem.outputs():
        here = np.stack([x[:, i, j] for _, i, j in window])
        best = here.argmax(0)
        np.testing.assert_array_equal(y[:, p, q], here.max(0))
        numbers, rows, cols = (np.array(part)[best] for part in zip(*window, strict=True))
        np.testing.assert_array_equal(taps[:, p, q], numbers)
        for n in range(problem.images):
            np.add.at(want_dx[n], (rows[n], cols[n], channels), dy[n, p, q])
            np.add.at(size_dx[n], (rows[n], cols[n], channels), np.abs(dy[n, p, q]))
    dx = guarded(np.zeros(size, DTYPES[dtype]), side)
    launch(problem, "bwd_max", dtype, dy, dx, taps)
    eps = np.finfo(DTYPES[dtype]).eps
    assert np.all(np.abs(dx - want_dx) <= 32 * eps * size_dx)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [NUMBER, INSIDE, PADDED, SHARE])
@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_sums(problem, kind, dtype):
    side = ("end", "start")[(PROBLEMS.index(problem) + kind) % 2]
    if problem.h.dilation > 1 and kind != NUMBER:
        return  # there is no mean over dilated windows
    size, made = shapes(problem)
    x, dy = draw(size, dtype, 1, side), draw(made, dtype, 2, side)
    results = {}
    for kernel, given, shape in (("sum", x, made), ("lp2", x, made), ("bwd_sum", dy, size)):
        results[kernel] = guarded(np.zeros(shape, DTYPES[dtype]), side)
        launch(problem, kernel, dtype, given, results[kernel], kind=kind, number=3.0)
    eps, terms = np.finfo(DTYPES[dtype]).eps, problem.h.taps() + problem.w.taps() + 8
    want_dx, size_dx = np.zeros(size), np.zeros(size)
    for p, q, window, inside, padded in problem.outputs():
        divisor = problem.divisor(kind, 3.0, inside, padded)
        here = np.stack([x[:, i, j] for _, i, j in window]).astype("f8")
        off = np.abs(results["sum"][:, p, q] - here.sum(0) / divisor)
        assert np.all(off <= terms * eps * np.abs(here).sum(0) / divisor)
        want = np.sqrt((here**2).sum(0) / divisor)
        assert np.all(np.abs(results["lp2"][:, p, q] - want) <= terms * eps * want)
        for _, i, j in window:
            want_dx[:, i, j] += dy[:, p, q] / divisor
            size_dx[:, i, j] += np.abs(dy[:, p, q]) / divisor
    held = terms if problem.h.taps() < 17 else 4 * terms
    assert np.all(np.abs(results["bwd_sum"] - want_dx) <= held * eps * size_dx)


def test_nan_beats_numbers_and_the_last_one_wins():
    problem = Problem(Axis(2), Axis(4), channels=4, images=1)
    x = np.full((1, 2, 4, 4), -np.inf, np.float32)
    x[0, 0, 1, 1] = x[0, 1, 0, 1] = np.nan
    x[0, 0, 0, 2] = np.inf
    y, taps = np.zeros((1, 1, 2, 4), np.float32), np.zeros((1, 1, 2, 4), np.uint8)
    launch(problem, "max", "f32", x, y, taps)
    np.testing.assert_array_equal(y[0, 0, 0], [-np.inf, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(taps[0, 0], [[0, 2, 0, 0], [0, 0, 0, 0]])

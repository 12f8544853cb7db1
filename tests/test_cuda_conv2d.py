# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of convolution, on the CPU (tests/cuda_shim), against float64 NumPy."""

from dataclasses import dataclass, replace
from math import gcd

import cuda_on_cpu
import numpy as np
import pytest
from cuda_on_cpu import (
    CSRC,
    ConvAxis,
    ConvCuda,
    ConvCuda64,
    DepthwiseCuda,
    DepthwiseCuda64,
    Divisor,
    GemmCuda,
    GemmCuda64,
    loaded,
    pointer,
    stored,
)
from striate.testing import guarded

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
EPS = 2.0**-23


@dataclass(frozen=True)
class Method(cuda_on_cpu.OfDtype):
    """`error` is that of a product of two numbers, `sum_eps` that of an addition, relative."""

    file: str
    name: str
    dtype: str = "f4"
    error: float = 0
    sum_eps: float = EPS
    wide: int = 128

    @property
    def shared(self):
        return 0 if self.file in ("simt", "f64") else (128 + self.wide) * 256

    def arguments(self, of_float, of_double, *fields):
        return (of_double if self.dtype == "f8" else of_float)(*fields)


SIMT = Method("simt", "f32_cuda_simt", sum_eps=EPS / 2)
DOUBLE = Method("f64", "f64_cuda_simt", "f8", sum_eps=2.0**-53)
TF32 = Method("tf32", "f32_cuda_tf32_128x64", error=2.1 * 2.0**-11, wide=64)
BF16 = Method("bf16", "bf16_cuda_mma_128x128", "bf16")
METHODS = [SIMT, DOUBLE, Method("tf32", "f32_cuda_3xtf32", error=4 * EPS)]
for n in (64, 128, 256):
    METHODS += [
        replace(TF32, name=f"f32_cuda_tf32_128x{n}", wide=n),
        replace(BF16, name=f"bf16_cuda_mma_128x{n}", wide=n),
        replace(BF16, file="f16", name=f"f16_cuda_mma_128x{n}", dtype="f2", wide=n),
    ]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


@dataclass(frozen=True)
class Problem:
    n: int = 2
    c: int = 8
    h: int = 6
    w: int = 7
    k: int = 8
    r: int = 3
    s: int = 3
    stride: tuple = (1, 1)
    before: tuple = (1, 1)
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def out(self):
        """P, Q, with as much padding behind as before."""
        sizes = zip((self.h, self.w), (self.r, self.s), *self.steps(), strict=True)
        return tuple((i + 2 * b - d * (t - 1) - 1) // u + 1 for i, t, u, b, d in sizes)

    def steps(self):
        return self.stride, self.before, self.dilation

    def taps(self, x):
        """(r, s, the pixels of x that every output meets under that tap), of padded x."""
        (u, v), _, (d, e) = self.steps()
        p, q = self.out
        for r in range(self.r):
            for s in range(self.s):
                yield r, s, x[:, r * d : r * d + u * p : u, s * e : s * e + v * q : v][:, :p, :q]

    def padded(self, x=None):
        """x in zeros wide enough for every tap, and the view of it that is x."""
        top, left = self.before
        shape = (self.n, self.h + 2 * top + self.stride[0], self.w + 2 * left + self.stride[1])
        whole = np.zeros((*shape, self.c))
        inside = whole[:, top : top + self.h, left : left + self.w]
        if x is not None:
            inside[...] = x
        return whole, inside

    def by_group(self, *arrays):
        """Each group's channels, the last axis; weights by their first."""
        return zip(*(np.split(a, self.groups, axis) for a, axis in arrays), strict=True)

    def forward(self, x, w):
        y = []
        for xg, wg in self.by_group((self.padded(x)[0], 3), (w, 0)):
            y.append(sum(tap @ wg[:, r, s].T for r, s, tap in self.taps(xg)))
        return np.concatenate(y, 3)

    def bwd_data(self, dy, w):
        whole, inside = self.padded()
        for to, dyg, wg in self.by_group((whole, 3), (dy, 3), (w, 0)):
            for r, s, tap in self.taps(to):
                tap += dyg @ wg[:, r, s]
        return inside

    def bwd_weight(self, x, dy):
        dw = np.zeros((self.k, self.r, self.s, self.c // self.groups))
        for to, xg, dyg in self.by_group((dw, 0), (self.padded(x)[0], 3), (dy, 3)):
            for r, s, tap in self.taps(xg):
                to[:, r, s] = np.einsum("npqk,npqc->kc", dyg, tap)
        return dw

    def axes(self, data):
        """The kernel's two axes, for bwd_data or the other passes."""
        sizes = zip((self.h, self.w), self.out, (self.r, self.s), *self.steps(), strict=True)
        for i, o, t, u, b, d in sizes:
            common = gcd(u, d)
            step = u // common if data else 1
            pixels, most = (-(-i // u), -(-t // step)) if data else (o, t)
            steps = Divisor.of(most), Divisor.of(max(most - 1, 1))
            yield ConvAxis(i, o, t, u, b, d, step, d // common, Divisor.of(pixels), steps)


def tiles(m, n, wide):
    return -(-m // 128) * -(-n // wide)


class Run:
    """A problem's operands in memory, and its three passes by one method."""

    def __init__(self, problem, method, seed=0, side="end"):
        rng = np.random.default_rng(seed)
        t = self.problem = problem
        self.method, self.side = method, side
        cg = t.c // t.groups
        shapes = (t.n, t.h, t.w, t.c), (t.k, t.r, t.s, cg), (t.n, *t.out, t.k)
        put = [stored(rng.standard_normal(shape), method.dtype) for shape in shapes]
        self.x, self.w, self.dy = (guarded(a, side) for a in put)
        self.bias = guarded(rng.standard_normal(t.k).astype(method.sums), side)

    def empty(self, shape, narrow=False):
        nan = stored(np.full(shape, np.nan), self.method.dtype if narrow else self.method.sums)
        return guarded(nan, self.side)

    def launch(self, which, grid, arguments, buffers, reverse):
        library = cuda_on_cpu.library(CSRC / f"ops/conv2d/conv2d_{self.method.file}_cuda.cu")
        library.launch(
            f"conv2d_{which}_{self.method.name}",
            *(grid, 256, arguments),
            buffers=buffers,
            shared=self.method.shared,
            reverse=reverse,
        )

    def passing(self, which, a, b, out, sizes, strides, epilogue=(), parts=(0, 0)):
        """ConvCuda; `epilogue` is bias or None, low, high, narrow."""
        t = self.problem
        bias, low, high, narrow = epilogue or (None, -np.inf, np.inf, False)
        bias_axis = 0 if bias is None else 2
        head = (pointer(a), pointer(b), pointer(out), pointer(bias), *sizes, bias_axis)
        last = (1, 0, low, high, int(narrow), *parts)
        product = self.method.arguments(GemmCuda, GemmCuda64, *head, *strides, *last)
        data = which == "bwd_data"
        channels = t.k if data else t.c
        of_tap = Divisor.of(channels // t.groups)
        rest = (*t.axes(data), t.n, of_tap, channels)
        return self.method.arguments(ConvCuda, ConvCuda64, product, *rest)

    def forward(self, epilogue=(), reverse=False):
        t, (p, q) = self.problem, self.problem.out
        y = self.empty((t.n, p, q, t.k), epilogue and epilogue[3])
        cg, kg = t.c // t.groups, t.k // t.groups
        m, k = t.n * p * q, t.r * t.s * cg
        strides = (0, k, t.k, cg, kg * k, kg)
        arguments = self.passing("fwd", self.x, self.w, y, (m, kg, k), strides, epilogue)
        grid = (tiles(m, kg, self.method.wide), t.groups, 1)
        self.launch("fwd", grid, arguments, (self.x, self.w, y, self.bias), reverse)
        return loaded(y)

    def bwd_data(self, epilogue=(), reverse=False, part=0):
        t = self.problem
        cg, kg = t.c // t.groups, t.k // t.groups
        parts = -(-t.r * t.s * kg // part) if part else 1  # of a phase with every tap
        made = self.empty((parts, t.n, t.h, t.w, t.c), not part and epilogue and epilogue[3])
        strides = (0, 0, t.c, kg, kg * t.r * t.s * cg, cg)
        u, v = t.stride
        m = t.n * -(-t.h // u) * -(-t.w // v)
        arguments = self.passing(
            *("bwd_data", self.dy, self.w, made, (m, cg, 0), strides, () if part else epilogue),
            parts=(part, made[0].size),
        )
        grid = (tiles(m, cg, self.method.wide), t.groups, u * v * parts)
        self.launch("bwd_data", grid, arguments, (self.dy, self.w, made, self.bias), reverse)
        return self.total(made, t.n * t.h * t.w, t.c, reverse) if part else loaded(made[0])

    def bwd_weight(self, part=0, reverse=False):
        t, (p, q) = self.problem, self.problem.out
        cg, kg = t.c // t.groups, t.k // t.groups
        k, n = t.n * p * q, t.r * t.s * cg
        parts = -(-k // part) if part else 1
        made = self.empty((parts, t.k, t.r, t.s, cg))
        strides = (t.k, 0, n, kg, cg, kg * n)
        arguments = self.passing(
            *("bwd_weight", self.dy, self.x, made, (kg, n, k), strides), parts=(part, t.k * n)
        )
        grid = (tiles(kg, n, self.method.wide), t.groups, parts)
        self.launch("bwd_weight", grid, arguments, (self.dy, self.x, made), reverse)
        if not part:
            return loaded(made[0])
        return self.total(made, kg, n, reverse)

    def total(self, made, m, n, reverse):
        """The parts' sum, of matrices [m, n]."""
        dw = self.empty(made.shape[1:])
        head = (pointer(made), None, pointer(dw), None, m, n, 0, 0, 0, 0, n)
        last = (1, 0, -np.inf, np.inf, 0, 0, dw.size)
        total = self.method.arguments(GemmCuda, GemmCuda64, *head, m * n, 0, m * n, *last)
        library = cuda_on_cpu.library(CSRC / "ops/gemm/gemm_parts_cuda.cu")
        kernel = "gemm_parts_f64_cuda" if self.method.sums == "f8" else "gemm_parts_f32_cuda"
        grid, buffers = (2, dw.size // (m * n)), (made, dw)
        library.launch(kernel, grid, 256, total, len(made), buffers=buffers, reverse=reverse)
        return loaded(dw)

    def check(self, got, again, want, size, terms, epilogue=()):
        """`size` is the sum of the absolute products; then the epilogue, and the result's own
        rounding."""
        bias, low, high, narrow = epilogue or (None, -np.inf, np.inf, False)
        if bias is not None:
            want = want + bias.astype("f8")
        want = np.clip(want, low, high)
        digits = {"f8": 0, "f4": 0, "f2": 2.0**-11, "bf16": 2.0**-8}
        digit = digits[self.method.dtype] if narrow else 0
        last = 2 * self.method.sum_eps if self.method.dtype == "f8" else EPS
        bound = (self.method.error + (terms + 4) * self.method.sum_eps) * size
        bound = bound + 4 * last * (np.abs(want) + 4) + digit * np.abs(want)
        assert np.all(np.abs(got - want) <= bound), (self.problem, np.nanmax(np.abs(got - want)))
        assert got.tobytes() == again.tobytes(), "the order of threads shows"

    def check_all(self, epilogue=(), part=0):
        t = self.problem
        x, w, dy = loaded(self.x), loaded(self.w), loaded(self.dy)
        cg, kg = t.c // t.groups, t.k // t.groups
        got = [self.forward(epilogue, reverse) for reverse in (False, True)]
        size = t.forward(np.abs(x), np.abs(w))
        self.check(*got, t.forward(x, w), size, t.r * t.s * cg, epilogue)
        if epilogue and epilogue[0] is not None:  # of the channels of dx
            epilogue = (np.resize(self.bias, t.c), *epilogue[1:])
            self.bias = epilogue[0]
        got = [self.bwd_data(epilogue, reverse) for reverse in (False, True)]
        size = t.bwd_data(np.abs(dy), np.abs(w))
        self.check(*got, t.bwd_data(dy, w), size, t.r * t.s * kg, epilogue)
        got = [self.bwd_weight(part, reverse) for reverse in (False, True)]
        size = t.bwd_weight(np.abs(x), np.abs(dy))
        self.check(*got, t.bwd_weight(x, dy), size, t.n * t.out[0] * t.out[1])


PROBLEMS = [
    Problem(),
    Problem(c=16, k=24, r=1, s=1, before=(0, 0)),
    Problem(c=3, k=5, h=9, w=8, stride=(2, 2)),  # a first layer; every tail
    Problem(n=1, c=1, k=1, h=5, w=4, r=2, s=3, before=(0, 1)),
    Problem(c=8, k=16, r=3, s=2, stride=(2, 3), dilation=(2, 1), h=8, w=9),
    Problem(n=1, c=4, k=8, stride=(4, 2), dilation=(2, 4), h=11, w=13, before=(3, 2)),
    Problem(c=16, k=8, groups=2, h=4, w=5),
    Problem(c=6, k=9, groups=3, r=1, s=2, h=4, w=5, before=(0, 0)),
    Problem(c=16, k=16, groups=8, r=2, s=2, h=4, w=5),  # wide pixels, narrow taps
    Problem(c=8, k=8, r=1, s=1, stride=(2, 2), before=(0, 0)),  # phases without taps
    Problem(n=1, c=8, k=8, h=2, w=2, stride=(3, 3), before=(2, 2)),  # phases without pixels
]


@every_method
@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_passes(method, problem):
    side = ("end", "start")[PROBLEMS.index(problem) % 2]
    Run(problem, method, side=side).check_all()


@pytest.mark.parametrize("method", [SIMT, DOUBLE, BF16, TF32], ids=lambda m: m.name)
def test_epilogue_and_parts(method):
    """Bias and clamp; groups; the gradient of weights in parts of pixels, added up in order."""
    for problem in (Problem(), Problem(c=16, k=8, groups=2), Problem(c=3, k=5)):
        run = Run(problem, method, seed=1)
        run.check_all((run.bias, 0.0, 1.0, method.halves), part=32)


@pytest.mark.parametrize("method", [SIMT, BF16, TF32, METHODS[1]], ids=lambda m: m.name)
@pytest.mark.parametrize(
    "problem",
    [
        Problem(k=40),
        Problem(c=16, k=88, groups=2, h=4, w=5),
        Problem(c=5, k=37, stride=(2, 3), dilation=(2, 1), h=8, w=9),  # phases of other lengths
        Problem(c=8, k=40, r=1, s=1, stride=(2, 2), before=(0, 0)),  # phases without taps
        Problem(n=1, c=8, k=70, h=2, w=2, stride=(3, 3), before=(2, 2)),  # without pixels
        Problem(n=3, c=140, k=24, h=7, w=9),  # more than a tile
    ],
    ids=range(6),
)
def test_gradient_of_images_in_parts(method, problem):
    """Parts of filters and taps; of the shorter phases some have nothing to sum."""
    run = Run(problem, method, seed=3)
    dy, w = loaded(run.dy), loaded(run.w)
    size = problem.bwd_data(np.abs(dy), np.abs(w))
    terms = problem.r * problem.s * problem.k // problem.groups
    for part in (32, 64):
        got = [run.bwd_data(reverse=reverse, part=part) for reverse in (False, True)]
        run.check(*got, problem.bwd_data(dy, w), size, terms)


@pytest.mark.parametrize("method", [SIMT, BF16], ids=lambda m: m.name)
def test_many_tiles(method):
    """More than a tile of pixels, filters and taps."""
    Run(Problem(n=1, c=24, k=140, h=14, w=13), method).check_all(part=96)


def test_nan_and_infinities_stay():
    run = Run(Problem(), SIMT)
    run.x[0, 2, 3, 1], run.x[1, 0, 0, 0], run.w[3, 0, 0, 2] = np.nan, np.inf, 0
    with np.errstate(all="ignore"):
        want = run.problem.forward(loaded(run.x), loaded(run.w))
    got = run.forward()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    relu = run.forward((None, 0.0, np.inf, False))
    np.testing.assert_array_equal(np.isnan(relu), np.isnan(want))


# --- depthwise -----------------------------------------------------------------------------------

DEPTHWISE = [Method("", name, dtype) for name, dtype in (("f32", "f4"), ("bf16", "bf16"))]
DEPTHWISE += [Method("", "f16", "f2"), Method("", "f64", "f8", sum_eps=2.0**-53)]


class DepthwiseRun(Run):
    """Groups are channels."""

    def launch_depthwise(self, which, out, epilogue, reverse, part=0):
        t = self.problem
        item = self.x.itemsize
        bias, low, high, narrow = epilogue or (None, -np.inf, np.inf, False)
        sizes = (*t.out, t.h, t.w, *t.stride, t.k // t.c)
        arguments = self.method.arguments(
            *(DepthwiseCuda, DepthwiseCuda64),
            *(pointer(a) for a in (self.x, self.dy, self.w, bias, out)),
            *(t.n, t.c, t.k, t.h, t.w, t.r, t.s),
            *(Divisor.of(size) for size in sizes),
            *(*t.before, *t.dilation, part, low, high, int(narrow)),
        )
        channels = t.c if which == "bwd_data" else t.k
        parts = -(-t.n * t.out[0] * t.out[1] // part) if part else 2
        filters = {"fwd": 1, "bwd_data": t.k // t.c, "bwd_weight": 0}[which]
        shared = t.r * t.s * filters * 32 * 16 // item * max(item, 4)
        cuda_on_cpu.library(CSRC / "ops/conv2d/depthwise_cuda.cu").launch(
            f"conv2d_{which}_{self.method.name}_cuda_depthwise",
            *((-(-channels // (32 * 16 // item)), parts), (32, 8), arguments),
            buffers=(self.x, self.dy, self.w, out, self.bias),
            shared=shared,
            reverse=reverse,
        )

    def forward(self, epilogue=(), reverse=False):
        y = self.empty(self.dy.shape, epilogue and epilogue[3])
        self.launch_depthwise("fwd", y, epilogue, reverse)
        return loaded(y)

    def bwd_data(self, epilogue=(), reverse=False):
        dx = self.empty(self.x.shape, epilogue and epilogue[3])
        self.launch_depthwise("bwd_data", dx, epilogue, reverse)
        return loaded(dx)

    def bwd_weight(self, part=0, reverse=False):
        t = self.problem
        part = part or 1000
        made = self.empty((-(-t.n * t.out[0] * t.out[1] // part), *self.w.shape))
        self.launch_depthwise("bwd_weight", made, (), reverse, part)
        return self.total(made, t.k, t.r * t.s, reverse)


@pytest.mark.parametrize("method", DEPTHWISE, ids=lambda m: m.name)
def test_depthwise(method):
    for i, (c, multiplier, rest) in enumerate(
        [
            (8, 1, {}),
            (7, 1, {"stride": (2, 3), "r": 2, "s": 4, "before": (0, 2), "h": 9}),
            (140, 1, {"n": 1, "h": 4, "w": 3, "dilation": (1, 2), "before": (2, 2)}),
            (5, 2, {"stride": (2, 1)}),
            (1, 9, {"r": 1, "s": 1, "before": (0, 0)}),
        ]
    ):
        problem = Problem(c=c, k=c * multiplier, groups=c, **rest)
        run = DepthwiseRun(problem, method, seed=i, side=("end", "start")[i % 2])
        run.check_all()
        run.check_all((None, -np.inf, np.inf, method.halves))
        run.check_all((run.bias, 0.0, 1.0, method.halves), part=16)

# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of the matrix product, on the CPU (tests/cuda_shim), against float64 NumPy."""

from dataclasses import dataclass

import cuda_on_cpu
import numpy as np
import pytest
from cuda_on_cpu import CSRC, GemmCuda, GemmCuda64, loaded, pointer, stored
from striate.testing import guarded

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
ORDERS = ("nn", "nt", "tn", "tt")
EPS = 2.0**-23


@dataclass(frozen=True)
class Method(cuda_on_cpu.OfDtype):
    """`error` is that of a product a b, `sum_eps` that of an addition, both relative."""

    file: str
    name: str
    dtype: str
    error: float
    sum_eps: float
    wide: int = 128  # columns of a block

    @property
    def on_cores(self):
        return self.file in ("gemm_simt_cuda", "gemm_f64_cuda")

    @property
    def shared(self):
        """Dynamic shared memory: GemmCuda::mma_shared."""
        return 0 if self.on_cores else (128 + self.wide) * 256

    def arguments(self, *fields):
        return (GemmCuda64 if self.dtype == "f8" else GemmCuda)(*fields)


SIMT = Method("gemm_simt_cuda", "gemm_f32_cuda_simt", "f4", 0, EPS / 2)
DOUBLE = Method("gemm_f64_cuda", "gemm_f64_cuda_simt", "f8", 0, 2.0**-53)
TF32X3 = Method("gemm_tf32_cuda", "gemm_f32_cuda_3xtf32", "f4", 4 * 2.0**-23, EPS)
METHODS = [SIMT, DOUBLE, TF32X3]
for n in (128, 256):
    METHODS += [
        Method("gemm_tf32_cuda", f"gemm_f32_cuda_tf32_128x{n}", "f4", 2.1 * 2.0**-11, EPS, n),
        Method("gemm_bf16_cuda", f"gemm_bf16_cuda_mma_128x{n}", "bf16", 0, EPS, n),
        Method("gemm_f16_cuda", f"gemm_f16_cuda_mma_128x{n}", "f2", 0, EPS, n),
    ]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


@dataclass
class Problem:
    """C = clamp(alpha A B + beta C + bias), with `gap` elements between rows."""

    m: int
    n: int
    k: int
    gap: int = 0
    batch: int = 1
    share_b: bool = False
    alpha: float = 1
    beta: float = 0
    low: float = -np.inf
    high: float = np.inf
    bias_axis: int = 0
    narrow: bool = False
    side: str = "end"

    def draw(self, method, order, seed=0):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal((self.batch, self.m, self.k))
        b = rng.standard_normal((1 if self.share_b else self.batch, self.k, self.n))
        self.bias = rng.standard_normal((0, self.m, self.n)[self.bias_axis]).astype(method.sums)
        self.old = rng.standard_normal((self.batch, self.m, self.n))
        return self.put(method, order, a, b)

    def put(self, method, order, a, b):
        """Operands in memory, as the kernel gets them and in float64."""
        self.method, self.order = method, order
        self.c_dtype = method.dtype if self.narrow else method.sums
        a, b = stored(a, method.dtype), stored(b, method.dtype)
        self.a, self.a_ld = self.matrix(a if order[0] == "n" else a.swapaxes(1, 2))
        self.b, self.b_ld = self.matrix(b if order[1] == "n" else b.swapaxes(1, 2))
        self.wide_a, self.wide_b = loaded(a), loaded(b)
        return self

    def matrix(self, x):
        """x with gaps of NaN between rows, up to the end of memory, and the rows' distance."""
        batch, rows, n = x.shape
        nan = stored(np.array([np.nan]), self.method.dtype)[0] if x.dtype.itemsize == 2 else np.nan
        padded = np.full((batch, rows, n + self.gap), nan, x.dtype)
        padded[..., :n] = x
        flat = padded.ravel()
        return guarded(flat[: flat.size - self.gap] if n else flat[:0], self.side), n + self.gap

    def run(self, reverse=False):
        """C, and what the launch counted."""
        method = self.method
        old = np.full((self.batch, self.m, self.n), np.nan) if self.beta == 0 else self.old
        c, c_ld = self.matrix(stored(old, self.c_dtype))
        bias = guarded(self.bias, self.side) if self.bias_axis else None
        rows_a = self.m if self.order[0] == "n" else self.k
        rows_b = self.k if self.order[1] == "n" else self.n
        args = method.arguments(
            *(pointer(x) for x in (self.a, self.b, c, bias)),
            *(self.m, self.n, self.k, self.bias_axis),
            *(self.a_ld, self.b_ld, c_ld),
            *(rows_a * self.a_ld, 0 if self.share_b else rows_b * self.b_ld, self.m * c_ld),
            *(self.alpha, self.beta, self.low, self.high, int(self.narrow)),
        )
        library = cuda_on_cpu.library(CSRC / "ops/gemm" / f"{method.file}.cu")
        counts = library.launch(
            f"{method.name}_{self.order}",
            (-(-self.m // 128) * -(-self.n // method.wide), self.batch),
            256,
            args,
            buffers=[x for x in (self.a, self.b, c, bias) if x is not None],
            shared=method.shared,
            reverse=reverse,
        )
        gaps = np.full(self.batch * self.m * c_ld, np.nan)
        gaps[: c.size] = loaded(c)
        gaps = gaps.reshape(self.batch, self.m, c_ld)
        assert np.isnan(gaps[..., self.n :]).all(), "written between rows"
        return gaps[..., : self.n], counts

    def run_parts(self, part, reverse=False):
        """C by parts of k."""
        method, plain = self.method, (1, 0, -np.inf, np.inf)
        parts, matrix = -(-self.k // part), self.m * self.n
        made = np.full((parts, self.batch, self.m, self.n), np.nan, method.sums)
        made = guarded(made, self.side)
        c, c_ld = self.matrix(stored(self.old, self.c_dtype))
        bias = guarded(self.bias, self.side) if self.bias_axis else None
        rows_a = self.m if self.order[0] == "n" else self.k
        rows_b = self.k if self.order[1] == "n" else self.n
        product = method.arguments(
            *(pointer(x) for x in (self.a, self.b, made, None)),
            *(self.m, self.n, self.k, 0, self.a_ld, self.b_ld, self.n),
            *(rows_a * self.a_ld, rows_b * self.b_ld, matrix),
            *(*plain, 0, part, self.batch * matrix),
        )
        tiles = -(-self.m // 128) * -(-self.n // method.wide)
        cuda_on_cpu.library(CSRC / "ops/gemm" / f"{method.file}.cu").launch(
            f"{method.name}_{self.order}",
            *((tiles, self.batch, parts), 256, product),
            buffers=[self.a, self.b, made],
            shared=method.shared,
            reverse=reverse,
        )
        total = method.arguments(
            *(pointer(x) for x in (made, None, c, bias)),
            *(self.m, self.n, 0, self.bias_axis, 0, 0, c_ld, matrix, 0, self.m * c_ld),
            *(self.alpha, self.beta, self.low, self.high, 0, 0, self.batch * matrix),
        )
        dtype = {"f8": "f64", "f4": "f32", "f2": "f16", "bf16": "bf16"}[self.c_dtype]
        cuda_on_cpu.library(CSRC / "ops/gemm/gemm_parts_cuda.cu").launch(
            f"gemm_parts_{dtype}_cuda",
            *((2, self.batch), 256, total, parts),
            buffers=[made, c, *([] if bias is None else [bias])],
            reverse=reverse,
        )
        whole = np.full(self.batch * self.m * c_ld, np.nan)
        whole[: c.size] = loaded(c)
        whole = whole.reshape(self.batch, self.m, c_ld)
        assert np.isnan(whole[..., self.n :]).all(), "written between rows"
        return whole[..., : self.n]

    def reference(self):
        with np.errstate(all="ignore"):
            want = self.alpha * (self.wide_a @ self.wide_b)
        if self.beta:
            want = want + self.beta * loaded(stored(self.old, self.c_dtype))
        if self.bias_axis:
            want = want + (self.bias[:, None] if self.bias_axis == 1 else self.bias)
        return np.where(np.isnan(want), want, np.clip(want, self.low, self.high))

    def bound(self):
        """k additions of products, then a handful of operations; then C's own rounding."""
        size = np.abs(self.wide_a) @ np.abs(self.wide_b)
        relative = self.method.error + (self.k + 4) * self.method.sum_eps
        half_digit = {"f8": 0, "f4": 0, "f2": 2.0**-11, "bf16": 2.0**-8}[self.c_dtype]
        last = 2 * self.method.sum_eps if self.method is DOUBLE else EPS
        result = np.abs(self.reference())
        return abs(self.alpha) * relative * size + 4 * last * (result + 4) + half_digit * result

    def check(self):
        got, _ = self.run()
        assert np.all(np.abs(got - self.reference()) <= self.bound()), str(self)
        again, _ = self.run(reverse=True)
        assert got.tobytes() == again.tobytes(), "the order of threads shows"


@every_method
@pytest.mark.parametrize("order", ORDERS)
def test_sizes(method, order):
    """Tails of every kind; rows aligned to 16 bytes, to an element, and apart."""
    sizes = [
        (1, 1, 1),
        (3, 5, 0),
        (128, method.wide, 32),
        (129, 7, 33),
        (5, 130, 17),
        (40, 24, 100),
    ]
    if method.wide > 128:
        sizes = [(1, 1, 1), (128, 256, 32), (129, 259, 9), (2, 127, 100)]
    for i, (m, n, k) in enumerate(sizes):
        for gap in (0, 1, 8):
            Problem(m, n, k, gap, side=("end", "start")[i % 2]).draw(method, order, i).check()


@every_method
@pytest.mark.parametrize("order", ["nn", "tt"])
def test_epilogue(method, order):
    for options in (
        {"alpha": 0.5, "beta": 0.25},
        {"bias_axis": 1, "low": 0},
        {"bias_axis": 2, "beta": -1, "high": 0.5},
        {"batch": 3, "bias_axis": 2},
        {"batch": 2, "share_b": True, "gap": 3},
    ):
        Problem(21, 37, 19, **options).draw(method, order).check()
        if method.halves:
            Problem(21, 37, 19, narrow=True, **options).draw(method, order).check()


@every_method
def test_many_tiles(method):
    """More rows of tiles than a group has."""
    Problem(1100, 260, 3).draw(method, "nn").check()


@every_method
@pytest.mark.parametrize("order", ORDERS)
def test_special_values(method, order):
    """NaN, infinities, and infinities times what has few bits, are what IEEE arithmetic gives."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((1, 40, 24)), rng.standard_normal((1, 24, 40))
    b[:, :, :8] = np.round(b[:, :, :8])
    a[:, 1] = 1.0
    a[0, 2, 3], a[0, 3, 4], a[0, 4, 5], a[0, 5, 5] = np.nan, np.inf, -np.inf, 0
    b[0, 7, 1], b[0, 8, 2], b[0, 9, 3], b[0, 5, 4] = np.nan, np.inf, -np.inf, np.inf
    a[0, 1, 2], b[0, 2, :] = -np.inf, 0.5
    problem = Problem(40, 40, 24).put(method, order, a, b)
    got, _ = problem.run()
    want = problem.reference()
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    assert np.isfinite(got[finite]).all()
    relu = Problem(40, 40, 24, low=0).put(method, order, a, b)
    np.testing.assert_array_equal(np.isnan(relu.run()[0]), np.isnan(want))


@pytest.mark.parametrize("order", ORDERS)
def test_3xtf32_errs_as_float32_does(order):
    """By rms, over a long k; the tensor cores' sums are cut off, as the shim's are."""
    problem = Problem(64, 64, 1024).draw(TF32X3, order)
    error = problem.run()[0] - problem.reference()
    plain = Problem(64, 64, 1024).draw(SIMT, order)
    plain_error = plain.run()[0] - plain.reference()
    assert np.sqrt(np.mean(error**2)) <= np.sqrt(np.mean(plain_error**2))
    assert abs(np.mean(error)) <= 0.1 * np.sqrt(np.mean(error**2))  # no drift towards zero


@every_method
@pytest.mark.parametrize("order", ORDERS)
def test_main_loop_has_no_bank_conflicts(method, order):
    """On whole tiles. Sums go through shared memory, two to a bank, each in each of 8 warps."""
    _, counts = Problem(128, method.wide, 96).draw(method, order).run()
    epilogue = 0 if method.on_cores else method.wide // 2 * 8
    assert counts.wavefronts - counts.ideal_wavefronts == epilogue


@pytest.mark.parametrize("method", [SIMT, DOUBLE, *METHODS[3:6]], ids=lambda m: m.name)
@pytest.mark.parametrize("order", ["nn", "tt"])
def test_parts_of_k(method, order):
    """Split-K: each part into a workspace, then their sum in a fixed order, with the epilogue."""
    for i, (m, n, k, part) in enumerate([(5, 9, 100, 32), (130, 12, 70, 64), (3, 131, 33, 32)]):
        options = {"batch": 2, "alpha": 0.5, "beta": -1.0, "bias_axis": 1 + i % 2, "low": -2.0}
        for narrow in {False, method.halves}:
            problem = Problem(m, n, k, gap=i, narrow=narrow, **options).draw(method, order, i)
            got, again = problem.run_parts(part), problem.run_parts(part, reverse=True)
            assert np.all(np.abs(got - problem.reference()) <= problem.bound()), str(problem)
            assert got.tobytes() == again.tobytes(), "the order of threads shows"

# SPDX-License-Identifier: Apache-2.0
"""The kernels that measure a GPU's peak compute what they say, against float64 NumPy."""

import cuda_on_cpu
import numpy as np
import pytest
from cuda_on_cpu import CSRC
from striate.testing import guarded

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
UNITS = {"tf32": (8, 2.0**-11), "bf16": (16, 2.0**-8), "f16": (16, 2.0**-11)}  # k, rounding
CHAINS = 8


def launch(kernel, grid, *arguments, out):
    library = cuda_on_cpu.library(CSRC / "ops/peak/peak_cuda.cu")
    for reverse in (False, True):
        out[...] = np.nan
        library.launch(kernel, grid, 256, *arguments, out, reverse=reverse)


def chains(rounds):
    """What a thread's chains come to: a fixed point of 1, neared by 0.999 a round."""
    return sum(1 + (i - 1) * 0.999**rounds for i in range(CHAINS))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_multiply_adds(dtype):
    kind = np.float32 if dtype == "f32" else np.float64
    for rounds in (1, 7, 100):
        out = guarded(np.zeros(3 * 256, kind), "end")
        launch(f"peak_fma_{dtype}_cuda", 3, rounds, out=out)
        np.testing.assert_allclose(out, chains(rounds), 200 * np.finfo(kind).eps)


@pytest.mark.parametrize("unit", UNITS)
def test_products_of_tensor_cores(unit):
    """One round shows each fragment's place: any two elements exchanged give another product."""
    k, unit_error = UNITS[unit]
    x = np.random.default_rng(k).standard_normal(24 * k).astype(np.float32)
    a, b = x[: 16 * k].reshape(16, k).astype("f8"), x[16 * k :].reshape(k, 8).astype("f8")
    for rounds in (1, 3):
        out = guarded(np.zeros((16, 16, 8), np.float32), "end")
        launch(f"peak_mma_{unit}_cuda", 2, guarded(x, "end"), rounds, out=out)
        want = sum(range(CHAINS)) + CHAINS * rounds * (a @ b)
        bound = CHAINS * rounds * 2.2 * unit_error * (np.abs(a) @ np.abs(b)) + 1e-4
        assert np.all(np.abs(out - want) <= bound)

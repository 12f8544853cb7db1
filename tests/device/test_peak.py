# SPDX-License-Identifier: Apache-2.0
"""The bindings that measure a GPU's peak: counts, results, refusals."""

import numpy as np
import pytest
import striate
from striate import _C


def on_gpu(*shape):
    return striate.zeros(*shape, device="cuda")._array


def test_multiply_adds():
    x = on_gpu(512)
    assert _C.peak_fma(x, 3) == 2 * 3 * 8 * 512
    want = sum(1 + (i - 1) * 0.999**3 for i in range(8))
    np.testing.assert_allclose(x.get(), want, 1e-5)


@pytest.mark.parametrize("unit", ["tf32", "bf16", "f16"])
def test_products(unit):
    """Of small whole numbers, which every unit multiplies and adds exactly."""
    k = 8 if unit == "tf32" else 16
    host = np.random.default_rng(1).integers(-9, 10, 24 * k).astype(np.float32)
    x, out = striate.tensor(host, device="cuda")._array, on_gpu(16, 16, 8)
    assert _C.peak_mma(x, unit, 2, out) == 2 * 2 * 8 * (16 * 16 * 8) * k
    a, b = host[: 16 * k].reshape(16, k), host[16 * k :].reshape(k, 8)
    np.testing.assert_array_equal(out.get(), np.tile(28 + 16 * (a @ b), (16, 1, 1)))


def test_refusals():
    x, out = on_gpu(24 * 8), on_gpu(8, 16, 8)
    for arguments, words in [
        ((x, "tf32", 0, out), "rounds"),
        ((x, "int8", 1, out), "unit: expected tf32, bf16 or f16"),
        ((x, "bf16", 1, out), "x: expected shape"),
        ((x, "tf32", 1, on_gpu(7, 16, 8)), "multiple of 8"),
        ((x, "tf32", 1, on_gpu(8, 8, 16)), "out: expected shape"),
        ((x.get(), "tf32", 1, out), "on a GPU"),
    ]:
        with pytest.raises((ValueError, TypeError), match=words):
            _C.peak_mma(*arguments)
    with pytest.raises(ValueError, match="multiple of 256"):
        _C.peak_fma(on_gpu(255), 1)

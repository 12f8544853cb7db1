# SPDX-License-Identifier: Apache-2.0
"""Bindings whose operands or `out` lie in unusual orders on a GPU, against NumPy."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import normal
from striate import _C


def on_gpu(host):
    return striate.tensor(host, device="cuda")._array


@pytest.mark.parametrize("turn", [(-1, 1, 1), (1, -1, 1), (-1, -1, 1)])
def test_products_into_rows_that_run_backwards(turn):
    a, b, c = normal((2, 5, 9)), normal((2, 9, 6)), normal((2, 5, 6))
    out, steps = on_gpu(c), tuple(slice(None, None, s) for s in turn)
    _C.gemm(on_gpu(a), on_gpu(b), beta=0.5, out=out[steps])
    want = (a.astype("f8") @ b)[steps] + 0.5 * c
    np.testing.assert_allclose(out.get(), want, 0, 1e-5)


def test_a_sum_in_parts_into_rows_that_run_backwards():
    a, b, c = normal((5, 1100)), normal((1100, 6)), normal((5, 6))
    out = on_gpu(c)
    _C.gemm(on_gpu(a), on_gpu(b), out=out[::-1])
    np.testing.assert_allclose(out.get(), (a.astype("f8") @ b)[::-1], 0, 1e-3)


@pytest.mark.parametrize("step", [2, -1])
def test_an_activation_never_runs_past_a_product_with_gaps(step):
    """Which no clamp does: of rows that are not dense it is refused, or right."""
    a, b = normal((5, 3)), normal((3, 4))
    memory = on_gpu(np.zeros((11, 6), np.float32))
    out = memory[::step][:5, :4]
    try:
        _C.gemm(on_gpu(a), on_gpu(b), activation="tanh", out=out)
    except ValueError as error:
        assert "on a GPU, got another order" in str(error)
    else:
        np.testing.assert_allclose(out.get(), np.tanh(a.astype("f8") @ b), 0, 1e-5)
    out.fill(0)
    assert not memory.get().any()


@pytest.mark.parametrize("shape", [(1,), (3, 1), (1, 1, 1, 1), (2, 3, 1, 4)])
def test_padding_that_moves_an_axis_of_one_element(shape):
    """What was there is cropped, and the axis has one element again."""
    x = normal(shape)
    widths = (0, 0, 1, -1) if shape[-1] != 1 else (-1, 1)
    got = F.pad(striate.tensor(x, device="cuda"), widths, value=7.0)
    np.testing.assert_array_equal(got.cpu().numpy(), np.full(shape, 7.0))

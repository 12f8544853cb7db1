# SPDX-License-Identifier: Apache-2.0
"""Products on a GPU, against NumPy in float64 and the CPU device, at every precision."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import TOLERANCE, alike, normal
from striate import _C

SIZES = [(1, 1, 1), (5, 7, 3), (130, 9, 33), (17, 140, 64), (3, 2, 0), (0, 4, 2), (1, 300, 5)]


@pytest.mark.parametrize("size", SIZES)
def test_matmul_of_every_order(size, precision):
    m, n, k = size
    a, b = normal((m, k)), normal((k, n))
    want = a.astype("f8") @ b.astype("f8")
    bound = TOLERANCE[precision] * np.sqrt(k + 1) * 4
    for a_turned in (False, True):
        for b_turned in (False, True):
            x = striate.tensor(a.T, device="cuda").T if a_turned else striate.tensor(a).cuda()
            y = striate.tensor(b.T, device="cuda").T if b_turned else striate.tensor(b).cuda()
            product = x @ y
            assert product.is_cuda and product.shape == (m, n)
            np.testing.assert_allclose(product.cpu().numpy(), want, 0, bound)


@pytest.mark.parametrize("size", SIZES)
def test_float64(size):
    m, n, k = size
    a, b = normal((m, k), "f8"), normal((k, n), "f8")
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            product = striate.tensor(x, device="cuda") @ striate.tensor(y, device="cuda")
            assert product.dtype == np.float64 and product.is_cuda
            bound = 2.0**-53 * (k + 1) * (np.abs(a) @ np.abs(b))
            assert np.all(np.abs(product.cpu().numpy() - a @ b) <= 2 * bound)


def test_float64_in_every_way():
    """Batches, strides, parts of a long sum, epilogues, einsum; gradients as on the CPU."""
    tight = {"rtol": 1e-12, "atol": 1e-12}
    a, b = normal((3, 4, 5), "f8"), normal((3, 5, 6), "f8")
    alike(lambda x, y: x @ y, a, b, **tight)
    alike(lambda x, y: x @ y[:1], a, b, **tight)
    alike(lambda x, y: x[:, ::2, ::2] @ y[:, ::2], a, b, **tight)
    alike(lambda x, y: x @ y, normal((5, 2100), "f8"), normal((2100, 7), "f8"), **tight)
    alike(lambda x, y: striate.einsum("bij,bjk->bki", x, y), a, b, **tight)
    weight, bias = normal((7, 5), "f8"), normal(7, "f8")
    for activation in (None, "relu", "gelu"):
        alike(
            lambda x, w, v, f=activation: striate.ops.linear(x, w, v, f), a, weight, bias, **tight
        )


def test_long_sums_in_parts(precision):
    """Of one tile: with scale, addition, bias and clamp after the last part; in a batch too."""
    a, b, c, bias = normal((5, 2100)), normal((2100, 7)), normal((5, 7)), normal(7)
    x, y, out, add = (striate.tensor(t, device="cuda")._array for t in (a, b, c, bias))
    _C.gemm(x, y, add, "relu", alpha=0.5, beta=2.0, out=out)
    want = np.maximum(0.5 * (a.astype("f8") @ b) + 2 * c + bias, 0)
    np.testing.assert_allclose(out.get(), want, 0, TOLERANCE[precision] * 100)


def test_sums_longer_than_a_chain_may_be():
    before = striate.get_float32_precision()
    striate.set_float32_precision("highest")
    try:
        a, b = normal((2, 3, 16400)), normal((2, 16400, 2))
        got = striate.tensor(a, device="cuda") @ striate.tensor(b, device="cuda")
        np.testing.assert_allclose(got.cpu().numpy(), a.astype("f8") @ b, 0, 2e-3)
    finally:
        striate.set_float32_precision(before)


def test_activations_are_of_whole_results():
    x, out = striate.ones(2, 2, device="cuda")._array, striate.ones(2, 4, device="cuda")._array
    with pytest.raises(
        ValueError, match="gemm: out: expected C order where there is an activation"
    ):
        _C.gemm(x, x, activation="tanh", out=out[:, :2])
    _C.gemm(x, x, activation="relu", out=out[:, :2])
    assert out.tolist() == [[2, 2, 1, 1]] * 2


def test_odd_strides():
    a, b = normal((6, 10)), normal((10, 8))
    alike(lambda x, y: x[:, ::2] @ y[::2], a, b, rtol=1e-4, atol=1e-5)
    alike(lambda x, y: x[::2, 1:4] @ y[1:4, 1::2], a, b, rtol=1e-4, atol=1e-5)
    alike(lambda x: x[:1].expand(4, 10) @ x.T, a, rtol=1e-4, atol=1e-5)


def test_batches():
    a, b = normal((3, 4, 5)), normal((3, 5, 6))
    alike(lambda x, y: x @ y, a, b, rtol=1e-4, atol=1e-5)
    alike(lambda x, y: x @ y, a, b[:1], rtol=1e-4, atol=1e-5)
    alike(lambda x, y: x @ y, a, b[0], rtol=1e-4, atol=1e-5)
    alike(lambda x, y: x @ y, normal((2, 1, 4, 5)), b, rtol=1e-4, atol=1e-5)
    alike(
        lambda x, y: x @ y, a.transpose(0, 2, 1).copy().transpose(0, 2, 1), b, rtol=1e-4, atol=1e-5
    )
    alike(lambda x, y: x @ y, normal(5), normal((5, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "gelu", "hardtanh"])
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (6,)])
def test_linear(activation, shape):
    weight, bias = normal((5, 6)), normal(5)

    def f(x, w, b):
        return striate.ops.linear(x, w, b, activation)

    if len(shape) > 1 or activation is None:
        alike(f, normal(shape), weight, bias, rtol=1e-4, atol=1e-5)
    alike(F.linear, normal(shape), weight, rtol=1e-4, atol=1e-5)


def test_integers_are_refused():
    x = striate.ones(2, 2, dtype=striate.int64, device="cuda")
    with pytest.raises(TypeError, match="matmul: expected a floating dtype on a GPU, got int64"):
        x @ x


def test_shapes_are_checked():
    x = striate.ones(2, 3, device="cuda")
    with pytest.raises(ValueError, match="do not fit"):
        x @ x
    with pytest.raises(TypeError, match="one device"):
        x @ striate.ones(3, 2)

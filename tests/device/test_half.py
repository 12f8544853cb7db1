# SPDX-License-Identifier: Apache-2.0
"""bfloat16 on a GPU: casts and copies bit for bit, products against NumPy in float64, autocast."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import normal
from striate import _C, nn

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = np.dtype(ml_dtypes.bfloat16)
HALF_DIGIT = 2.0**-8  # of a bfloat16


def low(*shape):
    """Random values on the GPU, and in float64."""
    x = normal(shape).astype(BF16)
    return striate.tensor(x, device="cuda")._array, x.astype("f8")


def close(got, a, b, rounded=False):
    """a @ b of float64; products are exact, and k sums are rounded or cut off to float32."""
    got, want = striate.Tensor._wrap(got).cpu().numpy(), a @ b
    assert got.dtype == (BF16 if rounded else np.float32)
    bound = 2.0**-23 * (a.shape[-1] + 6) * (np.abs(a) @ np.abs(b))
    if rounded:
        bound = bound + HALF_DIGIT * np.abs(want)
    assert np.all(np.abs(got.astype("f8") - want) <= bound + 1e-30)


# --- casts and copies ----------------------------------------------------------------------------


def test_to_the_gpu_and_back():
    for shape in ((), (0, 3), (5,), (3, 4, 5)):
        x = normal(shape).astype(BF16)
        there = striate.tensor(x, device="cuda")
        assert there.is_cuda and there.dtype == BF16
        back = there.cpu().numpy()
        np.testing.assert_array_equal(back.view(np.uint16), x.view(np.uint16))
    turned = striate.tensor(normal((3, 4)).astype(BF16)).T.to("cuda")
    assert turned._array.strides == (2, 8)


def test_casts():
    x = normal((7, 600))
    x[0, :4] = np.nan, np.inf, -np.inf, 1e-40
    there = striate.tensor(x, device="cuda")
    for view, want in (
        (there, x),
        (there.T, x.T),
        (there[:, ::2], x[:, ::2]),
        (there[:0], x[:0]),
        (there[3, 5], x[3, 5]),
    ):
        narrow = view.bfloat16()
        expected = want.astype(BF16)
        bits = narrow.cpu().numpy().view(np.uint16)
        nan = np.isnan(want)
        np.testing.assert_array_equal(bits[~nan], expected.view(np.uint16)[~nan])
        np.testing.assert_array_equal(narrow.float().cpu().numpy(), expected.astype("f4"))
    assert there.bfloat16()._array.strides == (1200, 2)
    doubles = striate.tensor(x.astype("f8"), device="cuda").bfloat16()
    np.testing.assert_array_equal(doubles.double().cpu().numpy(), x.astype(BF16).astype("f8"))
    assert there[1:2, :3].bfloat16().long().tolist() == [x[1, :3].astype(BF16).astype(int).tolist()]


def test_the_gradient_of_a_cast_and_sums_of_gradients():
    x = striate.tensor(normal((3, 4)), device="cuda", requires_grad=True)
    y = x.bfloat16()
    (y.float() * 3 + y.float()).sum().backward()
    np.testing.assert_array_equal(x.grad.cpu().numpy(), np.full((3, 4), 4, "f4"))
    leaf = striate.tensor(normal((3, 4)).astype(BF16), device="cuda", requires_grad=True)
    for _ in range(2):
        (leaf.float() * 3).sum().backward()
    assert leaf.grad.dtype == BF16
    np.testing.assert_array_equal(leaf.grad.float().cpu().numpy(), np.full((3, 4), 6, "f4"))


def test_what_is_made_and_copied():
    assert striate.ones(2, 3, dtype="bfloat16", device="cuda").tolist() == [[1.0] * 3] * 2
    assert striate.full((2,), 0.5, dtype="bfloat16", device="cuda").tolist() == [0.5, 0.5]
    x = striate.tensor(normal((3, 4)).astype(BF16), device="cuda")
    for made in (x.clone(), x.T.contiguous().T, x.T.reshape(12).reshape(4, 3).T):
        np.testing.assert_array_equal(made.float().cpu().numpy(), x.float().cpu().numpy())
    assert x[1, 2].item() == x.float()[1, 2].item()
    assert "bfloat16" in repr(x)


def test_arithmetic_is_refused():
    x = striate.ones(2, dtype="bfloat16", device="cuda")
    with pytest.raises(TypeError, match=r"add.*bfloat16.*\.float\(\)"):
        x + x


def test_what_cupy_may_lack_is_refused_in_a_line():
    x, index = striate.ones(2, dtype="bfloat16", device="cuda"), striate.tensor([1, 0, 1])
    for call, words in ((lambda: x[index.cuda()], "getitem"), (lambda: striate.cat([x, x]), "cat")):
        try:
            assert set(call().tolist()) == {1.0}
        except TypeError as error:
            assert str(error).startswith(f"{words}: there is nothing that computes this on a GPU")


# --- products ------------------------------------------------------------------------------------

SIZES = [(1, 1, 1), (5, 7, 3), (130, 9, 33), (17, 140, 64), (3, 2, 0), (0, 4, 2), (8, 8, 1100)]


@pytest.mark.parametrize("size", SIZES)
def test_products_of_every_order(size):
    m, n, k = size
    (a, wide_a), (b, wide_b) = low(m, k), low(k, n)
    (at, wide_at), (bt, wide_bt) = low(k, m), low(n, k)
    close(_C.gemm(a, b), wide_a, wide_b)
    close(_C.gemm(at.T, b), wide_at.T, wide_b)
    close(_C.gemm(a, bt.T), wide_a, wide_bt.T)
    close(_C.gemm(at.T, bt.T), wide_at.T, wide_bt.T)


def test_strides_batches_and_results():
    (a, wide_a), (b, wide_b) = low(3, 20, 30), low(3, 20, 34)
    close(_C.gemm(a[:, ::2, ::3], b[:, ::2, ::2]), wide_a[:, ::2, ::3], wide_b[:, ::2, ::2])
    close(_C.gemm(a[:, :, 1:21], b[:1]), wide_a[:, :, 1:21], wide_b[:1])
    for k in (13, 1100):  # in parts too
        (a, wide_a), (b, wide_b) = low(9, k), low(k, 21)
        out = striate.empty(9, 21, dtype="bfloat16", device="cuda")._array
        assert _C.gemm(a, b, out=out) is out
        close(out, wide_a, wide_b, rounded=True)
    with pytest.raises(ValueError, match="gemm: out: expected dense rows"):
        _C.gemm(a, b, out=striate.empty(9, 42, dtype="bfloat16", device="cuda")._array[:, ::2])


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("k", [13, 1100])
def test_epilogue(activation, k):
    (a, wide_a), (b, wide_b) = low(9, k), low(k, 21)
    bias, before = normal(21), normal((9, 21)).astype(BF16)
    want = 0.5 * (wide_a @ wide_b) + 2 * before.astype("f8") + bias
    want = {None: want, "relu": np.maximum(want, 0), "tanh": np.tanh(want)}[activation]
    add = striate.tensor(bias, device="cuda")._array
    for dtype, digit in ((np.float32, 0), (BF16, HALF_DIGIT)):
        out = striate.tensor(before.astype(dtype), device="cuda")
        _C.gemm(a, b, add, activation, alpha=0.5, beta=2.0, out=out._array)
        got = out.cpu().numpy().astype("f8")
        bound = 2.0**-22 * (np.abs(wide_a) @ np.abs(wide_b)) * (k + 6) + 1e-6
        assert np.all(np.abs(got - want) <= bound + digit * np.abs(want))


def test_mixed_operands_are_refused():
    (a, _), b = low(2, 3), striate.ones(3, 2, device="cuda")._array
    with pytest.raises(TypeError, match=r"gemm: b: expected bfloat16.*got float32"):
        _C.gemm(a, b)
    with pytest.raises(TypeError, match=r"gemm: b: expected float32.*got bfloat16"):
        _C.gemm(b, a)
    with pytest.raises(TypeError, match="sum: x: expected float32 or float64, got bfloat16"):
        _C.sum(a, (0,))


# --- tensors and networks ------------------------------------------------------------------------


def both(f, *hosts, dtype=BF16):
    """f's result and gradients, of leaves of this dtype, on either device."""
    found = []
    for device in ("cpu", "cuda"):
        leaves = [striate.tensor(h.astype(dtype), device=device) for h in hosts]
        for leaf in leaves:
            leaf.requires_grad_()
        y = f(*leaves)
        (y.float() * striate.tensor(np.cos(np.arange(y.numel())).reshape(y.shape)
                                    .astype("f4"), device=device)).sum().backward()  # fmt: skip
        found.append([t.detach().cpu() for t in (y, *(leaf.grad for leaf in leaves))])
    return zip(*found, strict=True)


def alike(f, *hosts, dtype=BF16, rtol=2 * HALF_DIGIT, atol=1e-2):
    for here, there in both(f, *hosts, dtype=dtype):
        assert here.dtype == there.dtype and here.shape == there.shape
        a, b = (t.float().numpy() for t in (here, there))
        np.testing.assert_allclose(b, a, rtol, atol)


def test_matmul_and_linear():
    a, b = normal((3, 4, 5)), normal((3, 5, 6))
    alike(lambda x, y: x @ y, a, b)
    alike(lambda x, y: x @ y, a, b[0])
    alike(lambda x, y: x @ y, normal((2, 1, 4, 5)), b)
    alike(lambda x, y: x @ y.T, a[0], normal((7, 5)))
    for activation in (None, "relu"):
        alike(
            lambda x, w, v, f=activation: striate.ops.linear(x, w, v, f),
            *(a, normal((7, 5)), normal(7)),
        )


def test_convolutions():
    x, w, bias = normal((2, 4, 6, 7)), normal((6, 2, 3, 3)), normal(6)
    alike(lambda x, w, b: F.conv2d(x, w, b, 1, 1, 1, 2), x, w, bias)
    alike(lambda x, w, b: striate.ops.conv2d(x, w, b, 1, 1, 1, 2, "relu"), x, w, bias)
    alike(lambda x, w: F.conv2d(x[0], w, None, 2), x, normal((3, 4, 2, 2)))
    alike(lambda x, w: F.conv2d(x.contiguous(), w, padding=1), x, normal((3, 4, 3, 3)))
    alike(lambda x, w: F.conv_transpose2d(x, w, None, 2), x, normal((4, 3, 3, 3)))
    alike(lambda x, w: F.conv1d(x, w, padding=1), x[:, :, 0], normal((3, 4, 3)))
    alike(lambda x, w: F.conv_transpose1d(x, w, stride=2), x[:, :, 0], normal((4, 3, 3)))


def test_products_with_float32_are_of_float32():
    a, b = normal((4, 5)).astype(BF16), normal((5, 6))
    for x, y in ((a, b), (b.T, a.T)):
        product = striate.tensor(x, device="cuda") @ striate.tensor(y, device="cuda")
        assert product.dtype == np.float32
        np.testing.assert_allclose(product.cpu().numpy(), x.astype("f8") @ y, 1e-5, 1e-5)


def test_autocast_of_convolutions_and_recurrent_layers():
    def f(x, w):
        with striate.autocast(dtype=striate.bfloat16):
            return F.conv2d(x, w, padding=1)

    alike(f, normal((2, 4, 6, 7)), normal((6, 4, 3, 3)), dtype=np.dtype("f4"), rtol=2e-2)
    layer, x = nn.LSTM(3, 5), normal((4, 2, 3))
    found = []
    for device in ("cpu", "cuda"):
        layer.to(device)
        with striate.autocast(device, dtype=striate.bfloat16):
            found.append(layer(striate.tensor(x, device=device))[0].detach().cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], 1e-5, 1e-6)


def test_autocast():
    """Products of float32 rounded to bfloat16, with gradients of float32."""

    def f(x, y, w):
        with striate.autocast("cuda" if x.is_cuda else "cpu", dtype=striate.bfloat16):
            z = x @ y
            assert z.dtype == np.float32
            return striate.ops.linear(z, w)

    alike(f, normal((4, 5)), normal((5, 6)), normal((3, 6)), dtype=np.dtype("f4"), rtol=2e-2)


def test_a_network_trains_under_autocast():
    striate.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    x, labels = striate.tensor(normal((12, 6))), striate.tensor(np.arange(12) % 2)
    network = network.to("cuda")
    step, losses = striate.optim.SGD(network.parameters(), 0.5), []
    for _ in range(8):
        with striate.autocast("cuda", dtype=striate.bfloat16):
            y = network(x.cuda())
        loss = nn.functional.cross_entropy(y, labels.cuda())
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]

# SPDX-License-Identifier: Apache-2.0
"""Convolution of bfloat16 images: every way against float64, gradients, autocast."""

import numpy as np
import pytest
import striate
from striate import _C, nn
from striate.nn import functional as F
from striate.ops.conv2d import images
from striate.testing.cases.conv2d import _bwd_data, _bwd_weight, _fwd

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = np.dtype(ml_dtypes.bfloat16)
WAYS = sorted(
    {
        r["name"].rpartition("_")[2]
        for r in _C.rows()
        if r["op"] == "conv2d_bf16" and not r["why_not"]
    }
)
EPS = 2.0**-8  # half of the distance between neighbours, relative


def pinned(way):
    return _C.pin_rows([f"conv2d_{p}_bf16_{way}" for p in ("fwd", "bwd_data", "bwd_weight")])


@pytest.fixture(autouse=True)
def direct_sums():
    """Without Winograd's larger tiles, so that the bound is that of direct sums."""
    before = striate.get_float32_precision()
    striate.set_float32_precision("highest")
    yield
    striate.set_float32_precision(before)


def low(*shape, seed=0):
    return images(_C.narrow(np.random.default_rng(seed).standard_normal(shape).astype(np.float32)))


SAME = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize("way", WAYS)
def test_epilogue_and_out(way):
    x, w = low(2, 16, 6, 7), low(20, 16, 3, 3, seed=1)
    bias = np.random.default_rng(3).standard_normal(20).astype(np.float32)
    with pinned(way):
        plain = _C.conv2d(x, w, **SAME)
        got = _C.conv2d(x, w, bias, activation="relu", **SAME)
        expected = np.maximum(plain + bias[:, None, None], 0)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        got = _C.conv2d(x, w, bias, activation="tanh", **SAME)
        expected = np.tanh(plain + bias[:, None, None])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        for out in (
            np.empty((2, 6, 7, 20), BF16).transpose(0, 3, 1, 2),
            np.empty(plain.shape, BF16),
        ):
            assert _C.conv2d(x, w, out=out, **SAME) is out
            np.testing.assert_array_equal(out, _C.narrow(plain))
        wide = np.empty(plain.shape, np.float32)  # channels first
        _C.conv2d(x, w, out=wide, **SAME)
        np.testing.assert_array_equal(wide, plain)
    with pytest.raises(TypeError, match=r"conv2d: weight: expected bfloat16"):
        _C.conv2d(x, images(w.astype(np.float32)), **SAME)
    with pytest.raises(TypeError, match=r"conv2d: bias: expected float32"):
        _C.conv2d(x, w, _C.narrow(bias), **SAME)


@pytest.mark.parametrize("way", WAYS)
def test_special_values_and_denormals(way):
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    x[0, 0, 0, 0], x[0, 1, 4, 4], w[2] = np.nan, np.inf, 2.0**-127
    with pinned(way):
        y = _C.conv2d(images(_C.narrow(x)), images(_C.narrow(w)), **SAME)
    nan, inf = np.isnan(y[0, 0]), np.isinf(y[0, 0])
    assert nan[:2, :2].all() and nan.sum() == 4
    assert inf[3:, 3:].all() and inf.sum() == 4
    np.testing.assert_array_equal(y[0, 2, 2:4, 1:3], 0)  # a denormal counts as 0


@pytest.mark.parametrize("way", WAYS)
def test_threads_do_not_change_a_bit(way):
    before = _C.num_threads()
    x, w, dy = low(3, 64, 20, 21), low(96, 64, 3, 3, seed=1), low(3, 96, 20, 21, seed=2)
    found = []
    try:
        for threads in (1, 4):
            _C.set_num_threads(threads)
            with pinned(way):
                y = _C.conv2d(x, w, **SAME)
                dx = _C.conv2d_bwd_data(dy, w, size=(20, 21), **SAME)
                found.append((y, dx, _C.conv2d_bwd_weight(x, dy, size=(3, 3), **SAME)))
    finally:
        _C.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_are_widened_some_at_a_time():
    x, w, dy = low(5, 8, 12, 12), low(8, 8, 3, 3, seed=1), low(5, 8, 12, 12, seed=2)
    wide = [a.astype(np.float64) for a in (x, w, dy)]
    before = striate.get_conv_workspace()
    striate.set_conv_workspace(1 << 14)  # a megabyte would hold them all
    try:
        with pinned("widen"):
            y = _C.conv2d(x, w, **SAME)
            dx = _C.conv2d_bwd_data(dy, w, size=(12, 12), **SAME)
            dw = _C.conv2d_bwd_weight(x, dy, size=(3, 3), **SAME)
    finally:
        striate.set_conv_workspace(before)
    where = {"size": (12, 12), **SAME}
    np.testing.assert_allclose(y, _fwd(*wide[:2], **SAME), atol=1e-4)
    np.testing.assert_allclose(dx, _bwd_data(wide[2], wide[1], **where), atol=1e-4)
    where["size"] = (3, 3)
    np.testing.assert_allclose(dw, _bwd_weight(wide[0], wide[2], **where), atol=1e-3)


# --- tensors --------------------------------------------------------------------------------------

FUNCTIONS = [
    (F.conv1d, (2, 6, 11), (4, 6, 3), 4),
    (F.conv2d, (2, 6, 7, 8), (4, 6, 3, 3), 4),
    (F.conv_transpose1d, (2, 6, 11), (6, 4, 3), 4),
    (F.conv_transpose2d, (2, 6, 7, 8), (6, 4, 3, 3), 4),
]


def leaves(*shapes):
    """Tensors of values that bfloat16 holds."""
    rng = np.random.default_rng(4)
    return [striate.tensor(rng.standard_normal(s).astype(np.float32)).bfloat16() for s in shapes]


@pytest.mark.parametrize("function, x_shape, w_shape, k", FUNCTIONS)
def test_results_and_gradients_are_rounded_once(function, x_shape, w_shape, k):
    given = leaves(x_shape, w_shape, (k,))
    narrow = [t.detach().requires_grad_() for t in given]
    exact = [t.double().requires_grad_() for t in given]
    y, expected = function(*narrow, stride=2), function(*exact, stride=2)
    (seed,) = leaves(tuple(y.shape))
    y.backward(seed)
    expected.backward(seed.double())
    pairs = [(y, expected), *((a.grad, b.grad) for a, b in zip(narrow, exact, strict=True))]
    for got, right in pairs:
        assert got.dtype == striate.bfloat16
        np.testing.assert_allclose(
            got.detach().double().numpy(), right.detach().numpy(), rtol=1.01 * EPS, atol=1e-4
        )


@pytest.mark.parametrize("function, x_shape, w_shape, k", FUNCTIONS)
def test_autocast_rounds_operands_alone(function, x_shape, w_shape, k):
    rng = np.random.default_rng(5)
    given = [
        striate.tensor(rng.standard_normal(s).astype(np.float32)) for s in (x_shape, w_shape, (k,))
    ]
    x, w, b = (t.detach().requires_grad_() for t in given)
    with striate.autocast():
        y = function(x, w, b)
    rounded = [t.bfloat16().double().requires_grad_() for t in given[:2]]
    expected = function(*rounded, given[2].double())
    assert y.dtype == striate.float32
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    ones = np.ones(tuple(y.shape), np.float32)
    y.backward(striate.tensor(ones))
    expected.backward(striate.tensor(ones.astype(np.float64)))
    for t, r in zip((x, w), rounded, strict=True):
        assert t.grad.dtype == striate.float32
        np.testing.assert_allclose(t.grad.numpy(), r.grad.numpy(), rtol=1e-5, atol=1e-4)


def test_volumes_are_refused_and_unrounded_in_autocast():
    x, w = leaves((1, 2, 4, 4, 4), (3, 2, 2, 2, 2))
    with pytest.raises(TypeError, match=r"conv3d: input: expected float32 or float64"):
        F.conv3d(x, w)
    with striate.autocast():
        x, w = x.float() + 1e-3, w.float()
        inside = F.conv3d(x, w).numpy()
    np.testing.assert_array_equal(inside, F.conv3d(x, w).numpy())


def test_a_network_trains_in_autocast():
    striate.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    optimizer = striate.optim.SGD(model.parameters(), 0.1)
    rng = np.random.default_rng(6)
    x = striate.tensor(rng.standard_normal((32, 1, 8, 8)).astype(np.float32))
    y = striate.tensor(np.arange(32) % 4)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with striate.autocast():
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 16, 9, 9), (8, 16, 3, 3)))
    ours = F.conv2d(striate.tensor(x).bfloat16(), striate.tensor(w).bfloat16(), padding=1)
    theirs = torch.conv2d(torch.tensor(x).bfloat16(), torch.tensor(w).bfloat16(), padding=1)
    np.testing.assert_allclose(
        ours.float().numpy(), theirs.float().numpy(), rtol=2 * EPS, atol=1e-3
    )

# SPDX-License-Identifier: Apache-2.0
"""bfloat16: casts bit for bit, products on every way, gradients, autocast."""

import sys

import numpy as np
import pytest
import striate
from striate import _C, nn

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = np.dtype(ml_dtypes.bfloat16)
WAYS = [r["name"] for r in _C.rows() if r["op"] == "gemm_bf16" and not r["why_not"]]
TILES = [
    r["name"]
    for r in _C.rows()
    if r["op"] == "gemm" and r["kind"] == "kernel" and r["dtype"] == "float32" and not r["why_not"]
]
CASTS = [r["name"] for r in _C.rows() if r["op"] == "cast" and not r["why_not"]]
EPS = 2.0**-8  # half of the distance between neighbours, relative


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def low(*shape, seed=0):
    return _C.narrow(normal(*shape, seed=seed))


def close(got, a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    bound = 2.0**-23 * (a.shape[-1] + 6) * np.abs(a).max(initial=0) * np.abs(b).max(initial=0)
    assert np.all(np.abs(got - a @ b) <= bound + 1e-30)


@pytest.fixture
def threads_restored():
    before = _C.num_threads()
    yield
    _C.set_num_threads(before)


# --- casts ----------------------------------------------------------------------------------------


def special_floats():
    """Every exponent and sign with significands around the ties; infinities, NaN, denormals."""
    upper = np.arange(2**16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (upper[:, None] | lower).ravel().view(np.float32)


@pytest.mark.parametrize("row", [r for r in CASTS if "narrow" in r])
def test_narrow_rounds_to_nearest_even_and_keeps_nan(row):
    x = special_floats()
    with _C.pin_rows([row]):
        got = _C.narrow(x)
    nan = np.isnan(x)
    with np.errstate(all="ignore"):
        expected = x.astype(BF16)
    np.testing.assert_array_equal(got.view(np.uint16)[~nan], expected.view(np.uint16)[~nan])
    bits = got.view(np.uint16)[nan]
    assert np.all((bits & 0x7FC0) == 0x7FC0)  # quiet
    np.testing.assert_array_equal(bits >> 15, x.view(np.uint32)[nan] >> 31)


@pytest.mark.parametrize("row", [r for r in CASTS if "widen" in r])
def test_widen_is_exact(row):
    x = np.arange(2**16, dtype=np.uint16).view(BF16)
    with _C.pin_rows([row]):
        got = _C.widen(x)
    np.testing.assert_array_equal(got.view(np.uint32) >> 16, x.view(np.uint16))
    assert not np.any(got.view(np.uint32) & 0xFFFF)


def test_casts_take_any_strides():
    x = normal(7, 600)
    for view in (x[:, ::2], x.T, x[::-1, 3:], x[:0]):
        low_view = _C.narrow(view)
        np.testing.assert_array_equal(_C.widen(low_view), view.astype(BF16).astype(np.float32))


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tile", TILES)
def test_products_of_every_way_and_tile(way, tile):
    if way != "gemm_bf16_widen" and tile != TILES[-1]:
        pytest.skip("has a tile of its own")
    with _C.pin_rows([way, tile]):
        for m, n, k in [(1, 1, 1), (15, 33, 7), (84, 64, 512), (85, 65, 1025), (200, 40, 33)]:
            a, b = low(m, k), low(k, n, seed=1)
            close(_C.gemm(a, b), a, b)
            close(_C.gemm(low(k, m).T, b), low(k, m).T, b)
            close(_C.gemm(a, low(n, k, seed=1).T), a, low(n, k, seed=1).T)


@pytest.mark.parametrize("way", WAYS)
def test_strides_batches_and_out(way):
    with _C.pin_rows([way]):
        a, b = low(3, 20, 30)[:, ::2, ::3], low(3, 20, 34, seed=1)[:, ::2, ::2]
        close(_C.gemm(a, b), a, b)
        a, b = low(9, 13), low(13, 21, seed=1)
        out = np.full((21, 9), np.nan, np.float32)
        _C.gemm(a, b, out=out.T)
        close(out.T, a, b)
        rounded = np.full((9, 42), np.nan, BF16)
        _C.gemm(a, b, out=rounded[:, ::2])
        np.testing.assert_array_equal(rounded[:, ::2], _C.narrow(_C.gemm(a, b)))


@pytest.mark.parametrize("way", WAYS)
def test_epilogue(way):
    a, b, bias = low(9, 13), low(13, 21, seed=1), normal(21)
    with _C.pin_rows([way]):
        plain = _C.gemm(a, b)
        got = _C.gemm(a, b, bias=bias, activation="relu")
        np.testing.assert_allclose(got, np.maximum(plain + bias, 0), rtol=1e-5, atol=1e-6)
        out = np.ones((9, 21), np.float32)
        _C.gemm(a, b, alpha=2.0, beta=3.0, out=out)
        np.testing.assert_allclose(out, 2 * plain + 3, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_special_values_and_denormals(way):
    """NaN and infinities as float32 has them; denormals of operands and sums count as 0."""
    tiny = 2.0**-127
    a = _C.narrow(np.array([[np.nan, 1], [np.inf, 1], [np.inf, -np.inf], [tiny, 0]], np.float32))
    b = _C.narrow(np.array([[1.0], [1.0]], np.float32))
    with _C.pin_rows([way]):
        got = _C.gemm(a, b)[:, 0]
    np.testing.assert_array_equal(got, np.array([np.nan, np.inf, np.nan, 0], np.float32))


@pytest.mark.parametrize("way", WAYS)
def test_threads_do_not_change_a_bit(way, threads_restored):
    with _C.pin_rows([way]):
        for m, n, k in [(9, 700, 800), (190, 333, 700)]:
            a, b = low(m, k), low(k, n, seed=1)
            _C.set_num_threads(1)
            alone = _C.gemm(a, b)
            _C.set_num_threads(4)
            np.testing.assert_array_equal(_C.gemm(a, b), alone)


# --- tensors --------------------------------------------------------------------------------------


def test_a_tensor_in_bfloat16():
    t = striate.tensor([1.0, 2.0, 3.3], dtype=striate.bfloat16)
    assert t.dtype == striate.bfloat16 and t.is_floating_point()
    assert t.tolist() == [1.0, 2.0, 3.296875] and t[2].item() == 3.296875
    assert repr(t) == "tensor([1.0000, 2.0000, 3.2969], dtype=striate.bfloat16)"
    assert t.float().dtype == striate.float32
    assert t.float().to(striate.bfloat16).numpy().dtype == BF16
    assert t.float().bfloat16().tolist() == t.tolist()
    assert striate.finfo(striate.bfloat16).bits == 16


def test_result_types_are_pytorchs():
    low_type, one = striate.bfloat16, striate.ones(2, dtype="bfloat16")
    for other in (striate.float32, striate.float64):
        assert striate.result_type(one, striate.ones(2, dtype=other)) == other
    for other in (striate.int64, striate.uint8, striate.bool_):
        assert striate.result_type(one, striate.ones(2, dtype=other)) == low_type
    assert striate.result_type(one, 2.0) == low_type


def test_other_operations_say_what_to_do():
    x = striate.ones(2, 3, dtype="bfloat16")
    for call in (lambda: x + x, lambda: x * 2, lambda: nn.LSTM(3, 2)(x)):
        with pytest.raises(TypeError, match="float"):
            call()


def test_functions_that_make_floats_of_integers_make_float32_of_bfloat16():
    x = striate.tensor([-1.0, 2.0], dtype="bfloat16").requires_grad_()
    for function in (striate.relu, striate.exp, striate.abs):
        y = function(x)
        assert y.dtype == striate.float32 and y.requires_grad
        y.sum().backward()
    assert x.grad.dtype == striate.bfloat16


def test_files(tmp_path):
    t = striate.tensor(normal(3, 4)).bfloat16()
    striate.save({"t": t}, tmp_path / "t.safetensors")
    back = striate.load(tmp_path / "t.safetensors")["t"]
    assert back.dtype == striate.bfloat16
    np.testing.assert_array_equal(back.numpy(), t.numpy())


def test_without_ml_dtypes_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.delitem(striate.dtypes.__dict__, "bfloat16", raising=False)
    with pytest.raises(ImportError, match="ml_dtypes"):
        _ = striate.bfloat16


def test_matmul_and_linear_and_their_gradients_are_rounded_once():
    shapes = (5, 7), (6, 7), (6,)
    x, w, b = (striate.tensor(normal(*s, seed=i)).bfloat16() for i, s in enumerate(shapes))
    for t in (x, w, b):
        t.requires_grad_()
    y = nn.functional.linear(x, w, b)
    wx, ww, wb = (t.detach().float().numpy().astype(np.float64) for t in (x, w, b))
    seed = striate.tensor(normal(5, 6, seed=9)).bfloat16()
    g = seed.float().numpy().astype(np.float64)
    y.backward(seed)
    for got, expected in [
        (y, wx @ ww.T + wb), (x.grad, g @ ww), (w.grad, g.T @ wx), (b.grad, g.sum(0)),
    ]:  # fmt: skip
        assert got.dtype == striate.bfloat16
        np.testing.assert_allclose(
            got.detach().float().numpy(), expected, rtol=1.01 * EPS, atol=1e-5
        )
    product = x.detach() @ w.detach().T
    assert product.dtype == striate.bfloat16
    np.testing.assert_allclose(product.float().numpy(), wx @ ww.T, rtol=1.01 * EPS, atol=1e-5)


def test_gradients_that_meet_are_added():
    x = striate.ones(2, 2, dtype="bfloat16").requires_grad_()
    (x @ x).backward(striate.ones(2, 2, dtype="bfloat16"))
    assert x.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]
    (x @ x).backward(striate.ones(2, 2, dtype="bfloat16"))
    assert x.grad.tolist() == [[8.0, 8.0], [8.0, 8.0]]


def test_batched_products_repeat_and_their_gradients_sum():
    a, b = (
        striate.tensor(normal(3, 4, 5)).bfloat16(),
        striate.tensor(normal(5, 2, seed=1)).bfloat16(),
    )
    b.requires_grad_()
    y = a @ b
    y.backward(striate.ones(3, 4, 2, dtype="bfloat16"))
    expected = a.float().numpy().astype(np.float64).sum((0, 1))[:, None].repeat(2, 1)
    np.testing.assert_allclose(b.grad.float().numpy(), expected, rtol=1.01 * EPS, atol=1e-5)


def test_sums_are_refused():
    for call in (lambda x: x.sum(), lambda x: x.sum(0, keepdim=True)):
        with pytest.raises(TypeError, match=r"sum: x: .*bfloat16.*\.float\(\)"):
            call(striate.ones(2, 2, dtype="bfloat16"))


# --- autocast -------------------------------------------------------------------------------------


def test_autocast_rounds_operands_and_nothing_else():
    x, w = (striate.tensor(normal(*s)).requires_grad_() for s in ((5, 7), (7, 6)))
    rounded = [t.detach().bfloat16().float().numpy().astype(np.float64) for t in (x, w)]
    with striate.autocast(dtype=striate.bfloat16):
        assert striate.is_autocast_enabled()
        y = x @ w
        with striate.autocast(enabled=False):
            exact = x @ w
    assert y.dtype == striate.float32 and not striate.is_autocast_enabled()
    np.testing.assert_allclose(y.detach().numpy(), rounded[0] @ rounded[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(exact.detach().numpy(), (x @ w).detach().numpy())
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.ones((5, 6)) @ rounded[1].T, rtol=1e-5, atol=1e-5)
    assert w.grad.dtype == striate.float32
    with striate.autocast():
        one = striate.ones(2, 2, dtype=striate.float64)
        assert (one @ one).dtype == striate.float64


def test_a_network_trains_in_autocast():
    striate.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = striate.optim.SGD(model.parameters(), 0.5)
    x, y = striate.tensor(normal(32, 8)), striate.tensor(np.arange(32) % 3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with striate.autocast("cpu", dtype=striate.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad.dtype == striate.float32 for p in model.parameters())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_round_inputs_and_weights(kind):
    striate.manual_seed(0)
    net, x = getattr(nn, kind)(5, 6), striate.tensor(normal(4, 3, 5))
    with striate.autocast(), striate.no_grad():
        y = net(x)[0]
    with striate.no_grad():
        for p in net.parameters():
            if p.ndim == 2:
                p.copy_(p.bfloat16().float())
        expected = net(x.bfloat16().float())[0]
    np.testing.assert_array_equal(y.numpy(), expected.numpy())


def test_autocast_refuses_other_dtypes():
    with pytest.raises(TypeError, match="bfloat16"):
        striate.autocast(dtype=striate.float64)


def test_against_torch():
    torch = pytest.importorskip("torch")
    a, b = normal(33, 70), normal(70, 21, seed=1)
    ours = striate.tensor(a).bfloat16() @ striate.tensor(b).bfloat16()
    theirs = torch.tensor(a).bfloat16() @ torch.tensor(b).bfloat16()
    np.testing.assert_allclose(
        ours.float().numpy(), theirs.float().numpy(), rtol=2 * EPS, atol=1e-5
    )

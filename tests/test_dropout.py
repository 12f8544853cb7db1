# SPDX-License-Identifier: Apache-2.0
"""Random words against published ones; masks alike everywhere; what share is dropped."""

import numpy as np
import pytest
import striate
from striate import _C, Tensor, nn, ops
from striate.testing.cases.dropout import KEY, SEED, philox_reference, stays

# Random123 1.14, tests/kat_vectors, "philox4x32 10": counter, key, words
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip
ROWS = [r for r in _C.rows() if r["op"] == "dropout"]
ISAS = [isa for isa, why_not in _C.isas().items() if not why_not]


def words(text):
    return [int(w, 16) for w in text.split()]


def pinned(isa):
    return _C.pin_rows([r["name"] for r in ROWS if r["isa"] == isa])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_words(counter, key, expected, isa):
    c, k = words(counter), words(key)
    at = (k[0] | k[1] << 32, c[0] | c[1] << 32, c[2] | c[3] << 32, 4)
    with pinned(isa):
        assert _C.philox(*at).tolist() == words(expected)
    assert philox_reference(*at).tolist() == words(expected)


def kept(x, **options):
    return _C.dropout(x, 0.4, KEY, 1.0, **options) != 0


def test_masks_are_alike_everywhere():
    """On every ISA, for any number of threads, any memory order, both dtypes: bitwise."""
    shape = (3, 37, 21, 19)
    expected = stays(shape, 0.4)
    for isa in ISAS:
        for dtype in (np.float32, np.float64):
            for order in ((0, 1, 2, 3), (0, 2, 3, 1), (2, 0, 1, 3), (3, 2, 1, 0)):
                ones = np.ones([shape[i] for i in order], dtype).transpose(np.argsort(order))
                for threads in (1, 2, 5):
                    _C.set_num_threads(threads)
                    with pinned(isa):
                        assert np.array_equal(kept(ones), expected)


def test_results_are_bitwise_alike():
    x = np.random.default_rng(0).standard_normal((2, 37, 21, 19)).astype(np.float32)
    x[0, 0, 0, :3] = np.nan, np.inf, -0.0
    results = []
    for isa in ISAS:
        with pinned(isa):
            for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
                copy = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
                results.append(_C.dropout(copy, 0.4, KEY, 1 / 0.6))
    for other in results[1:]:
        assert np.array_equal(results[0].view(np.uint32), np.ascontiguousarray(other).view("u4"))


def test_in_place_out():
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 9)).astype(np.float32)
    for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
        y = x.transpose(order).copy().transpose(np.argsort(order))
        assert _C.dropout(y, 0.4, KEY, 2.0, out=y) is y
        assert np.array_equal(y, x * stays(x.shape, 0.4) * np.float32(2))


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_share(p):
    """Of n elements n p are dropped, within 5 standard deviations; neighbours are independent."""
    n = 400_000
    gone = striate.dropout(striate.ones(n), p).numpy() == 0
    spread = np.sqrt(n * p * (1 - p))
    assert abs(gone.sum() - n * p) < 5 * spread
    for lag in (1, 2, 3, 4, 32):  # a count of rare pairs is Poisson's: 6 above what is expected
        both = np.sum(gone[lag:] & gone[:-lag])
        assert abs(both - n * p * p) < 5 * p * np.sqrt(n * (1 + 2 * p)) + 6
    y = striate.dropout(striate.ones(n), p).mean().item()
    assert abs(y - 1) < 5 * np.sqrt(p / (1 - p) / n)


def test_alpha_dropout_keeps_mean_and_variance():
    x = striate.randn(300_000)
    for p in (0.05, 0.3, 0.7):
        y = striate.alpha_dropout(x, p, training=True).numpy()
        assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.03


def test_seed_and_state():
    x = striate.ones(100)
    striate.manual_seed(SEED)
    assert np.array_equal(striate.dropout(x).numpy() != 0, stays((100,), 0.5))
    state = striate.get_rng_state()
    first, second = striate.dropout(x).numpy(), striate.dropout(x).numpy()
    assert not np.array_equal(first, second)
    striate.set_rng_state(state)
    assert np.array_equal(striate.dropout(x).numpy(), first)


def test_channels():
    x = striate.ones(50, 40, 3, 5)
    for f, shape in (
        (ops.dropout1d, (50, 40, 15)),
        (ops.dropout2d, (50, 40, 3, 5)),
        (ops.dropout3d, (50, 40, 3, 5, 1)),
    ):
        striate.manual_seed(SEED)
        y = f(x.reshape(shape), 0.3).numpy()
        expected = stays((50, 40), 0.3).reshape(50, 40, 1) * np.float32(1 / 0.7)
        np.testing.assert_allclose(y.reshape(50, 40, 15), np.broadcast_to(expected, (50, 40, 15)))
    assert ops.dropout1d(striate.ones(6, 4), 0.5).shape == (6, 4)
    assert ops.dropout3d(striate.ones(6, 2, 2, 2), 0.5).shape == (6, 2, 2, 2)
    y = ops.feature_alpha_dropout(striate.randn(200, 200, 7), 0.3, training=True).numpy()
    assert np.all(np.isclose(y, y[:, :, :1]).all(-1) == np.isclose(y[:, :, 0], y[:, :, 1]))
    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.03


@pytest.mark.parametrize(
    "f", [ops.dropout, ops.dropout2d, ops.alpha_dropout, ops.feature_alpha_dropout]
)
def test_gradient_goes_where_values_went(f):
    x = striate.randn(2, 6, 4, 3, dtype=striate.float64).requires_grad_()
    striate.manual_seed(3)
    y = f(x, 0.4, training=True)
    (y * y).sum().backward()
    striate.manual_seed(3)
    one = f(Tensor(np.ones(x.shape)), 0.4, training=True).numpy()
    striate.manual_seed(3)
    zero = f(Tensor(np.zeros(x.shape)), 0.4, training=True).numpy()
    np.testing.assert_allclose(x.grad.numpy(), 2 * y.detach().numpy() * (one - zero), atol=1e-12)


def test_edges():
    x = striate.randn(5, 4)
    for f in (ops.dropout, ops.alpha_dropout):
        assert f(x, 0.5, training=False) is x
        assert f(x, 0.0, training=True) is x
        assert np.array_equal(f(x, 1.0, training=True).numpy(), np.zeros((5, 4)))
    assert np.array_equal(ops.dropout1d(x, 1.0).numpy(), np.zeros((5, 4)))
    bad = Tensor(np.array([np.nan, np.inf, 1], np.float32))
    assert np.isnan(ops.dropout(bad, 1.0).numpy()[:2]).all()
    leaf = striate.ones(3, requires_grad=True)
    ops.dropout(leaf, 1.0).sum().backward()
    assert np.array_equal(leaf.grad.numpy(), np.zeros(3))


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout],
)
def test_layers(layer):
    rank = {nn.Dropout1d: 3, nn.Dropout3d: 5}.get(layer, 4)
    x = striate.randn(*(4, 8, 2, 2, 2)[:rank])
    module = layer(0.5, inplace=True)
    assert repr(module) == f"{layer.__name__}(p=0.5, inplace=True)"
    striate.manual_seed(1)
    y = module(x)
    striate.manual_seed(1)
    assert np.array_equal(y.numpy(), module(x).numpy())
    assert not np.array_equal(y.numpy(), x.numpy())
    assert module.eval()(x) is x
    with pytest.raises(TypeError, match="inplace"):
        layer(0.5, inplace=1)

# SPDX-License-Identifier: Apache-2.0
"""Dropout, embeddings and normalisation against PyTorch, in both memory orders.

Dropout's masks are our own; its statistics, edges and refusals are PyTorch's.
"""

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

DROPOUTS = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"]
DROPOUTS += ["feature_alpha_dropout"]
SHAPES = {"dropout1d": (64, 32, 5), "dropout3d": (64, 32, 2, 2, 2)}


@pytest.mark.parametrize("p", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_values(name, p):
    """Both give an input of ones the same two values, in about the same shares."""
    ones = np.ones(SHAPES.get(name, (64, 32, 4, 3)))
    ours = getattr(ops, name)(Tensor(ones), p, training=True).numpy()
    theirs = getattr(F, name)(torch.from_numpy(ones), p, training=True).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-12, atol=1e-12)
    assert abs((ours == ours.min()).mean() - (theirs == theirs.min()).mean()) < 0.1


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_refuses_what_torch_refuses(name):
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="probability"):
            getattr(ops, name)(striate.ones(2, 3, 4), p, training=True)
        with pytest.raises((ValueError, RuntimeError)):
            getattr(F, name)(torch.ones(2, 3, 4), p, training=True)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_of_what_is_not_finite(p):
    x = np.array([np.nan, np.inf, -np.inf, 1.0] * 50)
    ours = ops.dropout(Tensor(x), p).numpy()
    theirs = F.dropout(torch.from_numpy(x), p).numpy()
    for a in (ours, theirs):
        assert np.isnan(a[::4]).all()
        assert (np.isnan(a[1::4]) | np.isposinf(a[1::4])).all()
    if p in (0.0, 1.0):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"])
def test_dropout_layers_look_alike(name):
    assert repr(getattr(nn, name)(0.3)) == repr(getattr(torch.nn, name)(0.3))


# --- embedding -----------------------------------------------------------------------------------


def check(ours, theirs, *arrays, tolerance=1e-12):
    """ours(*arrays) against theirs, and the gradients of a random weighting of the result."""
    mine = [Tensor(a.copy(order="K"), requires_grad=True) for a in arrays]
    other = [torch.from_numpy(a.copy(order="K")).requires_grad_() for a in arrays]
    got, expected = ours(*mine), theirs(*other)
    assert got.shape == tuple(expected.shape)
    np.testing.assert_allclose(
        got.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    weight = np.random.default_rng(1).standard_normal(got.shape)
    (got * Tensor(weight)).sum().backward()
    (expected * torch.from_numpy(weight)).sum().backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(
            a.grad.numpy(), b.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance
        )


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("padding_idx", [None, 0, 3, -1])
@pytest.mark.parametrize("by_frequency", [False, True])
@pytest.mark.parametrize("shape", [(), (7,), (4, 5), (0,), (3, 0), (2, 3, 4)], ids=str)
def test_embedding(shape, by_frequency, padding_idx):
    index = np.random.default_rng(0).integers(0, 6, shape)
    options = {"padding_idx": padding_idx, "scale_grad_by_freq": by_frequency}
    check(
        lambda w: ops.embedding(Tensor(index), w, **options),
        lambda w: F.embedding(torch.from_numpy(np.asarray(index)), w, **options),
        draw(6, 5),
    )
    check(
        lambda w: ops.embedding(Tensor(index.astype(np.int32)), w.t(), **options),
        lambda w: F.embedding(torch.from_numpy(np.asarray(index)), w.t(), **options),
        draw(5, 6),
    )


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
def test_embedding_max_norm(norm_type):
    index, w = np.array([[1, 4, 1], [0, 4, 4]]), draw(6, 5) * 2
    mine, other = Tensor(w.copy()), torch.from_numpy(w.copy())
    options = {"max_norm": 1.5, "norm_type": norm_type}
    ours = ops.embedding(Tensor(index), mine, **options)
    theirs = F.embedding(torch.from_numpy(index), other, **options)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-12)
    assert not np.array_equal(mine.numpy(), w)


def test_embedding_max_norm_counts_as_a_write():
    w = striate.randn(4, 3, requires_grad=True)
    y = (w * w).sum()
    ops.embedding(striate.tensor([1]), w, max_norm=1e-3)
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_embedding_keeps_its_numbers():
    """Writing to the input afterwards does not change where the gradient goes."""
    w, index = striate.zeros(3, 2, requires_grad=True), striate.tensor([1, 1])
    y = ops.embedding(index, w)
    index.zero_()
    y.sum().backward()
    assert w.grad.numpy().tolist() == [[0, 0], [2, 2], [0, 0]]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2])
@pytest.mark.parametrize("offsets", [[0], [0, 2, 2, 5], [0, 0, 3, 8], None], ids=str)
def test_embedding_bag(offsets, padding_idx, mode):
    shape = (8,) if offsets else (4, 5)
    index = np.random.default_rng(0).integers(0, 4, shape)
    cuts = None if offsets is None else np.array(offsets)
    options = {"mode": mode, "padding_idx": padding_idx}

    def ours(w, *share):
        return ops.embedding_bag(
            Tensor(index),
            w,
            cuts if cuts is None else Tensor(cuts),
            per_sample_weights=share[0] if share else None,
            **options,
        )

    def theirs(w, *share):
        return F.embedding_bag(
            torch.from_numpy(index),
            w,
            cuts if cuts is None else torch.from_numpy(cuts),
            per_sample_weights=share[0] if share else None,
            **options,
        )

    check(ours, theirs, draw(4, 3))
    if mode == "sum":
        check(ours, theirs, draw(4, 3), draw(*shape, seed=2))


@pytest.mark.parametrize("weighted", [False, True])
def test_embedding_bag_last_offset(weighted):
    index, cuts = np.array([1, 3, 1, 1, 0, 2]), np.array([0, 2, 6])
    options = {"include_last_offset": True, "mode": "sum"}

    def ours(w, s=None):
        options["per_sample_weights"] = s
        return ops.embedding_bag(Tensor(index), w, Tensor(cuts), **options)

    def theirs(w, s=None):
        options["per_sample_weights"] = s
        return F.embedding_bag(torch.from_numpy(index), w, torch.from_numpy(cuts), **options)

    check(ours, theirs, draw(4, 3), *([draw(6, seed=3)] if weighted else []))


def test_embedding_bag_max_of_ties_and_nan():
    w = np.array([[1.0, np.nan, 2.0], [1.0, 3.0, np.nan], [0.0, 4.0, 5.0]])
    index = np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    mine, other = Tensor(w, requires_grad=True), torch.from_numpy(w.copy()).requires_grad_()
    ours = ops.embedding_bag(Tensor(index), mine, mode="max")
    theirs = F.embedding_bag(torch.from_numpy(index), other, mode="max")
    np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
    ours.sum().backward(), theirs.sum().backward()
    np.testing.assert_array_equal(mine.grad.numpy(), other.grad.numpy())


def test_embedding_bag_by_frequency():
    """A row's gradient over how often it is met. PyTorch's CPU kernel takes other rows' counts."""
    index, cuts = Tensor(np.array([1, 3, 1, 1, 0, 2])), Tensor(np.array([0, 2]))
    grads = []
    for scaled in (False, True):
        w = Tensor(draw(5, 3), requires_grad=True)
        ops.embedding_bag(index, w, cuts, scale_grad_by_freq=scaled).sum().backward()
        grads.append(w.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0] / np.array([[1], [3], [1], [1], [1]]))


def test_embedding_bag_that_ends_early():
    """PyTorch leaves the rest out or in, by dtype and mode; here it is left out."""
    index, w = np.array([1, 3, 1, 1, 0, 2]), Tensor(draw(4, 3))
    options = {"include_last_offset": True, "mode": "mean"}
    short = ops.embedding_bag(Tensor(index), w, Tensor(np.array([0, 2, 5])), **options)
    np.testing.assert_allclose(short.numpy()[1], w.numpy()[[1, 1, 0]].mean(0))


def test_embedding_layers():
    w = draw(6, 4).astype(np.float32)
    for name, arguments in (("Embedding", {"padding_idx": 2}), ("EmbeddingBag", {"mode": "sum"})):
        ours = getattr(nn, name).from_pretrained(Tensor(w), **arguments)
        theirs = getattr(torch.nn, name).from_pretrained(torch.from_numpy(w), **arguments)
        index = np.array([[1, 2], [0, 5]])
        np.testing.assert_array_equal(
            ours(Tensor(index)).numpy(), theirs(torch.from_numpy(index)).numpy()
        )
        assert not ours.weight.requires_grad and ours.weight._array is w
        assert repr(ours) == repr(theirs)
        thawed = getattr(nn, name).from_pretrained(Tensor(w), freeze=False)
        assert thawed.weight.requires_grad
    fresh = nn.Embedding(1000, 20, padding_idx=-1)
    assert fresh.padding_idx == 999 and not fresh.weight.detach().numpy()[999].any()
    assert abs(fresh.weight.detach().numpy()[:999].std() - 1) < 0.02
    assert repr(nn.Embedding(5, 3, max_norm=1.0)) == repr(torch.nn.Embedding(5, 3, max_norm=1.0))


def test_one_hot():
    for shape in ((), (5,), (2, 3)):
        index = np.random.default_rng(0).integers(0, 4, shape)
        for classes in (-1, 4, 7):
            ours = ops.one_hot(Tensor(index), classes).numpy()
            theirs = F.one_hot(torch.from_numpy(np.asarray(index)), classes).numpy()
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    assert ops.one_hot(Tensor(np.zeros((0, 2), np.int64)), 3).shape == (0, 2, 3)

# SPDX-License-Identifier: Apache-2.0
"""Embeddings and other operations that go by integers, on a GPU."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import RNG, alike, normal
from striate import _C, nn


@pytest.mark.parametrize("n", [1, 5, 130, 300])
@pytest.mark.parametrize("shape", [(), (3,), (2, 7), (0,)])
def test_embedding(n, shape):
    index = RNG.integers(0, 9, shape)
    alike(lambda w, i: F.embedding(i, w), normal((9, n)), index)
    alike(lambda w, i: F.embedding(i, w, padding_idx=2), normal((9, n)), index)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_frequent_rows(dtype):
    """Groups longer than a run, whose sums NumPy makes in double; and the same bits each time."""
    index = np.where(RNG.random(3000) < 0.5, 4, RNG.integers(0, 11, 3000))
    dy = normal((3000, 3), dtype)
    arrays = [striate.tensor(a, device="cuda")._array for a in (dy, index)]
    made = _C.embedding_backward(*arrays, 12)
    want, size = np.zeros((12, 3)), np.zeros((12, 3))
    np.add.at(want, index, dy.astype("f8"))
    np.add.at(size, index, np.abs(dy))
    assert np.all(np.abs(made.get() - want) <= 40 * np.finfo(dtype).eps * size)
    assert not made.get()[11].any()
    assert made.get().tobytes() == _C.embedding_backward(*arrays, 12).get().tobytes()
    counts = np.maximum(np.bincount(index, None, 12), 1)[:, None]
    by_frequency = _C.embedding_backward(*arrays, 12, padding=4, by_frequency=True).get()
    want[4] = 0
    np.testing.assert_allclose(by_frequency, want / counts, 1e-4, 1e-5)


def test_rows_are_shortened():
    results = []
    for device in ("cpu", "cuda"):
        weight = striate.arange(12.0).reshape(4, 3).to(device)
        y = F.embedding(striate.tensor([1, 3, 1], device=device), weight, max_norm=2.0)
        results.append((y.tolist(), weight.tolist()))
    np.testing.assert_allclose(results[1][0], results[0][0], 1e-6)
    np.testing.assert_allclose(results[1][1], results[0][1], 1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_embedding_bag(mode, where):
    """Offsets on either device, empty bags, padding, and bags of one length."""
    index, offsets = RNG.integers(0, 9, 20), np.array([0, 3, 3, 11])

    def bags(w, **options):
        place = "cpu" if w.device == "cpu" else where
        cuts = striate.tensor(offsets, device=place)
        i = striate.tensor(index, device=w.device)
        return F.embedding_bag(i, w, cuts, mode=mode, **options)

    alike(bags, normal((9, 5)))
    alike(lambda w: bags(w, padding_idx=int(index[4])), normal((9, 33)))
    alike(lambda w, i: F.embedding_bag(i, w, mode=mode), normal((9, 5)), index.reshape(4, 5))
    if mode != "max":
        alike(lambda w: bags(w, scale_grad_by_freq=True), normal((9, 5)))


def test_embedding_bag_with_weights():
    index = RNG.integers(0, 9, (3, 4))

    def bags(w, share, **options):
        i = striate.tensor(index, device=w.device)
        return F.embedding_bag(i, w, mode="sum", per_sample_weights=share, **options)

    alike(bags, normal((9, 5)), normal((3, 4)))
    alike(lambda w, s: bags(w, s, padding_idx=int(index[1, 2])), normal((9, 5)), normal((3, 4)))


def test_indices_that_are_none():
    """With the words of the CPU, before a kernel runs."""
    table = striate.zeros(4, 3, device="cuda")
    for wrong in (4, -1, 2**40):
        index = striate.tensor([[0, 1, 3], [2, wrong, 7]])
        said = rf"embedding: input: expected 0 to 3, got {wrong} at index \(1, 1\)"
        for device in ("cpu", "cuda"):
            with pytest.raises(IndexError, match=said):
                F.embedding(index.to(device), table.to(device))
    with pytest.raises(IndexError, match="got 4 at index"):
        F.embedding_bag(striate.tensor([0, 4], device="cuda"), table, striate.tensor([0, 1]))
    empty = striate.zeros(0, 3, device="cuda")
    with pytest.raises(IndexError, match="the table being empty"):
        F.embedding(striate.tensor([0], device="cuda"), empty)
    with pytest.raises(ValueError, match="ascending numbers from 0 to 2"):
        _C.embedding_sum(table._array, striate.tensor([0, 1], device="cuda")._array,
                         np.array([0, 1]))  # fmt: skip
    with pytest.raises(TypeError, match="expected int64, got int32"):
        _C.embedding(table._array, striate.tensor([0], device="cuda", dtype="int32")._array)
    with pytest.raises(TypeError, match=r"one device, got weight .* cuda:0 and input .* cpu"):
        _C.embedding(table._array, np.array([0]))


@pytest.mark.parametrize("count", [5, 20000])
def test_labels_that_are_no_class(count):
    """The first of many, over more than one block."""
    labels = np.zeros(count, np.int64)
    labels[count // 2 :: 3] = 7
    for device in ("cpu", "cuda"):
        x = striate.zeros(count, 3, device=device)
        said = (
            rf"expected a class from 0 to 2, or ignore_index -1, got 7 at index \({count // 2},\)"
        )
        with pytest.raises(IndexError, match=said):
            F.cross_entropy(x, striate.tensor(labels, device=device), ignore_index=-1)


def test_every_label_ignored():
    x = striate.zeros(3, 4, device="cuda", requires_grad=True)
    labels = striate.full((3,), -100, dtype=striate.int64, device="cuda")
    assert np.isnan(F.cross_entropy(x, labels).item())
    assert F.cross_entropy(x, labels, reduction="sum").item() == 0
    assert np.isnan(F.cross_entropy(x[:0], labels[:0]).item())
    assert np.isnan(F.mse_loss(x[:0], x[:0]).item())


@pytest.mark.parametrize("shape", [(9, 1030), (3, 5, 4, 2), (2000, 3)])
def test_cross_entropy_against_numpy(shape):
    x = RNG.standard_normal(shape) * 4
    labels = RNG.integers(0, shape[1], (shape[0], *shape[2:]))
    there = striate.tensor(x, device="cuda", requires_grad=True)
    loss = F.cross_entropy(there, striate.tensor(labels, device="cuda"))
    loss.backward()
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    one = np.moveaxis(np.eye(shape[1])[labels], -1, 1)
    np.testing.assert_allclose(loss.item(), -(one * np.log(p)).sum() / labels.size, 1e-10)
    np.testing.assert_allclose(there.grad.cpu().numpy(), (p - one) / labels.size, 1e-9, 1e-12)


@pytest.mark.parametrize("n", [40000, 5])
def test_pointwise_losses_by_parts(n):
    x, target = RNG.standard_normal(n), RNG.standard_normal(n)
    there = [striate.tensor(a, device="cuda") for a in (x, target)]
    np.testing.assert_allclose(F.mse_loss(*there).item(), ((x - target) ** 2).mean(), 1e-12)
    total = F.l1_loss(*there, reduction="sum").item()
    np.testing.assert_allclose(total, np.abs(x - target).sum(), 1e-12)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 0, 1, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_has_the_bits_of_the_cpu(axes, dtype):
    """In C order, channels last and in any other order."""
    x = np.ascontiguousarray(normal((3, 5, 4, 7), dtype).transpose(axes))
    x = x.transpose(np.argsort(axes))
    there = striate.from_numpy(x).cuda()._array
    for options in ({}, {"kept": 0.25, "dropped": -2.0}):
        want = _C.dropout(x, 0.4, 12345, 1.5, **options)
        assert (
            _C.dropout(there, 0.4, 12345, 1.5, **options).get().tobytes()
            == np.ascontiguousarray(want).tobytes()
        )
    with pytest.raises(ValueError, match="dropout: p: expected a probability"):
        _C.dropout(there, 1.0, 1, 1.0)


@pytest.mark.parametrize("n", [7, 40000])
def test_gradients_are_clipped(n):
    for order in (2, 1, np.inf):
        results = []
        for device in ("cpu", "cuda"):
            p = [striate.zeros(n, device=device), striate.zeros(2, 3, device=device)]
            for k, t in enumerate(p):
                t.requires_grad_()
                g = np.sin(np.arange(t.numel(), dtype=np.float32) + k).reshape(t.shape) * 3
                t.grad = striate.tensor(g, device=device)
            total = nn.utils.clip_grad_norm_(p, 1.0, order)
            results.append([total.cpu().numpy(), *(t.grad.cpu().numpy() for t in p)])
        for here, there in zip(*results, strict=True):
            np.testing.assert_allclose(there, here, 1e-5, 1e-7)

# SPDX-License-Identifier: Apache-2.0
"""Ways through the drivers that the cases, being small and regular, do not take."""

import numpy as np
import pytest
from striate import _C
from striate.testing import guarded


def randn(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def images(array):
    """The same (N, C, H, W) in channels-last memory."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def wide(array):
    return array.astype(np.float64)


def zeros(*shape):
    return np.zeros(shape, np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", ["neither", "a", "b"])
def test_many_products_at_once(dtype, shared):
    """So many that threads take a product each; a batch of 1 is every product's."""
    a, b = randn(300, 24, 20, dtype=dtype), randn(300, 20, 28, dtype=dtype, seed=1)
    if shared != "neither":
        a, b = (a[:1], b) if shared == "a" else (a, b[:1])
    made = []
    for threads in (1, 3):
        _C.set_num_threads(threads)
        made.append(_C.gemm(a, b))
    assert np.array_equal(*made)
    most = 20 * np.abs(a).max() * np.abs(b).max()
    np.testing.assert_allclose(made[0], wide(a) @ wide(b), 0, 21 * np.finfo(dtype).eps * most)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beyond", [1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_columns_beyond_whole_vectors(dtype, beyond, turned):
    """They go by sums along k, with all that the others have: bias, old C, activation."""
    m, n, k = 61, 32 + beyond, 127
    a, b = randn(2, m, k, dtype=dtype), randn(n, k, dtype=dtype, seed=1).T
    old, bias = randn(2, m, n, dtype=dtype, seed=2), randn(n, dtype=dtype, seed=3)
    made = []
    for threads in (1, 3):
        _C.set_num_threads(threads)
        for activation in ("relu", "tanh"):
            out = old.copy()
            if turned:  # C lies by columns
                out = np.ascontiguousarray(out.transpose(0, 2, 1)).transpose(0, 2, 1)
            _C.gemm(a, b, bias, activation, beta=1.0, out=out)
            made.append(out)
    assert np.array_equal(made[0], made[2]) and np.array_equal(made[1], made[3])
    expected = wide(a) @ wide(b) + wide(old) + wide(bias)
    bound = (k + 3) * np.finfo(dtype).eps * (k * np.abs(a).max() * np.abs(b).max() + 8)
    np.testing.assert_allclose(made[0], np.maximum(expected, 0), 0, bound)
    np.testing.assert_allclose(made[1], np.tanh(expected), 0, bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n"), [(64, 40), (23, 130), (150, 17)])
def test_both_operands_along_the_sides_of_c(dtype, m, n):
    """A packed by columns, in more than one block of k, dense and not."""
    a, b = randn(15_000, m + 5, dtype=dtype), randn(15_000, n, dtype=dtype, seed=1)
    dense = np.ascontiguousarray(a[:, 3 : 3 + m])
    made = []
    with _C.pin_rows([f"gemm_f{8 * a.itemsize}_pack_ab"]):
        for left in (dense, a[:, 3 : 3 + m]):
            for threads in (1, 3):
                _C.set_num_threads(threads)
                made.append(_C.gemm(left.T, b))
    expected = wide(dense).T @ wide(b)
    most = 15_000 * np.abs(a).max() * np.abs(b).max()
    np.testing.assert_allclose(made[0], expected, 0, np.finfo(dtype).eps * most)
    for one, other in ((0, 1), (2, 3)):
        assert np.array_equal(made[one], made[other])
    np.testing.assert_allclose(made[2], expected, 0, np.finfo(dtype).eps * most)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", range(1, 33))
def test_columns_are_packed_to_the_end_of_memory(dtype, m):
    """The last column's whole vectors would reach beyond it: a page behind it can't be read."""
    a, b = randn(9, m, dtype=dtype), randn(9, 40, dtype=dtype, seed=1)
    with _C.pin_rows([f"gemm_f{8 * a.itemsize}_pack_ab"]):
        made = _C.gemm(guarded(a, "end").T, b)
    most = 9 * np.abs(a).max() * np.abs(b).max()
    np.testing.assert_allclose(made, wide(a).T @ wide(b), 0, 10 * np.finfo(dtype).eps * most)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_rows_by_any_threads(stride):
    x, w = images(randn(3, 40, 31, 29)), randn(40, 1, 3, 3, seed=1)
    options = {"stride": (stride,) * 2, "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 40}
    made = []
    for threads in (1, 2, 3):
        _C.set_num_threads(threads)
        y = _C.conv2d(x, w, None, **options)
        made.append((y, _C.conv2d_bwd_data(y, w, size=(31, 29), **options)))
    for y, dx in made[1:]:
        assert np.array_equal(y, made[0][0]) and np.array_equal(dx, made[0][1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_a_depthwise_convolution_from_many_rows(dtype):
    """More image rows than a part has: the parts' sums are added up."""
    x, dy = images(randn(5, 3, 13, 9, dtype=dtype)), images(randn(5, 3, 11, 7, dtype=dtype, seed=1))
    made = []
    for threads in (1, 2):
        _C.set_num_threads(threads)
        made.append(
            _C.conv2d_bwd_weight(
                x, dy, size=(3, 3), stride=(1, 1), padding=((0, 0),) * 2, dilation=(1, 1), groups=3
            )
        )
    assert np.array_equal(*made)
    windows = np.lib.stride_tricks.sliding_window_view(wide(x), (11, 7), (2, 3))
    expected = np.einsum("ncrspq,ncpq->crs", windows, wide(dy))[:, None]
    most = 385 * np.abs(x).max() * np.abs(dy).max()
    np.testing.assert_allclose(made[0], expected, 0, 386 * np.finfo(dtype).eps * most)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_one_sequence_in_rows_that_lie_apart(cell):
    """y with the other direction's columns beside it: written where it is wanted."""
    gates = {"lstm": 4, "gru": 3}.get(cell, 1)
    x, w = randn(5, 1, 4), (randn(gates * 3, 4, seed=1), randn(gates * 3, 3, seed=2))
    both = np.full((5, 1, 6), np.nan, np.float32)
    y = _C.rnn_forward(cell, x, *w)[0]
    assert _C.rnn_forward(cell, x, *w, out=both[..., 3:])[0].base is both
    assert np.array_equal(both[..., 3:], y) and np.all(np.isnan(both[..., :3]))


def test_gradients_of_empty_images():
    """Nothing was scaled or shifted, so those gradients are 0."""
    x, statistics = np.ones((2, 4, 0, 5), np.float32), np.ones((2, 2), np.float32)
    dx, dw, db = _C.group_norm_backward(x, x, statistics, statistics)
    assert dx.shape == x.shape
    assert np.array_equal(dw, [0] * 4) and np.array_equal(db, [0] * 4)
    x = np.ones((2, 0, 3), np.float32)
    none = np.ones((2, 1), np.float32)
    assert [g.shape for g in _C.group_norm_backward(x, x, none, none)] == [(2, 0, 3), (0,), (0,)]


@pytest.mark.parametrize("columns", [0, 2])
def test_embeddings_of_nothing(columns):
    """No rows, no columns or no bags: shapes that fit, and zeros where something is left."""
    rows = np.ones((3, columns), np.float32)
    assert _C.embedding(rows, zeros(0)).shape == (0, columns)
    assert _C.embedding(rows, zeros(2)).shape == (2, columns)
    for begin in ([0], [0, 0, 0]):
        shape = (len(begin) - 1, columns)
        total = _C.embedding_sum(rows, zeros(0), np.array(begin))
        most, which = _C.embedding_max(rows, zeros(0), np.array(begin))
        assert total.shape == most.shape == which.shape == shape
        assert not total.any() and not most.any() and np.all(which == -1)
        dw = _C.embedding_max_backward(np.ones(shape, np.float32), which, 3)
        assert np.array_equal(dw, np.zeros((3, columns)))
    assert _C.embedding_backward(rows[:0], zeros(0), 0).shape == (0, columns)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_without_steps(dtype):
    """CTC (Graves et al. 2006): the empty labelling is certain there, any other impossible."""
    loss, _ = _C.ctc_loss(np.zeros((4, 2, 3), dtype), zeros(1) + 1, zeros(2), np.array([0, 1]))
    assert np.array_equal(loss, [0, np.inf])


@pytest.mark.parametrize("images_in", [True, False])
def test_padding_keeps_channels_last_memory(images_in):
    x = randn(2, 3, 4)
    held = np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1) if images_in else x
    y = _C.pad(held, (1, 2, 0, 1), 7.0)
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (0, 1), (1, 2)), constant_values=7))
    assert (y.strides[1] == 4) == images_in


def test_a_long_copy_is_shared_by_threads():
    x = np.arange(1 << 19, dtype=np.float64)
    for threads in (1, 3):
        _C.set_num_threads(threads)
        y = _C.to_c_order(guarded(x, "end"))
        assert np.array_equal(y, x) and not np.shares_memory(x, y)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        *(
            (
                f"layer_norm: axes: expected 1 to 2 of x (2, 3), got {axes}",
                lambda axes=axes: _C.layer_norm(np.ones((2, 3), np.float32), axes, 1e-5),
            )
            for axes in (0, 3)
        ),
        *(
            (
                f"embedding_max_backward: which: expected -1 to 2, got {which}",
                lambda w=which: _C.embedding_max_backward(
                    np.ones((1, 1), np.float32), zeros(1, 1) + w, 3
                ),
            )
            for which in (-2, 3)
        ),
        (
            "embedding: input: expected no number at all, the table being empty, got 0 "
            "at index (0,)",
            lambda: _C.embedding(np.ones((0, 2), np.float32), zeros(1)),
        ),
        (
            "embedding: input: expected 0 to 2, got 3 at index (1, 0)",
            lambda: _C.embedding(np.ones((3, 2), np.float32), np.array([[0], [3]])),
        ),
        *(
            (
                f"ctc_loss: input_lengths[1]: expected 0 to 4, the steps of log_probs, got {n}",
                lambda n=n: _C.ctc_loss(
                    np.ones((4, 2, 3), np.float32), zeros(2) + 1, np.array([4, n]), zeros(2) + 1
                ),
            )
            for n in (-1, 5)
        ),
        *(
            (
                f"ctc_loss: target_lengths[1]: expected 0 to 1, the labels left, got {n}",
                lambda n=n: _C.ctc_loss(
                    np.ones((4, 2, 3), np.float32), zeros(2) + 1, zeros(2), np.array([1, n])
                ),
            )
            for n in (-1, 2)
        ),
        *(
            (
                "cross_entropy: target: expected a class from 0 to 2, or ignore_index -100, "
                f"got {label} at index (1, 0)",
                lambda n=label: _C.cross_entropy(
                    np.ones((2, 3, 1), np.float32), np.array([[0], [n]])
                ),
            )
            for label in (-1, 3)
        ),
    ],
)
def test_what_a_driver_refuses(words, call):
    with pytest.raises((ValueError, IndexError)) as error:
        call()
    assert str(error.value) == words

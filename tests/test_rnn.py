# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: what they refuse, and that neither threads nor slices change their results."""

import numpy as np
import pytest
import striate
from striate import _C, Tensor, nn
from striate.nn.utils import rnn as tools
from striate.testing import gradcheck

z = striate.zeros
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}


def drawn(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "projected"])
@pytest.mark.parametrize("lengths", [None, "some"])
def test_threads_do_not_change_gradients(kind, lengths):
    """Large enough for several threads at every step, forward and backward."""
    if kind == "projected":
        layer = nn.LSTM(40, 150, bidirectional=True, proj_size=60)
    else:
        layer = getattr(nn, kind)(40, 150, bidirectional=True)
    x = drawn(7, 64, 40)
    given = None if lengths is None else np.random.default_rng(1).integers(1, 8, 64).tolist()
    found = []
    for threads in (1, 2, 3, 5):
        _C.set_num_threads(threads)
        layer.zero_grad()
        leaf = Tensor(x, requires_grad=True)
        y, h = layer(leaf, lengths=given)
        h = h if isinstance(h, tuple) else (h,)
        total = (y * y).sum()
        for part in h:
            total = total + part.sum()
        total.backward()
        grads = [leaf.grad, *(p.grad for p in layer.parameters())]
        found.append([t.detach().numpy().copy() for t in (y, *h, *grads)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_batch_is_its_sequences(kind):
    """Each sequence gives the same alone, cut to its length, as in the batch."""
    layer = getattr(nn, kind)(5, 6, num_layers=2, bidirectional=True, dtype=np.float64)
    x = drawn(6, 4, 5, dtype=np.float64)
    lengths = [3, 6, 1, 4]
    y, h = layer(Tensor(x), lengths=lengths)
    ends = h if isinstance(h, tuple) else (h,)
    for n, length in enumerate(lengths):
        alone, h_alone = layer(Tensor(x[:length, n]))
        np.testing.assert_allclose(
            y.detach().numpy()[:length, n], alone.detach().numpy(), atol=1e-14
        )
        assert not y.detach().numpy()[length:, n].any()
        for a, b in zip(ends, h_alone if isinstance(h_alone, tuple) else (h_alone,), strict=True):
            np.testing.assert_allclose(a.detach().numpy()[:, n], b.detach().numpy(), atol=1e-14)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("lengths", [None, [2, 4, 1]])
def test_gradients_of_layers(kind, lengths):
    """Finite differences through two layers, two directions and the initial states."""
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, dtype=np.float64)
    layer.requires_grad_(False)  # the weights: see the cases
    states = [drawn(4, 3, 4, dtype=np.float64, seed=i) for i in range(2 if kind == "LSTM" else 1)]

    def run(x, *hx):
        y, h = layer(x, hx if kind == "LSTM" else hx[0], lengths=lengths)
        return (y, *(h if isinstance(h, tuple) else (h,)))

    gradcheck(run, [drawn(4, 3, 3, dtype=np.float64), *states])


def test_gradients_of_cells():
    for cell, count in ((nn.LSTMCell, 2), (nn.GRUCell, 1), (nn.RNNCell, 1)):
        step = cell(3, 5, dtype=np.float64).requires_grad_(False)
        hx = [drawn(2, 5, dtype=np.float64, seed=i) for i in range(count)]

        def run(x, *h, step=step, count=count):
            out = step(x, h if count == 2 else h[0])
            return out

        gradcheck(run, [drawn(2, 3, dtype=np.float64), *hx])


def test_without_gradients_the_results_are_the_same():
    for kind in ("LSTM", "GRU", "RNN"):
        layer = getattr(nn, kind)(5, 6, num_layers=2)
        x = Tensor(drawn(4, 3, 5))
        recorded = layer(x)[0].detach().numpy()
        with striate.no_grad():
            assert np.array_equal(layer(x)[0].numpy(), recorded)


def test_backward_twice_and_changes_in_place():
    layer = nn.LSTM(3, 4)
    x = Tensor(drawn(5, 2, 3))
    y, _ = layer(x)
    y.sum().backward(retain_graph=True)
    once = layer.weight_hh_l0.grad.numpy().copy()
    y.sum().backward()
    np.testing.assert_allclose(layer.weight_hh_l0.grad.numpy(), 2 * once, rtol=1e-6)
    y, _ = layer(x)
    with striate.no_grad():
        layer.weight_hh_l0.mul_(2.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_a_strided_input():
    layer = nn.GRU(3, 4)
    wide = drawn(5, 2, 6)
    dense = layer(Tensor(np.ascontiguousarray(wide[:, :, ::2])))[0].detach().numpy()
    assert np.array_equal(layer(Tensor(wide)[:, :, ::2])[0].detach().numpy(), dense)


def test_weights_that_are_not_numbers_are_seen():
    layer = nn.LSTM(3, 4)
    with striate.no_grad():
        layer.weight_hh_l0[0, 0] = float("nan")
    y, _ = layer(Tensor(drawn(2, 1, 3)))
    assert np.isnan(y.detach().numpy()[1]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_binding_adds_to_dx(cell):
    gates = {"lstm": 4, "gru": 3}.get(cell, 1)
    x, w_ih, w_hh = drawn(3, 2, 4), drawn(5 * gates, 4, seed=1), drawn(5 * gates, 5, seed=2)
    y, _, _, kept = _C.rnn_forward(cell, x, w_ih, w_hh, keep=True)
    call = (cell, y, None, None, x, y, kept, w_ih, w_hh)
    dx = _C.rnn_backward(*call)[0]
    out = np.ones_like(x)
    assert _C.rnn_backward(*call, beta=1.0, out=out)[0] is out
    np.testing.assert_allclose(out, dx + 1, rtol=1e-6, atol=1e-6)
    assert _C.rnn_backward(*call, dx=False, dweights=False, dstates=False) == (None,) * 8
    with pytest.raises(ValueError, match="beta: expected 0 or 1"):
        _C.rnn_backward(*call, beta=0.5, out=out)
    with pytest.raises(ValueError, match="beta: expected 0 where"):
        _C.rnn_backward(*call, beta=1.0)
    with pytest.raises(ValueError, match="dy: expected shape"):
        _C.rnn_backward(cell, y[:2], *call[2:])


# --- misuse ---------------------------------------------------------------------------------------

REFUSED = [
    (lambda: nn.LSTM(0, 4), ValueError, "LSTM: input_size: expected 1 or more, got 0"),
    (lambda: nn.GRU(3, -1), ValueError, "GRU: hidden_size: expected 1 or more, got -1"),
    (lambda: nn.GRU(3, 4, 0), ValueError, "GRU: num_layers"),
    (lambda: nn.GRU(3, 2.5), TypeError, "GRU: hidden_size: expected an integer"),
    (lambda: nn.RNN(3, 4, 1, "gelu"), ValueError, "RNN: nonlinearity: .*'tanh', 'relu'"),
    (lambda: nn.RNNCell(3, 4, True, "gelu"), ValueError, "RNNCell: nonlinearity"),
    (lambda: nn.LSTM(3, 4, dropout=1.5), ValueError, "LSTM: dropout: .*from 0 to 1"),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size: expected less than hidden_size"),
    (lambda: nn.GRU(3, 4, proj_size=2), TypeError, "proj_size"),
    (lambda: nn.LSTM(3, 4, dtype=np.int64), TypeError, "float32 or float64"),
    (lambda: nn.LSTM(3, 2**61), ValueError, "LSTM: weight: .*address space"),
    (lambda: nn.LSTM(3, 4)(z(5, 2, 4)), ValueError, "lstm: input: expected 3 values .* got 4"),
    (lambda: nn.LSTM(3, 4)(z(5)), ValueError, r"lstm: input: expected \(T, N, I\)"),
    (lambda: nn.LSTM(3, 4)([1.0]), TypeError, "lstm: input: expected a Tensor, got list"),
    (
        lambda: nn.LSTM(3, 4, batch_first=True)(z(5, 2, 3, 1)),
        ValueError,
        r"lstm: input: expected \(N, T, I\)",
    ),
    (lambda: nn.GRU(3, 4)(z(0, 2, 3)), ValueError, "gru: input: expected at least one step"),
    (lambda: nn.GRU(3, 4, batch_first=True)(z(2, 0, 3)), ValueError, "at least one step"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3).double()), TypeError, "gru: params.*float64.*float32"),
    (
        lambda: nn.GRU(3, 4)(z(5, 2, 3), z(1, 2, 4).double()),
        TypeError,
        "gru: hx.*float32.*float64",
    ),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), z(1, 3, 4)), ValueError, r"h_0.*\(1, 2, 4\).*\(1, 3, 4\)"),
    (lambda: nn.GRU(3, 4, 2)(z(5, 2, 3), z(1, 2, 4)), ValueError, r"h_0.*\(2, 2, 4\)"),
    (lambda: nn.LSTM(3, 4)(z(5, 2, 3), z(1, 2, 4)), TypeError, r"pair of tensors \(h_0, c_0\)"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), "state"), TypeError, "gru: hx: expected a tensor h_0"),
    (
        lambda: nn.LSTM(3, 4, proj_size=2)(z(5, 2, 3), (z(1, 2, 4), z(1, 2, 4))),
        ValueError,
        r"h_0: expected shape \(1, 2, 2\)",
    ),
    (lambda: nn.GRU(3, 4)(z(5, 3), z(1, 1, 4)), ValueError, "input .* has no batch"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), lengths=[5]), ValueError, "one a sequence, 2 in all"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), lengths=[5, 6]), ValueError, "from 1 to 5.*6 at 1"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), lengths=[0, 5]), ValueError, "from 1 to 5.*0 at 0"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), lengths=[-1, 5]), ValueError, "from 1 to 5.*-1 at 0"),
    (lambda: nn.GRU(3, 4)(z(5, 2, 3), lengths=[1.5, 5]), TypeError, "lengths: expected integers"),
    (lambda: nn.GRU(3, 4)(z(5, 3), lengths=[5]), ValueError, "rank 3 where lengths are given"),
    (lambda: nn.GRUCell(3, 4)(z(2, 5)), ValueError, "gru_cell: input: expected 3 values"),
    (lambda: nn.GRUCell(3, 4)(z(2, 3), z(3, 4)), ValueError, r"hx: h: expected shape \(2, 4\)"),
    (lambda: nn.GRUCell(3, 4)(z(2, 3, 1)), ValueError, r"\(N, I\) or \(I,\)"),
    (lambda: nn.LSTMCell(3, 4)(z(2, 3), z(2, 4)), TypeError, r"pair of tensors"),
    (lambda: nn.LSTMCell(3, 4)([1.0]), TypeError, "expected a Tensor, got list"),
    (
        lambda: striate.ops.gru_cell(z(2, 3), z(2, 4), z(12, 3), z(12, 4), z(12)),
        TypeError,
        "both biases",
    ),
    (lambda: striate.ops.gru_cell(z(2, 3), None, z(12, 3), z(12, 4)), TypeError, "hx"),
    (
        lambda: nn.Sequential(nn.LSTM(3, 4))(z(5, 2, 9)),
        ValueError,
        r"0 \(LSTM\): lstm: input: expected 3 values",
    ),
    (
        lambda: nn.GRU(3, 4)(tools.pack_sequence([z(2, 3), z(1, 3)]), lengths=[2, 1]),
        ValueError,
        "None with a PackedSequence",
    ),
    (
        lambda: nn.GRU(3, 4)(
            tools.pack_sequence([z(1, 3), z(2, 3)], enforce_sorted=False), z(1, 3, 4)
        ),
        ValueError,
        r"hx: expected \(layers \* directions, 2, size\)",
    ),
    (lambda: tools.pack_padded_sequence(z(5, 2), [2, 3]), ValueError, "enforce_sorted=False"),
    (lambda: tools.pack_padded_sequence(z(5), [2]), ValueError, r"\(T, N, \.\.\.\)"),
    (lambda: tools.pack_padded_sequence([1], [2]), TypeError, "expected a Tensor"),
    (lambda: tools.pack_padded_sequence(z(5, 0, 2), []), (TypeError, ValueError), "at least one"),
    (lambda: tools.pad_packed_sequence(z(2, 3)), TypeError, "expected a PackedSequence"),
    (
        lambda: tools.pad_packed_sequence(tools.pack_sequence([z(3, 2)]), total_length=2),
        ValueError,
        "total_length: expected 3",
    ),
    (lambda: tools.pad_sequence([]), ValueError, "at least one"),
    (lambda: tools.pad_sequence([z(2, 3), z(2, 4)]), ValueError, r"\(length, 3,\).*\(2, 4\)"),
    (lambda: tools.pad_sequence([z(2, 3), 4]), TypeError, "expected tensors, got int"),
    (lambda: tools.pad_sequence([z(2)], padding_side="top"), ValueError, "padding_side"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_sizes_whose_product_is_too_large():
    """Views with stride 0 reach sizes that no memory holds: refused before they are used."""
    w = np.zeros((1, 1), np.float32)
    huge = np.broadcast_to(np.zeros((1, 1, 1), np.float32), (2**31, 2**29, 1))
    with pytest.raises((ValueError, MemoryError)):
        _C.rnn_forward("rnn_tanh", huge, w, w)
    rows = np.broadcast_to(np.zeros((1, 1), np.float32), (4, 1))
    with pytest.raises(ValueError, match="batch_sizes"):
        _C.rnn_forward("rnn_tanh", rows, w, w, batch_sizes=np.array([2**62, 2**62, 2**62, 2**62]))
    wide = np.broadcast_to(np.zeros((1, 1), np.float32), (2**60, 1))
    with pytest.raises((ValueError, MemoryError)):
        _C.rnn_forward("lstm", np.zeros((2**3, 2**3, 1), np.float32), wide, wide)
    with pytest.raises(ValueError, match="cell: expected lstm, gru"):
        _C.rnn_forward("lsd", rows, w, w)


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.RNN])
def test_no_sequences_give_empty_results(make):
    layer = make(3, 4, num_layers=2, bidirectional=True)
    x = striate.zeros(5, 0, 3, requires_grad=True)
    y, state = layer(x)
    h = state[0] if make is nn.LSTM else state
    assert y.shape == (5, 0, 8) and h.shape == (4, 0, 4)
    y.sum().backward()
    assert x.grad.shape == (5, 0, 3)
    for p in layer.parameters():
        assert np.array_equal(p.grad.numpy(), np.zeros(p.shape, np.float32))


@pytest.mark.parametrize("make", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_of_no_rows_give_empty_results(make):
    cell = make(3, 4)
    made = cell(striate.zeros(0, 3))
    h = made[0] if make is nn.LSTMCell else made
    assert h.shape == (0, 4)
    h.sum().backward()
    assert all(not p.grad.numpy().any() for p in cell.parameters())

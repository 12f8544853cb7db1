# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers and cells on a GPU, against NumPy in float64 and the CPU device."""

import numpy as np
import pytest
import striate
from devices import normal
from striate import nn
from striate.nn.utils.rnn import pack_padded_sequence

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}
CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn_tanh": nn.RNNCell, "rnn_relu": nn.RNNCell}
every_kind = pytest.mark.parametrize("kind", LAYERS)


def made(kinds, kind, *sizes, device="cpu", **options):
    """The same weights at every call."""
    if kind.startswith("rnn"):
        options["nonlinearity"] = kind[4:]
    striate.manual_seed(4)
    return kinds[kind](*sizes, **options).to(device)


def computed(model, device, call, *hosts):
    """Results and gradients of call(model, leaves), which gives tensors, as NumPy arrays."""
    leaves = [striate.tensor(h, device=device, requires_grad=True) for h in hosts]
    results = call(model, *leaves)
    total = striate.zeros((), dtype=hosts[0].dtype, device=device)
    for i, y in enumerate(results):
        assert y.device.type == device
        slope = np.cos(np.arange(y.numel()) + i).reshape(y.shape).astype(hosts[0].dtype)
        total = total + (y * striate.tensor(slope, device=device)).sum()
    total.backward()
    grads = [t.grad for t in (*leaves, *model.parameters())]
    assert all(g.device.type == device for g in grads if g is not None)
    return [t.detach().cpu().numpy() for t in (*results, *grads) if t is not None]


def alike(make, call, *hosts):
    here, there = (computed(make(device=d), d, call, *hosts) for d in ("cpu", "cuda"))
    assert len(here) == len(there)
    exact = hosts[0].dtype == np.float64
    for a, b in zip(here, there, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        atol = (1e-12 if exact else 2e-5) * max(np.abs(a).max(initial=0), 1)
        np.testing.assert_allclose(b, a, 1e-11 if exact else 2e-4, atol)


def flat(results):
    y, h = results
    return (y, *h) if isinstance(h, tuple) else (y, h)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def steps(kind, model, x):
    """y and the last state in float64, by the equations of csrc/ops/lstm/lstm.h."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().cpu().numpy().astype("f8") for p in model.parameters())
    h = c = np.zeros((x.shape[1], w_hh.shape[1]))
    found = []
    for step in x.astype("f8"):
        given, kept = step @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if kind == "lstm":
            i, f, g, o = np.split(given + kept, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif kind == "gru":
            (r, z, n), (r_h, z_h, n_h) = np.split(given, 3, 1), np.split(kept, 3, 1)
            r, z = sigmoid(r + r_h), sigmoid(z + z_h)
            n = np.tanh(n + r * n_h)
            h = n + z * (h - n)
        else:
            h = np.tanh(given + kept) if kind == "rnn_tanh" else np.maximum(given + kept, 0)
        found.append(h)
    return np.stack(found), h, c


@every_kind
@pytest.mark.parametrize(("t", "n", "i", "h"), [(1, 1, 1, 1), (5, 3, 7, 9), (3, 5, 4, 33)])
def test_against_numpy(kind, t, n, i, h):
    model = made(LAYERS, kind, i, h, device="cuda")
    x = normal((t, n, i))
    with striate.no_grad():
        results = flat(model(striate.tensor(x, device="cuda")))
    for got, want in zip(results, steps(kind, model, x), strict=False):
        assert got.is_cuda
        np.testing.assert_allclose(got.cpu().numpy().reshape(want.shape), want, 2e-5, 2e-6)


@every_kind
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"num_layers": 2, "bidirectional": True},
        {"batch_first": True, "bidirectional": True},
    ],
    ids=str,
)
def test_layers(kind, options):
    def make(device):
        return made(LAYERS, kind, 6, 10, device=device, **options)

    alike(make, lambda model, x: flat(model(x)), normal((5, 4, 6)))


@every_kind
def test_float64(kind):
    options = {"dtype": striate.float64}
    model, x = made(LAYERS, kind, 7, 9, device="cuda", **options), normal((5, 3, 7), "f8")
    with striate.no_grad():
        results = flat(model(striate.tensor(x, device="cuda")))
    for got, want in zip(results, steps(kind, model, x), strict=False):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got.cpu().numpy().reshape(want.shape), want, 1e-12, 1e-13)
    options |= {"bidirectional": True, "num_layers": 2}
    if kind == "lstm":
        options["proj_size"] = 4

    def make(device):
        return made(LAYERS, kind, 7, 9, device=device, **options)

    def packed(model, x):
        y, h = model(pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False))
        return (y.data, *h) if isinstance(h, tuple) else (y.data, h)

    alike(make, lambda model, x: flat(model(x)), x)
    alike(make, packed, x)


@every_kind
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_precisions(kind, precision):
    before = striate.get_float32_precision()
    striate.set_float32_precision(precision)
    try:
        model = made(LAYERS, kind, 6, 10, device="cuda")
        x = normal((5, 4, 6))
        with striate.no_grad():
            got = flat(model(striate.tensor(x, device="cuda")))[0].cpu().numpy()
        want = steps(kind, model, x)[0]
        np.testing.assert_allclose(got, want, 0, 5e-6 if precision == "highest" else 2e-2)
    finally:
        striate.set_float32_precision(before)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
def test_initial_states(kind, bidirectional):
    shape = (2 if bidirectional else 1, 4, 10)

    def make(device):
        return made(LAYERS, kind, 6, 10, device=device, bidirectional=bidirectional)

    if kind == "lstm":
        call = lambda model, x, h, c: flat(model(x, (h, c)))  # noqa: E731
        alike(make, call, normal((3, 4, 6)), normal(shape), normal(shape))
    else:
        call = lambda model, x, h: flat(model(x, h))  # noqa: E731
        alike(make, call, normal((3, 4, 6)), normal(shape))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_projection(bidirectional):
    def make(device):
        options = {"proj_size": 4, "num_layers": 2, "bidirectional": bidirectional}
        return made(LAYERS, "lstm", 6, 10, device=device, **options)

    alike(make, lambda model, x: flat(model(x)), normal((5, 3, 6)))
    with striate.no_grad():
        x = normal((5, 3, 6))
        here, there = (
            make(d)(striate.tensor(x, device=d))[0].cpu().numpy() for d in ("cpu", "cuda")
        )
    np.testing.assert_allclose(there, here, 1e-4, 1e-5)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[5, 5, 4, 2, 1], [2, 5, 1, 3, 5]], ids=str)
def test_sequences_of_different_lengths(kind, bidirectional, lengths):
    def make(device):
        return made(LAYERS, kind, 6, 10, device=device, bidirectional=bidirectional)

    def call(model, x):
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, h = model(packed)
        return (y.data, *h) if isinstance(h, tuple) else (y.data, h)

    alike(make, call, normal((5, 5, 6)))
    alike(make, lambda model, x: flat(model(x, lengths=lengths)), normal((5, 5, 6)))
    if kind == "lstm":
        state = normal((2 if bidirectional else 1, 5, 10))

        def with_states(model, x, h):
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            y, ends = model(packed, (h, h * 0.5))
            return (y.data, *ends)

        alike(make, with_states, normal((5, 5, 6)), state)


@every_kind
def test_more_rows_than_one_step_sums(kind):
    """The biases' gradients are sums of more than 1024 rows."""

    def make(device):
        return made(LAYERS, kind, 2, 3, device=device)

    alike(make, lambda model, x: flat(model(x)), normal((3, 700, 2)))


def test_products_in_parts():
    """Of many units the sums are cut, forward and backward."""

    def make(device):
        return made(LAYERS, "gru", 1100, 8, device=device)

    alike(make, lambda model, x: flat(model(x)), 0.1 * normal((2, 2, 1100)))

    def projected(device):
        return made(LAYERS, "lstm", 3, 1030, proj_size=2, device=device)

    alike(projected, lambda model, x: flat(model(x)), normal((1, 2, 3)))


@every_kind
@pytest.mark.parametrize("bias", [False, True])
def test_cells(kind, bias):
    def make(device):
        return made(CELLS, kind, 6, 10, bias=bias, device=device)

    x = [normal((4, 6)), normal((4, 6))]
    if kind == "lstm":

        def call(cell, a, b, h, c):
            return cell(b, cell(a, (h, c)))

        alike(make, call, *x, normal((4, 10)), normal((4, 10)))
    else:
        alike(make, lambda cell, a, b, h: (cell(b, cell(a, h)),), *x, normal((4, 10)))


@every_kind
def test_only_some_gradients(kind):
    """Of weights alone, and of x alone."""
    x = normal((4, 3, 6))
    for of_weights in (False, True):
        found = []
        for device in ("cpu", "cuda"):
            model = made(LAYERS, kind, 6, 10, device=device)
            for p in model.parameters():
                p.requires_grad_(of_weights)
            t = striate.tensor(x, device=device, requires_grad=not of_weights)
            flat(model(t))[1].sum().backward()  # nothing comes to y
            grads = [p.grad for p in model.parameters()] if of_weights else [t.grad]
            found.append([g.cpu().numpy() for g in grads])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(b, a, 2e-4, 2e-5)


@every_kind
def test_no_sequences(kind):
    def make(device):
        return made(LAYERS, kind, 6, 10, device=device)

    alike(make, lambda model, x: flat(model(x)), normal((4, 0, 6)))


@every_kind
def test_memory_orders(kind):
    def make(device):
        return made(LAYERS, kind, 6, 10, device=device)

    alike(make, lambda model, x: flat(model(x.permute(2, 0, 1))), normal((3, 6, 4)))
    alike(make, lambda model, x: flat(model(x[:, ::2])), normal((4, 5, 6)))


def test_refusals():
    model, x = nn.LSTM(3, 4), striate.ones(2, 1, 3, device="cuda")
    with pytest.raises(TypeError, match="one device"):
        model(x)
    with pytest.raises(TypeError, match=r"gru: .*float64"):
        nn.GRU(3, 4).to("cuda")(x.double())
    with pytest.raises(ValueError, match="the input size"):
        model.to("cuda")(striate.ones(2, 1, 5, device="cuda"))

# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers, cells and packed sequences against PyTorch: results and every gradient."""

import itertools
import warnings

import numpy as np
import pytest
import striate
from striate import Tensor, nn
from striate.nn.utils import rnn as tools

torch = pytest.importorskip("torch")
their_tools = torch.nn.utils.rnn
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's, of its own speed

KINDS = {
    "LSTM": ("LSTM", {}),
    "LSTM_proj": ("LSTM", {"proj_size": 3}),
    "GRU": ("GRU", {}),
    "RNN_tanh": ("RNN", {}),
    "RNN_relu": ("RNN", {"nonlinearity": "relu"}),
}
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}


def pair_of(name, *sizes, dtype=np.float64, **options):
    """Our module and theirs, with the same weights."""
    ours = getattr(nn, name)(*sizes, dtype=dtype, **options)
    theirs = getattr(torch.nn, name)(*sizes, dtype=torch_dtype(dtype), **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def torch_dtype(dtype):
    return {np.float32: torch.float32, np.float64: torch.float64}[dtype]


def drawn(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(array):
    """A leaf of ours and one of theirs."""
    return (
        Tensor(array.copy(), requires_grad=True),
        torch.from_numpy(array.copy()).requires_grad_(),
    )


def leaves(result):
    """The floating tensors of a result, in order."""
    if isinstance(result, (tools.PackedSequence, their_tools.PackedSequence)):
        return [result.data]
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in leaves(part)]
    return [result]


def close(a, b, tolerance, what):
    a, b = (np.asarray(t.detach().numpy()) for t in (a, b))
    assert a.shape == b.shape and a.dtype == b.dtype, what
    scale = max(1.0, float(np.max(np.abs(b), initial=0)))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def compare(got, expected, inputs, ours, theirs, tolerance):
    """Results, then the gradients of a random weighting of all of them."""
    got, expected = leaves(got), leaves(expected)
    assert len(got) == len(expected)
    mine, other = None, None
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        close(a, b, tolerance, f"result {i}")
        weight = drawn(100 + i, *a.shape, dtype=a.dtype)
        part, their_part = (a * Tensor(weight)).sum(), (b * torch.from_numpy(weight)).sum()
        mine = part if mine is None else mine + part
        other = their_part if other is None else other + their_part
    mine.backward()
    other.backward()
    for i, (a, b) in enumerate(inputs):
        close(a.grad, b.grad, 10 * tolerance, f"gradient of input {i}")
    named = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, a), (their_name, b) in named:
        assert name == their_name
        close(a.grad, b.grad, 10 * tolerance, f"gradient of {name}")


def states(kind, ours, batch, dtype, with_batch=True):
    """Initial states, (ours, theirs) each, and as the arguments of forward."""
    layers = ours.num_layers * (2 if ours.bidirectional else 1)
    widths = [ours.proj_size or ours.hidden_size]
    if kind.startswith("LSTM"):
        widths.append(ours.hidden_size)
    shapes = [(layers, batch, n) if with_batch else (layers, n) for n in widths]
    made = [both(drawn(10 + i, *s, dtype=dtype)) for i, s in enumerate(shapes)]
    if len(made) == 1:
        return made, made[0][0], made[0][1]
    return made, tuple(a for a, _ in made), tuple(b for _, b in made)


OPTIONS = [
    {"num_layers": layers, "bidirectional": both_ways, "bias": bias, "batch_first": first}
    for layers, both_ways, bias, first in itertools.product(
        (1, 2), (False, True), (True, False), (False, True)
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", ["padded", "lengths", "packed"])
def test_layers(kind, options, given):
    name, more = KINDS[kind]
    dtype = np.float32 if options["bias"] else np.float64
    ours, theirs = pair_of(name, 5, 7, dtype=dtype, **options, **more)
    shape = (3, 6, 5) if options["batch_first"] else (6, 3, 5)
    lengths = [4, 6, 1]
    x = both(drawn(0, *shape, dtype=dtype))
    made, mine, other = states(kind, ours, 3, dtype)
    first = options["batch_first"]
    if given == "padded":
        got, expected = ours(x[0], mine), theirs(x[1], other)
    elif given == "packed":
        pack = {"batch_first": first, "enforce_sorted": False}
        got = ours(tools.pack_padded_sequence(x[0], lengths, **pack), mine)
        expected = theirs(
            their_tools.pack_padded_sequence(x[1], torch.tensor(lengths), **pack), other
        )
        for part in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            a, b = getattr(got[0], part), getattr(expected[0], part)
            assert np.array_equal(a.numpy(), b.numpy()) and a.dtype == np.int64
    else:
        got = ours(x[0], mine, lengths=lengths)
        packed = their_tools.pack_padded_sequence(
            x[1], torch.tensor(lengths), batch_first=first, enforce_sorted=False
        )
        y, ends = theirs(packed, other)
        expected = their_tools.pad_packed_sequence(y, batch_first=first)[0], ends
    compare(got, expected, [x, *made], ours, theirs, TOLERANCE[dtype])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_single_sequence(kind, bidirectional, with_state):
    name, more = KINDS[kind]
    ours, theirs = pair_of(name, 4, 6, num_layers=2, bidirectional=bidirectional, **more)
    x = both(drawn(0, 5, 4))
    made, mine, other = states(kind, ours, 1, np.float64, with_batch=False)
    if not with_state:
        made, mine, other = [], None, None
    compare(ours(x[0], mine), theirs(x[1], other), [x, *made], ours, theirs, 1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 20, 3, 5), (40, 1, 8, 33), (40, 50, 20, 100)])
@pytest.mark.parametrize("reverse", [False, True])
def test_sizes(kind, shape, reverse):
    """Without an initial state; the last is cut into several chunks of steps."""
    steps, batch, inputs, hidden = shape
    name, more = KINDS[kind]
    if "proj_size" in more:
        more = {"proj_size": hidden // 2}
    if more.get("proj_size") == 0:
        pytest.skip("no projection to 0")
    ours, theirs = pair_of(name, inputs, hidden, bidirectional=reverse, **more)
    x = both(drawn(0, steps, batch, inputs))
    compare(ours(x[0]), theirs(x[1]), [x], ours, theirs, 1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_end_counts(kind):
    """A loss of h_n alone, of one direction's h_n, or of c_n: other gradients never arrive."""
    name, more = KINDS[kind]
    for which in range(3):
        ours, theirs = pair_of(name, 4, 6, bidirectional=True, **more)
        x = both(drawn(0, 5, 3, 4))
        _, mine = ours(x[0])
        _, other = theirs(x[1])
        mine, other = leaves(mine), leaves(other)
        if which == 2:
            mine, other = mine[-1], other[-1]
        else:
            mine, other = mine[0][which : which + 1], other[0][which : which + 1]
        compare(mine, other, [x], ours, theirs, 1e-11)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_long_sequences_of_different_lengths(kind):
    """Chunks of steps that have fewer and fewer rows, in both directions."""
    ours, theirs = pair_of(kind, 6, 100, bidirectional=True)
    x = both(drawn(0, 50, 40, 6))
    lengths = np.random.default_rng(0).integers(1, 51, 40)
    lengths[7] = 50
    got = ours(x[0], lengths=lengths.tolist())
    packed = their_tools.pack_padded_sequence(x[1], torch.from_numpy(lengths), enforce_sorted=False)
    y, ends = theirs(packed)
    compare(got, (their_tools.pad_packed_sequence(y)[0], ends), [x], ours, theirs, 1e-10)
    with striate.no_grad():  # nothing is kept, the gates lie elsewhere
        again = ours(x[0].detach(), lengths=lengths.tolist())
    for a, b in zip(leaves(got), leaves(again), strict=True):
        assert np.array_equal(a.detach().numpy(), b.numpy())


def test_only_some_gradients_are_wanted():
    ours, theirs = pair_of("LSTM", 4, 6, num_layers=2)
    for module in (ours, theirs):
        module.weight_hh_l0.requires_grad_(False)
        module.bias_ih_l1.requires_grad_(False)
    x = drawn(0, 5, 3, 4)
    h = both(drawn(1, 2, 3, 6))
    c = drawn(2, 2, 3, 6)
    y, _ = ours(Tensor(x), (h[0], Tensor(c)))
    z, _ = theirs(torch.from_numpy(x), (h[1], torch.from_numpy(c)))
    y.sum().backward()
    z.sum().backward()
    close(h[0].grad, h[1].grad, 1e-11, "h")
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            close(a.grad, b.grad, 1e-10, name)


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("batch", [None, 1, 9])
def test_cells(name, bias, dtype, nonlinearity, batch):
    if nonlinearity == "relu" and name != "RNNCell":
        pytest.skip("only RNNCell has a choice")
    more = {"nonlinearity": nonlinearity} if name == "RNNCell" else {}
    ours, theirs = pair_of(name, 5, 19, bias=bias, dtype=dtype, **more)
    lead = () if batch is None else (batch,)
    x = both(drawn(0, *lead, 5, dtype=dtype))
    made = [both(drawn(i, *lead, 19, dtype=dtype)) for i in range(1, 3 if "LSTM" in name else 2)]
    mine, other = (tuple(m[i] for m in made) for i in range(2))
    if len(made) == 1:
        mine, other = mine[0], other[0]
    for _ in range(3):
        mine, other = ours(x[0], mine), theirs(x[1], other)
    compare(mine, other, [x, *made], ours, theirs, TOLERANCE[dtype])
    compare(ours(x[0]), theirs(x[1]), [], ours, theirs, TOLERANCE[dtype])


def test_what_lies_behind_the_end_is_never_read():
    ours, _ = pair_of("GRU", 4, 6, bidirectional=True)
    x = drawn(0, 5, 3, 4)
    lengths = Tensor(np.array([2, 5, 3]))
    clean = Tensor(x.copy(), requires_grad=True)
    for n, length in enumerate((2, 5, 3)):
        x[length:, n] = np.nan
    dirty = Tensor(x, requires_grad=True)
    for t in (clean, dirty):
        y, h = ours(t, lengths=lengths)
        assert not y.detach().numpy()[2:, 0].any()
        (y.sum() + h.sum()).backward()
    assert np.array_equal(clean.grad.numpy(), dirty.grad.numpy())
    assert not dirty.grad.numpy()[3:, 2].any()
    for p in ours.parameters():
        assert np.isfinite(p.grad.numpy()).all()


def test_dropout_between_layers():
    """All or nothing is no chance: 1 leaves the second layer without input, 0 is none."""
    x = Tensor(drawn(0, 5, 3, 4))
    striate.manual_seed(3)
    lstm = nn.LSTM(4, 6, num_layers=2, dropout=0.5, dtype=np.float64)
    plain = nn.LSTM(4, 6, num_layers=2, dtype=np.float64)
    plain.load_state_dict(lstm.state_dict())
    expected = plain(x)[0].detach().numpy()
    assert not np.array_equal(lstm(x)[0].detach().numpy(), expected)
    lstm.eval()
    assert np.array_equal(lstm(x)[0].detach().numpy(), expected)
    lstm.train()
    lstm.dropout = 1.0
    theirs = torch.nn.LSTM(4, 6, num_layers=2, dropout=1.0, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in lstm.state_dict().items()})
    y, _ = theirs(torch.from_numpy(x.numpy()))
    np.testing.assert_allclose(lstm(x)[0].detach().numpy(), y.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda m: m.LSTM(5, 7),
        lambda m: m.LSTM(5, 7, 2, False, True, 0.25, True, 3),
        lambda m: m.GRU(5, 7, 2, dropout=0.5),
        lambda m: m.RNN(5, 7, 1, "relu", bias=False),
        lambda m: m.RNN(5, 7, bidirectional=True, batch_first=True),
        lambda m: m.LSTMCell(5, 7),
        lambda m: m.GRUCell(5, 7, False),
        lambda m: m.RNNCell(5, 7, nonlinearity="relu"),
        lambda m: m.RNNCell(5, 7, False, "tanh"),
    ],
)
def test_repr_and_parameters(build):
    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    bound = 1 / np.sqrt(7)
    for name, value in mine.items():
        assert value.shape == tuple(other[name].shape)
        assert np.abs(value.numpy()).max() <= bound
    spread = np.concatenate([v.numpy().ravel() for v in mine.values()])
    assert spread.min() < -0.8 * bound and spread.max() > 0.8 * bound
    if hasattr(theirs, "all_weights"):
        assert [len(w) for w in ours.all_weights] == [len(w) for w in theirs.all_weights]


def test_their_weights_load_into_ours_and_back():
    ours = nn.LSTM(5, 7, 2, bidirectional=True, proj_size=2)
    theirs = torch.nn.LSTM(5, 7, 2, bidirectional=True, proj_size=2)
    theirs.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in ours.state_dict().items()})
    x = drawn(0, 4, 2, 5, dtype=np.float32)
    y, _ = ours(Tensor(x))
    close(y, theirs(torch.from_numpy(x))[0], 1e-6, "y")


def test_a_warning_where_dropout_does_nothing():
    with pytest.warns(UserWarning, match="num_layers=1"):
        nn.GRU(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(3, 4, 2, dropout=0.5)


# --- sequences of different lengths ---------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
@pytest.mark.parametrize("tail", [(), (3,), (2, 4)])
def test_pack_and_pad(batch_first, enforce_sorted, tail):
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 1, 5, 3]
    x = both(drawn(0, *((4, 6) if batch_first else (6, 4)), *tail))
    options = {"batch_first": batch_first, "enforce_sorted": enforce_sorted}
    ours = tools.pack_padded_sequence(x[0], Tensor(np.array(lengths)), **options)
    theirs = their_tools.pack_padded_sequence(x[1], torch.tensor(lengths), **options)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a.detach().numpy(), b.detach().numpy())
    for total in (None, 5, 8):
        more = {"batch_first": batch_first, "padding_value": -2.5, "total_length": total}
        a, n = tools.pad_packed_sequence(ours, **more)
        b, m = their_tools.pad_packed_sequence(theirs, **more)
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
        assert np.array_equal(n.numpy(), m.numpy())
        weight = drawn(1, *a.shape)
        (a * Tensor(weight)).sum().backward(retain_graph=True)
        (b * torch.from_numpy(weight)).sum().backward(retain_graph=True)
    assert np.array_equal(x[0].grad.numpy(), x[1].grad.numpy())
    assert ours.float().data.dtype == np.float32 and ours.to(np.float32).double().data.ndim


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(batch_first, side):
    parts = [both(drawn(i, n, 3)) for i, n in enumerate((2, 5, 1))]
    options = {"batch_first": batch_first, "padding_value": 7.0, "padding_side": side}
    ours = tools.pad_sequence([a for a, _ in parts], **options)
    theirs = their_tools.pad_sequence([b for _, b in parts], **options)
    assert np.array_equal(ours.detach().numpy(), theirs.detach().numpy())
    weight = drawn(9, *ours.shape)
    (ours * Tensor(weight)).sum().backward()
    (theirs * torch.from_numpy(weight)).sum().backward()
    for a, b in parts:
        assert np.array_equal(a.grad.numpy(), b.grad.numpy())


def test_pack_sequence_and_back():
    parts = [drawn(i, n, 3) for i, n in enumerate((2, 5, 1))]
    ours = tools.pack_sequence([Tensor(p) for p in parts], enforce_sorted=False)
    theirs = their_tools.pack_sequence([torch.from_numpy(p) for p in parts], enforce_sorted=False)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    for a, b in zip(tools.unpack_sequence(ours), parts, strict=True):
        assert np.array_equal(a.numpy(), b)
    padded = tools.pad_sequence([Tensor(p) for p in parts])
    for a, b in zip(tools.unpad_sequence(padded, [2, 5, 1]), parts, strict=True):
        assert np.array_equal(a.numpy(), b)
    whole = [Tensor(np.arange(n)) for n in (4, 2)]
    assert tools.pack_sequence(whole).data.dtype == np.int64
    order = Tensor(np.array([2, 0, 1]))
    assert np.array_equal(tools.invert_permutation(order).numpy(), [1, 2, 0])

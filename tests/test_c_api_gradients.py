# SPDX-License-Identifier: Apache-2.0
"""The C interface: gradients against differences of forward functions, and these against NumPy.

All in float64 but where a dtype is named: the kernels have tests of their own, these are of what
the interface puts where.
"""

import ctypes

import numpy as np
import pytest
from capi import (
    RNN_GRADIENTS,
    Conv3d,
    CrossEntropy,
    Epilogue,
    Rnn,
    RnnGradients,
    Step,
    call,
    close,
    double,
    held,
    integers,
    load,
    nhwc,
    randn,
    refused,
)


@pytest.fixture(scope="module")
def lib():
    return load()


def d(*shape, seed=0):
    return randn(*shape, dtype=np.float64, seed=seed)


def nans(*shape, dtype=np.float64):
    return np.full(shape, np.nan, dtype)


def strided(array):
    """The same values, every second element of their memory along the last axis."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def check_gradients(forward, arrays, dy, gradients):
    """gradients[i] against a central difference of <dy, forward(*arrays)> in a random direction."""
    for i, gradient in enumerate(gradients):
        if gradient is None:
            continue
        assert gradient.shape == arrays[i].shape
        direction, step = d(*arrays[i].shape, seed=40 + i), 1e-5
        sides = []
        for sign in (1, -1):
            moved = list(arrays)
            moved[i] = arrays[i] + sign * step * direction
            sides.append(float((forward(*moved) * dy).sum()))
        expected = (sides[0] - sides[1]) / (2 * step)
        found = float((gradient * direction).sum())
        assert abs(found - expected) <= 1e-6 * (1 + abs(expected)), (i, found, expected)


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pad_binary_sum_and_norms(lib, dtype):
    x = randn(2, 3, 4, dtype=dtype)
    before, after = np.array([0, 1, -1]), np.array([2, -1, 0])
    y = nans(4, 3, 3, dtype=dtype)
    call(lib, "pad", x, integers(before), integers(after), double(7), y)
    expected = np.pad(x[:, :2, 1:], ((0, 2), (1, 0), (0, 0)), constant_values=7)
    assert np.array_equal(y, expected)
    lowest = np.array([0, -(1 << 63), 0])
    refused(lib, "cropped from axis 1", "pad", x, integers(lowest), integers(after), double(0), y)
    row, out = randn(4, dtype=dtype, seed=1), nans(2, 3, 4, dtype=dtype)
    for name, function in (("add", np.add), ("div", np.divide), ("maximum", np.maximum)):
        call(lib, "binary", name.encode(), x, row, out)
        assert np.array_equal(out, function(x, row))
    refused(lib, "op: expected add, sub", "binary", b"mod", x, row, out)
    total = nans(3, dtype=dtype)
    axes = (ctypes.c_int32 * 2)(0, 2)
    call(lib, "sum", x.transpose(0, 1, 2), axes, 2, total)
    close(total, x.astype(float).sum((0, 2)), 8)
    refused(lib, "axes: expected 0 to 2, got 3", "sum", x, (ctypes.c_int32 * 1)(3), 1, total)
    one = np.array(np.nan, dtype)
    for view in (x, x[:, ::2]):
        call(lib, "vector_norm", b"squares", view, one)
        close(one, (view.astype(float) ** 2).sum(), 24)
    refused(lib, "what", "vector_norm", b"cubes", x, one)


# --- convolution of volumes, pooling, interpolation -----------------------------------------------


def test_conv3d_and_transposed_convolution(lib):
    p = Conv3d((1, 2, 1), (1, 1, 0, 1, 1, 0), (1, 1, 2), 2)
    x, w, bias = d(2, 4, 3, 5, 6), d(6, 2, 2, 3, 2, seed=1), d(6, seed=2)
    size = (ctypes.c_int64 * 3)()
    three = ctypes.c_int64 * 3
    call(lib, "conv3d_output_size", p, three(3, 5, 6), three(2, 3, 2), size)
    shape = (2, 6, *size)
    assert shape[2:] == (4, 2, 5)

    def forward(x, w, bias):
        y = nans(*shape)
        call(lib, "conv3d_forward", p, x, w, Epilogue(1, 0, held(bias)), y)
        return y

    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 1), (1, 0)))
    expected = np.zeros(shape)
    for n, k, o, q, r in np.ndindex(shape):
        group = padded[n, 2 * (k // 3) : 2 * (k // 3) + 2]
        window = group[:, o : o + 2, 2 * q : 2 * q + 3, r : r + 3 : 2]
        expected[n, k, o, q, r] = (window * w[k]).sum() + bias[k]
    close(forward(x, w, bias), expected, 24)
    dy, dx, dw, db = d(*shape, seed=3), nans(*x.shape), nans(*w.shape), nans(6)
    call(lib, "conv3d_backward_data", p, dy, w, None, dx)
    call(lib, "conv3d_backward_weight", p, x, dy, dw)
    call(lib, "sum", dy, (ctypes.c_int32 * 4)(0, 2, 3, 4), 4, db)
    check_gradients(forward, [x, w, bias], dy, [dx, dw, db])
    more, along = d(4, seed=4), nans(*x.shape)
    call(lib, "conv3d_backward_data", p, dy, w, Epilogue(1, 0, held(more), b"relu"), along)
    close(along, np.maximum(dx + more[:, None, None, None], 0), 24)
    refused(lib, "weight: expected rank 5", "conv3d_forward", p, x, w[0], None, dy)


def test_adaptive_mean_and_interpolation(lib):
    x, y = nhwc(d(2, 3, 5, 7)), nans(2, 3, 2, 3)

    def mean(x):
        y = nans(2, 3, 2, 3)
        call(lib, "adaptive_avg_pool2d", x, y)
        return y

    dy, dx = d(*y.shape, seed=1), nans(*x.shape)
    call(lib, "adaptive_avg_pool2d_backward", dy, dx)
    check_gradients(mean, [x], dy, [dx])

    for mode, scales in ((b"linear", None), (b"cubic", None), (b"nearest", (2.0, 0.0))):
        given = scales if scales is None else (ctypes.c_double * 2)(*scales)

        def scaled(x, mode=mode, given=given):
            y = nans(2, 3, 10, 14)
            call(lib, "interpolate_forward", mode, given, 0, x, y)
            return y

        grad = d(2, 3, 10, 14, seed=2)
        call(lib, "interpolate_backward", mode, given, 0, grad, dx)
        check_gradients(scaled, [x], grad, [dx])
    close(scaled(x), x.repeat(2, 2).repeat(2, 3))
    refused(lib, "mode", "interpolate_forward", b"lanczos", None, 0, x, scaled(x))
    refused(lib, "y: expected as many", "interpolate_forward", b"linear", None, 0, x, dy[:1])


# --- activations ----------------------------------------------------------------------------------


def test_every_activation(lib):
    parameters = {"leaky_relu": (-0.3, 0), "hardtanh": (-0.5, 0.8), "threshold": (0.2, -1)}
    x, dy, index = d(3, 5) * 1.5, d(3, 5, seed=1), 0
    while (name := lib.striate_activation_name(index)) is not None:
        index += 1
        a, b = map(double, parameters.get(name.decode(), (0.7, 0)))
        at = np.abs(x) + 0.1 if name.startswith(b"log") and name != b"logsigmoid" else x
        saves = lib.striate_activation_saves(name).decode()

        def forward(x, name=name, a=a, b=b):
            y = nans(3, 5)
            call(lib, "activation_forward", name, a, b, x, y)
            return y

        saved = {"x": at, "y": forward(at)}[saves]
        dx = nans(3, 5)
        call(lib, "activation_backward", name, a, b, saved, dy, dx)
        if name == b"step":  # whose gradient is a stand-in
            assert np.array_equal(dx, np.where(np.abs(at) <= 0.7, dy, 0))
        else:
            check_gradients(forward, [at], dy, [dx])
    assert lib.striate_activation_saves(b"swoosh") is None
    assert b"swoosh" in lib.striate_last_error()


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 1)])
def test_prelu(lib, shape):
    x, weight, dy = d(2, 3, 4), d(*shape, seed=1), d(2, 3, 4, seed=2)

    def forward(x, weight):
        y = nans(2, 3, 4)
        call(lib, "prelu_forward", x, weight, y)
        return y

    close(forward(x, weight), np.where(x > 0, x, x * weight))
    dx, dw = nans(2, 3, 4), nans(*shape)
    call(lib, "prelu_backward", dy, x, weight, dx, dw)
    check_gradients(forward, [x, weight], dy, [dx, dw])
    refused(lib, "weight: expected a shape that repeats", "prelu_forward", x, d(3), dy)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(lib, name):
    x, dy = d(3, 4, 5), d(3, 4, 5, seed=1)

    def forward(x):
        y = nans(3, 4, 5)
        call(lib, f"{name}_forward", x, 1, y)
        return y

    dx = nans(3, 4, 5)
    called = {"softmax": "softmax_backward", "log_softmax": "log_softmax_backward"}[name]
    call(lib, called, dy, forward(x), 1, dx)
    check_gradients(forward, [x], dy, [dx])


# --- normalisation --------------------------------------------------------------------------------


def test_batch_norm(lib):
    x, weight, bias, dy = d(4, 3, 2, 5), d(3, seed=1), d(3, seed=2), d(4, 3, 2, 5, seed=3)
    mean, invstd = nans(3), nans(3)
    running = [strided(d(3, seed=4)), np.abs(d(3, seed=5))]
    before = [r.copy() for r in running]

    def forward(x, weight, bias, running=(None, None)):
        y = nans(*x.shape)
        eps, momentum = double(1e-3), double(0.25)
        call(lib, "batch_norm_forward", x, weight, bias, *running, momentum, eps, y, mean, invstd)
        return y

    y = forward(x, weight, bias, running)
    m, v = x.mean((0, 2, 3)), x.var((0, 2, 3))
    wide = lambda u: u[:, None, None]  # noqa: E731
    close(y, (x - wide(m)) / np.sqrt(wide(v) + 1e-3) * wide(weight) + wide(bias), 40)
    close(mean, m, 40)
    close(invstd, 1 / np.sqrt(v + 1e-3), 40)
    for now, old, batch in zip(running, before, (m, v * 40 / 39), strict=True):
        close(np.array(now), 0.75 * old + 0.25 * batch, 40)
    dx, dw, db = nans(*x.shape), nans(3), nans(3)
    call(lib, "batch_norm_backward", dy, x, weight, mean, invstd, dx, dw, db)
    check_gradients(forward, [x, weight, bias], dy, [dx, dw, db])
    one = d(1, 3, 1, 1)
    arguments = (None, None, None, None, double(0.1), double(1e-5), one, mean, invstd)
    refused(lib, "more than one value", "batch_norm_forward", one, *arguments)


def test_group_norm(lib):
    x, weight, bias, dy = d(2, 6, 4, 5), d(6, seed=1), d(6, seed=2), d(2, 6, 4, 5, seed=3)
    mean, invstd = nans(2, 3), nans(2, 3)

    def forward(x, weight, bias):
        y = nans(*x.shape)
        call(lib, "group_norm_forward", x, 3, weight, bias, double(1e-3), y, mean, invstd)
        return y

    groups = x.reshape(2, 3, -1)
    m, v = groups.mean(-1), groups.var(-1)
    unit = ((groups - m[..., None]) / np.sqrt(v[..., None] + 1e-3)).reshape(x.shape)
    close(forward(x, weight, bias), unit * weight[:, None, None] + bias[:, None, None], 40)
    close(mean, m, 40)
    dx, dw, db = nans(*x.shape), nans(6), nans(6)
    call(lib, "group_norm_backward", dy, x, 3, weight, mean, invstd, dx, dw, db)
    check_gradients(forward, [x, weight, bias], dy, [dx, dw, db])
    eps = double(1e-3)
    refused(
        lib, "groups: expected a divisor", "group_norm_forward", x, 4, None, None, eps, dx, m, v
    )


@pytest.mark.parametrize("axes", [1, 2])
def test_layer_norm(lib, axes):
    x, dy = strided(d(4, 3, 5)), d(4, 3, 5, seed=3)
    tail, lead = x.shape[3 - axes :], x.shape[: 3 - axes]
    weight, bias, last = d(*tail, seed=1), d(*tail, seed=2), tuple(range(3 - axes, 3))
    mean, invstd = nans(*lead), nans(*lead)

    def forward(x, weight, bias):
        y = nans(*x.shape)
        call(lib, "layer_norm_forward", x, axes, weight, bias, double(1e-3), y, mean, invstd)
        return y

    m, v = x.mean(last, keepdims=True), x.var(last, keepdims=True)
    close(forward(x, weight, bias), (x - m) / np.sqrt(v + 1e-3) * weight + bias, 40)
    dx, dw, db = nans(*x.shape), nans(*tail), nans(*tail)
    call(lib, "layer_norm_backward", dy, x, axes, weight, mean, invstd, dx, dw, db)
    check_gradients(forward, [x, weight, bias], dy, [dx, dw, db])

    def root_mean_square(x, weight):
        y = nans(*x.shape)
        call(lib, "rms_norm_forward", x, axes, weight, double(1e-3), y, invstd)
        return y

    square = (x**2).mean(last, keepdims=True)
    close(root_mean_square(x, weight), x / np.sqrt(square + 1e-3) * weight, 40)
    call(lib, "rms_norm_backward", dy, x, axes, weight, invstd, dx, dw)
    check_gradients(root_mean_square, [x, weight], dy, [dx, dw])
    refused(lib, "axes: expected 1 to 3", "rms_norm_forward", x, 0, None, double(0), dx, invstd)


def test_local_response_norm(lib):
    x, dy = d(2, 7, 3, 2), d(2, 7, 3, 2, seed=1)
    options = (5, double(0.3), double(0.75), double(1.5))

    def forward(x):
        y = nans(*x.shape)
        call(lib, "local_response_norm_forward", x, *options, y)
        return y

    squares = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    total = sum(squares[:, i : i + 7] for i in range(5))
    close(forward(x), x / (1.5 + 0.3 / 5 * total) ** 0.75, 20)
    dx = nans(*x.shape)
    call(lib, "local_response_norm_backward", dy, x, *options, dx)
    check_gradients(forward, [x], dy, [dx])


# --- losses ---------------------------------------------------------------------------------------


def log_softmax(x):
    return x - np.log(np.exp(x).sum(1, keepdims=True))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(lib, reduction):
    x, labels, weight = d(4, 3, 2), np.array([[0, 2], [1, -1], [2, 2], [0, 1]]), np.abs(d(3)) + 0.1
    p = CrossEntropy(held(weight), -1, 0.0, reduction.encode())
    shape = (4, 2) if reduction == "none" else ()
    counts = labels >= 0
    w = np.where(counts, weight[labels], 0)
    each = -w * np.take_along_axis(log_softmax(x), labels.clip(0)[:, None], 1)[:, 0]
    expected = {"none": each, "sum": each.sum(), "mean": each.sum() / w.sum()}[reduction]

    def forward(x, dx=None):
        loss = nans(*shape)
        call(lib, "cross_entropy_labels", p, x, integers(labels), loss, dx)
        return loss

    dx = nans(4, 3, 2)
    close(forward(x, dx), expected, 20)
    check_gradients(forward, [x], 1, [dx])
    target = np.exp(log_softmax(d(4, 3, 2, seed=5)))
    p.weight = None

    def soft(x, dx=None):
        loss = nans(*shape)
        call(lib, "cross_entropy_probabilities", p, x, target, loss, dx)
        return loss

    each = -(target * log_softmax(x)).sum(1)
    expected = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    close(soft(x, dx), expected, 20)
    check_gradients(soft, [x], 1, [dx])
    labels[3, 1] = 3
    loss = nans(*shape)
    refused(lib, "class from 0 to 2", "cross_entropy_labels", p, x, integers(labels), loss, None)


def test_cross_entropy_by_default(lib):
    x, loss = d(2, 3), nans()
    call(lib, "cross_entropy_labels", None, x, integers(np.array([2, 0])), loss, None)
    close(loss, -log_softmax(x)[[0, 1], [2, 0]].mean(), 20)
    refused(lib, "labels: expected a pointer", "cross_entropy_labels", None, x, None, loss, None)
    p = CrossEntropy(None, 0, 0.0, b"product")
    refused(lib, "reduction", "cross_entropy_labels", p, x, None, loss, None)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_pointwise_losses(lib, layout):
    x, target = layout(d(3, 4)), np.abs(d(3, 4, seed=1)).clip(0, 1)
    m = np.minimum(np.abs(x - target), 0.5)
    functions = {
        "mse_loss": (x - target) ** 2,
        "l1_loss": np.abs(x - target),
        "huber_loss": m * (np.abs(x - target) - m / 2),
        "binary_cross_entropy_with_logits": np.logaddexp(0, x) - target * x,
    }
    for name, expected in functions.items():
        for reduction, reduce in (("mean", np.mean), ("none", np.asarray)):

            def forward(x, dx=None, name=name, reduction=reduction, reduce=reduce):
                loss = nans(*reduce(x).shape)
                options = (name.encode(), double(0.5), reduction.encode())
                call(lib, "pointwise_loss", *options, x, target, loss, dx)
                return loss

            dx = layout(nans(3, 4))
            close(forward(x, dx), reduce(expected), 20)
            check_gradients(forward, [x], 1, [dx])
    refused(lib, "name", "pointwise_loss", b"hinge", double(0), b"mean", x, target, nans(), None)


def test_ctc_loss(lib):
    logits, targets = d(5, 2, 3), np.array([1, 2, 2])
    lengths, counts = np.array([5, 4]), np.array([2, 1])

    def forward(logits, dx=None):
        loss = nans(2)
        log_probs = log_softmax(logits.transpose(0, 2, 1)).transpose(0, 2, 1)
        call(
            lib,
            "ctc_loss",
            log_probs,
            integers(targets),
            3,
            integers(lengths),
            integers(counts),
            0,
            0,
            loss,
            dx,
        )
        return loss

    dx = nans(5, 2, 3)
    # Of the second sample: all ways to say one label in four steps.
    p = np.exp(log_softmax(logits[:4, 1]))
    ways = 0
    for first in range(4):
        for last in range(first, 4):
            said = [2 if first <= t <= last else 0 for t in range(4)]
            ways += np.prod(p[range(4), said])
    close(forward(logits, dx)[1], -np.log(ways), 40)
    check_gradients(forward, [logits], 1, [dx])


# --- embedding, dropout ---------------------------------------------------------------------------


def test_embedding(lib):
    table, indices = d(5, 3), np.array([[0, 4, 2], [4, 4, 1]])

    def forward(table):
        y = nans(2, 3, 3)
        call(lib, "embedding_forward", table, integers(indices), y)
        return y

    assert np.array_equal(forward(strided(table)), table[indices])
    dy, dtable = d(2, 3, 3, seed=1), nans(5, 3)
    call(lib, "embedding_backward", dy, integers(indices), -1, 0, dtable)
    check_gradients(forward, [table], dy, [dtable])
    call(lib, "embedding_backward", dy, integers(indices), 4, 0, dtable)
    assert not dtable[4].any() and dtable[0].any()
    refused(lib, "got 4 at index", "embedding_forward", table[:4], integers(indices), dy)
    refused(lib, "last axis of 2", "embedding_forward", table[:, :2], integers(indices), dy)


def test_embedding_bag(lib):
    table, indices, begin = d(5, 3), np.array([0, 4, 2, 4, 1]), np.array([0, 2, 2, 5])
    shares = d(5, seed=2)

    def forward(table):
        y = nans(3, 3)
        call(lib, "embedding_bag_forward", table, integers(indices), integers(begin), shares, y)
        return y

    rows = shares[:, None] * table[indices]
    close(forward(table), np.stack([rows[:2].sum(0), rows[:0].sum(0), rows[2:].sum(0)]), 5)
    dy, dtable = d(3, 3, seed=1), nans(5, 3)
    arguments = (integers(indices), integers(begin), shares, dtable)
    call(lib, "embedding_bag_backward", dy, *arguments)
    check_gradients(forward, [table], dy, [dtable])
    bad = integers(np.array([0, 3, 2, 5]))
    refused(lib, "begin", "embedding_bag_forward", table, integers(indices), bad, shares, dy)


def test_dropout(lib):
    x = np.abs(d(50, 40)) + 1
    y, again = nans(50, 40), nans(50, 40)
    key = ctypes.c_uint64(9)
    call(lib, "dropout", x, double(0.25), key, y)
    kept = y != 0
    assert abs(kept.mean() - 0.75) < 4 * np.sqrt(0.25 * 0.75 / x.size)
    close(y[kept], x[kept] / 0.75)
    call(lib, "dropout", np.ones_like(x), double(0.25), key, again)
    assert np.array_equal(again != 0, kept)
    refused(lib, "p: expected a probability", "dropout", x, double(1), key, y)


# --- recurrent layers -----------------------------------------------------------------------------

STEPS, BATCH, INPUT, HIDDEN, PROJECTED = 4, 3, 5, 6, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_rnn(cell, x, w_ih, w_hh, b_ih, b_hh, w_hr, h, c):
    """y, and the last state."""
    outputs = []
    for row in x:
        a, b = row @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if cell == "lstm":
            i, f, g, o = np.split(a + b, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            h = h if w_hr is None else h @ w_hr.T
        elif cell == "gru":
            (r, z, n), (s, t, m) = np.split(a, 3, 1), np.split(b, 3, 1)
            r, z = sigmoid(r + s), sigmoid(z + t)
            h = (1 - z) * np.tanh(n + r * m) + z * h
        else:
            h = np.tanh(a + b) if cell == "rnn_tanh" else np.maximum(a + b, 0)
        outputs.append(h)
    return np.stack(outputs), h, c


CELLS = [("lstm", False), ("lstm", True), ("gru", False), ("rnn_tanh", False), ("rnn_relu", False)]


@pytest.mark.parametrize(("cell", "projection"), CELLS)
def test_recurrent_layers(lib, cell, projection):
    gates = {"lstm": 4, "gru": 3}.get(cell, 1) * HIDDEN
    out = PROJECTED if projection else HIDDEN
    x, h0 = d(STEPS, BATCH, INPUT), d(BATCH, out, seed=1)
    c0 = d(BATCH, HIDDEN, seed=2) if cell == "lstm" else None
    weights = [d(gates, INPUT, seed=3), d(gates, out, seed=4), d(gates, seed=5), d(gates, seed=6)]
    weights.append(d(PROJECTED, HIDDEN, seed=7) if projection else None)
    kept = nans(0, 0)

    def layer(weights):
        return Rnn(cell.encode(), 0, *map(held, weights))

    def run(x, *given):
        *weights, h0, c0 = given
        y, h_n = nans(STEPS, BATCH, out), nans(BATCH, out)
        c_n = nans(BATCH, HIDDEN) if cell == "lstm" else None
        call(
            lib, "rnn_forward", layer(weights), x, h0, c0, y, h_n, c_n, kept if kept.size else None
        )
        return y, h_n, c_n

    size = (ctypes.c_int64 * 2)()
    call(lib, "rnn_kept_size", layer(weights), x, size)
    assert size[0] == STEPS * BATCH and (size[1] > 0) == (cell in ("lstm", "gru"))
    y, h_n, c_n = run(x, *weights, h0, c0)
    expected = numpy_rnn(cell, x, *weights, h0, c0)
    for found, wanted in zip((y, h_n, c_n), expected, strict=True):
        if found is not None:
            close(found, wanted, 40)

    # Every gradient, for the sum of <dy, y> and <dh, h_n>.
    kept = nans(*size)
    y, *_ = run(x, *weights, h0, c0)
    dy, dh_n = d(*y.shape, seed=8), d(BATCH, out, seed=9)
    arrays = [x, *weights, h0, c0]
    made = [None if a is None else nans(*a.shape) for a in arrays]
    places = dict(zip(RNN_GRADIENTS, (made[0], *made[1:6], *made[6:]), strict=True))
    gradients = RnnGradients(dy=held(dy), dh_n=held(dh_n))
    for name, array in places.items():
        if array is not None:
            setattr(gradients, name, held(array))
    given = kept if kept.size else None
    call(lib, "rnn_backward", layer(weights), x, h0, c0, y, given, gradients)
    whole = np.concatenate([dy, dh_n[None]])

    def forward(*arrays):
        y, h_n, _ = run(*arrays)
        return np.concatenate([y, h_n[None]])

    check_gradients(forward, arrays, whole, made)

    # One step of a cell, and the same sequences packed.
    one, state = nans(BATCH, out), nans(BATCH, out)
    call(lib, "rnn_forward", layer(weights), x[0], h0, c0, one, state, None, None)
    close(one, expected[0][0], 40)
    assert np.array_equal(one, state)
    packed, rows = layer(weights), nans(STEPS * BATCH, out)
    sizes = np.full(STEPS, BATCH)
    packed.batch_sizes, packed.steps = integers(sizes), STEPS
    flat = x.reshape(-1, INPUT)
    call(lib, "rnn_forward", packed, flat, h0, c0, rows, None, None, None)
    assert np.array_equal(rows, y.reshape(-1, out))
    sizes[2] += 1
    refused(lib, "never grow", "rnn_forward", packed, flat, h0, c0, rows, None, None, None)


def test_recurrent_layers_of_nothing(lib):
    weights = [d(24, 5), d(24, 6), d(24), d(24)]
    layer = Rnn(b"lstm", 0, *map(held, weights))
    x, y, none = d(4, 0, 5), d(4, 0, 6), d(0, 6)
    call(lib, "rnn_forward", layer, x, None, None, y, none, none, None)
    dw = [nans(*w.shape) for w in weights]
    gradients = RnnGradients(
        dw_ih=held(dw[0]), dw_hh=held(dw[1]), db_ih=held(dw[2]), db_hh=held(dw[3])
    )
    size = (ctypes.c_int64 * 2)()
    call(lib, "rnn_kept_size", layer, x, size)
    kept = nans(*size)
    call(lib, "rnn_backward", layer, x, None, None, y, kept, gradients)
    assert all(np.array_equal(g, np.zeros_like(g)) for g in dw)
    refused(lib, "at least one step", "rnn_kept_size", layer, d(0, 3, 5), size)
    refused(lib, "cell: expected", "rnn_kept_size", Rnn(b"mlp", 0, *map(held, weights)), x, size)
    refused(lib, "w_hh: expected a pointer", "rnn_kept_size", Rnn(b"gru", 0, held(dw[0])), x, size)
    gradients.dw_hr = held(none)
    arguments = (layer, x, None, None, y, kept, gradients)
    refused(lib, "dw_hr: expected null", "rnn_backward", *arguments)


# --- optimizers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimizer_steps(lib, dtype):
    p, grad = randn(7, dtype=dtype), randn(7, dtype=dtype, seed=1)
    m, v = np.zeros_like(p), np.zeros_like(p)
    refs = [held(m), held(v)]
    states = (type(refs[0]) * 2)(*refs)
    step = Step(sign=1, keep=1, root=1, rate=0.1, first=0.9, first_in=1)
    expected = p.astype(float) - 0.1 * grad
    call(lib, "optimizer_step", b"sgd_momentum", step, p, grad, states, 1)
    close(p, expected)
    expected = expected - 0.1 * (0.9 * grad.astype(float) + grad)
    call(lib, "optimizer_step", b"sgd_momentum", step, p, grad, states, 1)
    close(p, expected, 2)
    m[:] = 0
    step = Step(1, 0, 1, 0.1 / (1 - 0.9), 0, 0.9, 0.1, 0.99, 0.01, 1 / np.sqrt(1 - 0.99), 0)
    expected = p - 0.1 * np.sign(grad.astype(float))  # whatever the size of the gradient
    call(lib, "optimizer_step", b"adam", step, p, grad, states, 2)
    close(p, expected, 8)
    refused(
        lib, "states: expected 2 arrays, got 1", "optimizer_step", b"adam", step, p, grad, states, 1
    )
    refused(lib, "rule: expected one of", "optimizer_step", b"lion", step, p, grad, None, 0)
    refused(lib, "step: expected a pointer", "optimizer_step", b"adam", None, p, grad, None, 0)

# SPDX-License-Identifier: Apache-2.0
"""Activations, softmax and losses do what PyTorch's do, values and gradients."""

import itertools

import numpy as np
import pytest
import striate
from striate import Tensor, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

TOLERANCE = 1e-9  # float64; PyTorch's softplus departs by 1e-10 at its threshold


def compare(ours, theirs, *arrays, tolerance=TOLERANCE):
    """Both functions on the same float64 arrays, and their gradients for one upstream gradient."""
    mine = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*mine), theirs(*other)
    assert y.shape == tuple(t.shape)
    np.testing.assert_allclose(y.detach().numpy(), t.detach().numpy(), tolerance, tolerance)
    upstream = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(Tensor(upstream))
    t.backward(torch.tensor(upstream))
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), tolerance, tolerance)


FUNCTIONS = [
    ("relu", {}), ("sigmoid", {}), ("tanh", {}), ("silu", {}),
    ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": -0.3}),
    ("elu", {}), ("elu", {"alpha": 0.7}), ("elu", {"alpha": -0.7}),
    ("softplus", {}), ("softplus", {"beta": 2.0}), ("softplus", {"beta": 0.5, "threshold": 1.0}),
    ("gelu", {}), ("gelu", {"approximate": "tanh"}),
    ("hardtanh", {}), ("hardtanh", {"min_val": -0.3, "max_val": 2.5}), ("relu6", {}),
    ("hardsigmoid", {}), ("hardswish", {}), ("selu", {}), ("mish", {}), ("logsigmoid", {}),
    ("softsign", {}), ("tanhshrink", {}), ("glu", {"dim": 0}), ("softmin", {"dim": 1}),
    ("celu", {}), ("celu", {"alpha": 0.5}), ("celu", {"alpha": -0.5}),
    ("hardshrink", {}), ("hardshrink", {"lambd": 1.5}), ("hardshrink", {"lambd": -1.5}),
    ("softshrink", {}), ("softshrink", {"lambd": 1.5}), ("rrelu", {"lower": 0.1}),
    ("threshold", {"threshold": 0.3, "value": -2.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), FUNCTIONS)
def test_activation(name, options):
    x = np.random.default_rng(0).standard_normal((8, 5)) * 8
    theirs = getattr(torch, name) if name in ("sigmoid", "tanh") else getattr(F, name)
    compare(
        lambda v: getattr(ops, name)(v, **options),
        lambda v: theirs(v, **options),
        x,
        tolerance=1e-7 if name == "hardsigmoid" else TOLERANCE,  # PyTorch has 1 / 6 in float
    )


@pytest.mark.parametrize("name", [
    "relu", "sigmoid", "tanh", "silu", "gelu", "elu", "leaky_relu", "hardtanh", "relu6",
    "hardsigmoid", "hardswish", "hardshrink", "softshrink", "selu", "celu", "mish", "logsigmoid",
    "softsign", "tanhshrink",
])  # fmt: skip
def test_special_values(name):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 200, -200])
    ours = getattr(ops, name)(Tensor(x)).numpy()
    theirs = getattr(F, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours, theirs, TOLERANCE)


def test_integers_become_floats():
    assert ops.sigmoid(striate.tensor([0, 1])).dtype == striate.float32


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1, 2])
def test_softmax(name, dim):
    x = np.random.default_rng(0).standard_normal((4, 5, 6)) * 3
    compare(lambda v: getattr(ops, name)(v, dim), lambda v: getattr(F, name)(v, dim), x)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_special_rows(name):
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, -inf], [inf, 1], [nan, 1], [-inf, 1], [800, -800]])
    ours = getattr(ops, name)(Tensor(x), 1).numpy()
    np.testing.assert_allclose(ours, getattr(F, name)(torch.tensor(x), 1).numpy(), TOLERANCE)


SHAPES = [(6,), (5, 7), (4, 3, 5), (2, 6, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(shape, reduction, weighted, smoothing):
    rng = np.random.default_rng(0)
    axis = 0 if len(shape) == 1 else 1
    x = rng.standard_normal(shape) * 3
    weight = rng.random(shape[axis]) + 0.1 if weighted else None
    labels = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    probabilities = rng.random(shape)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    w = None if weight is None else Tensor(weight)
    tw = None if weight is None else torch.tensor(weight)
    for ignored in (-100, 2):
        compare(
            lambda v, i=ignored: ops.cross_entropy(v, Tensor(labels), w, i, **options),
            lambda v, i=ignored: F.cross_entropy(
                v, torch.tensor(labels), tw, ignore_index=i, **options
            ),
            x,
        )
    compare(
        lambda v, t: ops.cross_entropy(v, t, w, **options),
        lambda v, t: F.cross_entropy(v, t, tw, **options),
        x,
        probabilities,
    )


def test_cross_entropy_all_ignored():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    labels = Tensor(np.full(3, -100))
    loss = ops.cross_entropy(x, labels)
    loss.backward()
    assert np.isnan(loss.item())
    assert not x.grad.numpy().any()
    assert ops.cross_entropy(x, labels, reduction="sum").item() == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(reduction):
    x, target = np.random.default_rng(0).standard_normal((2, 4, 5))
    compare(
        lambda a, b: ops.mse_loss(a, b, reduction),
        lambda a, b: F.mse_loss(a, b, reduction=reduction),
        x,
        target,
    )


def test_mse_transposed():
    x, target = np.random.default_rng(0).standard_normal((2, 4, 5))
    compare(lambda a, b: ops.mse_loss(a.T, b.T), lambda a, b: F.mse_loss(a.T, b.T), x, target)
    mixed = Tensor(np.asfortranarray(target))
    assert np.isclose(ops.mse_loss(Tensor(x), mixed).item(), np.mean((x - target) ** 2))


def test_dtypes():
    for first, second in itertools.product([np.float32, np.float64], repeat=2):
        ours = ops.mse_loss(Tensor(np.ones(3, first)), Tensor(np.zeros(3, second)))
        theirs = F.mse_loss(torch.tensor(np.ones(3, first)), torch.tensor(np.zeros(3, second)))
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")


@pytest.mark.parametrize("shape", [(6,), (4, 1), (5, 7), (3, 7, 5), (2, 7, 3, 4), (2, 7, 2, 3, 2)])
@pytest.mark.parametrize("slopes", [(), (1,), (7,)], ids=str)
def test_prelu(shape, slopes):
    if slopes == (7,) and 7 not in shape[1:2]:
        pytest.skip("as many slopes as channels")
    rng = np.random.default_rng(0)
    compare(ops.prelu, F.prelu, rng.standard_normal(shape), rng.standard_normal(slopes))


LAYERS = [
    ("ReLU6", {}), ("Hardtanh", {"min_val": -2.0, "inplace": True}), ("Hardsigmoid", {}),
    ("Hardswish", {}), ("Hardshrink", {}), ("Softshrink", {"lambd": 0.25}), ("PReLU", {}),
    ("Threshold", {"threshold": 0.1, "value": 20.0}), ("PReLU", {"num_parameters": 5}), ("GLU", {}),
    ("SELU", {}), ("CELU", {"alpha": 0.5}), ("Mish", {}), ("LogSigmoid", {}), ("Softsign", {}),
    ("Tanhshrink", {}), ("Softmin", {"dim": 1}), ("RReLU", {}), ("Softmax2d", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layers(name, options):
    ours, theirs = getattr(striate.nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 6)).astype(np.float32)
    ours.eval(), theirs.eval()
    a, b = ours(Tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)

# SPDX-License-Identifier: Apache-2.0
"""Norms on a GPU: batch, group, layer and local response norm, in all passes, against the CPU
device and NumPy in float64."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import RNG, alike, normal
from striate import _C, nn

IMAGES = [(4, 3), (3, 5, 7), (2, 33, 5, 4), (5, 8, 17, 19), (300, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", IMAGES)
def test_batch_norm(shape, dtype):
    """More than one part of rows, channels that fill no access, without and with weights."""
    x, weight, bias = normal(shape, dtype), normal(shape[1], dtype), normal(shape[1], dtype)
    options = {"rtol": 1e-4, "atol": 1e-5}
    alike(lambda t, w, b: F.batch_norm(t, None, None, w, b, True), x, weight, bias, **options)
    alike(lambda t: F.batch_norm(t, None, None, training=True), x + 3, **options)
    alike(lambda t, w: F.batch_norm(t, None, None, w, training=True), x, weight, **options)


def test_batch_norm_against_numpy():
    """A mean a thousand times the deviation; gradients by their definition."""
    x, dy = RNG.standard_normal((6, 5, 9, 11)) + 1000, RNG.standard_normal((6, 5, 9, 11))
    there = striate.tensor(x, device="cuda", requires_grad=True)
    y = F.batch_norm(there, None, None, training=True, eps=0.0)
    y.backward(striate.tensor(dy, device="cuda"))
    axes = (0, 2, 3)
    unit = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
    np.testing.assert_allclose(y.detach().cpu().numpy(), unit, 1e-9, 1e-9)
    want = dy - dy.mean(axes, keepdims=True) - unit * (dy * unit).mean(axes, keepdims=True)
    want /= x.std(axes, keepdims=True)
    np.testing.assert_allclose(there.grad.cpu().numpy(), want, 1e-8, 1e-9)


def test_batch_norm_layers_keep_statistics():
    layers = []
    for device in ("cpu", "cuda"):
        layer = nn.BatchNorm2d(5).to(device)
        for k in range(3):
            batch = np.sin(np.arange(120.0, dtype=np.float32) * (k + 1)).reshape(4, 5, 3, 2)
            layer(striate.tensor(batch, device=device))
        layer.eval()
        x = striate.tensor(np.cos(np.arange(60.0, dtype=np.float32)).reshape(2, 5, 3, 2))
        x = x.to(device).requires_grad_()
        y = layer(x)
        y.sum().backward()
        state = [layer.running_mean, layer.running_var, y.detach(), x.grad, layer.weight.grad]
        layers.append([t.cpu().numpy() for t in state])
        assert layer.num_batches_tracked.item() == 3
    for here, there in zip(*layers, strict=True):
        np.testing.assert_allclose(there, here, 1e-5, 1e-6)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(2, 6), (3, 6, 7), (2, 6, 5, 4), (1, 12, 23, 17)])
def test_group_norm(shape, groups):
    x, weight, bias = normal(shape), normal(shape[1]), normal(shape[1])
    if shape[1] > groups or len(shape) > 2:
        options = {"rtol": 1e-4, "atol": 1e-5}
        alike(lambda t, w, b: F.group_norm(t, groups, w, b), x, weight, bias, **options)
        alike(lambda t: F.group_norm(t, groups), x, **options)


def test_instance_norm_with_statistics():
    for device in ("cpu", "cuda"):
        layer = nn.InstanceNorm1d(3, affine=True, track_running_stats=True).to(device)
        x = striate.tensor(np.sin(np.arange(42.0, dtype=np.float32)).reshape(2, 3, 7))
        y = layer(x.to(device)).detach().cpu().numpy()
        state = [y, layer.running_mean.cpu().numpy(), layer.running_var.cpu().numpy()]
        if device == "cpu":
            here = state
    for a, b in zip(here, state, strict=True):
        np.testing.assert_allclose(b, a, 1e-5, 1e-6)


def test_norms_of_nothing():
    """Without rows statistics are NaN, sums are 0, and results are empty."""
    for shape in ((0, 3, 2, 2), (2, 3, 0, 2)):
        x = striate.zeros(shape, device="cuda")._array
        y, mean, invstd = _C.batch_norm_train(x)
        assert y.shape == shape and np.isnan(mean.get()).all() and np.isnan(invstd.get()).all()
        dx, dweight, dbias = _C.batch_norm_backward(x, x, mean, invstd)
        assert dx.shape == shape and not dweight.get().any() and not dbias.get().any()
        y, mean, var, invstd = _C.group_norm(x, 3, 1e-5)
        assert y.shape == shape and np.isnan(var.get()).all()


@pytest.mark.parametrize(("rows", "n"), [(300, 33), (1, 5), (130, 1100)])
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_weights_gradients_by_parts(op, rows, n):
    x, weight = normal((rows, n)), normal(n)
    f = getattr(F, op)
    alike(lambda t, w: f(t, (n,), w), x, weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 7), (2, 5, 6), (2, 40, 3, 4)])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_local_response_norm(shape, beta):
    x = normal(shape) * 3
    if len(shape) > 2:
        alike(lambda t: F.local_response_norm(t, 5, 0.1, beta, 2.0), x, rtol=1e-4, atol=1e-5)
    t = striate.tensor(x, device="cuda")._array
    np.testing.assert_allclose(
        _C.local_response_norm(t, 4, 0.1, beta).get(), _C.local_response_norm(x, 4, 0.1, beta), 1e-5
    )


def test_refusals_are_those_of_the_cpu():
    x = striate.zeros(2, 6, device="cuda")
    with pytest.raises(ValueError, match="batch_norm: x: expected more than one value a channel"):
        _C.batch_norm_train(x[:1]._array)
    with pytest.raises(ValueError, match="groups: expected a divisor of the 6 channels"):
        _C.group_norm(x._array, 4, 1e-5)
    with pytest.raises(TypeError, match=r"one device, got x .* on cuda:0 and weight .* on cpu"):
        _C.batch_norm_train(x._array, np.ones(6, np.float32))
    with pytest.raises(TypeError, match=r"one device, got x .* on cpu and dy .* on cuda:0"):
        _C.batch_norm_backward(x._array, np.ones((2, 6), np.float32), np.ones(6, np.float32),
                               np.ones(6, np.float32))  # fmt: skip

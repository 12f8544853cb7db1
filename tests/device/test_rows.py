# SPDX-License-Identifier: Apache-2.0
"""Sums, softmax, norms and losses on a GPU, against the CPU device and NumPy in float64."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import alike, normal

SHAPES = [(1,), (33,), (5, 7), (3, 1030), (2, 3, 40), (4, 5, 6, 7)]
AXES = [None, 0, -1, (0, 1), (0, -1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axes", AXES)
def test_sum_and_mean(shape, axes):
    if isinstance(axes, tuple) and len(shape) < 2:
        return
    alike(lambda x: striate.sum(x, axes), normal(shape), rtol=1e-5, atol=1e-4)
    alike(lambda x: striate.mean(x, axes, keepdim=True), normal(shape), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 70000), 1), ((5000, 3), 0), ((3, 2100, 5), 1), ((40000,), 0)]
)
def test_long_sums(shape, axes):
    """More than one part, more than one step."""
    x = normal(shape, np.float64)
    there = striate.tensor(x, device="cuda")
    np.testing.assert_allclose(there.sum(axes).cpu().numpy(), x.sum(axes), 1e-12, 1e-9)
    turned = striate.tensor(x.T, device="cuda").T
    np.testing.assert_allclose(turned.sum(axes).cpu().numpy(), x.sum(axes), 1e-12, 1e-9)


def test_sums_over_pixels_copy_nothing():
    """Of channels-last images they are sums of a matrix's columns."""
    from striate.cupy_arrays import cupy

    x = normal((2, 5, 6, 7))
    last = x.transpose(0, 2, 3, 1).copy()
    there = striate.tensor(last, device="cuda").permute(0, 3, 1, 2)
    before = cupy().CALLS["alloc"] if hasattr(cupy(), "CALLS") else None
    y = there.sum((0, 2, 3))
    if before is not None:  # the fake counts
        assert cupy().CALLS["alloc"] == before + 1
    np.testing.assert_allclose(y.cpu().numpy(), x.sum((0, 2, 3), np.float64), 1e-5, 1e-5)
    part = there[:, 1:4].sum((0, 2, 3)).cpu().numpy()  # which do not lie so
    np.testing.assert_allclose(part, x[:, 1:4].sum((0, 2, 3), np.float64), 1e-5, 1e-5)


def test_sums_of_nothing():
    for shape, axes in (((0, 3), 0), ((3, 0), 1), ((0,), None), ((2, 0, 3), (0, 1))):
        alike(lambda x, axes=axes: striate.sum(x, axes), normal(shape))


@pytest.mark.parametrize("f", ["var", "std", "max", "min", "amax", "prod", "cumsum", "logsumexp"])
def test_other_reductions(f):
    call = getattr(striate, f)

    def first(x):
        y = call(x, 1)
        return y[0] if isinstance(y, tuple) else y

    alike(first, normal((4, 6)), rtol=1e-5)


def test_any_all_argmax():
    x = striate.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0]], device="cuda")
    assert x.argmax(1).tolist() == [1, 0] and x.argmax().item() == 1
    assert (x > 2).any().item() and not (x > 2).all().item()
    assert x.max().item() == 3 and x.max(1).indices.tolist() == [1, 0]


@pytest.mark.parametrize("f", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 7), 1), ((5, 7), 0), ((3, 1030), -1), ((2, 3, 4, 5), 1), ((9,), 0)]
)
def test_softmax(f, dtype, shape, axis):
    alike(lambda x: getattr(F, f)(x, axis), normal(shape, dtype) * 4, rtol=1e-5)


def test_softmax_against_numpy():
    x = normal((4, 300), np.float64) * 10
    want = np.exp(x - x.max(1, keepdims=True))
    want /= want.sum(1, keepdims=True)
    there = striate.softmax(striate.tensor(x, device="cuda"), 1)
    np.testing.assert_allclose(there.cpu().numpy(), want, 1e-12)


@pytest.mark.parametrize("shape", [(4, 9), (2, 3, 33), (2, 1100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layer_norm(shape, dtype):
    weight, bias = normal(shape[-1], dtype), normal(shape[-1], dtype)
    x = normal(shape, dtype)
    alike(lambda *t: F.layer_norm(t[0], shape[-1:], *t[1:]), x, weight, bias, rtol=1e-4, atol=1e-5)
    alike(lambda t: F.layer_norm(t, shape[-1:]), x, rtol=1e-4, atol=1e-5)
    alike(lambda t, w: F.rms_norm(t, shape[-1:], w), x, weight, rtol=1e-4, atol=1e-5)
    alike(lambda t: F.layer_norm(t, shape[-2:]), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_differences(loss, reduction):
    f = getattr(F, loss)
    alike(lambda x, t: f(x, t, reduction=reduction), normal((3, 5)), normal((3, 5)), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_logistic_loss(reduction):
    target = np.random.default_rng(1).integers(0, 2, (3, 5)).astype(np.float32)
    f = F.binary_cross_entropy_with_logits
    alike(lambda x, t: f(x, t.detach(), reduction=reduction) + 0 * t, normal((3, 5)) * 5, target)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(reduction, smoothing, weighted):
    options = {"reduction": reduction, "label_smoothing": smoothing}
    weight = np.abs(normal(5)) + 0.1

    def loss(x, target):
        w = striate.tensor(weight, device=x.device) if weighted else None
        return F.cross_entropy(x, target, weight=w, **options)

    alike(loss, normal((6, 5)), np.array([0, 4, 2, -100, 1, 1]), rtol=1e-5)
    alike(loss, normal((2, 5, 3)), np.array([[0, 4, 2], [3, 1, 1]]), rtol=1e-5)
    alike(loss, normal((5,)), np.array(3), rtol=1e-5)
    shares = np.abs(normal((6, 5)))

    def with_shares(x):
        return loss(x, striate.tensor(shares, device=x.device))

    alike(with_shares, normal((6, 5)), rtol=1e-5)


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_cross_entropy_leaves_out_weights_of_classes_that_are_no_label(odd):
    x, labels, weight = normal((4, 3)), np.array([0, 2, 2, 0]), np.array([1, odd, 3], np.float32)
    there = striate.tensor(x, device="cuda", requires_grad=True)
    on_gpu = (striate.tensor(t, device="cuda") for t in (labels, weight))
    F.cross_entropy(there, *on_gpu, reduction="sum").backward()
    share = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    want = (share - np.eye(3)[labels]) * weight[labels, None]
    np.testing.assert_allclose(there.grad.cpu().numpy(), want, 1e-5, 1e-6)


def test_cross_entropy_refuses_labels():
    x, labels = striate.zeros(2, 3, device="cuda"), striate.tensor([0, 3], device="cuda")
    with pytest.raises(
        IndexError, match=r"class from 0 to 2, or ignore_index -100, got 3 at index \(1,\)"
    ):
        F.cross_entropy(x, labels)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout_has_the_mask_of_the_cpu(p):
    x = normal((4, 50))
    results = []
    for device in ("cpu", "cuda"):
        for f in (F.dropout, F.alpha_dropout):
            striate.manual_seed(11)
            t = striate.tensor(x, device=device, requires_grad=True)
            y = f(t, p)
            y.sum().backward()
            results.append((y.detach().cpu().numpy(), t.grad.cpu().numpy()))
    for here, there in zip(results[:2], results[2:], strict=True):
        for a, b in zip(here, there, strict=True):
            np.testing.assert_allclose(b, a, 1e-6)

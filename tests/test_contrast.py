# SPDX-License-Identifier: Apache-2.0
"""Local contrast normalisation: what it is for, its borders, and its edges."""

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_light_and_contrast_do_not_matter():
    x = image(2, 3, 20, 24)
    y = ops.local_contrast_norm(Tensor(x)).numpy()
    np.testing.assert_allclose(ops.local_contrast_norm(Tensor(5 * x + 3)).numpy(), y, atol=1e-12)


def test_constant_image_has_no_contrast():
    """Borders too: a window that is cut off is divided by the weight of what is left."""
    x = Tensor(np.full((1, 2, 11, 13), 7.0), requires_grad=True)
    assert abs(ops.subtractive_norm(x).detach().numpy()).max() < 1e-14
    zero = Tensor(np.zeros((1, 2, 5, 5)), requires_grad=True)
    y = ops.local_contrast_norm(zero)
    y.sum().backward()
    assert not y.detach().numpy().any()
    assert np.isfinite(zero.grad.numpy()).all()
    flat = ops.divisive_norm(x).detach().numpy()
    np.testing.assert_allclose(flat, 1, atol=1e-14)


def test_adjoint():
    """<S x, y> = <x, S' y> of the smoothing that both gradients are made of."""
    from striate.ops.contrast import _smooth, window_of

    window = window_of("test", (7, 3), None)
    x, y = image(2, 9, 6), image(2, 9, 6, seed=1)
    there, back = _smooth(x, window), _smooth(y, window, adjoint=True)
    assert there.shape == back.shape == x.shape
    np.testing.assert_allclose((there * y).sum(), (x * back).sum(), rtol=1e-12)


def test_memory_order_changes_nothing():
    x = image(2, 5, 9, 8).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for f in (ops.subtractive_norm, ops.divisive_norm, ops.local_contrast_norm):
        a, b = f(Tensor(x)).numpy(), f(Tensor(last)).numpy()
        np.testing.assert_allclose(a, b, atol=2e-6)
        assert b.transpose(0, 2, 3, 1).flags.c_contiguous


def test_no_images():
    for f in (ops.subtractive_norm, ops.divisive_norm, ops.local_contrast_norm):
        for shape in ((0, 3, 5, 5), (2, 3, 0, 5)):
            x = striate.zeros(*shape, requires_grad=True)
            y = f(x)
            assert y.shape == shape
            y.sum().backward()
            assert x.grad.shape == shape


def test_divisor_is_never_below_the_threshold():
    x = image(1, 1, 12, 12)
    y = ops.divisive_norm(Tensor(x), threshold=100.0).numpy()
    np.testing.assert_allclose(y, x / 100, rtol=1e-12)


def test_layers():
    x = striate.randn(2, 3, 9, 9)
    for layer, f, options in (
        (nn.SubtractiveNorm, ops.subtractive_norm, {"kernel_size": 5, "sigma": 2.0}),
        (nn.DivisiveNorm, ops.divisive_norm, {"kernel_size": (3, 5), "threshold": 1e-4}),
        (nn.LocalContrastNorm, ops.local_contrast_norm, {}),
    ):
        assert np.array_equal(layer(**options)(x).numpy(), f(x, **options).numpy())
        assert not list(layer().parameters())
    assert repr(nn.LocalContrastNorm()) == (
        "LocalContrastNorm(kernel_size=9, sigma=None, threshold=None)"
    )
    with pytest.raises(ValueError, match="LocalContrastNorm: kernel_size"):
        nn.LocalContrastNorm(4)
    with pytest.raises(ValueError, match="DivisiveNorm: threshold"):
        nn.DivisiveNorm(threshold=-1.0)

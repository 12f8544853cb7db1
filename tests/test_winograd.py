# SPDX-License-Identifier: Apache-2.0
"""Winograd convolution: errors at real depths, the precision that allows it, threads."""

import numpy as np
import pytest
import striate
from striate import _C

# Method, filters, stride.
WAYS = [
    ("winograd_f2x2", 3, 1), ("winograd_f4x4", 3, 1), ("winograd_f4x4", 5, 1),
    ("winograd_f4x4", 9, 1), ("winograd_f4x4", 3, 2), ("winograd_f4x4", 5, 2),
]  # fmt: skip


def bound(way, r):
    """Of the root mean square of errors by that of results."""
    return 1e-6 if way == "winograd_f2x2" else 4e-6 * r / 3


def options(filters, stride=1):
    pad = (filters // 2, filters // 2)
    return {"stride": (stride,) * 2, "padding": (pad, pad), "dilation": (1, 1), "groups": 1}


def images(*shape, seed=0, scale=1.0):
    """Channels-last memory of shape (N, C, H, W)."""
    n, c, h, w = shape
    values = np.random.default_rng(seed).standard_normal((n, h, w, c)) * scale
    return values.astype(np.float32).transpose(0, 3, 1, 2)


def outputs(size, stride):
    """Of a filter of odd size, padded by half of it."""
    return (size - 1) // stride + 1


def convolve(x, w, way=None, stride=1):
    bits = 8 * x.itemsize
    rows = [f"conv2d_fwd_f{bits}_{way}"] if way else []
    with _C.pin_rows(rows):
        return _C.conv2d(x, w, None, **options(w.shape[2], stride))


def data_gradient(dy, w, size, way=None, stride=1):
    rows = [f"conv2d_bwd_data_f{8 * dy.itemsize}_{way}"] if way else []
    with _C.pin_rows(rows):
        return _C.conv2d_bwd_data(dy, w, size=size, **options(w.shape[2], stride))


def weight_gradient(x, dy, filters=3, way=None, stride=1):
    rows = [f"conv2d_bwd_weight_f{8 * x.itemsize}_{way}"] if way else []
    with _C.pin_rows(rows):
        return _C.conv2d_bwd_weight(x, dy, size=(filters, filters), **options(filters, stride))


def double(x):
    return x.astype(np.float64, order="K")


def exact(x, w, stride=1):
    return convolve(double(x), double(w), "implicit", stride)


def rms(error, reference):
    return np.sqrt(np.mean(error**2) / np.mean(reference**2))


@pytest.fixture
def precision():
    before = striate.get_float32_precision()
    yield striate.set_float32_precision
    striate.set_float32_precision(before)


@pytest.mark.parametrize("channels", [16, 64, 256, 512])
@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_errors_stay_within_the_stated_bounds(channels, way, r, stride):
    x, w = images(1, channels, 14, 13), images(32, channels, r, r, seed=1)
    reference = exact(x, w, stride)
    error = convolve(x, w, way, stride) - reference
    assert rms(error, reference) < bound(way, r)
    assert np.abs(error).max() < 3 * bound(way, r) * np.abs(reference).max()


@pytest.mark.parametrize("images_of", [(1, 14, 13), (2, 56, 55)])
@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_errors_of_the_weight_gradient(images_of, way, r, stride):
    n, h, w = images_of
    x = images(n, 48, h, w)
    dy = images(n, 40, outputs(h, stride), outputs(w, stride), seed=1)
    reference = weight_gradient(double(x), double(dy), r, "implicit", stride)
    error = weight_gradient(x, dy, r, way, stride) - reference
    assert rms(error, reference) < bound(way, r)
    assert np.abs(error).max() < 3 * bound(way, r) * np.abs(reference).max()


def both_passes(way, r, stride, n, c, h, w, k, threads):
    """(made, expected) of the forward pass and of the data gradient."""
    x, filters = images(n, c, h, w), images(k, c, r, r, seed=1)
    dy = images(n, k, outputs(h, stride), outputs(w, stride), seed=2)
    before = striate.get_num_threads()
    striate.set_num_threads(threads)
    try:
        made = convolve(x, filters, way, stride)
        back = data_gradient(dy, filters, (h, w), way, stride)
    finally:
        striate.set_num_threads(before)
    expected = data_gradient(double(dy), double(filters), (h, w), "implicit", stride)
    return (made, exact(x, filters, stride)), (back, expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_many_blocks_of_tiles(way, r, stride, threads):
    """More tiles than filters, and more than L2 holds: the filters are transformed beforehand."""
    for made, expected in both_passes(way, r, stride, 3, 40, 45, 43, 36, threads):
        assert rms(made - expected, expected) < bound(way, r)


@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_sections_of_tiles(way, r, stride):
    """Filters that are far away, once for each of several sections of tiles."""
    c, k = (456, 440) if way == "winograd_f2x2" else (312, 296)
    h, w = 60 * stride + 1, 58 * stride + 1
    if r > 3 or stride > 1:
        c, k = c // 2, k // 2
    for made, expected in both_passes(way, r, stride, 2, c, h, w, k, threads=2):
        assert rms(made - expected, expected) < bound(way, r)


@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_scales_of_channels_do_not_add_up(way, r, stride):
    """Large channels drown small ones in direct sums too, not more than that."""
    scale = np.logspace(-4, 4, 64)
    x, w = images(1, 64, 12, 12, scale=scale), images(32, 64, r, r, seed=1)
    reference = exact(x, w, stride)
    assert rms(convolve(x, w, way, stride) - reference, reference) < 4e-6
    x = images(1, 64, 12, 12, scale=1e-30)
    error = convolve(x, w, way, stride) - exact(x, w, stride)
    assert np.abs(error).max() < 1e-30 * 64 * r * r * 4e-6


def test_precision_decides_between_tiles(precision):
    x, w = images(2, 64, 28, 28), images(64, 64, 3, 3, seed=1)
    large = images(64, 64, 5, 5, seed=2)
    assert striate.get_float32_precision() == "high"
    fast = convolve(x, w)
    np.testing.assert_array_equal(fast, convolve(x, w, "winograd_f4x4"))
    np.testing.assert_array_equal(convolve(x, large), convolve(x, large, "winograd_f4x4"))
    precision("highest")
    close = convolve(x, w)
    np.testing.assert_array_equal(close, convolve(x, w, "winograd_f2x2"))
    assert np.any(fast != close)
    assert np.any(convolve(x, large) != convolve(x, large, "winograd_f4x4"))
    with pytest.raises(ValueError, match=r"set_float32_precision.*'highest'.*got 'low'"):
        precision("low")
    with pytest.raises(TypeError):
        precision(1)
    assert striate.get_float32_precision() == "highest"


@pytest.mark.parametrize(("way", "r", "stride"), WAYS)
def test_threads_change_no_bit(way, r, stride):
    x, w = images(3, 40, 23, 21), images(70, 40, r, r, seed=1)
    dy = images(3, 70, outputs(23, stride), outputs(21, stride), seed=2)
    before = striate.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            striate.set_num_threads(threads)
            made = convolve(x, w, way, stride), weight_gradient(x, dy, r, way, stride)
            results.append((*made, data_gradient(dy, w, (23, 21), way, stride)))
    finally:
        striate.set_num_threads(before)
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_few_tiles_and_few_channels_go_directly():
    """One image of 2 x 2 does not pay for transforming 512 x 512 filters, nor do 3 channels."""
    for x, w in (((1, 512, 2, 2), (512, 512, 3, 3)), ((2, 3, 32, 32), (64, 3, 3, 3))):
        found = striate.conv_algorithm(x, w, padding=1, measure=False)
        assert found.method in ("rows", "implicit", "patches")

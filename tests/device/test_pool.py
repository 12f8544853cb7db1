# SPDX-License-Identifier: Apache-2.0
"""Pooling on a GPU, against NumPy in float64 and the CPU device."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import alike, normal

DTYPES = [np.float32, np.float64]
SHAPES = [(2, 3, 7, 9), (1, 9, 6, 5), (3, 4, 8, 8)]


def windows(x, kernel, stride, padding=0):
    """(N, C, P, Q, R S) in float64, NaN outside the image."""
    wide = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x.astype("f8"), wide, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))
    views = views[:, :, ::stride, ::stride]
    return views.reshape(*views.shape[:4], kernel * kernel)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_against_numpy(shape, kernel, stride, padding, dtype):
    x = normal(shape, dtype)
    held = windows(x, kernel, stride, padding)
    there = striate.tensor(x, device="cuda")
    y = F.max_pool2d(there, kernel, stride, padding)
    assert y.is_cuda and y.permute(0, 2, 3, 1).is_contiguous()
    np.testing.assert_array_equal(y.cpu().numpy(), np.nanmax(held, -1))
    eps = np.finfo(dtype).eps * 8
    mean = F.avg_pool2d(there, kernel, stride, padding, count_include_pad=False).cpu().numpy()
    np.testing.assert_allclose(mean, np.nanmean(held, -1), eps, eps * 8)
    mean = F.avg_pool2d(there, kernel, stride, padding).cpu().numpy()
    np.testing.assert_allclose(mean, np.nansum(held, -1) / kernel**2, eps, eps * 8)
    if padding == 0:
        norm = F.lp_pool2d(there, 2, kernel, stride).cpu().numpy()
        np.testing.assert_allclose(norm, np.sqrt((held**2).sum(-1)), eps)


FUNCTIONS = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max_padded": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_dilated": lambda x: F.max_pool2d(x, (2, 3), (2, 1), 1, (3, 1)),
    "max_ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "max_adaptive": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "max_adaptive_more": lambda x: F.adaptive_max_pool2d(x, (11, 2)),
    "avg": lambda x: F.avg_pool2d(x, 2),
    "avg_ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avg_inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_divisor": lambda x: F.avg_pool2d(x, (2, 3), 1, divisor_override=5),
    "avg_adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "avg_global": lambda x: F.adaptive_avg_pool2d(x, 1),
    "avg_single": lambda x: F.avg_pool2d(x[0], 2),
    "lp": lambda x: F.lp_pool2d(x, 2, 3, 2, ceil_mode=True),
    "lp3": lambda x: F.lp_pool2d(x * x + 0.1, 3, 2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_as_on_the_cpu(shape, name, dtype):
    tol = 1e-5 if dtype == np.float32 else 1e-12
    alike(FUNCTIONS[name], normal(shape, dtype), rtol=tol, atol=tol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_more_taps_than_bytes_tell(dtype):
    alike(lambda x: F.max_pool2d(x, 17, 1, 8), normal((1, 5, 19, 18), dtype))


def test_memory_orders():
    x = normal((2, 6, 8, 7))
    alike(lambda x: F.max_pool2d(x[:, ::2], 2) + F.max_pool2d(x[:, 1::2], 2), x)
    alike(lambda x: F.avg_pool2d(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), 2), x)
    alike(lambda x: F.avg_pool2d(x[:1].expand(3, 6, 8, 7), 2), x, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("max_pool2d", (3, 2, 1)),
        ("max_pool2d", (2, 2, 1, 3)),
        ("adaptive_max_pool2d", ((3, 5),)),
        ("max_pool2d", (17, 1, 8)),
    ],
)
def test_positions_and_back(function, arguments):
    x = np.round(2 * normal((2, 3, 18, 19)))  # there are equal ones: the first of them
    found = []
    for device in ("cpu", "cuda"):
        t = striate.tensor(x, device=device)
        y, at = getattr(F, function)(t, *arguments, return_indices=True)
        assert at.dtype == striate.int64 and at.device == t.device
        found.append((y.cpu().numpy(), at.cpu().numpy()))
    for here, there in zip(*found, strict=True):
        np.testing.assert_array_equal(there, here)
    picked = np.take_along_axis(x.reshape(2, 3, -1), found[1][1].reshape(2, 3, -1), 2)
    if arguments != (2, 2, 1, 3):  # whose windows may lie in the padding on both sides
        np.testing.assert_array_equal(picked.reshape(found[1][0].shape), found[1][0])


def test_unpool():
    def f(x):
        y, at = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(y * y, at, 2)

    alike(f, normal((2, 3, 6, 8)))
    y = striate.ones(1, 1, 2, 2, device="cuda")
    at = striate.tensor([[[[0, 3], [2, 16]]]], device="cuda")
    with pytest.raises(IndexError, match="max_unpool2d: indices: expected 0 to 15, got 16"):
        F.max_unpool2d(y, at, 2)


def test_sequences_and_volumes():
    x, v = normal((2, 3, 11)), normal((2, 3, 5, 6, 7))
    for f in (F.max_pool1d, F.avg_pool1d):
        alike(lambda t, f=f: f(t, 3, 2, 1), x, rtol=1e-5)
    for f in (F.max_pool3d, F.avg_pool3d):
        alike(lambda t, f=f: f(t, (2, 3, 2), 2, 1), v, rtol=1e-5)
    alike(lambda t: F.adaptive_avg_pool1d(t, 4), x, rtol=1e-5)
    alike(lambda t: F.adaptive_max_pool3d(t, (2, 3, 1)), v)
    alike(lambda t: F.lp_pool3d(t * t + 0.1, 3, 2), v, rtol=1e-4)

    def back(f, g):
        def both_ways(t):
            y, at = f(t, 2, return_indices=True)
            return g(y * y, at, 2)

        return both_ways

    alike(back(F.max_pool1d, F.max_unpool1d), x[..., :10])
    alike(back(F.max_pool3d, F.max_unpool3d), v[:, :, :4, :, :6])


def test_nothing():
    alike(lambda x: F.max_pool2d(x, 2), normal((0, 3, 4, 4)))
    alike(lambda x: F.adaptive_avg_pool2d(x, (0, 2)), normal((2, 3, 4, 4)))


def test_nan_wins():
    x = np.full((1, 5, 2, 4), -np.inf, np.float32)
    x[0, 1, 0, 1], x[0, 1, 1, 0], x[0, 2, 0, 0] = np.nan, np.nan, np.inf
    y = F.max_pool2d(striate.tensor(x, device="cuda"), 2).cpu().numpy()
    want = np.full((1, 5, 1, 2), -np.inf)
    want[0, 1, 0, 0], want[0, 2, 0, 0] = np.nan, np.inf
    np.testing.assert_array_equal(y, want)


def test_refusals():
    x = striate.ones(1, 2, 4, 4, device="cuda")
    with pytest.raises(ValueError, match="at most half of the window"):
        F.max_pool2d(x, 2, padding=2)
    with pytest.raises(ValueError, match="a window of at most 4"):
        F.avg_pool2d(x, 5)
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        F.max_pool2d(x.long(), 2)


def test_taps_are_checked():
    from striate import _C

    window = (2, 2, 2, 2, 0, 0, 1, 1, 0)
    x = striate.tensor(normal((1, 2, 4, 4)), device="cuda")._array
    y, taps = _C.max_pool2d_taps(x, window)
    with pytest.raises(TypeError, match="taps: expected an array on cuda:0"):
        _C.max_pool2d_backward(y, taps.get(), (4, 4), window)
    with pytest.raises(TypeError, match="taps: expected a NumPy array"):
        _C.max_pool2d_backward(y.get(), taps, (4, 4), window)
    with pytest.raises(ValueError, match=r"taps: expected uint8 of shape \(1, 2, 2, 2\)"):
        _C.max_pool2d_backward(y, taps[:, :1], (4, 4), window)
    out = striate.zeros(1, 2, 2, 2, device="cuda")._array
    assert _C.max_pool2d(x, window, out=out) is out
    np.testing.assert_array_equal(out.get(), y.get())

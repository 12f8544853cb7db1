# SPDX-License-Identifier: Apache-2.0
"""Pooling, batch norm, LRN and padding against PyTorch, in both memory orders."""

import numpy as np
import pytest
import striate
from striate import Tensor, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

LAYOUTS = ["nchw", "nhwc"]


def image(shape, layout, seed=0, dtype=np.float64):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "nhwc":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


def check(ours, theirs, x, *more, tolerance=1e-12):
    """ours(x) against theirs(x), and the gradient of a random weighting of the result."""
    mine = [Tensor(a.copy(order="K"), requires_grad=True) for a in (x, *more)]
    other = [torch.from_numpy(a.copy(order="K")).requires_grad_() for a in (x, *more)]
    got, expected = ours(*mine), theirs(*other)
    assert got.shape == tuple(expected.shape)
    np.testing.assert_allclose(
        got.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    if got.ndim == 4 and 0 not in got.shape:
        assert got.detach().numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    weight = np.random.default_rng(1).standard_normal(got.shape)
    (got * Tensor(weight)).sum().backward()
    (expected * torch.from_numpy(weight)).sum().backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(
            a.grad.numpy(), b.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance
        )


SHAPES = [(2, 3, 9, 8), (1, 17, 7, 7), (0, 3, 6, 6), (2, 1, 5, 6), (1, 5, 1, 9), (3, 4, 2, 2)]
WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 2, "stride": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 1, "stride": 3, "ceil_mode": True},
    {"kernel_size": (1, 3), "stride": 2, "padding": (0, 1)},
]


def fits(shape, kernel_size, padding=0, dilation=1, **_):
    k, p = (v if isinstance(v, tuple) else (v, v) for v in (kernel_size, padding))
    return all(n + 2 * b >= dilation * (a - 1) + 1 for n, a, b in zip(shape[2:], k, p, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pools(shape, window, layout):
    if not fits(shape, **window):
        for name in ("max_pool2d", "avg_pool2d"):
            with pytest.raises(ValueError, match="kernel_size"):
                getattr(ops, name)(striate.zeros(*shape), **window)
            with pytest.raises(RuntimeError):
                getattr(F, name)(torch.zeros(*shape), **window)
        return
    x = image(shape, layout)
    for more in ({}, {"count_include_pad": False}, {"divisor_override": 5}):
        check(
            lambda t, m=more: ops.avg_pool2d(t, **window, **m),
            lambda t, m=more: F.avg_pool2d(t, **window, **m),
            x,
        )
    check(lambda t: ops.max_pool2d(t, **window), lambda t: F.max_pool2d(t, **window), x)
    y, indices = ops.max_pool2d(Tensor(x), **window, return_indices=True)
    expected, at = F.max_pool2d(torch.from_numpy(x), **window, return_indices=True)
    assert np.array_equal(y.numpy(), expected.numpy())
    assert np.array_equal(indices.numpy(), at.numpy()) and indices.dtype == np.int64


@pytest.mark.parametrize("dilation", [2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_dilated_max(dilation, ceil_mode):
    window = {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": dilation}
    window["ceil_mode"] = ceil_mode
    x = image((2, 5, 11, 9), "nhwc")
    check(lambda t: ops.max_pool2d(t, **window), lambda t: F.max_pool2d(t, **window), x)


@pytest.mark.parametrize("fill", ["ties", "nan", "infinite"])
def test_which_maximum(fill):
    """The first of equal ones, the last NaN; -inf is a maximum where there is nothing else."""
    x = np.random.default_rng(0).integers(0, 3, (2, 20, 9, 9)).astype(np.float32)
    if fill == "nan":
        x[x == 1] = np.nan
    if fill == "infinite":
        x[x < 2] = -np.inf
    window = {"kernel_size": 3, "stride": 2, "padding": 1}
    y, indices = ops.max_pool2d(Tensor(x), **window, return_indices=True)
    expected, at = F.max_pool2d(torch.from_numpy(x), **window, return_indices=True)
    assert np.array_equal(y.numpy(), expected.numpy(), equal_nan=True)
    assert np.array_equal(indices.numpy(), at.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 4), (9, 8), (11, 10)], ids=str)
def test_adaptive(size, layout):
    x = image((2, 5, 9, 8), layout)
    check(lambda t: ops.adaptive_avg_pool2d(t, size), lambda t: F.adaptive_avg_pool2d(t, size), x)
    check(lambda t: ops.adaptive_max_pool2d(t, size), lambda t: F.adaptive_max_pool2d(t, size), x)
    _, indices = ops.adaptive_max_pool2d(Tensor(x), size, return_indices=True)
    _, at = F.adaptive_max_pool2d(torch.from_numpy(x), size, return_indices=True)
    assert np.array_equal(indices.numpy(), at.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("norm", [1, 2, 3, 2.5])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp(norm, ceil_mode, layout):
    x = np.abs(image((2, 5, 8, 9), layout)) + 0.1
    for kernel, stride in ((2, None), (3, 2)):
        check(
            lambda t, k=kernel, s=stride: ops.lp_pool2d(t, norm, k, s, ceil_mode),
            lambda t, k=kernel, s=stride: F.lp_pool2d(t, norm, k, s, ceil_mode),
            x,
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("output_size", [None, (9, 9), (2, 5, 9, 8)], ids=str)
def test_unpool(output_size, layout):
    x = image((2, 5, *(output_size or (8, 8))[-2:]), layout)
    _, at = F.max_pool2d(torch.from_numpy(x), 2, return_indices=True)
    small = image((2, 5, 4, 4), layout, seed=3)
    check(
        lambda t: ops.max_unpool2d(t, Tensor(at.numpy()), 2, output_size=output_size),
        lambda t: F.max_unpool2d(t, at, 2, output_size=output_size),
        small,
    )


def test_unpool_refuses():
    x, at = striate.zeros(1, 1, 2, 2), striate.zeros(1, 1, 2, 2, dtype=striate.int64)
    with pytest.raises(IndexError, match="0 to 15, got 16"):
        ops.max_unpool2d(x, at + 16, 2)
    with pytest.raises(ValueError, match="indices"):
        ops.max_unpool2d(x, at[:, :, :1], 2)
    with pytest.raises(ValueError, match="output_size"):
        ops.max_unpool2d(x, at, 2, output_size=(7, 4))


def test_single_image():
    x = np.random.default_rng(0).standard_normal((3, 6, 6))
    check(lambda t: ops.max_pool2d(t, 2), lambda t: F.max_pool2d(t, 2), x)
    check(lambda t: ops.avg_pool2d(t, 2), lambda t: F.avg_pool2d(t, 2), x)
    y, indices = ops.max_pool2d(Tensor(x), 2, return_indices=True)
    assert y.shape == indices.shape == (3, 3, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("widths", [(1, 2), (1, 2, 3, 0), (-1, 2, 0, -2), (0, 0, 1, 1, 2, 0)])
def test_pad(widths, layout):
    x = image((2, 3, 5, 6), layout)
    check(lambda t: ops.pad(t, widths, value=1.5), lambda t: F.pad(t, widths, value=1.5), x)


def batch_norms(shape, layout, seed=0):
    x = image(shape, layout, seed) if len(shape) == 4 else image((*shape, 1, 1)[:4], "nchw", seed)
    rng = np.random.default_rng(seed + 1)
    c = shape[1]
    return x.reshape(shape), rng.standard_normal(c), rng.standard_normal(c), rng.uniform(0.5, 2, c)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "shape", [(4, 5, 3, 6), (2, 70, 9, 9), (6, 3), (300, 40), (3, 4, 5), (0, 3, 2, 2)], ids=str
)
def test_batch_norm(shape, affine, training, layout):
    x, weight, bias, var = batch_norms(shape, layout)
    mine = Tensor(np.zeros(shape[1])), Tensor(var.copy())
    other = torch.zeros(shape[1], dtype=torch.float64), torch.from_numpy(var.copy())
    options = {"training": training, "momentum": 0.3, "eps": 1e-3}
    check(
        lambda t, *a: ops.batch_norm(t, *mine, *a, **options),
        lambda t, *a: F.batch_norm(t, *other, *a, **options),
        x,
        *((weight, bias) if affine else ()),
        tolerance=1e-11,
    )
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_batch_norm_far_from_zero():
    """A mean of ten thousand standard deviations costs no more digits than float32 itself."""
    x = (10000 + np.random.default_rng(0).standard_normal((8, 24, 14, 14))).astype(np.float32)
    wide = x.astype(np.float64)
    mean, var = wide.mean((0, 2, 3), keepdims=True), wide.var((0, 2, 3), keepdims=True)
    y = ops.batch_norm(Tensor(x), None, None, training=True).numpy()
    np.testing.assert_allclose(y, (wide - mean) / np.sqrt(var + 1e-5), atol=2e-3)
    assert abs(float(y.std()) - 1) < 1e-4


def test_batch_norm_counts_as_a_write():
    x, mean = striate.randn(4, 3), striate.zeros(3, requires_grad=True)
    held = mean.detach()
    y = (mean * mean).sum()
    ops.batch_norm(x, held, striate.ones(3), training=True)
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.3])
def test_lrn(size, beta, layout):
    for shape in ((2, 7, 4, 5), (1, 21, 3, 3)):
        check(
            lambda t: ops.local_response_norm(t, size, 0.4, beta, 2.0),
            lambda t: F.local_response_norm(t, size, 0.4, beta, 2.0),
            image(shape, layout),
        )


def test_lrn_of_sequences_and_extremes():
    x = np.random.default_rng(0).standard_normal((2, 6, 9))
    check(lambda t: ops.local_response_norm(t, 3), lambda t: F.local_response_norm(t, 3), x)
    x = np.array([0.0, 1e15, -1e15, 1e-20, np.inf, np.nan, 1.0, 2.0], np.float32)
    x = x.reshape(1, 8, 1, 1)
    ours = ops.local_response_norm(Tensor(x), 2).numpy()
    theirs = F.local_response_norm(torch.from_numpy(x), 2).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-37)  # denormals are flushed

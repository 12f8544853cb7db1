# SPDX-License-Identifier: Apache-2.0
"""Results too large for the caches are written past them: all of them, wherever they begin."""

import numpy as np
import pytest
from striate import _C

ISAS = [isa for isa, why_not in _C.isas().items() if not why_not]
ROWS = [r["name"] for r in _C.rows()]
CONVOLUTION_ISAS = [isa for isa in ISAS if f"conv2d_depthwise_blocks_f32_{isa}" in ROWS]
MANY = 64 * (1 << 17) + 77  # parts of 512 KiB, and a tail


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(MANY, np.float32) for _ in range(2))


def unaligned(n, dtype, offset):
    """An array that begins `offset` elements behind a cache line, surrounded by ones."""
    item = np.dtype(dtype).itemsize
    space = np.ones(n + 128, dtype)
    start = -(space.ctypes.data // item) % (64 // item) + offset
    return space, space[start : start + n], start


@pytest.mark.parametrize("offset", [0, 1, 7])
@pytest.mark.parametrize("isa", ISAS)
def test_every_element_is_written(isa, offset, numbers):
    a, b = numbers
    for name, call, expected in (
        ("relu", lambda out: _C.relu(a, out=out), np.maximum(a, 0)),
        ("relu_backward", lambda out: _C.relu_backward(a, b, out=out), np.where(a > 0, b, 0)),
        ("copy", lambda out: _C.to_c_order(a, out=out), a),
        ("add", lambda out: _C.add(a, b, out=out), a + b),
        ("mul", lambda out: _C.mul(a, 3.0, out=out), a * np.float32(3)),
    ):
        space, out, start = unaligned(MANY, np.float32, offset)
        names = [r["name"] for r in _C.rows() if r["name"].endswith(f"_f32_{isa}")]
        with _C.pin_rows(names):
            call(out)
        np.testing.assert_array_equal(out, expected, err_msg=name)
        assert (space[:start] == 1).all() and (space[start + MANY :] == 1).all(), name


@pytest.mark.parametrize("isa", ISAS)
def test_doubles_and_in_place(isa, numbers):
    a = numbers[0].astype(np.float64)
    expected = np.where(a > 0, a, a * 0.5)
    names = [r["name"] for r in _C.rows() if r["name"].endswith(f"_f64_{isa}")]
    space, out, start = unaligned(MANY, np.float64, 3)
    with _C.pin_rows(names):
        _C.leaky_relu(a, 0.5, out=out)
        np.testing.assert_array_equal(out, expected)
        assert (space[:start] == 1).all() and (space[start + MANY :] == 1).all()
        _C.leaky_relu(a, 0.5, out=a)
        np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("isa", ISAS)
def test_batch_norm(isa, numbers):
    """64 channels side by side to whole vectors, 67 that are not."""
    names = [r["name"] for r in _C.rows() if r["name"].endswith(f"_f32_{isa}")]
    for channels in (64, 67):
        x = numbers[0][: MANY // channels * channels].reshape(-1, channels)
        ends = ((-1, 1), (0.5, 2), (1, 3), (-2, 2))
        mean, invstd, weight, bias = (np.linspace(*e, channels, dtype=np.float32) for e in ends)
        with _C.pin_rows(names):
            y = _C.batch_norm_infer(x, mean, invstd, weight, bias)
        slope = invstd.astype(np.float64) * weight
        np.testing.assert_allclose(y, (x - mean.astype(np.float64)) * slope + bias, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("isa", ISAS)
def test_transpose(isa, dtype, numbers):
    """Rows of whole lines and others, from a line's start and elsewhere; few rows, and many."""
    names = [r["name"] for r in _C.rows() if r["name"].endswith(f"_{isa}")]
    sizes = [(64, 70001), (2064, 2051), (2050, 2049), (32, 131072)]
    threes = [(3, 1400003), (1400008, 3), (1400003, 3)]
    for rows, columns in (*sizes, *threes):
        a = numbers[0][: rows * columns].reshape(rows, columns).astype(dtype)
        for offset in (0, 3):
            space, out, start = unaligned(a.size, dtype, offset)
            with _C.pin_rows(names):
                _C.to_c_order(a.T, out=out.reshape(columns, rows))
            np.testing.assert_array_equal(out.reshape(columns, rows), a.T)
            assert (space[:start] == 1).all() and (space[start + a.size :] == 1).all()


@pytest.mark.parametrize("isa", ISAS)
def test_softmax_and_pooling_gradients(isa, numbers):
    """Rows of whole lines and others; pixels of 64 channels."""
    names = [r["name"] for r in _C.rows() if r["name"].endswith(f"_f32_{isa}")]
    for n in (1024, 1001):
        y, dy = (a[: 4200 * n].reshape(4200, n) for a in numbers)
        for offset in (0, 3):
            space, out, start = unaligned(y.size, np.float32, offset)
            with _C.pin_rows(names):
                _C.softmax_backward(y, dy, 1, out=out.reshape(y.shape))
            inner = np.einsum("ij,ij->i", y, dy, dtype=np.float64)
            np.testing.assert_allclose(out.reshape(y.shape), y * (dy - inner[:, None]), atol=2e-3)
            assert (space[:start] == 1).all() and (space[start + y.size :] == 1).all()
    x = numbers[0][: 64 * 363 * 361].reshape(1, 363, 361, 64).transpose(0, 3, 1, 2)
    window = (1, 1, 1, 1, 0, 0, 1, 1, False)
    with _C.pin_rows(names):
        y, taps = _C.max_pool2d_taps(x, window)
        dx = _C.max_pool2d_backward(x, taps, x.shape[2:], window)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, x)


def written_whole(convolution, x, channels):
    """Two images at once, large enough to go past the caches, as each by itself."""
    height, width = x.shape[2:]
    each = [convolution(x[i : i + 1], None) for i in range(2)]
    for offset in (0, 1, 16):
        space, flat, start = unaligned(2 * height * width * channels, np.float32, offset)
        assert flat.nbytes > 1 << 24
        out = flat.reshape(2, height, width, channels).transpose(0, 3, 1, 2)
        convolution(x, out)
        np.testing.assert_array_equal(out, np.concatenate(each))
        assert (space[:start] == 1).all() and (space[start + flat.size :] == 1).all()


def numbers_of(*shape):
    """(N, C, H, W), channels last in memory."""
    n, c, h, w = shape
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, h, w, c), np.float32).transpose(0, 3, 1, 2)


SAME = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1)}


@pytest.mark.parametrize("isa", CONVOLUTION_ISAS)
def test_convolution_of_few_channels(isa):
    w, bias = numbers_of(64, 3, 3, 3), numbers_of(64, 1, 1, 1).ravel()
    names = [n for n in ROWS if n.startswith(f"conv2d_row_f32_{isa}")]
    with _C.pin_rows([*names, "conv2d_fwd_f32_rows"]):
        written_whole(
            lambda x, out: _C.conv2d(x, w, bias, out=out, groups=1, **SAME),
            numbers_of(2, 3, 184, 180),
            channels=64,
        )


@pytest.mark.parametrize("isa", CONVOLUTION_ISAS)
def test_depthwise_convolution(isa):
    x, w = numbers_of(2, 64, 184, 180), numbers_of(64, 1, 3, 3)

    def forward(x, out):
        return _C.conv2d(x, w, None, out=out, groups=64, **SAME)

    def backward(x, out):
        return _C.conv2d_bwd_data(x, w, size=(184, 180), out=out, groups=64, **SAME)

    with _C.pin_rows([f"conv2d_depthwise_blocks_f32_{isa}"]):
        for convolution in (forward, backward):
            written_whole(convolution, x, channels=64)


@pytest.mark.parametrize("isa", CONVOLUTION_ISAS)
def test_winograd_convolution(isa):
    w, bias = numbers_of(64, 16, 3, 3), numbers_of(64, 1, 1, 1).ravel()
    names = [n for n in ROWS if n.startswith("conv2d_winograd_") and n.endswith(f"_f32_{isa}")]
    assert f"conv2d_winograd_output_part_f32_{isa}" in names
    with _C.pin_rows([*names, "conv2d_fwd_f32_winograd_f4x4"]):
        written_whole(
            lambda x, out: _C.conv2d(x, w, bias, out=out, groups=1, **SAME),
            numbers_of(2, 16, 186, 183),
            channels=64,
        )

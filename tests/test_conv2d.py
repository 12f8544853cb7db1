# SPDX-License-Identifier: Apache-2.0
"""Convolutions that no table of samples holds: sizes at the edge of what integers hold."""

import numpy as np
import pytest
import striate
from striate import _C
from striate.ops.conv2d import images

ROWS = [r["name"] for r in _C.rows()]
ISAS = [
    isa
    for isa, why_not in _C.isas().items()
    if not why_not and f"conv2d_depthwise_blocks_f32_{isa}" in ROWS
]
FAR = 2**39
OPTIONS = {
    "stride": (FAR, FAR),
    "padding": ((FAR, FAR), (FAR, FAR)),
    "dilation": (1, 1),
    "groups": 1,
}


@pytest.mark.parametrize("method", [None, "implicit", "rows"])
def test_astronomic_strides_and_paddings(method):
    """Only the middle output of 3x3 meets the image; no copy of the padded image is made."""
    rng = np.random.default_rng(0)
    x = images(rng.standard_normal((1, 2, 8, 8)).astype(np.float32))
    w = images(rng.standard_normal((3, 2, 2, 2)).astype(np.float32))
    dy = images(rng.standard_normal((1, 3, 3, 3)).astype(np.float32))
    passes = ("fwd", "bwd_data", "bwd_weight") if method else ()
    with _C.pin_rows([f"conv2d_{p}_f32_{method}" for p in passes]):
        y = _C.conv2d(x, w, **OPTIONS)
        dx = _C.conv2d_bwd_data(dy, w, size=(8, 8), **OPTIONS)
        dw = _C.conv2d_bwd_weight(x, dy, size=(2, 2), **OPTIONS)
    corner, middle = x[0, :, :2, :2], dy[0, :, 1, 1]
    expected = np.zeros((1, 3, 3, 3))
    expected[0, :, 1, 1] = np.einsum("chw,kchw->k", corner, w)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    expected = np.zeros((1, 2, 8, 8))
    expected[0, :, :2, :2] = np.einsum("k,kchw->chw", middle, w)
    np.testing.assert_allclose(dx, expected, atol=1e-5)
    np.testing.assert_allclose(dw, np.einsum("k,chw->kchw", middle, corner), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_many_pixels_are_summed_in_parts(stride):
    """Of a 1x1 weight gradient: the same parts for any threads, and the right sum."""
    rng = np.random.default_rng(0)
    size = 131 * stride
    x = rng.standard_normal((2, size, size, 24), np.float32).transpose(0, 3, 1, 2)
    dy = rng.standard_normal((2, 131, 131, 20), np.float32).transpose(0, 3, 1, 2)
    options = {
        "stride": (stride,) * 2, "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1
    }  # fmt: skip
    threads = striate.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            striate.set_num_threads(count)
            with _C.pin_rows([f"conv2d_bwd_weight_f32_{'gemm' if stride == 1 else 'sampled'}"]):
                found.append(_C.conv2d_bwd_weight(x, dy, size=(1, 1), **options))
    finally:
        striate.set_num_threads(threads)
    met = x[:, :, ::stride, ::stride].astype(np.float64)
    exact = np.einsum("nkhw,nchw->kc", dy.astype(np.float64), met)
    np.testing.assert_allclose(found[0][:, :, 0, 0], exact, atol=2e-3)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [24, 128])
def test_depthwise_taps_beside_the_image_meet_nothing(isa, stride, channels):
    """Neither an infinite weight beside the image nor a pixel that no output of a tap meets."""
    x = images(np.ones((1, channels, 8, 9), np.float32))
    w = np.ones((channels, 1, 3, 3), np.float32)
    options = {"stride": (stride,) * 2, "dilation": (1, 1), "groups": channels}
    w[:, :, 0], w[:, :, :, 0] = np.inf, np.inf
    with _C.pin_rows(
        [f"conv2d_depthwise_{what}_f32_{isa}" for what in ("blocks", "weight_blocks")]
    ):
        y = _C.conv2d(x, w, None, padding=((1, 1), (1, 1)), **options)
        assert np.isinf(y[:, :, 1:]).all() and np.isinf(y[:, :, :, 1:]).all()
        assert (y[:, :, 0, 0] == 4).all()

        x[:, :, -1], x[:, :, :, -1] = np.nan, np.nan
        dy = images(np.ones((1, channels, *((n - 3) // stride + 1 for n in (8, 9))), np.float32))
        dw = _C.conv2d_bwd_weight(x, dy, size=(3, 3), padding=((0, 0), (0, 0)), **options)
    meets = np.zeros((3, 3), bool)  # with stride 2 no output reaches the last of 8 rows
    meets[:, 2] = True
    meets[2] |= stride == 1
    assert (np.isnan(dw) == meets).all()

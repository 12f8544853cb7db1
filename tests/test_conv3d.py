# SPDX-License-Identifier: Apache-2.0
"""Sizes of sequences and volumes at the edge of what integers hold."""

import numpy as np
import pytest
import striate
from striate import _C, ops
from striate.ops.layout import channels_last

FAR = 2**39
OPTIONS = {"stride": (FAR,) * 3, "padding": ((FAR, FAR),) * 3, "dilation": (1,) * 3, "groups": 1}


def test_astronomic_strides_and_paddings():
    """Only the middle output of 3x3x3 meets the volume."""
    rng = np.random.default_rng(0)
    x = channels_last(rng.standard_normal((2, 2, 4, 5, 6)).astype(np.float32))
    w = channels_last(rng.standard_normal((3, 2, 2, 2, 2)).astype(np.float32))
    dy = channels_last(rng.standard_normal((2, 3, 3, 3, 3)).astype(np.float32))
    y = _C.conv3d(x, w, **OPTIONS)
    dx = _C.conv3d_bwd_data(dy, w, size=(4, 5, 6), **OPTIONS)
    dw = _C.conv3d_bwd_weight(x, dy, size=(2, 2, 2), **OPTIONS)
    corner, middle = x[:, :, :2, :2, :2], dy[:, :, 1, 1, 1]
    expected = np.zeros((2, 3, 3, 3, 3))
    expected[:, :, 1, 1, 1] = np.einsum("ncdhw,kcdhw->nk", corner, w)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    expected = np.zeros((2, 2, 4, 5, 6))
    expected[:, :, :2, :2, :2] = np.einsum("nk,kcdhw->ncdhw", middle, w)
    np.testing.assert_allclose(dx, expected, atol=1e-5)
    np.testing.assert_allclose(dw, np.einsum("nk,ncdhw->kcdhw", middle, corner), atol=1e-5)


def test_astronomic_sizes_of_nothing():
    """No images, or no channels: results without elements, whatever their sizes."""

    def nothing(*shape):
        return channels_last(np.zeros(shape, np.float32))

    w, plain = nothing(1, 1, 1, 1, 1), OPTIONS | {"stride": (1,) * 3, "padding": ((0, 0),) * 3}
    wide = plain | {"padding": ((FAR // 2, 0), (0, 0), (0, 0))}
    far = (FAR // 2 + 1, 1, 1)
    assert _C.conv3d(nothing(0, 1, 1, 1, 1), w, **wide).shape == (0, 1, *far)
    dy = nothing(0, 1, *far)
    assert _C.conv3d_bwd_data(dy, w, size=(1, 1, 1), **wide).shape == (0, 1, 1, 1, 1)
    assert _C.conv3d_bwd_data(dy, w, size=far, **plain).shape == dy.shape
    x, dy = nothing(1, 0, *far), nothing(1, 1, 1, 1, 1)
    assert _C.conv3d_bwd_weight(x, dy, size=far, **plain).shape == (1, 0, *far)
    x, dy = nothing(1, 0, *far[:2]), nothing(1, 1, 1, 1)
    flat = plain | {name: plain[name][:2] for name in ("stride", "padding", "dilation")}
    assert _C.conv2d_bwd_weight(x, dy, size=far[:2], **flat).shape == x.shape


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.conv3d(x, striate.zeros(1, 1, 1, 1, 1), padding=2**39),
        lambda x: ops.conv_transpose3d(x, striate.zeros(1, 1, 1, 1, 1), stride=2**39),
        lambda x: ops.interpolate(x, (2**31, 2**31, 2**31)),
        lambda x: ops.interpolate(x, scale_factor=1e30),
        lambda x: ops.pad(x, (2**62, 2**62, 0, 0, 0, 0), "replicate"),
        lambda x: ops.max_unpool3d(x, x.long(), 2, stride=2**30),
        lambda x: ops.avg_pool3d(x, 2, 2**31),
        lambda x: ops.conv1d(x[0, 0], striate.zeros(2, 2, 2), dilation=2**41),
        lambda x: ops.fold(x[0, 0], (2**40, 2**40), 1),
        lambda x: ops.unfold(x[0], 1, padding=2**40),
    ],
)
def test_sizes_are_refused(call):
    with pytest.raises(
        (ValueError, IndexError), match=r"^\w+: \w+: expected|gives an output|larger"
    ):
        call(striate.zeros(1, 1, 2, 2, 2))

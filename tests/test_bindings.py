# SPDX-License-Identifier: Apache-2.0
"""What bindings make of arguments that the layer above them would not pass."""

import math

import numpy as np
import pytest
from striate import _C


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("scale", [math.inf, math.nan, -1.0])
def test_scales_of_no_size_are_refused(scale):
    with pytest.raises(ValueError, match="interpolate: scale: expected 0 or a positive number"):
        _C.interpolate(ones(1, 1, 4), (("linear", 8, scale, False),))


@pytest.mark.parametrize("axes", [(5,), (("linear",),), ("linear",)])
def test_axes_are_tuples(axes):
    with pytest.raises((ValueError, RuntimeError), match=r"axes|cast"):
        _C.interpolate(ones(1, 1, 4), axes)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic"])
@pytest.mark.parametrize("scale", [1e15, 1e30])
def test_places_past_all_pixels_are_the_last(mode, scale):
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    axes = ((mode, 9, scale, False),)
    y = _C.interpolate(x, axes)
    np.testing.assert_array_equal(y[..., 1:], np.repeat(x[..., 3:], 8, axis=2))
    dx = _C.interpolate_backward(np.ones_like(y), (4,), axes)
    assert np.all(dx[..., 3] >= 8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _C.layer_norm(ones(3, 0), 1, 1e-5)[1:],
        lambda: _C.rms_norm(ones(3, 0), 1, 1e-5)[1:],
        lambda: _C.group_norm(ones(2, 4, 0, 5), 2, 1e-5)[1:],
        lambda: _C.batch_norm_train(ones(2, 4, 0, 5))[1:],
    ],
)
def test_statistics_of_nothing_are_nan(call):
    for made in call():
        assert made.size and np.all(np.isnan(made))


def test_running_statistics_stay_where_there_is_nothing():
    mean, var = ones(4), ones(4)
    _C.batch_norm_train(ones(0, 4, 3, 5), running_mean=mean, running_var=var)
    assert np.all(mean == 1) and np.all(var == 1)


@pytest.mark.parametrize("columns", [3, 20000])
def test_the_largest_of_a_bag_does_not_see_denormals(columns):
    rows = np.zeros((2, columns), np.float32)
    rows[1] = np.finfo(np.float32).tiny / 2
    indices, begin = np.array([0, 1]), np.array([0, 2])
    assert np.all(_C.embedding_max(rows, indices, begin)[1] == 0)


def read_only(n):
    return np.broadcast_to(np.float32(1), (n,))


def test_what_can_not_be_written_is_named():
    with pytest.raises(ValueError, match="sgd_plain: param: expected a writable array"):
        _C.optimizer_step("sgd_plain", read_only(4), ones(4), (), rate=0.1)
    with pytest.raises(ValueError, match="sgd_momentum: states: expected a writable array"):
        _C.optimizer_step("sgd_momentum", ones(4), ones(4), (read_only(4),), rate=0.1)
    with pytest.raises(ValueError, match="batch_norm: running_var: expected a writable array"):
        _C.batch_norm_train(ones(2, 4), running_mean=ones(4), running_var=read_only(4))


def test_results_in_other_orders():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3, 4)).astype(np.float32)
    weights = [rng.standard_normal((12, 4)).astype(np.float32) for _ in range(2)]
    out = np.empty_like(x)[::-1, :, ::-1]
    np.testing.assert_array_equal(
        _C.rnn_forward("gru", x, *weights, out=out)[0], _C.rnn_forward("gru", x, *weights)[0]
    )
    labels = np.array([1, 2, 1, 3, 2]), np.array([20, 18, 5]), np.array([2, 1, 2])
    gradient = _C.ctc_loss(x, *labels, gradient=True)[1]
    out = np.empty_like(x.T).T
    assert _C.ctc_loss(x, *labels, gradient=True, out=out)[1] is out
    np.testing.assert_array_equal(out, gradient)


def test_a_sum_over_no_axes_is_a_copy():
    x = np.arange(6.0).reshape(2, 3)
    y = _C.sum(x, ())
    assert y is not x
    np.testing.assert_array_equal(y, x)

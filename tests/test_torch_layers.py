# SPDX-License-Identifier: Apache-2.0
"""Dropout against PyTorch: the same statistics, edges and refusals; masks are our own."""

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

DROPOUTS = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"]
DROPOUTS += ["feature_alpha_dropout"]
SHAPES = {"dropout1d": (64, 32, 5), "dropout3d": (64, 32, 2, 2, 2)}


@pytest.mark.parametrize("p", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_values(name, p):
    """Both give an input of ones the same two values, in about the same shares."""
    ones = np.ones(SHAPES.get(name, (64, 32, 4, 3)))
    ours = getattr(ops, name)(Tensor(ones), p, training=True).numpy()
    theirs = getattr(F, name)(torch.from_numpy(ones), p, training=True).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-12, atol=1e-12)
    assert abs((ours == ours.min()).mean() - (theirs == theirs.min()).mean()) < 0.1


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_refuses_what_torch_refuses(name):
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="probability"):
            getattr(ops, name)(striate.ones(2, 3, 4), p, training=True)
        with pytest.raises((ValueError, RuntimeError)):
            getattr(F, name)(torch.ones(2, 3, 4), p, training=True)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_of_what_is_not_finite(p):
    x = np.array([np.nan, np.inf, -np.inf, 1.0] * 50)
    ours = ops.dropout(Tensor(x), p).numpy()
    theirs = F.dropout(torch.from_numpy(x), p).numpy()
    for a in (ours, theirs):
        assert np.isnan(a[::4]).all()
        assert (np.isnan(a[1::4]) | np.isposinf(a[1::4])).all()
    if p in (0.0, 1.0):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"])
def test_dropout_layers_look_alike(name):
    assert repr(getattr(nn, name)(0.3)) == repr(getattr(torch.nn, name)(0.3))

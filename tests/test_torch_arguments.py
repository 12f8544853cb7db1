# SPDX-License-Identifier: Apache-2.0
"""Arguments and attributes that small programs use, as PyTorch has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import striate
from striate import nn
from striate.nn import functional as F
from striate.testing import gradcheck

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize("given", ["float32", "float64", "int64"])
@pytest.mark.parametrize("wanted", ["float32", "float64"])
def test_softmax_in_another_dtype(name: str, given: str, wanted: str) -> None:
    a = np.random.default_rng(0).integers(-3, 4, (4, 5)).astype(given)
    x = striate.tensor(a, requires_grad=given != "int64")
    t = torch.tensor(a, requires_grad=given != "int64")
    y = getattr(F, name)(x, dim=1, dtype=getattr(striate, wanted))
    u = getattr(torch.nn.functional, name)(t, dim=1, dtype=getattr(torch, wanted))
    assert y.dtype == wanted
    eps = 4 * np.finfo(wanted).eps
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=8 * eps, atol=eps)
    if given == "int64":
        return
    (y * y).sum().backward()
    (u * u).sum().backward()
    assert x.grad.dtype == given
    eps = 64 * float(max(np.finfo(given).eps, np.finfo(wanted).eps))
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=eps, atol=eps)
    with pytest.raises(TypeError, match="softmax: dtype: expected float32 or float64, got int64"):
        getattr(F, name)(x, 1, dtype=striate.int64)


@pytest.mark.parametrize("mode", [None, "floor", "trunc"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_division_in_place_is_rounded(mode: str | None, dtype: str) -> None:
    a = np.array([-7, -1, 0, 5, 9]).astype(dtype)
    x, t = striate.tensor(a), torch.tensor(a)
    if mode is None and dtype == "int64":
        with pytest.raises((TypeError, RuntimeError), match="div_"):
            x.div_(2)
        return
    assert x.div_(2, rounding_mode=mode) is x
    np.testing.assert_array_equal(x.numpy(), t.div_(2, rounding_mode=mode).numpy())
    with pytest.raises(ValueError, match="div: rounding_mode: expected None"):
        x.div_(2, rounding_mode="up")


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_relu_keeps_integers(dtype: str) -> None:
    a = np.array([[3, 0, 100], [1, 7, 2]]).astype(dtype)
    if dtype != "uint8":
        a[0] = -a[0]
    for function, theirs in ((F.relu, torch.relu), (nn.ReLU(), torch.nn.ReLU())):
        y, u = function(striate.tensor(a)), theirs(torch.tensor(a))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.numpy(), u.numpy())


@pytest.mark.parametrize("accumulate", [False, True])
def test_put_counts_from_the_end(accumulate: bool) -> None:
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    places, values = np.array([[-1, 0], [5, -12 + 3]]), np.array([[10.0, 20], [30, 40]], "f")
    x, t = striate.tensor(a), torch.tensor(a)
    y = x.put(striate.tensor(places), striate.tensor(values), accumulate)
    u = t.put(torch.tensor(places), torch.tensor(values), accumulate)
    np.testing.assert_array_equal(y.numpy(), u.numpy())
    assert x.put_(striate.tensor(places), striate.tensor(values), accumulate=accumulate) is x
    np.testing.assert_array_equal(x.numpy(), u.numpy())
    for place in (12, -13):
        with pytest.raises(IndexError, match="put: index: expected 0 to 11"):
            x.put_(striate.tensor([place]), striate.tensor([1.0]))


POOLS: list[tuple[str, dict[str, Any]]] = [
    (f"{kind}2d", arguments)
    for kind, more in (
        ("MaxPool", {"padding": 1, "dilation": 2}),
        ("AvgPool", {"padding": (1, 0)}),
        ("LPPool", {"norm_type": 2.0}),
        ("MaxUnpool", {"padding": 1}),
    )
    for arguments in (
        {"kernel_size": 3, **more},
        {"kernel_size": (3, 2), "stride": 2, **more},
        {"kernel_size": 2, "stride": (2, 1), **more},
    )
]


@pytest.mark.parametrize(("name", "arguments"), POOLS)
def test_pools_keep_what_was_given(name: str, arguments: dict[str, Any]) -> None:
    mine, theirs = getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)
    for part in ("kernel_size", "stride", "padding", "dilation"):
        if getattr(theirs, part, None) is not None:  # LPPool's stride None is kernel_size here
            assert getattr(mine, part) == getattr(theirs, part)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erfinv(dtype: str) -> None:
    eps = float(np.finfo(dtype).eps)
    tail = 1 - np.logspace(-1, np.log10(eps), 40)
    small = np.logspace(-30, -1, 60)
    a = np.concatenate([np.linspace(-0.95, 0.95, 101), tail, -tail, small, -small]).astype(dtype)
    x, t = striate.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, u = striate.erfinv(x), torch.erfinv(t.double())
    # As far as the input's own rounding tells apart: erf's slope, over what is left to 1.
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=8 * eps)
    y.sum().backward()
    u.sum().backward()
    slopes = 64 * eps * (1 + u.detach().numpy() ** 2)
    assert (np.abs(x.grad.numpy() / t.grad.numpy() - 1) <= slopes).all()
    special = np.array([1, -1, 0.0, -0.0, 1.5, -2, np.nan, np.inf], dtype)
    mine, theirs = striate.tensor(special).erfinv().numpy(), torch.tensor(special).erfinv().numpy()
    np.testing.assert_array_equal(mine, theirs)
    assert (np.signbit(mine) == np.signbit(special))[:4].all()
    gradcheck(striate.erfinv, [np.linspace(-0.9, 0.9, 7)])
    assert striate.erfinv(striate.tensor([0, 1])).dtype == striate.float32

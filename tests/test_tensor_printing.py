# SPDX-License-Identifier: Apache-2.0
"""How tensors print: as PyTorch prints them."""

import re

import numpy as np
import pytest
import striate
from striate import tensor


@pytest.fixture(autouse=True)
def default_options():
    yield
    striate.set_printoptions(profile="default")


def test_printing():
    assert repr(tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])"
    assert repr(tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tensor([1, 2], striate.int8)) == "tensor([1, 2], dtype=striate.int8)"
    assert repr(tensor([1.0]).double()) == "tensor([1.], dtype=striate.float64)"
    assert repr(tensor([True])) == "tensor([True])"
    assert repr(tensor(3.0)) == "tensor(3.)"
    assert str(tensor(3.0)) == "tensor(3.)"
    leaf = tensor([1.0], requires_grad=True)
    assert repr(leaf) == "tensor([1.], requires_grad=True)"
    assert repr(leaf + 1) == "tensor([2.], grad_fn=<add>)"
    assert repr(striate.nn.Parameter(tensor([1.0]))) == (
        "Parameter containing:\ntensor([1.], requires_grad=True)"
    )
    assert len(repr(striate.zeros(1000, 1000))) < 1000


def arrays():
    rng = np.random.default_rng(0)
    for shape in [(), (1,), (7,), (30,), (3, 4), (2, 3, 4), (1, 2, 1, 3), (0,), (0, 3), (2, 0),
                  (1001,), (40, 50), (3, 40, 50), (9, 9, 9, 9), (7, 2000)]:  # fmt: skip
        yield rng.standard_normal(shape)
        yield rng.standard_normal(shape) * 1e6
        yield np.asarray(np.round(rng.standard_normal(shape) * 10))
        yield rng.integers(-1000, 1000, shape)
        yield np.asarray(rng.integers(0, 2, shape)).astype(bool)
        yield np.asarray(rng.integers(0, 200, shape)).astype(np.uint8)
    yield np.array([np.nan, 1.5, np.inf])
    yield np.array([np.nan, 1.0, -np.inf])
    yield np.array([np.nan, np.inf])
    yield np.array([0.0, 0.0])
    yield np.array([1e-5, 1.0])
    yield np.array([1e9, 1.0])
    yield np.array([1e-20, 1e20])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, None])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": 2},
        {"sci_mode": True},
        {"sci_mode": False, "linewidth": 40},
        {"threshold": 5, "edgeitems": 1},
        {"profile": "short"},
        {"linewidth": 200, "precision": 8},
    ],
    ids=str,
)
def test_like_torch(options, dtype):
    torch = pytest.importorskip("torch")
    try:
        striate.set_printoptions(**options)
        torch.set_printoptions(**options)
        for array in arrays():
            kind = np.asarray(array).dtype
            x = np.array(array, dtype if dtype is not None and kind.kind == "f" else kind)
            expected = repr(torch.from_numpy(x)).replace("torch.", "striate.")
            # where a note goes depends on the length of the library's name
            assert re.sub(r",\s+dtype", ", dtype", repr(tensor(x))) == re.sub(
                r",\s+dtype", ", dtype", expected
            )
    finally:
        torch.set_printoptions(profile="default", sci_mode=None)


def test_options_are_checked():
    with pytest.raises(ValueError, match=r"profile: expected one of .*'tiny'"):
        striate.set_printoptions(profile="tiny")
    with pytest.raises(ValueError, match="precision: expected 0 or more, got -1"):
        striate.set_printoptions(precision=-1)
    striate.set_printoptions(precision=2)
    striate.set_printoptions(edgeitems=1)  # what is not named stays
    assert repr(tensor([1.234])) == "tensor([1.23])"

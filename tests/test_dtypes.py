# SPDX-License-Identifier: Apache-2.0
"""Result types: PyTorch's, over all pairs of dtypes and Python numbers."""

import itertools
import operator

import numpy as np
import pytest
import striate
from striate import Tensor, tensor

# --- result types ---------------------------------------------------------------------------------

LETTERS = {
    "?": striate.bool_,
    "u": striate.uint8,
    "b": striate.int8,
    "s": striate.int16,
    "i": striate.int32,
    "l": striate.int64,
    "f": striate.float32,
    "d": striate.float64,
}
# PyTorch 2.13's answers: a row an input in the order of LETTERS, a letter an other. Both with axes
# (or both without), then an input with axes and an other without.
ALIKE = (
    "?ubsilfd",
    "uussilfd",
    "bsbsilfd",
    "ssssilfd",
    "iiiiilfd",
    "llllllfd",
    "fffffffd",
    "dddddddd",
)
MIXED = (
    "?ubsilfd",
    "uuuuuufd",
    "bbbbbbfd",
    "ssssssfd",
    "iiiiiifd",
    "llllllfd",
    "ffffffff",
    "dddddddd",
)
# With the numbers True, 1 and 1.0.
NUMBERS = ("?lf", "uuf", "bbf", "ssf", "iif", "llf", "fff", "ddd")


def ones(letter, ndim):
    return striate.ones((2,) * ndim, dtype=LETTERS[letter])


@pytest.mark.parametrize(("a", "b"), list(itertools.product(LETTERS, repeat=2)))
def test_result_type(a, b):
    row, column = (list(LETTERS).index(x) for x in (a, b))
    assert striate.result_type(ones(a, 1), ones(b, 2)) == LETTERS[ALIKE[row][column]]
    assert striate.result_type(ones(a, 0), ones(b, 0)) == LETTERS[ALIKE[row][column]]
    assert striate.result_type(ones(a, 1), ones(b, 0)) == LETTERS[MIXED[row][column]]
    assert striate.result_type(ones(b, 0), ones(a, 1)) == LETTERS[MIXED[row][column]]


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("ndim", [0, 1])
def test_result_type_with_numbers(letter, ndim):
    expected = NUMBERS[list(LETTERS).index(letter)]
    for number, dtype in zip((True, 1, 1.0), expected, strict=True):
        assert striate.result_type(ones(letter, ndim), number) == LETTERS[dtype]
        assert striate.result_type(number, ones(letter, ndim)) == LETTERS[dtype]


def test_default_dtype_is_what_floats_become():
    try:
        striate.set_default_dtype(striate.float64)
        assert (striate.ones(2, dtype=striate.int64) * 1.5).dtype == striate.float64
        assert tensor(1.5).dtype == striate.float64
        assert (striate.ones(2, dtype=striate.float32) * 1.5).dtype == striate.float32
    finally:
        striate.set_default_dtype(striate.float32)
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        striate.set_default_dtype(striate.int64)


BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "eq", "lt", "ge"]


def values(letter, ndim, seed):
    """The same random values as a striate tensor and as a torch one."""
    torch = pytest.importorskip("torch")
    array = np.asarray(np.random.default_rng(seed).integers(0, 4, (2, 3)[:ndim]))
    array = array.astype(LETTERS[letter])
    return Tensor(array.copy()), torch.from_numpy(array.copy())


@pytest.mark.parametrize("name", BINARY)
def test_operations_agree_with_torch(name):
    """Values and dtypes of every pair of dtypes, with and without axes."""
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(striate.ops, name), getattr(torch, name)
    for (a, b), (m, n) in itertools.product(
        itertools.product(LETTERS, repeat=2), [(0, 0), (0, 2), (2, 0), (1, 1)]
    ):
        if name == "sub" and "?" in (a, b):
            continue
        (x, tx), (y, ty) = values(a, m, 1), values(b, n, 2)
        if name == "div" and not np.all(y.numpy()):
            y, ty = y + 1, ty + 1
        got, expected = ours(x, y), theirs(tx, ty).numpy()
        assert got.dtype == expected.dtype, (name, a, b, m, n)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, err_msg=f"{name} {a} {b}")


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("number", [True, 2, -1, 300, 0.5])
@pytest.mark.parametrize("symbol", ["add", "mul", "truediv", "eq", "lt"])
def test_python_numbers_agree_with_torch(letter, number, symbol):
    (x, tx) = values(letter, 2, 3)
    function = getattr(operator, symbol)
    if symbol in ("eq", "lt") and number in (300, -1):
        pytest.skip("PyTorch wraps the number into the tensor's dtype; we compare the values")
    got, expected = function(x, number), function(tx, number).numpy()
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


def test_bools_are_not_subtracted():
    flags = tensor([True, False])
    with pytest.raises(TypeError, match="sub"):
        flags - flags


@pytest.mark.parametrize("letter", "usil")
def test_integers_have_bit_operations_and_bools_logic(letter):
    x, y = tensor([6, 0, 1], LETTERS[letter]), tensor([3, 2, 1], LETTERS[letter])
    assert (x & y).tolist() == [2, 0, 1]
    assert (x | y).tolist() == [7, 2, 1]
    assert (x ^ y).tolist() == [5, 2, 0]
    assert (x & 4).tolist() == [4, 0, 0]
    assert (4 & x).tolist() == [4, 0, 0]
    assert (~x).dtype == x.dtype
    assert (~tensor([1])).tolist() == [-2]
    flags = tensor([True, False])
    assert (~flags).tolist() == [False, True]
    assert (flags & tensor([True, True])).tolist() == [True, False]
    with pytest.raises(TypeError, match="&"):
        tensor([1.0]) & 1

# SPDX-License-Identifier: Apache-2.0
"""striate.kernels: every driver, called on NumPy arrays."""

import inspect
import re

import numpy as np
import pytest
import striate
from striate import _C, kernels


def test_rows():
    rows = striate.kernels()
    assert rows == _C.rows() and rows
    assert {r["op"] for r in striate.kernels("gemm")} == {"gemm"}
    with pytest.raises(ValueError, match=r"op: expected one of .*gemm.*, got 'nonsense'"):
        striate.kernels("nonsense")


def test_every_kernel_is_there_and_documented():
    ops = {row["op"] for row in _C.rows()}
    assert ops
    assert set(dir(kernels)) == set(kernels.__all__)
    for name in kernels.__all__:
        function = getattr(kernels, name)
        assert function is getattr(_C, name)
        signature, _, doc = (function.__doc__ or "").partition("\n")
        assert signature.startswith(f"{name}("), name
        assert doc.strip(), f"{name} has no documentation"
    for runtime in ("rows", "pin_rows", "set_num_threads", "memory_stats"):
        assert not hasattr(kernels, runtime)


# What has no array as its result, or writes into its operands.
WITHOUT_OUT = {"broadcast_to", "gemm_pack_b", "max_pool2d_indices", "max_pool2d_taps", "peak_fma",
               "philox"}  # fmt: skip


def test_kernels_take_out():
    lacking = []
    for name in kernels.__all__:
        signature = (getattr(kernels, name).__doc__ or "").split("\n")[0]
        updates = "-> None" in signature  # optimizers: parameters in place
        if not re.search(r"\bout\w*:", signature) and not updates and name not in WITHOUT_OUT:
            lacking.append(signature)
    assert lacking == []


def test_calls():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 7)), rng.standard_normal((7, 3))
    out = np.full((5, 6), np.nan)[:, ::2]
    assert kernels.gemm(a, b, out=out) is out
    np.testing.assert_allclose(out, a @ b, rtol=1e-12)
    np.testing.assert_allclose(kernels.softmax(a, axis=1).sum(1), np.ones(5), rtol=1e-12)
    np.testing.assert_allclose(kernels.add(a, 2.0, out=a), a)
    assert kernels.sum(a, (0, 1)).shape == ()
    assert inspect.ismodule(kernels)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kernels.gemm([[1.0]], np.ones((1, 1))), TypeError, "gemm: a: .*list"),
        (lambda: kernels.gemm(striate.ones(1, 1), np.ones((1, 1))), TypeError, "NumPy array"),
        (lambda: kernels.gemm(np.ones((2, 3)), np.ones((2, 3))), ValueError, "gemm: b: "),
        (lambda: kernels.add(np.ones(2), np.ones(2), out=np.ones(3)), ValueError, "out"),
        (lambda: kernels.exp(np.ones(2, "i8")), TypeError, "exp: x: expected float32 or float64"),
        (lambda: kernels.nonsense, AttributeError, "nonsense"),
    ],
)  # fmt: skip
def test_misuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_out_must_be_writable():
    x = np.ones(3)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writable array"):
        kernels.mul(np.ones(3), 2.0, out=x)

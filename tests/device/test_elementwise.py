# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and activations on a GPU, against the CPU device and NumPy in float64."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import alike, normal

SIZES = [0, 1, 3, 255, 1023, 4099]
PAIRS = [((7, 5), (7, 5)), ((7, 5), (5,)), ((7, 1), (1, 5)), ((), (6,)), ((2, 3, 4), (3, 1))]
BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
          "maximum": np.maximum, "minimum": np.minimum}  # fmt: skip


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_of_every_size(op, dtype):
    for n in SIZES:
        a, b = normal(n, dtype), normal(n, dtype)
        y = getattr(striate, op)(striate.tensor(a, device="cuda"), striate.tensor(b, device="cuda"))
        want = BINARY[op](a.astype("f8"), b.astype("f8")).astype(dtype)
        np.testing.assert_array_equal(y.cpu().numpy(), want)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("shapes", PAIRS)
def test_binary_broadcasts_and_differentiates(op, shapes):
    a, b = (normal(s) for s in shapes)
    alike(getattr(striate, op), a, b, rtol=1e-5)
    alike(getattr(striate, op), b, a, rtol=1e-5)


@pytest.mark.parametrize("op", BINARY)
def test_binary_with_numbers(op):
    f = getattr(striate, op)
    alike(lambda x: f(x, 1.5), normal((3, 4)))
    alike(lambda x: f(2, x), normal((3, 4)))
    alike(lambda x: f(x.T, 1.5), normal((3, 4)))
    alike(lambda x: f(x[:, ::2], striate.tensor(2.5)), normal((3, 5)))  # of the CPU


def test_operators():
    alike(lambda a, b: 2 * a - b / 3 + (-a) * b, normal((4, 3)), normal((4, 3)))
    x = striate.ones(3, device="cuda")
    x += 1
    x *= striate.full((3,), 3.0, device="cuda")
    x[1:] -= x[:2]
    x /= 2
    assert x.tolist() == [3, 0, 0]


def test_out_of_order_operands():
    x = normal((4, 6, 5))
    alike(lambda a: a.permute(2, 0, 1) + a.permute(2, 0, 1), x)
    alike(lambda a: a[::2, 1:, ::-1] * a[1::2, :-1], x)
    y = striate.tensor(x, device="cuda").permute(2, 0, 1)
    assert (y * 2).stride() == y.stride()  # results keep the memory order


def test_results_are_of_the_dtype_that_the_cpu_gives():
    i, f = np.arange(6).reshape(2, 3), normal((2, 3))
    for op in (striate.add, striate.mul, striate.div, striate.eq, striate.lt):
        for a, b in ((i, f), (f, i), (i, i), (f, 2), (i, 2), (i, 2.5)):
            here = op(*(striate.tensor(x) if isinstance(x, np.ndarray) else x for x in (a, b)))
            there = op(
                *(
                    striate.tensor(x, device="cuda") if isinstance(x, np.ndarray) else x
                    for x in (a, b)
                )
            )
            assert here.dtype == there.dtype and there.is_cuda
            np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), 1e-6)


ACTIVATIONS = {
    name: getattr(F, name)
    for name in [
        "relu",
        "leaky_relu",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "hardshrink",
        "softshrink",
        "elu",
        "sigmoid",
        "tanh",
        "softplus",
        "gelu",
        "silu",
        "selu",
        "celu",
        "mish",
        "logsigmoid",
        "softsign",
        "tanhshrink",
        "relu6",
    ]
    if hasattr(F, name)
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation(name, dtype):
    alike(ACTIVATIONS[name], normal((3, 347), dtype) * 3, rtol=2e-6)


def test_activation_of_other_layouts():
    x = normal((4, 6, 5))
    alike(lambda a: striate.tanh(a.permute(2, 0, 1)), x)
    alike(lambda a: striate.sigmoid(a[:, ::2, 1:]), x)
    alike(lambda a: striate.relu(a.permute(2, 0, 1).contiguous()), x)
    alike(lambda a: striate.exp(a[:, :0]), x)


def test_activation_against_numpy():
    x = np.linspace(-6, 6, 1001)
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-14)):
        there = striate.tensor(x.astype(dtype), device="cuda")
        exact = x.astype(dtype).astype("f8")
        for f, want in ((striate.exp, np.exp(exact)), (striate.tanh, np.tanh(exact))):
            np.testing.assert_allclose(f(there).cpu().numpy(), want, tolerance)


@pytest.mark.parametrize(
    "name", ["sqrt", "square", "abs", "sign", "floor", "sin", "cos", "log", "reciprocal", "expm1"]
)
def test_functions_of_cupy(name):
    alike(getattr(striate, name), np.abs(normal((3, 5))) + 0.5, rtol=1e-5)


def test_pow():
    a = np.abs(normal((3, 4))) + 0.5
    alike(striate.pow, a, normal((4,)), rtol=1e-5)
    alike(lambda x: x**3, a, rtol=1e-5)
    alike(lambda x: 2.0**x, a, rtol=1e-5)

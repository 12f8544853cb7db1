# SPDX-License-Identifier: Apache-2.0
"""Accuracy of vector mathematics over all floats, and special values alike on every ISA."""

import math

import numpy as np
import pytest
import striate
from striate import _C, ops

ISAS = ["scalar", "avx2", "avx512"]
TINY = float(np.finfo(np.float32).tiny)
ACTIVATIONS = [
    "relu", "leaky_relu", "elu", "exp", "sigmoid", "tanh", "softplus", "gelu", "gelu_tanh", "silu",
    "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "threshold", "step", "selu",
    "celu", "mish", "logsigmoid", "softsign", "tanhshrink",
    "log", "log1p", "log2", "log10",
]  # fmt: skip


def runnable(isa):
    if _C.isas()[isa]:
        pytest.skip(_C.isas()[isa])


def floats(begin, end, step=1):
    """Every step-th bit pattern of [begin, end) that is a normal float or 0."""
    x = np.arange(begin, end, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return x[np.isfinite(x) & ((np.abs(x) >= TINY) | (x == 0))]


def all_floats(step):
    return floats(0, 2**32, step)


def sigmoid(x):
    return np.where(x > 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x)))


def cdf(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), otypes="d")(x)


def erf(x):
    return np.vectorize(math.erf, otypes="d")(x)


def twice_u(x):
    return math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)


SELU = (1.0507009873554804934, 1.6732632423543772848)  # scale, alpha

# name: (reference, most ULP, absolute error allowed where a factor of the result is flushed)
ACCURACY = {
    "exp": (np.exp, lambda x: 2, 0),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: 2, 0),
    "sigmoid": (sigmoid, lambda x: 4, 0),
    "tanh": (np.tanh, lambda x: 3, 0),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 4, 0),
    "silu": (lambda x: x * sigmoid(x), lambda x: 4, 100 * TINY),
    "selu": (lambda x: SELU[0] * np.where(x > 0, x, SELU[1] * np.expm1(x)), lambda x: 4, 0),
    "celu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: 2, 0),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), lambda x: 8, 100 * TINY),
    "logsigmoid": (lambda x: -np.logaddexp(0, -x), lambda x: 5, 0),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 2, 0),
    "hardsigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, lambda x: 2, 0),
    "hardswish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), lambda x: 3, 0),
    "gelu_tanh": (lambda x: x * sigmoid(twice_u(x)), lambda x: 6 + 3 * abs(twice_u(x)), 20 * TINY),
    "erf": (erf, lambda x: 3, 0),
    "log": (np.log, lambda x: 1, 0),
    "log1p": (np.log1p, lambda x: 3, 0),
    "log2": (np.log2, lambda x: 2, 0),
    "log10": (np.log10, lambda x: 3, 0),
}


def ulp_error(got, exact, slack):
    """Distance in units of the exact value's last place; results below normal count as 0."""
    exact = np.where(np.abs(exact) < TINY, 0, exact)
    rounded = exact.astype(np.float32)
    same = (got == rounded) | (np.isnan(got) & np.isnan(exact)) | (np.abs(got - exact) <= slack)
    unit = np.spacing(np.abs(rounded)).astype(np.float64)
    return np.where(same, 0, np.abs(got.astype(np.float64) - exact) / unit)


def assert_accurate(name, isa, x):
    reference, most, slack = ACCURACY[name]
    with _C.pin_rows([f"{name}_f32_{isa}"]):
        got = getattr(_C, name)(x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        exact = reference(wide)
        error = ulp_error(got, exact, slack)
        worst = np.nanargmax(error / most(wide))
    assert np.array_equal(np.isnan(got), np.isnan(exact)), f"NaN at {x[np.isnan(got)]}"
    assert error[worst] <= most(float(x[worst])), f"{error[worst]:.2f} ULP at {x[worst]!r}"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", list(ACCURACY))
def test_ulp(name, isa):
    runnable(isa)
    assert_accurate(name, isa, all_floats(16001 if name == "erf" else 4001))


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", list(ACCURACY))
def test_ulp_of_every_float(name, isa):
    """All 2^32 bit patterns: minutes a function, erf an hour."""
    runnable(isa)
    piece = 1 << 22
    for begin in range(0, 2**32, piece):
        x = floats(begin, begin + piece)
        if x.size:
            assert_accurate(name, isa, x)


# The logarithms in float64, against 80-bit arithmetic: most ULP.
LOGARITHMS = {"log": 1, "log1p": 3, "log2": 2, "log10": 3}


def all_doubles(count):
    """Bit patterns of positive normal doubles, evenly spread, and as many close to 1."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0x0010000000000000, 0x7FF0000000000000, count, dtype=np.uint64)
    near = 1 + np.ldexp(rng.uniform(-1, 1, count), -rng.integers(0, 50, count))
    return np.concatenate([bits.view(np.float64), near])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no wider numbers here")
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", list(LOGARITHMS))
def test_ulp_of_doubles(name, isa):
    runnable(isa)
    x = all_doubles(200_000)
    if name == "log1p":
        x = np.concatenate([x, x - 1, -x[x < 1]])
        x = x[(np.abs(x) >= np.finfo(np.float64).tiny) & (x > -1)]
    with _C.pin_rows([f"{name}_f64_{isa}"]):
        got = getattr(_C, name)(x)
    exact = getattr(np, name)(x.astype(np.longdouble))
    unit = np.spacing(np.maximum(np.abs(exact).astype(np.float64), np.finfo(np.float64).tiny))
    error = np.abs(got.astype(np.longdouble) - exact) / unit
    worst = np.argmax(error)
    assert error[worst] <= LOGARITHMS[name], f"{float(error[worst]):.3f} ULP at {x[worst]!r}"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms_where_they_are_exact(isa, dtype):
    runnable(isa)
    suffix = "f32" if dtype is np.float32 else "f64"
    info = np.finfo(dtype)
    powers = np.arange(info.minexp, info.maxexp, dtype=np.int32)
    with _C.pin_rows([f"log_{suffix}_{isa}", f"log2_{suffix}_{isa}", f"log1p_{suffix}_{isa}"]):
        assert np.array_equal(_C.log2(np.ldexp(dtype(1), powers)), powers)
        special = np.array([0, -0.0, 1, np.inf, -np.inf, -1, np.nan, info.tiny / 2], dtype)
        with np.errstate(all="ignore"):
            expected = np.log(special)
        expected[-1] = -np.inf  # what is flushed is 0
        assert np.array_equal(_C.log(special), expected, equal_nan=True)
        zero = _C.log1p(np.array([0, -0.0], dtype))
        assert not zero.any()
        assert np.signbit(zero).tolist() == [False, True]
        assert _C.log1p(np.array([-1], dtype))[0] == -np.inf


@pytest.mark.parametrize("isa", ISAS)
def test_ulp_gelu(isa):
    runnable(isa)
    x = all_floats(40009)
    x = x[np.abs(x) < 1e3].astype(np.float32)
    with _C.pin_rows([f"gelu_f32_{isa}"]):
        got = _C.gelu(x)
    wide = x.astype(np.float64)
    error = ulp_error(got, wide * cdf(wide), 20 * TINY)
    assert np.all(error <= 6 + wide * wide / 2)


SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e30, -1e30, 100, -100, 88.8, -88.8, 1e-30,
     -1e-30, 1e-40, -1e-40, 1.0, -1.0]
)  # fmt: skip


def kind(x):
    """What class of number each is: NaN, infinite, zero or other, and its sign."""
    sign = np.where(np.isnan(x), 0, np.where(np.signbit(x), -1, 1))
    size = np.where(np.isnan(x), 9, np.where(np.isinf(x), 3, np.where(np.abs(x) < TINY, 0, 1)))
    return list(zip(size.tolist(), sign.tolist(), strict=True))


def on_every_isa(call, row, dtype):
    results = {}
    for isa in ISAS:
        if _C.isas()[isa]:
            continue
        with _C.pin_rows([f"{row}_{dtype}_{isa}"]):
            results[isa] = call()
    return results


def assert_alike(results, operands):
    scalar = kind(results["scalar"])
    for isa, result in results.items():
        for i, (a, b) in enumerate(zip(scalar, kind(result), strict=True)):
            at = [float(x[i]) for x in operands]
            assert a == b, f"{isa} at {at}: {result[i]}, scalar: {results['scalar'][i]}"


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_special_values(name, dtype):
    x = SPECIAL.astype(dtype.replace("f32", "f4").replace("f64", "f8"))
    assert_alike(on_every_isa(lambda: getattr(_C, name)(x), name, dtype), [x])
    a, b = (np.ascontiguousarray(v).ravel() for v in np.meshgrid(x, x))
    backward = getattr(_C, f"{name}_backward")
    assert_alike(on_every_isa(lambda: backward(a, b), f"{name}_backward", dtype), [a, b])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_special_values_binary(name, dtype):
    x = SPECIAL.astype(dtype.replace("f32", "f4").replace("f64", "f8"))
    a, b = (np.ascontiguousarray(v).ravel() for v in np.meshgrid(x, x))
    assert_alike(on_every_isa(lambda: getattr(_C, name)(a, b), name, dtype), [a, b])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays(name):
    x = np.array([np.nan], np.float32)
    assert np.isnan(getattr(_C, name)(x)).all()


def test_limits():
    inf = np.array([np.inf, -np.inf], np.float32)
    expected = {
        "relu": (np.inf, 0), "exp": (np.inf, 0), "sigmoid": (1, 0), "tanh": (1, -1),
        "softplus": (np.inf, 0), "elu": (np.inf, -1),
    }  # fmt: skip
    for name, limits in expected.items():
        assert tuple(getattr(_C, name)(inf)) == limits, name


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_without_a_distribution(name, isa):
    """-inf throughout, inf or NaN anywhere: the row is NaN; -inf among numbers is probability 0."""
    runnable(isa)
    inf, nan = np.inf, np.nan
    x = np.array([[-inf] * 3, [1, inf, 2], [1, nan, 2], [1, -inf, 1]], np.float32)
    with _C.pin_rows([f"{name}_f32_{isa}"]):
        y = getattr(_C, name)(x, 1)
    assert np.isnan(y[:3]).all()
    assert y[3].tolist() == ([0.5, 0, 0.5] if name == "softmax" else [y[3, 0], -inf, y[3, 0]])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("n", [100, 5000])  # passes over groups of rows, and blocks of a row
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_long_rows_without_a_distribution(name, n, isa):
    runnable(isa)
    inf = np.inf
    x = np.full((5, n), -inf, np.float32)
    x[1, -1], x[2, 0], x[3, -2:], x[4] = inf, np.nan, 7, 0
    with _C.pin_rows([f"{name}_f32_{isa}"]):
        y = getattr(_C, name)(x, 1)
    assert np.isnan(y[:3]).all()
    p = y if name == "softmax" else np.exp(y)
    assert not p[3, :-2].any()
    np.testing.assert_allclose(p[3, -2:], 0.5, 1e-6)
    np.testing.assert_allclose(p[4], 1 / n, 1e-5)


def test_step_lets_all_pass():
    x = striate.tensor([-5.0, -0.5, 0.0, 0.5, 5.0]).requires_grad_()
    for window, passed in ((1.0, [0, 1, 1, 1, 0]), (float("inf"), [1] * 5), (0.0, [0, 0, 1, 0, 0])):
        x.grad = None
        y = ops.step(x, window)
        y.sum().backward()
        assert y.tolist() == [0, 0, 0, 1, 1]
        assert x.grad.tolist() == passed


def test_rrelu_draws_slopes():
    x = -striate.ones(1000).requires_grad_()
    striate.manual_seed(0)
    y = ops.rrelu(x, 0.1, 0.3, training=True)
    y.sum().backward()
    slopes = -y.detach().numpy()
    assert 0.1 <= slopes.min() < 0.11 and 0.29 < slopes.max() <= 0.3
    assert abs(slopes.mean() - 0.2) < 0.01
    assert ops.rrelu(x, 0.1, 0.3).tolist() == ops.leaky_relu(x, 0.2).tolist()
    assert ops.rrelu(-x, 0.1, 0.3, training=True).tolist() == [1] * 1000


def test_activation_in_place():
    x = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    expected = _C.tanh(x)
    assert _C.tanh(x, out=x) is x
    assert np.array_equal(x, expected)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ops.gelu(x, "erf"), ValueError, "gelu: approximate"),
        (lambda x: ops.leaky_relu(x, "1"), TypeError, "leaky_relu: negative_slope"),
        (lambda x: ops.elu(x, float("nan")), ValueError, "elu: alpha"),
        (lambda x: ops.softplus(x, beta=0), ValueError, "softplus: beta"),
        (lambda x: ops.celu(x, 0), ValueError, "celu: alpha"),
        (lambda x: ops.hardtanh(x, 1, 0), ValueError, "hardtanh: min_val: .* max_val 0, got 1"),
        (lambda x: ops.softshrink(x, -1), ValueError, "softshrink: lambd: expected 0 or more"),
        (lambda x: ops.threshold(x, "0", 1), TypeError, "threshold: threshold"),
        (lambda x: ops.step(x, -1), ValueError, "step: window"),
        (lambda x: ops.rrelu(x, 1, 0), ValueError, "rrelu: lower"),
    ],
)
def test_parameters_are_checked(call, error, words):
    with pytest.raises(error, match=words):
        call(striate.zeros(2))


def test_gradient_of_a_repeated_upstream():
    """sum() sends back one number repeated by strides of 0."""
    x = striate.randn(5, 7).requires_grad_()
    ops.tanh(x).sum().backward()
    expected = 1 - np.tanh(x.detach().numpy()) ** 2
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5, atol=1e-6)

# SPDX-License-Identifier: Apache-2.0
"""Activation functions, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

_SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101]


def _samples(operands: int, parameters: list[dict[str, Any]]) -> list[Sample]:
    shapes: list[tuple[int, ...]] = [
        (), *((n,) for n in _SIZES), (5, 7), (2, 3, 4, 5), (30, 40), (210, 200)
    ]  # fmt: skip
    return [
        Sample((shape,) * operands, parameters[i % len(parameters)])
        for i, shape in enumerate(shapes)
    ]


def _draw(reach: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Both signs, from small to where the activation has settled; never close to a kink."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        x = rng.standard_normal(shape) * rng.choice([0.3, 3.0, reach / 3], shape)
        return np.clip(np.where(np.abs(x) < 1e-3, 0.5, x), -reach, reach)

    return draw


def _activation(
    name: str,
    f: Callable[..., Array],
    slope: Callable[..., Array],
    saves: str = "y",
    parameter: str | tuple[str, ...] | None = None,
    values: tuple[Any, ...] = (0.0,),
    function: Callable[..., Any] | None = None,
    ulp: Callable[..., Any] = lambda x, p: 4,
    reach: float = 90,
    differentiable: bool = True,
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array] | None = None,
) -> list[Case]:
    """The cases of one activation: f(x, p), f'(x, p), and the binding below the gradient.

    p is a number, or a tuple of them where `parameter` names several.
    """
    function = function or getattr(striate.ops, name)
    kernel, backward = getattr(_C, name), getattr(_C, f"{name}_backward")

    def value(given: dict[str, Any]) -> Any:
        if isinstance(parameter, tuple):
            return tuple(given[name] for name in parameter)
        return float(given[parameter]) if parameter else 0.0

    def saved(x: Array, p: Any) -> Array:
        return np.asarray(f(x, p)) if saves == "y" else x

    if isinstance(parameter, tuple):
        samples = [dict(zip(parameter, v, strict=True)) for v in values]
    else:
        samples = [{parameter: v} if parameter else {} for v in values]
    forward = Case(
        name=name,
        rows=(f"{name}_f",),
        function=function,
        kernel=lambda x, out=None, **given: kernel(x, value(given), out=out),
        reference=lambda x, **given: f(x, value(given)),
        samples=_samples(1, samples),
        bound=lambda reference, eps, x, **given: (
            eps * ulp(x, value(given)) * np.abs(reference) + 200 * np.finfo(np.float32).tiny
        ),
        draw=draw or _draw(reach),
        gradient=differentiable,
        misuses=[
            Misuse(lambda: function(3.0, **samples[0]), TypeError, ("input", "float")),
            Misuse(lambda: kernel(np.zeros(2), "x"), TypeError, (name, "parameter", "'x'")),
            Misuse(lambda: kernel(np.zeros(2, "i8")), TypeError, (name, "x", "int64")),
            Misuse(
                lambda: kernel(np.zeros(2), out=np.zeros(3)),
                ValueError,
                (name, "out", "(2,)", "(3,)"),
            ),
        ],
        bytes=lambda x, **_: 8.0 * np.prod(x),
    )
    gradient = Case(
        name=f"{name}_backward",
        rows=(f"{name}_backward_f",),
        function=None,
        kernel=lambda x, dy, out=None, **given: backward(
            saved(x.astype(np.float64), value(given)).astype(x.dtype), dy, value(given), out=out
        ),
        reference=lambda x, dy, **given: dy * slope(x, value(given)),
        samples=_samples(2, samples),
        bound=lambda reference, eps, x, dy, **given: (
            8 * eps * (np.abs(dy) * (1 + (np.abs(x) if saves == "x" else 0)) + np.abs(reference))
        ),
        draw=draw or _draw(reach),
        misuses=[
            Misuse(
                lambda: backward(np.zeros(2), np.zeros(3)),
                ValueError,
                (f"{name}_backward", "dy", "(2,)", "(3,)"),
            ),
        ],
        bytes=lambda x, dy, **_: 12.0 * np.prod(x),
    )
    return [forward, gradient]


def _softplus(x: Array, p: float) -> Array:
    return np.asarray(np.logaddexp(0, p * x) / p)


def _cdf(x: Array) -> Array:
    """The normal distribution, cumulative; the left tail with all its digits."""
    return np.asarray(np.vectorize(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), otypes="d")(x))


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes="d")(x))


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.where(x > 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x))))


_SLOPE = math.sqrt(8 / math.pi)


def _twice_u(x: Array) -> Array:
    return _SLOPE * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x: Array, p: float) -> Array:
    s, opposite = _sigmoid(_twice_u(x)), _sigmoid(-_twice_u(x))
    return np.asarray(s + x * s * opposite * _SLOPE * (1 + 3 * 0.044715 * x * x))


def _silu_slope(x: Array, p: float) -> Array:
    return np.asarray(_sigmoid(x) * (1 + x * _sigmoid(-x)))


def _mish_t(x: Array) -> Array:
    return np.asarray(np.tanh(np.logaddexp(0, x)))


def _mish_slope(x: Array, p: float) -> Array:
    return _mish_t(x) + x * _sigmoid(x) * (1 - _mish_t(x) ** 2)


_SELU = (1.0507009873554804934, 1.6732632423543772848)  # scale, alpha

CASES = [
    *_activation("relu", lambda x, p: np.maximum(x, 0), lambda x, p: (x > 0) * 1.0),
    *_activation(
        "leaky_relu",
        lambda x, p: np.where(x > 0, x, p * x),
        lambda x, p: np.where(x > 0, 1, p),
        parameter="negative_slope",
        values=(0.01, 0.2, 0.0),
    ),
    *_activation(
        "elu",
        lambda x, p: np.where(x > 0, x, p * np.expm1(x)),
        lambda x, p: np.where(x > 0, 1, p * np.exp(np.minimum(x, 0))),
        parameter="alpha",
        values=(1.0, 0.5),
    ),
    *_activation(
        "erf",
        lambda x, p: _erf(x),
        lambda x, p: 2 / math.sqrt(math.pi) * np.exp(-x * x),
        saves="x",
        reach=12,
    ),
    *_activation(
        "erfc",
        lambda x, p: 2 * _cdf(-math.sqrt(2) * x),
        lambda x, p: -2 / math.sqrt(math.pi) * np.exp(-x * x),
        saves="x",
        ulp=lambda x, p: 7 + 4 * x * x,
        reach=12,
    ),
    *_activation("exp", lambda x, p: np.exp(x), lambda x, p: np.exp(x), reach=10),
    *_activation("sigmoid", lambda x, p: _sigmoid(x), lambda x, p: _sigmoid(x) * _sigmoid(-x)),
    *_activation("tanh", lambda x, p: np.tanh(x), lambda x, p: 1 / np.cosh(x) ** 2),
    *_activation(
        "softplus",
        _softplus,
        lambda x, p: _sigmoid(p * x),
        parameter="beta",
        values=(1.0, 2.5),
        ulp=lambda x, p: 5 + np.abs(p * x),
    ),
    *_activation(
        "gelu",
        lambda x, p: x * _cdf(x),
        lambda x, p: _cdf(x) + x * _density(x),
        saves="x",
        ulp=lambda x, p: 6 + x * x,
    ),
    *_activation(
        "gelu_tanh",
        lambda x, p: x * _sigmoid(_twice_u(x)),
        _gelu_tanh_slope,
        function=lambda x: striate.ops.gelu(x, approximate="tanh"),
        saves="x",
        ulp=lambda x, p: 6 + 3 * np.abs(_twice_u(x)),
    ),
    *_activation("silu", lambda x, p: x * _sigmoid(x), _silu_slope, saves="x"),
    *_activation(
        "hardtanh",
        lambda x, p: np.clip(x, *p),
        lambda x, p: (x > p[0]) & (x < p[1]),
        parameter=("min_val", "max_val"),
        values=((-1.0, 1.0), (0.0, 6.0), (-0.5, 2.0)),
    ),
    *_activation(
        "hardsigmoid",
        lambda x, p: np.clip(x + 3, 0, 6) / 6,
        lambda x, p: (np.abs(x) < 3) / 6,
    ),
    *_activation(
        "hardswish",
        lambda x, p: x * np.clip(x + 3, 0, 6) / 6,
        lambda x, p: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
        saves="x",
    ),
    *_activation(
        "hardshrink",
        lambda x, p: np.where(np.abs(x) > p, x, 0),
        lambda x, p: np.abs(x) > p,
        saves="x",
        parameter="lambd",
        values=(0.75, 2.0, 0.0),
    ),
    *_activation(
        "softshrink",
        lambda x, p: np.sign(x) * np.maximum(np.abs(x) - p, 0),
        lambda x, p: np.abs(x) > p,
        saves="x",
        parameter="lambd",
        values=(0.75, 2.0, 0.0),
    ),
    *_activation(
        "threshold",
        lambda x, p: np.where(x > p[0], x, p[1]),
        lambda x, p: x > p[0],
        saves="x",
        parameter=("threshold", "value"),
        values=((0.625, -2.0), (-1.0, 0.25)),
    ),
    *_activation(
        "step",
        lambda x, p: (x > 0) * 1.0,
        lambda x, p: np.abs(x) <= p,  # the straight-through estimator's
        saves="x",
        parameter="window",
        values=(1.0, 0.5),
        differentiable=False,
    ),
    *_activation(
        "selu",
        lambda x, p: _SELU[0] * np.where(x > 0, x, _SELU[1] * np.expm1(x)),
        lambda x, p: _SELU[0] * np.where(x > 0, 1, _SELU[1] * np.exp(np.minimum(x, 0))),
    ),
    *_activation(
        "celu",
        lambda x, p: np.where(x > 0, x, p * np.expm1(x / p)),
        lambda x, p: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / p)),
        parameter="alpha",
        values=(1.0, 0.5, 3.0),
        ulp=lambda x, p: 6,
    ),
    *_activation("mish", lambda x, p: x * _mish_t(x), _mish_slope, saves="x", ulp=lambda x, p: 8),
    *_activation(
        "logsigmoid",
        lambda x, p: -np.logaddexp(0, -x),
        lambda x, p: _sigmoid(-x),
        ulp=lambda x, p: 6,
    ),
    *_activation(
        "softsign",
        lambda x, p: x / (1 + np.abs(x)),
        lambda x, p: 1 / (1 + np.abs(x)) ** 2,
        saves="x",
    ),
    *_activation(
        "tanhshrink",
        lambda x, p: x - np.tanh(x),
        lambda x, p: np.tanh(x) ** 2,
        saves="x",
        ulp=lambda x, p: 4 + 4 * np.abs(x) / np.abs(x - np.tanh(x)),
    ),
]

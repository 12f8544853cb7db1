# SPDX-License-Identifier: Apache-2.0
"""Activations and their gradients, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from striate.bench.machine import caches
from striate.bench.problem import Problem
from striate.bench.task import PERIOD, Array, Spots, Task, normal, probe, repeated, rng, unwritten

PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0, "softplus": 1.0}
FROM_OPERAND = ("gelu", "gelu_tanh", "silu")  # whose gradient needs x, not y
_SLOPE = math.sqrt(8 / math.pi)
MOST = 1 << 30  # bytes of the largest problem


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.where(x > 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x))))


def _phi(x: Array) -> Array:
    """The normal distribution, cumulative."""
    return np.asarray(np.vectorize(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), otypes="d")(x))


def _twice(x: Array) -> Array:
    return _SLOPE * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x: Array) -> Array:
    s = _sigmoid(_twice(x))
    return np.asarray(s + x * s * (1 - s) * _SLOPE * (1 + 3 * 0.044715 * x * x))


# name -> (f, f'), in float64
FUNCTIONS: dict[str, tuple[Callable[[Array], Any], Callable[[Array], Any]]] = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.exp(np.minimum(x, 0))),
    "exp": (np.exp, np.exp),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "softplus": (lambda x: np.logaddexp(0, x), _sigmoid),
    "gelu": (
        lambda x: x * _phi(x),
        lambda x: _phi(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "gelu_tanh": (lambda x: x * _sigmoid(_twice(x)), _gelu_tanh_slope),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
}


def _arrays(problem: Problem) -> int:
    """How many arrays are read and written: x and y, or what was saved, dy and dx."""
    return 2 if problem.pass_ == "fwd" else 3


def count(problem: Problem) -> int:
    """Elements: as listed, or so many that all arrays together make up half of L3, or 8 L3."""
    size = problem.sizes["size"]
    if not isinstance(size, str):
        return int(size)
    total = {"L3": caches()["L3"] // 2, "DRAM": min(8 * caches()["L3"], MOST)}[size]
    return int(total // (4 * _arrays(problem)))


def cost(problem: Problem) -> tuple[float, float]:
    return 0.0, 4.0 * _arrays(problem) * count(problem)


def rows(problem: Problem) -> tuple[str, ...]:
    name = problem.sizes["function"]
    return (f"{name}_f",) if problem.pass_ == "fwd" else (f"{name}_backward_f",)


def task(problem: Problem, dtype: Any) -> Task:
    random, n, name = rng(problem.name), count(problem), problem.sizes["function"]
    forward = problem.pass_ == "fwd"
    arrays = {"x": normal(random, (n,), dtype)}
    if not forward:
        arrays["dy"] = normal(random, (n,), dtype)
        if name not in FROM_OPERAND:
            arrays["y"] = _result(name, arrays["x"])
    return Task(
        op="activation" if forward else "activation_backward",
        arrays=arrays,
        shape=(n,),
        spots=lambda: _spots(problem, arrays),
        options={"function": name, "parameter": PARAMETERS.get(name, 0.0)},
        out=unwritten((n,), dtype),
        bytes=cost(problem)[1] * np.dtype(dtype).itemsize / 4,
    )


def _result(name: str, x: Array) -> Array:
    """f(x), computed for as much of x as is drawn before it repeats."""
    y = FUNCTIONS[name][0](x[:PERIOD].astype(np.float64)).astype(x.dtype)
    return repeated(y, x.size)


def _spots(problem: Problem, arrays: dict[str, Array]) -> Spots:
    name = problem.sizes["function"]
    index = probe(rng(problem.name), arrays["x"].shape)
    x = arrays["x"][index].astype(np.float64)
    f, slope = FUNCTIONS[name]
    eps = np.finfo(np.float32).eps
    if "dy" not in arrays:
        expected = np.asarray(f(x))
        return Spots(index, expected, 32 * eps * (1 + np.abs(expected)))
    dy = arrays["dy"][index].astype(np.float64)
    expected = dy * slope(x)
    return Spots(index, expected, 32 * eps * (1 + np.abs(dy)) * (1 + np.abs(x)))

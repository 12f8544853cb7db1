# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps. A case's result is the new parameter and, behind it, the new states."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

_FACTORS: dict[str, Any] = {
    "rate_grad": 0.0, "first": 0.0, "first_in": 0.0, "second": 0.0, "second_in": 0.0,
    "root": 1.0, "eps": 0.0, "weight_decay": 0.0, "keep": 1.0, "maximize": False,
}  # fmt: skip


def _kernel(rule: str) -> Any:
    """The step on copies of p and of the states, or on those laid into `out`."""

    def call(p: Array, grad: Array, *states: Array, out: Any = None, **factors: Any) -> Array:
        arrays = [p, *(np.asarray(np.abs(s)) for s in states)]
        if out is None:
            new = [a.copy(order="K") for a in arrays]
        else:
            new = [out[i, ...] for i in range(len(arrays))]
            for there, a in zip(new, arrays, strict=True):
                there[...] = a
        _C.optimizer_step(rule, new[0], grad, tuple(new[1:]), **factors)
        return np.stack(new) if out is None else out

    return call


def _step(rule: str, p: Array, g: Array, s: list[Array], o: dict[str, Any]) -> list[Array]:
    """The new p and states, as the papers have it."""

    def first(m: Array) -> Array:
        return o["first"] * m + o["first_in"] * g

    def second(v: Array, x: Array = g) -> Array:
        return o["second"] * v + o["second_in"] * x**2

    def divisor(v: Array) -> Array:
        return np.sqrt(v) * o["root"] + o["eps"]

    rate = o["rate"]
    if rule == "sgd_plain":
        return [p - rate * g]
    if rule.startswith("sgd"):
        m = first(s[0])
        return [p - rate * (m if rule == "sgd_momentum" else g + o["first"] * m), m]
    if rule in ("adam", "nadam"):
        m, v = first(s[0]), second(s[1])
        return [p - (o["rate_grad"] * g + rate * m) / divisor(v), m, v]
    if rule == "adam_amsgrad":
        m, v = first(s[0]), second(s[1])
        most = np.maximum(s[2], v)
        return [p - rate * m / divisor(most), m, v, most]
    if rule == "adamax":
        m, u = first(s[0]), np.maximum(o["second"] * s[1], np.abs(g) + o["eps"])
        return [p - rate * m / u, m, u]
    if rule == "adadelta":
        v = second(s[0])
        d = np.sqrt(s[1] + o["eps"]) / np.sqrt(v + o["eps"]) * g
        return [p - rate * d, v, second(s[1], d)]
    v = second(s[0])
    if rule in ("adagrad", "rmsprop"):
        return [p - rate * g / divisor(v), v]
    states, spread = [v], v
    if "centered" in rule:
        states.append(o["second"] * s[1] + o["second_in"] * g)
        spread = v - states[1] ** 2
    d = g / divisor(spread)
    if "momentum" in rule:
        d = o["first"] * s[-1] + d
        states.append(d)
    return [p - rate * d, *states]


def _reference(rule: str) -> Any:
    def call(p: Array, grad: Array, *states: Array, **factors: Any) -> Array:
        o = {**_FACTORS, **factors}
        g = (-grad if o["maximize"] else grad) + o["weight_decay"] * p
        return np.stack(_step(rule, o["keep"] * p, g, [np.abs(s) for s in states], o))

    return call


def _bound(reference: Any, eps: float, p: Array, grad: Array, /, *states: Array, **_: Any) -> Any:
    """A dozen roundings of terms of the operands' size.

    The samples keep every divisor above 0.3: a quotient is at most 4 times what is divided, and its
    error at most 16 times.
    """
    size = np.abs(p) + np.abs(grad) + sum(np.abs(s) for s in states)
    return 64 * eps * (size + size * size) + 8 * eps * np.abs(reference)


_MOMENTS = {"rate": 0.1, "first": 0.9, "first_in": 0.1, "second": 0.75, "second_in": 0.25}
_DECAYED = {"weight_decay": 0.3, "maximize": True, "keep": 0.75}
# By rule: how many states, and two sets of factors.
_RULES: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "sgd_plain": (0, [{"rate": 0.1}, {"rate": 0.1, "weight_decay": 0.3, "maximize": True}]),
    "sgd_momentum": (
        1,
        [
            {"rate": 0.1, "first": 0.9, "first_in": 1.0},
            {"rate": 0.1, "first": 0.5, "first_in": 0.75, "weight_decay": 0.1},
        ],
    ),
    "sgd_nesterov": (
        1,
        [
            {"rate": 0.1, "first": 0.9, "first_in": 1.0},
            {"rate": 0.1, "first": 0.9, "first_in": 1.0, **_DECAYED},
        ],
    ),
    **{
        rule: (
            states,
            [
                {**_MOMENTS, "root": 1.5, "eps": 0.5},
                {**_MOMENTS, "root": 0.5, "eps": 0.75, **_DECAYED},
            ],
        )
        for rule, states in {
            "adam": 2, "adam_amsgrad": 3, "adagrad": 1, "rmsprop": 1, "rmsprop_momentum": 2,
            "adamax": 2, "adadelta": 2,
        }.items()
    },
    "nadam": (
        2,
        [
            {**_MOMENTS, "rate_grad": 0.2, "eps": 0.5},
            {**_MOMENTS, "rate_grad": 0.2, "root": 1.2, "eps": 0.5, **_DECAYED},
        ],
    ),
}  # fmt: skip
_SHAPES: list[tuple[int, ...]] = [
    *((n,) for n in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101)),
    (),
    (5, 7),
    (6, 3, 5, 5),
    (1, 8, 1, 1),
    (300, 400),
]


def _case(rule: str, states: int, options: list[dict[str, Any]], draw: Any = None) -> Case:
    return Case(
        name=rule,
        rows=(f"{rule}_f",),
        function=None,
        kernel=_kernel(rule),
        reference=_reference(rule),
        samples=[
            Sample((shape,) * (2 + states), factors) for factors in options for shape in _SHAPES
        ],
        bound=_bound,
        bytes=lambda p, g, *s, **_: 4.0 * (3 + 2 * len(s)) * float(np.prod(p)),
        misuses=_MISUSES if rule == "sgd_plain" else [],
        **({} if draw is None else {"draw": draw}),
    )


def _sgd(**options: Any) -> Any:
    return striate.optim.SGD([striate.zeros(2, requires_grad=True)], **options)


def _misused(rule: str, p: Any, grad: Any, *states: Any) -> Any:
    return _C.optimizer_step(rule, p, grad, states, rate=0.1)


_MISUSES = [
    Misuse(lambda: _sgd(lr=-1.0), ValueError, ("SGD", "lr", "at least 0", "-1.0")),
    Misuse(lambda: _sgd(lr=float("nan")), ValueError, ("SGD", "lr", "finite", "nan")),
    Misuse(lambda: _sgd(momentum=-0.1), ValueError, ("SGD", "momentum", "-0.1")),
    Misuse(lambda: _sgd(weight_decay=float("inf")), ValueError, ("weight_decay", "inf")),
    Misuse(lambda: _sgd(nesterov=True), ValueError, ("nesterov", "momentum=0.0")),
    Misuse(
        lambda: _misused("sgd_plain", np.zeros(3), np.zeros(4)),
        ValueError,
        ("sgd_plain", "grad", "(3,)", "(4,)"),
    ),
    Misuse(
        lambda: _misused("sgd_momentum", np.zeros(3), np.zeros(3), np.zeros((3, 1))),
        ValueError,
        ("states", "(3,)", "(3, 1)"),
    ),
    Misuse(
        lambda: _misused("adam", np.zeros(3), np.zeros(3), np.zeros(3)),
        ValueError,
        ("adam", "states", "2 arrays", "got 1"),
    ),
    Misuse(
        lambda: _misused("sgd_plain", np.zeros(3), np.zeros(3, np.float32)),
        TypeError,
        ("grad", "float64"),
    ),
    Misuse(lambda: _misused("newton", np.zeros(3), np.zeros(3)), ValueError, ("rule", "newton")),
]

# Centered: operands whose squares are smaller than they are, so that v - a^2 stays above 0.
_CENTERED = {"rate": 0.1, "first": 0.5, "second": 0.75, "second_in": 0.25, "eps": 0.5}


def _below_one(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.5, 0.7, shape)


CASES = [
    *(_case(rule, states, options) for rule, (states, options) in _RULES.items()),
    *(
        _case(rule, states, [_CENTERED, {**_CENTERED, "maximize": True}], _below_one)
        for rule, states in (("rmsprop_centered", 2), ("rmsprop_centered_momentum", 3))
    ),
]

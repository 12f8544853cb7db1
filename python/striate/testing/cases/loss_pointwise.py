# SPDX-License-Identifier: Apache-2.0
"""Losses element by element, their values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

ops: Any = striate.ops  # untyped: to be misused


def _reduced(values: Array, reduction: str) -> Array:
    if reduction == "none":
        return np.asarray(values)
    return np.asarray(np.sum(values) / (values.size if reduction == "mean" else 1))


def _shapes(parameter: str | None, values: tuple[float, ...]) -> list[Sample]:
    """Every tail, and each reduction; the parameter's values in turn."""
    shapes: list[tuple[tuple[int, ...], str]] = [
        *(((n,), "mean") for n in (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)),
        ((0,), "sum"),
        ((0,), "none"),
        ((), "mean"),
        ((), "none"),
        *(((5, 7), reduction) for reduction in ("mean", "sum", "none")),
        *(((2, 3, 4, 5), reduction) for reduction in ("mean", "sum", "none")),
        ((300, 400), "none"),
        ((300, 400), "mean"),
    ]
    return [
        Sample(
            (shape, shape),
            {"reduction": reduction, **({parameter: values[i % len(values)]} if parameter else {})},
        )
        for i, (shape, reduction) in enumerate(shapes)
    ]


def _pointwise(
    name: str,
    rows: str,
    value: Callable[..., Array],
    slope: Callable[..., Array],
    parameter: str | None = None,
    values: tuple[float, ...] = (),
    kernel: Callable[..., Any] | None = None,
    misuses: list[Misuse] | None = None,
) -> list[Case]:
    """The cases of one loss: value(x, t, p) and its slope in x."""
    function = getattr(ops, name)
    kernel = kernel or getattr(_C, name)

    def split(given: dict[str, Any]) -> tuple[str, tuple[float, ...]]:
        return given["reduction"], (given[parameter],) if parameter else ()

    def reference(x: Array, t: Array, **given: Any) -> Array:
        reduction, p = split(given)
        return _reduced(value(x, t, *p), reduction)

    def gradient(x: Array, t: Array, **given: Any) -> Array:
        reduction, p = split(given)
        return np.asarray(slope(x, t, *p) / (x.size if reduction == "mean" else 1))

    def bound(reference: Array, eps: float, x: Array, t: Array, **given: Any) -> Any:
        """Of one element a few roundings of what it is made of; of a sum, the sum's own."""
        terms = np.abs(value(x, t, *split(given)[1])) + np.abs(x) + np.abs(x * t) + np.abs(t)
        return eps * (12 + np.log2(x.size + 1)) * _reduced(terms, given["reduction"])

    return [
        Case(
            name=name,
            rows=(rows,),
            function=function,
            kernel=lambda x, t, **given: kernel(x, t, **given)[0],
            reference=reference,
            samples=_shapes(parameter, values),
            bound=bound,
            takes_out=False,
            bytes=lambda x, target, **_: 4.0 * (np.prod(x) + np.prod(target)),
            misuses=[
                Misuse(
                    lambda: function(striate.zeros(2, 3), striate.zeros(3)),
                    ValueError,
                    (name, "target", "(2, 3)", "(3,)"),
                ),
                Misuse(
                    lambda: function(striate.zeros(2), striate.zeros(2), reduction="max"),
                    ValueError,
                    (name, "reduction", "max"),
                ),
                Misuse(lambda: function(striate.zeros(2), 1), TypeError, ("target", "int")),
                Misuse(
                    lambda: kernel(np.zeros(2), np.zeros(2, np.float32)),
                    TypeError,
                    ("target", "float64", "float32"),
                ),
                *(misuses or []),
            ],
        ),
        Case(
            name=f"{name}_gradient",
            rows=(rows,),
            function=None,
            kernel=lambda x, t, out=None, **given: kernel(x, t, gradient=True, out=out, **given)[1],
            reference=gradient,
            samples=_shapes(parameter, values),
            bound=lambda reference, eps, x, t, **given: (
                8 * eps * (np.abs(reference) + (1 + np.abs(t)) / (x.size or 1))
                if given["reduction"] == "mean"
                else 8 * eps * (np.abs(reference) + 1 + np.abs(t))
            ),
            bytes=lambda x, target, **_: 12.0 * np.prod(x),
        ),
    ]


def _huber(x: Array, t: Array, delta: float) -> Array:
    d = np.abs(x - t)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.where(x > 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x))))


def _smooth_kernel(x: Array, t: Array, beta: float = 1.0, **given: Any) -> Any:
    return _C.huber_loss(x, t, beta, 1 / beta, **given)


CASES = [
    *_pointwise("mse_loss", "squared_error_", lambda x, t: (x - t) ** 2, lambda x, t: 2 * (x - t)),
    *_pointwise(
        "l1_loss", "absolute_error_", lambda x, t: np.abs(x - t), lambda x, t: np.sign(x - t)
    ),
    *_pointwise(
        "huber_loss",
        "huber_",
        _huber,
        lambda x, t, delta: np.clip(x - t, -delta, delta),
        parameter="delta",
        values=(1.0, 0.3, 2.5),
        misuses=[
            Misuse(
                lambda: ops.huber_loss(striate.zeros(2), striate.zeros(2), delta=0),
                ValueError,
                ("huber_loss", "delta", "above 0", "got 0"),
            )
        ],
    ),
    *_pointwise(
        "smooth_l1_loss",
        "huber_",
        lambda x, t, beta: _huber(x, t, beta) / beta,
        lambda x, t, beta: np.clip(x - t, -beta, beta) / beta,
        parameter="beta",
        values=(1.0, 0.3, 2.5),
        kernel=_smooth_kernel,
        misuses=[
            Misuse(
                lambda: ops.smooth_l1_loss(striate.zeros(2), striate.zeros(2), beta=-1.0),
                ValueError,
                ("smooth_l1_loss", "beta", "at least 0", "-1"),
            )
        ],
    ),
    *_pointwise(
        "binary_cross_entropy_with_logits",
        "binary_logits_",
        lambda x, t: (1 - t) * x + np.logaddexp(0, -x),
        lambda x, t: _sigmoid(x) - t,
    ),
]

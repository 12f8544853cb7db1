# SPDX-License-Identifier: Apache-2.0
"""Activation functions, forward and backward."""

from __future__ import annotations

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


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Both signs, from tiny to where every activation has settled; never close to a kink."""
    x = rng.standard_normal(shape) * rng.choice([0.3, 3.0, 30.0], shape)
    return np.where(np.abs(x) < 1e-3, 0.5, x)


def _activation(
    name: str,
    f: Callable[..., Array],
    slope: Callable[..., Array],
    saves: str = "y",
    parameter: str | None = None,
    values: tuple[float, ...] = (0.0,),
    ulp: float = 4,
) -> list[Case]:
    """The cases of one activation: f(x, p), f'(x, p), and the binding below the gradient."""
    kernel, backward = getattr(_C, name), getattr(_C, f"{name}_backward")

    def value(given: dict[str, Any]) -> float:
        return float(given[parameter]) if parameter else 0.0

    def saved(x: Array, p: float) -> Array:
        return np.asarray(f(x, p)) if saves == "y" else x

    samples = [{parameter: v} if parameter else {} for v in values]
    forward = Case(
        name=name,
        rows=(f"{name}_f",),
        function=getattr(striate.ops, name),
        kernel=lambda x, out=None, **given: kernel(x, value(given), out=out),
        reference=lambda x, **given: f(x, value(given)),
        samples=_samples(1, samples),
        bound=lambda reference, eps, x, **given: ulp * eps * np.abs(reference),
        draw=_draw,
        misuses=[
            Misuse(lambda: getattr(striate.ops, name)(3.0), TypeError, (name, "input", "float")),
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
            saved(x, value(given)).astype(x.dtype), dy, value(given), out=out
        ),
        reference=lambda x, dy, **given: dy * slope(x, value(given)),
        samples=_samples(2, samples),
        bound=lambda reference, eps, x, dy, **given: 8 * eps * np.abs(dy) * (1 + np.abs(reference)),
        draw=_draw,
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


CASES = [
    *_activation("relu", lambda x, p: np.maximum(x, 0), lambda x, p: (x > 0) * 1.0),
]

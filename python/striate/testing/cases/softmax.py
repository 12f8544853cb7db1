# SPDX-License-Identifier: Apache-2.0
"""Softmax and its logarithm, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _samples(operands: int) -> list[Sample]:
    shapes: list[tuple[tuple[int, ...], int]] = [
        *(((3, n), 1) for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 129, 2100)),
        *(((n, 5), 0) for n in (1, 8, 9, 17, 33)),
        ((0, 5), 1), ((5, 0), 1), ((10,), 0), ((2, 5, 7), 1), ((2, 5, 7), 0), ((600, 70), 0),
        ((2, 17, 3, 4), 1), ((2, 17, 3, 4), 3), ((2, 17, 3, 4), 0), ((300, 130), 1),
        ((67, 16), 1), ((67, 18), 1), ((3, 2048), 1), ((2, 2049), 1), ((2, 4500), 1),
        ((1, 140000), 1),
    ]  # fmt: skip
    return [Sample((shape,) * operands, {"axis": axis}) for shape, axis in shapes]


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape) * 3


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / np.sum(e, axis, keepdims=True))


def _log_softmax(x: Array, axis: int) -> Array:
    x = x - np.max(x, axis, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore"):  # no elements
        return np.asarray(x - np.log(np.sum(np.exp(x), axis, keepdims=True)))


def _relative(reference: Array, eps: float, x: Array, axis: int) -> Any:
    """The exponent is off by eps of the distance from the largest; then two roundings and a sum."""
    reach = np.max(np.abs(x), initial=0)
    return eps * (8 + 2 * reach + np.log2(x.shape[axis] + 1)) * np.abs(reference)


def _absolute(reference: Array, eps: float, x: Array, axis: int) -> Any:
    reach = np.max(np.abs(x), initial=0)
    return eps * (8 + 2 * reach + np.log2(x.shape[axis] + 1))


def _sums(reference: Array, eps: float, x: Array, dy: Array, axis: int) -> Any:
    """What is saved is rounded; in the logarithm by up to eps (2 |x| + log n)."""
    total = np.sum(np.abs(dy), axis, keepdims=True)
    reach = 12 + 2 * np.max(np.abs(x), initial=0) + 2 * np.log2(x.shape[axis] + 1)
    return eps * reach * (np.abs(dy) + _softmax(x, axis) * total)


def _cases(
    name: str,
    reference: Callable[..., Array],
    gradient: Callable[..., Array],
    bound: Callable[..., Any],
) -> list[Case]:
    function, kernel = getattr(striate.ops, name), getattr(_C, name)
    backward = getattr(_C, f"{name}_backward")
    return [
        Case(
            name=name,
            rows=(f"{name}_f",),
            function=lambda x, axis: function(x, axis),
            kernel=kernel,
            reference=reference,
            samples=_samples(1),
            bound=bound,
            draw=_draw,
            misuses=[
                Misuse(lambda: function(striate.zeros(2, 3), 2), IndexError, (name, "dim", "2")),
                Misuse(lambda: function(3.0, 0), TypeError, (name, "input", "float")),
                Misuse(lambda: kernel(np.zeros(2), 1), IndexError, (name, "axis", "1")),
            ],
            bytes=lambda x, **_: 8.0 * np.prod(x),
        ),
        Case(
            name=f"{name}_backward",
            rows=(f"{name}_backward_",),
            function=None,
            kernel=lambda x, dy, axis, out=None: backward(
                reference(x.astype(np.float64), axis).astype(x.dtype), dy, axis, out=out
            ),
            reference=gradient,
            samples=_samples(2),
            bound=_sums,
            draw=_draw,
            misuses=[
                Misuse(
                    lambda: backward(np.zeros((2, 3)), np.zeros((3, 2)), 1),
                    ValueError,
                    (f"{name}_backward", "dy", "(2, 3)", "(3, 2)"),
                ),
            ],
            bytes=lambda x, dy, **_: 12.0 * np.prod(x),
        ),
    ]


def _softmax_gradient(x: Array, dy: Array, axis: int) -> Array:
    y = _softmax(x, axis)
    return np.asarray(y * (dy - np.sum(y * dy, axis, keepdims=True)))


def _log_softmax_gradient(x: Array, dy: Array, axis: int) -> Array:
    return np.asarray(dy - _softmax(x, axis) * np.sum(dy, axis, keepdims=True))


CASES = [
    *_cases("softmax", _softmax, _softmax_gradient, _relative),
    *_cases("log_softmax", _log_softmax, _log_softmax_gradient, _absolute),
]

# SPDX-License-Identifier: Apache-2.0
"""Local contrast normalisation. Its kernels are those of convolution, sums and arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import striate
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _mean(x: Array, kernel_size: Any, sigma: float | None) -> Array:
    """The mean over channels and the window, of what lies inside: (N, C, H, W) -> (N, 1, H, W)."""
    r, s = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    n, _, h, w = x.shape
    total, weight = np.zeros((n, h, w)), np.zeros((h, w))
    for p in range(-(r // 2), r // 2 + 1):
        for q in range(-(s // 2), s // 2 + 1):
            g = np.exp(-((p / (sigma or r / 4)) ** 2 + (q / (sigma or s / 4)) ** 2) / 2)
            rows, columns = np.arange(h) + p, np.arange(w) + q
            inside = np.outer((rows >= 0) & (rows < h), (columns >= 0) & (columns < w))
            shifted = x.mean(1)[:, np.clip(rows, 0, h - 1)][:, :, np.clip(columns, 0, w - 1)]
            total += g * inside * shifted
            weight += g * inside
    return np.asarray((total / weight)[:, None])


def _subtractive(x: Array, kernel_size: Any = 9, sigma: float | None = None) -> Array:
    return x - _mean(x, kernel_size, sigma)


def _divisor(x: Array, kernel_size: Any, sigma: float | None, threshold: float | None) -> Array:
    spread = np.sqrt(_mean(x * x, kernel_size, sigma))
    least = spread.mean((2, 3), keepdims=True) if threshold is None else threshold
    return np.asarray(np.maximum(spread, least))


def _divisive(
    x: Array, kernel_size: Any = 9, sigma: float | None = None, threshold: float | None = None
) -> Array:
    return x / _divisor(x, kernel_size, sigma, threshold)


def _contrast(
    x: Array, kernel_size: Any = 9, sigma: float | None = None, threshold: float | None = None
) -> Array:
    return _divisive(_subtractive(x, kernel_size, sigma), kernel_size, sigma, threshold)


def _steps(x: Array, kernel_size: Any) -> float:
    """Roundings on the way through the sums over channels, columns and rows."""
    sizes = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    return float(4 + sum(sizes) / 2 + np.log2(x.size) / 2)


def _subtractive_bound(
    reference: Any, eps: float, x: Array, kernel_size: Any = 9, sigma: float | None = None
) -> Any:
    return eps * _steps(x, kernel_size) * np.max(np.abs(x))


def _divisive_bound(reference: Any, eps: float, x: Array, kernel_size: Any = 9, **_: Any) -> Any:
    return eps * _steps(x, kernel_size) * np.abs(reference)


def _contrast_bound(
    reference: Any,
    eps: float,
    x: Array,
    kernel_size: Any = 9,
    sigma: float | None = None,
    threshold: float | None = None,
) -> Any:
    """What subtraction rounds away is divided too, and moves the divisor as far."""
    away = _subtractive(x, kernel_size, sigma)
    unit = np.max(np.abs(x)) / _divisor(away, kernel_size, sigma, threshold)
    return eps * _steps(x, kernel_size) * (1 + np.abs(reference)) * unit


_SHAPES: list[tuple[int, ...]] = [
    (2, 1, 7, 9), (1, 3, 12, 10), (2, 16, 5, 6), (1, 17, 1, 8), (1, 2, 8, 1), (2, 5, 3, 3),
    (1, 3, 40, 37),
]  # fmt: skip
_OPTIONS: list[dict[str, Any]] = [{}, {"kernel_size": 3}, {"kernel_size": (5, 3), "sigma": 1.5}]


def _misused(f: str, error: type[Exception], *words: str, **arguments: Any) -> Misuse:
    options: dict[str, Any] = {"input": striate.ones(1, 2, 5, 5), **arguments}
    return Misuse(lambda: getattr(striate, f)(**options), error, (f, *words))


def _case(
    name: str, reference: Callable[..., Array], bound: Callable[..., Any], options: Any
) -> Case:
    function = getattr(striate, name)
    return Case(
        name=name,
        rows=(),
        function=function,
        kernel=lambda x, **parameters: function(Tensor(x), **parameters).numpy(),
        reference=reference,
        samples=[
            *(Sample((s,), o) for s in _SHAPES for o in options),
            Sample(((2, 3, 6, 7),), {"kernel_size": 5, "sigma": float("inf")}, images=False),
        ],
        bound=bound,
        takes_out=False,
        misuses=[
            _misused(name, ValueError, "(2, 5, 5)", input=striate.ones(2, 5, 5)),
            _misused(name, TypeError, "int64", input=striate.arange(4).reshape(1, 1, 2, 2)),
            _misused("subtractive_norm", ValueError, "kernel_size", "4", kernel_size=4),
            _misused("subtractive_norm", ValueError, "sigma", "0", sigma=0),
            _misused("subtractive_norm", TypeError, "kernel_size", "'a'", kernel_size="a"),
            _misused("divisive_norm", ValueError, "threshold", "0", threshold=0),
            _misused("divisive_norm", TypeError, "threshold", "'a'", threshold="a"),
        ],
    )


_WITH_THRESHOLD = [*_OPTIONS, {"kernel_size": 5, "threshold": 0.7}]

CASES = [
    _case("subtractive_norm", _subtractive, _subtractive_bound, _OPTIONS),
    _case("divisive_norm", _divisive, _divisive_bound, _WITH_THRESHOLD),
    _case("local_contrast_norm", _contrast, _contrast_bound, _WITH_THRESHOLD),
]

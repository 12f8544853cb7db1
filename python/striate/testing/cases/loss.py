# SPDX-License-Identifier: Apache-2.0
"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _labels(shape: tuple[int, ...], ignored: int | None) -> Array:
    """A class for every row, the same for the same shape; every fourth ignored if one is named."""
    axis = 0 if len(shape) == 1 else 1
    rows = shape[:axis] + shape[axis + 1 :]
    labels = (np.arange(int(np.prod(rows))) * 7 + 3) % shape[axis]
    if ignored is not None:
        labels[1::4] = ignored
    return labels.reshape(rows)


def _weights(classes: int, weighted: bool, dtype: Any) -> Array | None:
    return (np.arange(classes) % 5 + 0.5).astype(dtype) if weighted else None


def _options(x: Array, weighted: bool, ignored: int | None, **more: Any) -> dict[str, Any]:
    classes = x.shape[0 if x.ndim == 1 else 1]
    return {
        "weight": _weights(classes, weighted, x.dtype),
        "ignore_index": -100 if ignored is None else ignored,
        **more,
    }


def _function(x: Tensor, weighted: bool = False, ignored: int | None = None, **more: Any) -> Any:
    options = _options(x._array, weighted, ignored, **more)
    if options["weight"] is not None:
        options["weight"] = Tensor(options["weight"]).to(x.device)
    labels = Tensor(_labels(x.shape, ignored)).to(x.device)
    return striate.ops.cross_entropy(x, labels, **options)


def _kernel(x: Array, weighted: bool = False, ignored: int | None = None, **more: Any) -> Any:
    options = _options(x, weighted, ignored, **more)
    return _C.cross_entropy(x, _labels(x.shape, ignored), **options)[0]


def _gradient_kernel(
    x: Array, out: Any = None, weighted: bool = False, ignored: int | None = None, **more: Any
) -> Any:
    options = _options(x, weighted, ignored, **more)
    labels = _labels(x.shape, ignored)
    return _C.cross_entropy(x, labels, gradient=True, out=out, **options)[1]


def _log_softmax(x: Array, axis: int) -> Array:
    x = x - np.max(x, axis, keepdims=True, initial=-np.inf)
    return x - np.log(np.sum(np.exp(x), axis, keepdims=True))


def _parts(
    x: Array, weighted: bool, ignored: int | None, reduction: str, label_smoothing: float
) -> tuple[Array, Array, float]:
    """log p, the a of loss = -sum a log p, and what the sum is divided by."""
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    labels = _labels(x.shape, ignored)
    weight = _weights(classes, weighted, np.float64)
    if weight is None:
        weight = np.ones(classes)
    counts = labels != (-100 if ignored is None else ignored)
    one_hot = np.moveaxis(np.eye(classes)[np.where(counts, labels, 0)], -1, axis)
    target = (1 - label_smoothing) * one_hot + label_smoothing / classes
    a = target * weight.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    a = a * np.expand_dims(counts, axis)
    total = np.sum(weight[labels[counts]]) if reduction == "mean" else 1.0
    return _log_softmax(x, axis), a, float(total)


def _reference(
    x: Array,
    weighted: bool = False,
    ignored: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    log_p, a, total = _parts(x, weighted, ignored, reduction, label_smoothing)
    axis = 0 if x.ndim == 1 else 1
    losses = -np.sum(a * log_p, axis)
    return np.asarray(losses if reduction == "none" else np.sum(losses) / total)


def _gradient_reference(
    x: Array,
    weighted: bool = False,
    ignored: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    log_p, a, total = _parts(x, weighted, ignored, reduction, label_smoothing)
    axis = 0 if x.ndim == 1 else 1
    return (np.exp(log_p) * np.sum(a, axis, keepdims=True) - a) / total


def _bound(reference: Array, eps: float, x: Array, **given: Any) -> Any:
    """eps times what is added up: some 2 |x| a class, each rounded a few times, in blocked sums."""
    classes = x.shape[0 if x.ndim == 1 else 1]
    rows = x.size / classes if given.get("reduction") == "sum" else 1
    scale = (2 * np.max(np.abs(x), initial=0) + np.log(classes)) * (
        5 if given.get("weighted") else 1
    )
    return eps * (8 + np.sqrt(classes)) * (scale * rows + np.abs(reference))


_SAMPLES = [
    *(Sample(((5, c),)) for c in (1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 100)),
    *(Sample(((n, 10),)) for n in (1, 2, 64)),
    Sample(((10,),)),
    Sample(((9, 17),), {"reduction": "sum"}),
    Sample(((9, 17),), {"reduction": "none"}),
    Sample(((9, 17),), {"weighted": True}),
    Sample(((9, 17),), {"label_smoothing": 0.1}),
    Sample(((9, 17),), {"label_smoothing": 0.1, "weighted": True, "ignored": 3}),
    Sample(((9, 17),), {"ignored": -100}),
    Sample(((6, 5, 7),), {"weighted": True, "ignored": 2}),
    Sample(((2, 5, 3, 4),), {"reduction": "none", "label_smoothing": 0.3}),
    Sample(((2, 5, 3, 4),), {"reduction": "mean"}, images=False),
    Sample(((40, 1000),)),
]


def _probabilities(shape: tuple[int, ...]) -> Array:
    """The same for the same shape; they need not add up to 1."""
    return np.asarray(np.random.default_rng(shape[0]).random(shape))


def _probability_loss(x: Tensor, **options: Any) -> Any:
    target = Tensor(_probabilities(x.shape).astype(x.dtype)).to(x.device)
    return striate.ops.cross_entropy(x, target, **options)


def _probability_kernel(x: Array, out: Any = None, **options: Any) -> Any:
    target = _probabilities(x.shape).astype(x.dtype)
    return _C.cross_entropy(x, target, gradient=True, out=out, **options)


def _probability_reference(x: Array, reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    axis = 0 if x.ndim == 1 else 1
    target = _probabilities(x.shape)
    a = (1 - label_smoothing) * target + label_smoothing / x.shape[axis]
    log_p = _log_softmax(x, axis)
    losses = -np.sum(a * log_p, axis)
    rows = losses.size if reduction == "mean" else 1
    loss = losses if reduction == "none" else np.sum(losses) / rows
    return np.asarray(loss), (np.exp(log_p) * np.sum(a, axis, keepdims=True) - a) / rows


def _probability_bound(reference: Any, eps: float, x: Array, **given: Any) -> Any:
    classes = x.shape[0 if x.ndim == 1 else 1]
    return classes * _bound(reference, eps, x, **given)


_PROBABILITY_SAMPLES = [
    *(Sample(((5, c),)) for c in (1, 2, 7, 8, 9, 15, 16, 17, 33)),
    Sample(((10,),), {"reduction": "sum"}),
    Sample(((3, 5, 7),), {"reduction": "none", "label_smoothing": 0.2}),
    Sample(((2, 5, 3, 4),), {"label_smoothing": 0.2}),
]


CASES = [
    Case(
        name="cross_entropy",
        rows=("cross_entropy_labels_",),
        function=_function,
        kernel=_kernel,
        reference=_reference,
        samples=_SAMPLES,
        bound=_bound,
        takes_out=False,
        bytes=lambda x, **_: 4.0 * np.prod(x),
        misuses=[
            Misuse(
                lambda: striate.ops.cross_entropy(striate.zeros(2, 3), striate.tensor([1, 3])),
                IndexError,
                ("cross_entropy", "target", "0 to 2", "got 3", "(1,)"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(
                    striate.zeros(2, 4, 3), striate.tensor([[0, 1, 2], [3, -1, 0]])
                ),
                IndexError,
                ("cross_entropy", "target", "0 to 3", "got -1", "(1, 1)"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(
                    striate.zeros(2, 3), striate.tensor([0, 1]), weight=striate.ones(2)
                ),
                ValueError,
                ("cross_entropy", "weight", "(3,)", "(2,)"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(
                    striate.zeros(2, 3), striate.tensor([0, 1]), label_smoothing=1.5
                ),
                ValueError,
                ("cross_entropy", "label_smoothing", "1.5"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(striate.zeros(2, 3), striate.tensor([1, 2, 0])),
                ValueError,
                ("cross_entropy", "target", "(2,)", "(3,)"),
            ),
        ],
    ),
    Case(
        name="cross_entropy_gradient",
        rows=("cross_entropy_labels_",),
        function=None,
        kernel=_gradient_kernel,
        reference=_gradient_reference,
        samples=_SAMPLES,
        bound=lambda reference, eps, x, **given: eps * (8 + np.sqrt(x.size)) * 16,
        bytes=lambda x, **_: 8.0 * np.prod(x),
    ),
    Case(
        name="cross_entropy_probabilities",
        rows=("cross_entropy_probabilities_",),
        function=_probability_loss,
        kernel=lambda x, **given: _probability_kernel(x, **given)[0],
        reference=lambda x, **given: _probability_reference(x, **given)[0],
        samples=_PROBABILITY_SAMPLES,
        bound=_probability_bound,
        takes_out=False,
        misuses=[
            Misuse(
                lambda: striate.ops.cross_entropy(striate.zeros(2, 3), striate.zeros(2, 4)),
                ValueError,
                ("cross_entropy", "target", "(2, 3)", "(2, 4)"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(
                    striate.zeros(2, 3), striate.zeros(2, 3), ignore_index=1
                ),
                ValueError,
                ("cross_entropy", "ignore_index", "1"),
            ),
            Misuse(
                lambda: striate.ops.cross_entropy(
                    striate.zeros(2, 3), striate.zeros(2, 3), reduction="max"
                ),
                ValueError,
                ("cross_entropy", "reduction", "mean", "max"),
            ),
        ],
    ),
    Case(
        name="cross_entropy_probabilities_gradient",
        rows=("cross_entropy_probabilities_",),
        function=None,
        kernel=lambda x, **given: _probability_kernel(x, **given)[1],
        reference=lambda x, **given: _probability_reference(x, **given)[1],
        samples=_PROBABILITY_SAMPLES,
        bound=lambda reference, eps, x, **given: eps * (8 + np.sqrt(x.size)) * 16,
    ),
]

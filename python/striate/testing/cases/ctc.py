# SPDX-License-Identifier: Apache-2.0
"""Connectionist temporal classification, by loops over steps and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _problem(shape: tuple[int, ...], most: int, blank: int) -> tuple[Array, Array, Array]:
    """Targets, one behind the other, and lengths: the same for the same shape; some repeat."""
    steps, samples, classes = shape
    rng = np.random.default_rng(steps + 100 * most)
    labels = np.setdiff1d(np.arange(classes), [blank])
    target_lengths = np.array([max(most - n, 0) for n in range(samples)], np.int64)
    input_lengths = np.array([max(steps - n, 2 * most) for n in range(samples)], np.int64)
    targets = rng.choice(labels, target_lengths.sum())
    targets[1::3] = targets[: len(targets[1::3])]
    return targets, input_lengths, target_lengths


def _log_softmax(x: Array) -> Array:
    x = x - np.max(x, -1, keepdims=True)
    return np.asarray(x - np.log(np.sum(np.exp(x), -1, keepdims=True)))


def _sample(log_p: Array, labels: list[int], blank: int) -> tuple[float, Array]:
    """The loss of one sample and the probability of each class at each step."""
    steps, classes = log_p.shape
    extended = [blank]
    for label in labels:
        extended += [label, blank]
    n = len(extended)
    follows = [
        [
            j
            for j in (s, s + 1, s + 2)
            if j < n and (j < s + 2 or extended[j] not in (blank, extended[s]))
        ]
        for s in range(n)
    ]
    p = log_p[:, extended]
    alpha, beta = np.full((2, steps, n), -np.inf)
    alpha[0, :2] = p[0, :2]
    beta[-1, -2:] = p[-1, -2:]
    for t in range(1, steps):
        for s in range(n):
            for j in follows[s]:
                alpha[t, j] = np.logaddexp(alpha[t, j], alpha[t - 1, s] + p[t, j])
                back = steps - 1 - t
                beta[back, s] = np.logaddexp(beta[back, s], beta[back + 1, j] + p[back, s])
    log_z = np.logaddexp.reduce(alpha[-1, -2:])
    posterior = np.zeros((steps, classes))
    for s, c in enumerate(extended):
        posterior[:, c] += np.exp(alpha[:, s] + beta[:, s] - p[:, s] - log_z)
    return -float(log_z), posterior


def _all(x: Array, most: int, blank: int) -> tuple[Array, Array]:
    targets, input_lengths, target_lengths = _problem(x.shape, most, blank)
    losses, gradient, start = [], np.zeros(x.shape), 0
    for n, (steps, count) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        labels = targets[start : start + count].tolist()
        start += count
        loss, posterior = _sample(x[:steps, n], labels, blank)
        losses.append(loss)
        gradient[:steps, n] = np.exp(x[:steps, n]) - posterior
    return np.array(losses), gradient


def _kernel(x: Array, most: int, blank: int, **more: Any) -> Any:
    targets, input_lengths, target_lengths = _problem(x.shape, most, blank)
    return _C.ctc_loss(x, targets, input_lengths, target_lengths, blank=blank, **more)


def _function(x: Tensor, most: int, blank: int) -> Tensor:
    """Through a log_softmax, whose operand the gradient is right for."""
    targets, *lengths = _problem(x.shape, most, blank)
    log_probs = striate.ops.log_softmax(x, 2)
    return striate.ops.ctc_loss(
        log_probs, Tensor(targets), lengths[0], lengths[1], blank, reduction="none"
    )


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return _log_softmax(rng.standard_normal(shape))


def _bound(reference: Array, eps: float, x: Array, **_: Any) -> Any:
    """A row's logarithms are as large as the loss, and err by a few eps of that at every step."""
    return 4 * eps * (len(x) + 4) * (len(x) * np.max(np.abs(x), initial=0) / 8 + 8)


_SAMPLES = [
    Sample((shape,), {"most": most, "blank": blank})
    for shape, most, blank in [
        ((1, 1, 2), 0, 0), ((2, 1, 3), 1, 0), ((4, 3, 3), 2, 2), ((5, 2, 4), 2, 1),
        ((9, 2, 5), 4, 0), ((12, 1, 4), 4, 0), ((17, 3, 6), 7, 0), ((18, 2, 4), 8, 3),
        ((34, 2, 5), 16, 0), ((70, 2, 30), 17, 0), ((4, 0, 3), 1, 0),
    ]
]  # fmt: skip


def _loss(targets: Any, lengths: Any, **options: Any) -> Any:
    return striate.ops.ctc_loss(striate.zeros(4, 2, 3), targets, [4, 4], lengths, **options)


CASES = [
    Case(
        name="ctc_loss",
        rows=("ctc_forward_",),
        function=_function,
        kernel=lambda x, **given: _kernel(x, **given)[0],
        reference=lambda x, **given: _all(_log_softmax(x), **given)[0],
        samples=_SAMPLES,
        bound=_bound,
        draw=_draw,
        takes_out=False,
        misuses=[
            Misuse(
                lambda: _loss(striate.tensor([1, 2, 3]), [2, 1]),
                IndexError,
                ("ctc_loss", "targets", "0 to 2", "got 3", "label 0", "sample 1"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([[1, 0], [2, 1]]), [2, 1]),
                IndexError,
                ("ctc_loss", "targets", "blank 0", "got 0", "label 1", "sample 0"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([1, 2, 1]), [2, 3]),
                ValueError,
                ("target_lengths[1]", "0 to 1", "got 3"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([[1, 2], [1, 2]]), [2, 3]),
                ValueError,
                ("target_lengths[1]", "0 to 2", "got 3"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([1, 2, 1]), [3]),
                ValueError,
                ("target_lengths", "(2,)", "(1,)"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([1.5, 2]), [1, 1]),
                TypeError,
                ("targets", "integers", "float32"),
            ),
            Misuse(
                lambda: _loss(striate.tensor([1, 2]), [1, 1], blank=3),
                ValueError,
                ("blank", "0 to 2", "3"),
            ),
            Misuse(
                lambda: striate.ops.ctc_loss(
                    striate.zeros(4, 2, 3), striate.tensor([1, 2]), [5, 4], [1, 1]
                ),
                ValueError,
                ("input_lengths[0]", "0 to 4", "got 5"),
            ),
            Misuse(
                lambda: striate.ops.ctc_loss(striate.zeros(4), striate.tensor([1]), 4, 1),
                ValueError,
                ("log_probs", "(T, N, C)", "(4,)"),
            ),
        ],
    ),
    Case(
        name="ctc_loss_gradient",
        rows=("ctc_backward_", "ctc_forward_"),
        function=None,
        kernel=lambda x, out=None, **given: _kernel(x, gradient=True, out=out, **given)[1],
        reference=lambda x, **given: _all(x, **given)[1],
        samples=_SAMPLES,
        bound=_bound,
        draw=_draw,
    ),
]

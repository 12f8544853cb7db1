# SPDX-License-Identifier: Apache-2.0
"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from striate import _C
from striate.arrays import as_it_lies
from striate.autograd import Node
from striate.device import beside, placed
from striate.explain import explained
from striate.ops.loss_pointwise import check_reduction, times
from striate.ops.record import op
from striate.ops.reduction import mean, sum
from striate.tensor import Array, Tensor

__all__ = ["ctc_loss"]


class Labels(NamedTuple):
    """What is to be found; on the CPU, wherever the probabilities are."""

    targets: Array
    input_lengths: Array
    target_lengths: Array


@op("(T, N, C) -> (N)", name="ctc_loss")
def _ctc(ctx: Node, log_probs: Array, labels: Labels, **options: Any) -> Array:
    loss, gradient = _C.ctc_loss(log_probs, *labels, gradient=ctx.needs[0], **options)
    ctx.save(gradient)
    return loss


@_ctc.backward
def _(ctx: Node, grad: Array) -> Any:
    (gradient,) = ctx.saved
    return times(gradient, grad.reshape(1, -1, 1))


def _integers(argument: str, values: Any) -> Array:
    """A tensor, tuple, list or number of integers as an int64 array."""
    array = placed("ctc_loss", as_it_lies(values), "cpu")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: {argument}: expected integers, got {array.dtype}")
    return np.ascontiguousarray(array, np.int64).reshape(array.shape)


def _joined(targets: Array, lengths: Array) -> Array:
    """The labels of every row of a padded (N, S), one row's behind the other's."""
    longest = targets.shape[1]
    for n, length in enumerate(lengths.tolist()):
        if not 0 <= length <= longest:
            raise ValueError(
                f"ctc_loss: target_lengths[{n}]: expected 0 to {longest}, the width of targets, "
                f"got {length}"
            )
    return np.ascontiguousarray(targets[np.arange(longest) < lengths[:, None]])


def _labels(targets: Any, samples: int, counts: Array) -> Array:
    """The labels of all samples, one behind the other."""
    labels = _integers("targets", targets)
    if labels.ndim == 1:
        return labels
    if labels.ndim != 2:
        raise ValueError(f"ctc_loss: targets: expected (N, S) or one axis, got {labels.shape}")
    if len(labels) != samples or len(counts) != samples:
        raise ValueError(
            f"ctc_loss: targets: expected {samples} rows, as log_probs has samples, and as many "
            f"target_lengths, got {len(labels)} and {len(counts)}"
        )
    return _joined(labels, counts)


@explained
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of all alignments of a labelling (Graves et al. 2006, section 4.1).

    `log_probs` (T, N, C), or (T, C) for one sample, is a log_softmax over C classes at T steps;
    `targets` holds labels other than `blank`: (N, S), padded with anything, or all samples' one
    behind the other; `input_lengths` and `target_lengths`, a tensor or a sequence of N integers,
    say how many steps and labels count. "mean" divides each loss by its target's length (at least
    1) and averages over the samples. A labelling with no alignment, as it needs more steps than
    there are, has loss inf; with `zero_infinity` loss and gradient 0.

    The gradient is that with respect to the logits under the log_softmax (equation 16), as in
    PyTorch: right through a log_softmax, and nowhere else. Raises IndexError for a label that is no
    class or is the blank, with its place, and ValueError for lengths that don't fit.
    """
    name = "ctc_loss"
    if not isinstance(log_probs, Tensor):
        raise TypeError(f"{name}: log_probs: expected a Tensor, got {type(log_probs).__name__}")
    if log_probs.dtype.kind != "f":
        raise TypeError(f"{name}: log_probs: expected floats, got {log_probs.dtype}")
    if log_probs.ndim not in (2, 3):
        raise ValueError(
            f"{name}: log_probs: expected (T, N, C) or (T, C), got shape {log_probs.shape}"
        )
    check_reduction(name, reduction)
    if isinstance(blank, bool) or not isinstance(blank, (int, np.integer)):
        raise TypeError(f"{name}: blank: expected an integer, got {blank!r}")
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.reshape(log_probs.shape[0], 1, log_probs.shape[1])
    samples = log_probs.shape[1]
    steps = _integers("input_lengths", input_lengths).reshape(-1)
    counts = _integers("target_lengths", target_lengths).reshape(-1)
    losses = _ctc(
        log_probs,
        labels=Labels(_labels(targets, samples, counts), steps, counts),
        blank=blank,
        zero_infinity=zero_infinity,
    )
    if reduction == "mean":
        divisors = np.maximum(counts, 1).astype(losses.dtype)
        return mean(losses / Tensor._wrap(beside(divisors, losses._array)))
    if reduction == "sum":
        return sum(losses)
    return losses.reshape(()) if single else losses

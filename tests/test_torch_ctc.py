# SPDX-License-Identifier: Apache-2.0
"""Connectionist temporal classification is PyTorch's: values, and gradients of the logits."""

import numpy as np
import pytest
from striate import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

TOLERANCE = 1e-9
REDUCTIONS = ["mean", "sum", "none"]


def both(x):
    return Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape) * 2


def ctc(targets, input_lengths, target_lengths, shape=(12, 3, 5), tolerance=TOLERANCE, **options):
    x = normal(*shape)
    mine, theirs = both(x)
    ours = nn.functional.ctc_loss(
        ops.log_softmax(mine, -1),
        Tensor(np.asarray(targets)),
        input_lengths,
        target_lengths,
        **options,
    )
    other = F.ctc_loss(
        theirs.log_softmax(-1), torch.tensor(targets), input_lengths, target_lengths, **options
    )
    assert ours.shape == tuple(other.shape)
    np.testing.assert_allclose(ours.detach().numpy(), other.detach().numpy(), tolerance)
    upstream = np.random.default_rng(1).standard_normal(ours.shape)
    ours.backward(Tensor(upstream))
    other.backward(torch.tensor(upstream))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), tolerance, tolerance)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ctc(reduction):
    padded = np.array([[1, 2, 2, 4], [3, 3, 0, 0], [4, 1, 2, 0]])
    lengths = (4, 2, 3)
    ctc(padded, (12, 9, 12), lengths, reduction=reduction)
    joined = np.concatenate([row[:n] for row, n in zip(padded, lengths, strict=True)])
    ctc(joined, (12, 9, 12), lengths, reduction=reduction)
    ctc(padded, (12, 12, 12), (0, 0, 0), reduction=reduction)


def test_ctc_with_another_blank():
    ctc(np.array([[0, 2, 2, 3], [3, 3, 0, 0], [3, 1, 2, 0]]), (12, 9, 12), (4, 2, 3), blank=4)


def test_ctc_of_one_sample():
    for reduction in REDUCTIONS:
        ctc(np.array([1, 2, 2]), (9,), (3,), shape=(9, 4), reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ctc_without_an_alignment(reduction):
    """Three labels, two of them alike, need four steps."""
    targets = np.array([[1, 2, 2], [1, 2, 3]])
    for zero in (True, False):
        x = normal(6, 2, 5)
        mine, theirs = both(x)
        ours = nn.functional.ctc_loss(
            ops.log_softmax(mine, -1), Tensor(targets), (3, 6), (3, 3), reduction=reduction,
            zero_infinity=zero,
        )  # fmt: skip
        other = F.ctc_loss(
            theirs.log_softmax(-1), torch.tensor(targets), (3, 6), (3, 3), reduction=reduction,
            zero_infinity=zero,
        )  # fmt: skip
        np.testing.assert_allclose(ours.detach().numpy(), other.detach().numpy(), TOLERANCE)
        if zero:
            ours.sum().backward()
            other.sum().backward()
            np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), 1e-9, 1e-12)


def test_ctc_of_long_sequences_in_float32():
    targets = np.random.default_rng(0).integers(1, 30, (2, 100))
    x = np.random.default_rng(0).standard_normal((600, 2, 30)).astype(np.float32)
    ours = nn.functional.ctc_loss(
        ops.log_softmax(Tensor(x), -1), Tensor(targets), (600, 500), (100, 90), reduction="none"
    )
    wide = torch.tensor(x.astype(np.float64)).log_softmax(-1)
    exact = F.ctc_loss(wide, torch.tensor(targets), (600, 500), (100, 90), reduction="none")
    np.testing.assert_allclose(ours.numpy(), exact.numpy(), 1e-5)


def test_ctc_module():
    x = ops.log_softmax(Tensor(normal(9, 2, 4)), 2)
    arguments = ((9, 8), (3, 2))
    targets = np.array([[1, 2, 2], [3, 1, 0]])
    ours = nn.CTCLoss(blank=0, reduction="sum", zero_infinity=True)(x, Tensor(targets), *arguments)
    theirs = torch.nn.CTCLoss(blank=0, reduction="sum", zero_infinity=True)(
        torch.tensor(x.numpy()), torch.tensor(targets), *arguments
    )
    np.testing.assert_allclose(ours.item(), theirs.item(), TOLERANCE)

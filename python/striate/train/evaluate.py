# SPDX-License-Identifier: Apache-2.0
"""How well a classifier does on a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate import autograd
from striate.device import CPU
from striate.nn import functional as F
from striate.tensor import Array


@dataclass(frozen=True)
class Evaluation:
    """The mean loss, the share of right answers, and counts (true class, answer)."""

    loss: float
    accuracy: float
    confusion: Array


def evaluate(model: Any, batches: Iterable[Any]) -> Evaluation:
    """Runs `model` in evaluation mode on batches of (images, labels), without gradients.

    Batches of the CPU are copied to where the model's parameters are.
    """
    was_training = model.training
    device = next((p.device for p in model.parameters()), CPU)
    model.eval()
    loss, counts = 0.0, None
    try:
        with autograd.no_grad():
            for images, labels in batches:
                scores = model(images.to(device))
                loss += float(F.cross_entropy(scores, labels.to(device), reduction="sum").item())
                if counts is None:
                    counts = np.zeros((scores.shape[1], scores.shape[1]), np.int64)
                np.add.at(counts, (labels.numpy(), scores.cpu().numpy().argmax(1)), 1)
    finally:
        model.train(was_training)
    if counts is None:
        raise ValueError("evaluate: batches: expected at least one, got none")
    return Evaluation(loss / counts.sum(), float(np.trace(counts) / counts.sum()), counts)

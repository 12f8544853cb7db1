# SPDX-License-Identifier: Apache-2.0
"""The data of a run: which images, how they are scaled, and how they are varied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate import data
from striate.data import DataLoader, Dataset, Normalize, RandomAffine
from striate.tensor import Array, Tensor
from striate.train.config import Config

_HELD_OUT = 0.2  # of the digits, a stratified fifth
_TEST_BATCH = 256
_MOST_PIXELS = 1 << 16  # that a config.json may claim


@dataclass(frozen=True)
class Scaling:
    """From an image's numbers to what the net sees, and what `striate predict` needs to know.

    Ink is `ink`, paper 0; the net sees (x - mean) / std. `box` is the share of the image's side
    that the data's digits fill, and `centred` how they lie: by mass, or by their frame.
    """

    shape: tuple[int, int, int]
    ink: int
    mean: float
    std: float
    box: float
    centred: str

    @staticmethod
    def from_dict(value: Any) -> Scaling:
        """The scaling in a run's config.json. ValueError where it is foreign."""
        try:
            shape = tuple(int(n) for n in value["shape"])
            scaling = Scaling(
                (shape[0], shape[1], shape[2]),
                *(value[k] for k in ("ink", "mean", "std", "box", "centred")),
            )
            good = min(shape) >= 1 and math.prod(shape) <= _MOST_PIXELS
            good = good and scaling.ink > 0 < scaling.box <= 1
            Normalize(scaling.mean, scaling.std)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"scaling: {type(error).__name__}: {error}") from None
        if not good:
            raise ValueError(
                f"scaling: expected sizes of 1 or more, {_MOST_PIXELS} pixels at most, a box of at "
                f"most 1, got {value}"
            )
        return scaling


@dataclass(frozen=True)
class Task:
    """Training and test data with their scaling and the names of the classes."""

    train: Dataset
    test: Dataset
    scaling: Scaling
    classes: Sequence[str]
    vary: RandomAffine | None

    def train_loader(self, config: Config) -> DataLoader:
        """Shuffled, varied batches, prepared by one thread ahead."""
        return DataLoader(
            self.train,
            config.batch_size,
            shuffle=True,
            num_workers=1,
            seed=config.seed,
            transform=_Prepare(self.scaling, self.vary),
        )

    def test_loader(self) -> DataLoader:
        """The test images as they are."""
        prepare = _Prepare(self.scaling, None)
        return DataLoader(self.test, _TEST_BATCH, num_workers=1, seed=0, transform=prepare)


class _Prepare:
    """The loader's transform: images varied and normalised, labels left alone."""

    def __init__(self, scaling: Scaling, vary: RandomAffine | None) -> None:
        self.normalize = Normalize(scaling.mean, scaling.std)
        self.vary = vary

    def __call__(self, batch: Any, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        images: Array = batch[0].numpy()
        if self.vary is not None:
            images = self.vary(images, random)
        return Tensor._wrap(self.normalize(images)), batch[1]


def load_task(config: Config) -> Task:
    """The data that a config names. ValueError where it is missing or foreign."""
    if config.data == "digits":
        whole = data.digits()
        train, test = data.stratified_split(whole, _HELD_OUT, config.seed)
        images = whole.tensors[0].numpy()[train.indices]
        vary = RandomAffine(degrees=8, shift=0.7, scale=0.1, shear=0.1)
        scaling = _scaling(images, ink=16, box=1.0, centred="frame")
        return Task(train, test, scaling, [str(c) for c in range(10)], vary)
    if config.root is None:
        raise ValueError("mnist: root: expected the folder of MNIST's four idx files, got none")
    train_set, test_set = data.mnist(config.root)
    # Section III.A of LeCun et al. 1998: digits fill 20x20 pixels, centred by mass in 28x28.
    scaling = _scaling(train_set.tensors[0].numpy(), ink=255, box=20 / 28, centred="mass")
    return Task(train_set, test_set, scaling, [str(c) for c in range(10)], None)


def _scaling(images: Array, ink: int, box: float, centred: str) -> Scaling:
    """Mean and deviation by exact integer sums: the same on every machine."""
    counts = np.bincount(images.ravel(), minlength=256).astype(np.float64)
    values = np.arange(len(counts))
    mean = float((counts * values).sum() / counts.sum())
    variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    return Scaling(shape, ink, mean, variance**0.5, box, centred)

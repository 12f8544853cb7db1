# SPDX-License-Identifier: Apache-2.0
"""The training loop of a classifier, and its checkpoints."""

from __future__ import annotations

import csv
import io
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from striate import random
from striate.data import DataLoader
from striate.nn import functional as F
from striate.nn.utils import clip_grad_norm_
from striate.serialization import load, save
from striate.tensor import Tensor
from striate.train import files
from striate.train.config import Config
from striate.train.evaluate import Evaluation, evaluate
from striate.train.interrupt import Interrupt
from striate.train.progress import Progress
from striate.train.recipe import make_optimizer, make_schedule

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.csv"
# Where in the run the trainer is, as a checkpoint keeps it.
_PLACE: dict[str, type] = {
    "epoch": int, "batch": int, "loss_sum": float, "right": int, "seen": int, "seconds": float,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One epoch's line of history.csv. Training figures are taken while the weights still move."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch:3}   loss {self.train_loss:.4f}, test {self.test_loss:.4f}   "
            f"accuracy {self.train_accuracy:7.2%}, test {self.test_accuracy:7.2%}"
        )


class Trainer:
    """Trains `model` as `config` says, and keeps checkpoint and history in `folder`.

    A run stopped at any batch and resumed from its checkpoint ends with the same weights, bit for
    bit, as one that was not: order and variation of the data are functions of (seed, epoch, batch),
    and the rest is in the checkpoint.
    """

    def __init__(
        self, model: Any, train: DataLoader, test: DataLoader, config: Config, folder: Path
    ) -> None:
        self.model, self.train_loader, self.test_loader = model, train, test
        self.config, self.folder = config, folder
        self.parameters = list(model.parameters())
        self.device = self.parameters[0].device
        self.optimizer = make_optimizer(config, self.parameters)
        self.schedule = make_schedule(config, self.optimizer, config.epochs * len(train))
        self.rate = 0.0  # of the last step
        self.epoch, self.batch = 0, 0  # the next batch to train on
        self.loss_sum, self.right, self.seen = 0.0, 0, 0  # of this epoch so far
        self.seconds = 0.0
        self.history: list[Row] = []
        self.evaluation: Evaluation | None = None

    def run(self, progress: bool = True) -> bool:
        """Trains to the end, or until Ctrl-C or SIGTERM: then False, and a checkpoint is there."""
        per_epoch = len(self.train_loader)
        images = len(self.train_loader.dataset)
        done = self.epoch * images + self.seen
        bar = Progress(self.config.epochs * images, done, progress)
        try:
            with Interrupt() as interrupt:
                while self.epoch < self.config.epochs:
                    start = time.perf_counter()
                    self._train_epoch(bar, interrupt)
                    self.seconds += time.perf_counter() - start
                    if interrupt.requested and self.batch < per_epoch:
                        self.save_checkpoint()
                        return False
                    self._finish_epoch(bar)
                    if interrupt.requested and self.epoch < self.config.epochs:
                        return False
        finally:
            bar.close()
        return True

    def _train_epoch(self, bar: Progress, interrupt: Interrupt) -> None:
        """The rest of this epoch's batches."""
        self.model.train()
        for images, labels in self.train_loader.batches(self.epoch, self.batch):
            self._step(images.to(self.device), labels.to(self.device))
            self.batch += 1
            place = f"epoch {self.epoch + 1}/{self.config.epochs}"
            text = f"loss {self.loss_sum / self.seen:.3f}, acc {self.right / self.seen:.1%}"
            bar.update(len(labels), f"{place}, {text}")
            if interrupt.requested:
                return

    def _step(self, images: Tensor, labels: Tensor) -> None:
        scores = self.model(images)
        smoothing = self.config.label_smoothing
        loss = F.cross_entropy(scores, labels, label_smoothing=smoothing)
        # What is shown is comparable with the test loss: no smoothing.
        value = float((F.cross_entropy(scores.detach(), labels) if smoothing else loss).item())
        if not math.isfinite(value):
            raise ValueError(
                f"the loss became {value} in epoch {self.epoch + 1}, batch {self.batch + 1}\n"
                f"  try a learning rate below {self.config.lr:g}"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.clip is not None:
            clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        self.rate = self.schedule.get_last_lr()[0]
        self.schedule.step()
        self.loss_sum += value * len(labels)
        answers = scores.detach().cpu().numpy().argmax(1)
        self.right += int(np.sum(answers == labels.cpu().numpy()))
        self.seen += len(labels)

    def _finish_epoch(self, bar: Progress) -> None:
        start = time.perf_counter()
        self.evaluation = evaluate(self.model, self.test_loader.batches(0))
        self.seconds += time.perf_counter() - start
        row = Row(
            self.epoch + 1,
            self.loss_sum / self.seen,
            self.right / self.seen,
            self.evaluation.loss,
            self.evaluation.accuracy,
            self.rate,
            round(self.seconds, 3),
        )
        self.history.append(row)
        bar.line(str(row))
        self.epoch, self.batch = self.epoch + 1, 0
        self.loss_sum, self.right, self.seen = 0.0, 0, 0
        self.save_checkpoint()
        write_history(self.folder / HISTORY, self.history)

    # --- checkpoints --------------------------------------------------------------------------

    def save_checkpoint(self) -> None:
        """Everything that the rest of the run depends on, in one file, written atomically."""
        place = {name: getattr(self, name) for name in _PLACE}
        checkpoint = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "place": place,
            "history": [asdict(row) for row in self.history],
            "random": random.get_rng_state(),
        }
        save(checkpoint, self.folder / CHECKPOINT)

    def load_checkpoint(self) -> None:
        """Goes to where the folder's checkpoint is. ValueError where it is foreign or broken."""
        path = self.folder / CHECKPOINT
        checkpoint = load(path)
        try:
            place = {name: kind(checkpoint["place"][name]) for name, kind in _PLACE.items()}
            history = [Row(**row) for row in checkpoint["history"]]
            epochs, batches = self.config.epochs, len(self.train_loader)
            if not 0 <= place["epoch"] <= epochs or not 0 <= place["batch"] <= batches:
                raise ValueError(
                    f"expected a place in {epochs} epochs of {batches} batches, got {place}"
                )
            self.model.load_state_dict(checkpoint["model"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            self.schedule.load_state_dict(checkpoint["schedule"])
            random.set_rng_state(checkpoint["random"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a checkpoint of this run: {in_short(error)}") from None
        vars(self).update(place)
        self.history = history


def in_short(error: Exception) -> str:
    """An error's text on one line of moderate length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if isinstance(error, KeyError) else text[:300]


def write_history(path: Path, rows: list[Row]) -> None:
    """history.csv: one line an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    files.write_atomically(path, text.getvalue().encode())

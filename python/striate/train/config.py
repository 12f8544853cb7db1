# SPDX-License-Identifier: Apache-2.0
"""What a run is made of: config.json."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from striate.train.files import read_json

# Models that read an image row by row: their usual optimizer, and the norm they are clipped to. The
# gradient of a long chain of steps is now and then very large (Pascanu, Mikolov and Bengio, On the
# difficulty of training recurrent neural networks, ICML 2013).
RECURRENT = ("lstm", "gru", "rnn")
_RECURRENT_RECIPE = ("adamw", 1.0)

# Epochs, batch size, learning rate and label smoothing by (data, model), unless the user says
# otherwise.
DEFAULTS = {
    ("digits", "lenet"): (40, 32, 0.05, 0.1),
    ("digits", "mlp"): (40, 32, 0.05, 0.1),
    ("mnist", "lenet"): (3, 64, 0.05, 0.0),
    ("mnist", "mlp"): (3, 64, 0.1, 0.0),
    **{("digits", model): (40, 32, 0.1, 0.1) for model in RECURRENT},
    **{("mnist", model): (5, 64, 0.1, 0.0) for model in RECURRENT},
}

# Learning rate and weight decay by optimizer; None: what suits data and model.
OPTIMIZERS: dict[str, tuple[float | None, float]] = {
    "sgd": (None, 5e-4),
    "adam": (2e-3, 0.0),
    "adamw": (2e-3, 1e-2),
    "rmsprop": (1e-3, 0.0),
    "adagrad": (2e-2, 0.0),
    "adadelta": (1.0, 0.0),
}
SCHEDULES = ("constant", "step", "cosine", "onecycle")


@dataclass
class Config:
    """A run's settings. Everything that its result depends on is here or in the data."""

    data: str
    model: str
    epochs: int
    batch_size: int
    lr: float
    seed: int = 0
    root: str | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warmup: float = 0.1  # share of all steps over which the rate rises
    optimizer: str = "sgd"
    schedule: str = "cosine"
    clip: float | None = None  # the most that the gradients' norm may be
    version: str = ""
    isa: str = ""

    @staticmethod
    def chosen(
        data: str,
        model: str,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        optimizer: str | None = None,
        clip: float | None = None,
        **others: Any,
    ) -> Config:
        """A config with defaults that suit data, model and optimizer."""
        usual = DEFAULTS[data, model]
        usual_optimizer, usual_clip = _RECURRENT_RECIPE if model in RECURRENT else ("sgd", None)
        optimizer = optimizer or usual_optimizer
        usual_lr, weight_decay = OPTIMIZERS[optimizer]
        return Config(
            data,
            model,
            epochs or usual[0],
            batch_size or usual[1],
            lr or usual_lr or usual[2],
            label_smoothing=usual[3],
            optimizer=optimizer,
            clip=clip or usual_clip,
            weight_decay=weight_decay,
            **others,
        )

    def __post_init__(self) -> None:
        if (self.data, self.model) not in DEFAULTS:
            known = " or ".join(f"{d} with {m}" for d, m in DEFAULTS)
            raise ValueError(f"config: expected {known}, got {self.data} with {self.model}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(
                    f"config: {name}: expected an integer of {least} or more, got {value!r}"
                )
        for name in ("lr", "momentum", "weight_decay", "label_smoothing", "warmup"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"config: {name}: expected a number of 0 or more, got {value!r}")
        if self.lr == 0:
            raise ValueError("config: lr: expected more than 0, got 0")
        for name, choices in (("optimizer", tuple(OPTIMIZERS)), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if value not in choices:
                known = ", ".join(choices)
                raise ValueError(f"config: {name}: expected one of {known}, got {value!r}")
        if self.clip is not None and not (
            type(self.clip) in (int, float) and 0 < self.clip < math.inf
        ):
            raise ValueError(f"config: clip: expected a number above 0, got {self.clip!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_file(path: Path) -> tuple[Config, dict[str, Any]]:
        """The config in a run's config.json, and the whole file. ValueError where it is foreign."""
        whole = read_json(path)
        names = {f.name for f in fields(Config)}
        given = {k: v for k, v in whole.items() if k in names}
        try:
            return Config(**given), whole
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a run's config.json: {error}") from None

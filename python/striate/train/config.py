# SPDX-License-Identifier: Apache-2.0
"""What a run is made of: config.json."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from striate.train.files import read_json

# Epochs, batch size, learning rate and label smoothing by (data, model), unless the user says
# otherwise.
DEFAULTS = {
    ("digits", "lenet"): (40, 32, 0.05, 0.1),
    ("digits", "mlp"): (40, 32, 0.05, 0.1),
    ("mnist", "lenet"): (3, 64, 0.05, 0.0),
    ("mnist", "mlp"): (3, 64, 0.1, 0.0),
}


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
    version: str = ""
    isa: str = ""

    @staticmethod
    def chosen(
        data: str,
        model: str,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        **others: Any,
    ) -> Config:
        """A config with defaults that suit data and model."""
        usual = DEFAULTS[data, model]
        return Config(
            data,
            model,
            epochs or usual[0],
            batch_size or usual[1],
            lr or usual[2],
            label_smoothing=usual[3],
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

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step: a linear rise, then a cosine down to 0.

        A function of the step alone, so that a resumed run needs no scheduler's state. After
        Loshchilov and Hutter, SGDR, ICLR 2017, equation 5, one period; the rise after Goyal et al.,
        Accurate, Large Minibatch SGD, 2017, section 2.2.
        """
        rise = self.warmup * steps
        if step < rise:
            return self.lr * (step + 1) / (rise + 1)
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))

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

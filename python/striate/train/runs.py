# SPDX-License-Identifier: Apache-2.0
"""A run's folder: its name, what is in it, and the model that it holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from striate import nn
from striate.data.idx import NotFound
from striate.models import MODELS
from striate.serialization import load
from striate.train.config import Config
from striate.train.task import Scaling, Task
from striate.train.trainer import in_short

MODEL, CONFIG = "model.safetensors", "config.json"
_MOST_CLASSES = 1000
_NAME = re.compile(r"[\w][\w.+-]{0,99}")


def new_folder(out: Path, name: str | None, usual: str) -> Path:
    """A new folder for a run: `out`/`name`, or the usual name with the next free number."""
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"--name: expected letters, digits and any of ._+- (100 at most), got '{name}'"
        )
    out.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = out / (name or (usual if number == 1 else f"{usual}-{number}"))
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            if name is not None:
                raise ValueError(
                    f"--name: {folder} exists already\n  choose another name, or --resume {folder}"
                ) from None
            number += 1


def run_folder(text: str, out: str | None) -> Path:
    """The folder of a run that is given by path, or by its name in `out`."""
    for folder in (Path(text), Path(out or "runs") / text):
        if folder.is_dir():
            if not (folder / CONFIG).is_file():
                raise NotFound(f"{folder}: not a run: there is no {CONFIG}")
            return folder
    raise NotFound(
        f"{text}: no such run\n  expected a folder that `striate train` made, as runs/NAME"
    )


def build(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A model by name."""
    return MODELS[name](shape, classes)


def describe(config: Config, task: Task) -> dict[str, Any]:
    """What config.json says."""
    scaling = {**vars(task.scaling), "shape": list(task.scaling.shape)}
    samples = {"train": len(task.train), "test": len(task.test)}
    return {
        **config.to_dict(),
        "classes": list(task.classes),
        "samples": samples,
        "scaling": scaling,
    }


def load_run(text: str) -> tuple[nn.Module, Scaling, list[str]]:
    """(model, scaling, classes) of a finished run. ValueError where it is missing or foreign."""
    folder = run_folder(text, None)
    config, whole = Config.from_file(folder / CONFIG)
    if not (folder / MODEL).is_file():
        raise NotFound(
            f"{folder}: this run is not finished\n  striate train --resume {folder} goes on"
        )
    try:
        scaling = Scaling.from_dict(whole.get("scaling"))
        classes = [str(c) for c in whole["classes"]]
        if not 1 <= len(classes) <= _MOST_CLASSES:
            raise ValueError(f"classes: expected 1 to {_MOST_CLASSES}, got {len(classes)}")
        model = build(config.model, scaling.shape, len(classes))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG}: not a run's config.json: {error}") from None
    try:
        model.load_state_dict(load(folder / MODEL))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / MODEL}: not the weights of this run: {in_short(error)}"
        ) from None
    model.eval()
    return model, scaling, classes


def summarise(what: str, shape: tuple[int, int, int] | None) -> str:
    """The table of a model by name, or of a run's, for one image."""
    if what in MODELS:
        shape = shape or (1, 28, 28)
        model = MODELS[what](shape)
    elif Path(what).is_dir() or (Path("runs") / what).is_dir():
        model, scaling, _ = load_run(what)
        shape = shape or scaling.shape
    else:
        names = ", ".join(MODELS)
        raise ValueError(f"summary: expected {names}, or a run's folder, got '{what}'")
    table = model.summary((1, *shape))
    if table.error is not None:
        raise ValueError(f"summary: {table.error}")
    return str(table)

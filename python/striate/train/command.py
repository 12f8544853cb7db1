# SPDX-License-Identifier: Apache-2.0
"""`striate train`: from the options to a folder with model, history and pictures."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import striate
from striate import _C, cuda
from striate.arguments import on_gpu
from striate.data.idx import NotFound
from striate.train import files, pictures
from striate.train.config import RECURRENT, Config
from striate.train.evaluate import evaluate
from striate.train.profiled import ProfiledTrainer
from striate.train.runs import CONFIG, MODEL, build, describe, new_folder, run_folder
from striate.train.task import Task, load_task
from striate.train.trainer import CHECKPOINT, Trainer

INTERRUPTED = 130


def run(options: argparse.Namespace) -> int:
    """Trains as the options say; returns the exit status."""
    on_gpu(options)  # or an error, before data are read
    if options.threads is not None:
        _C.set_num_threads(options.threads)
    return resume(options) if options.resume is not None else start(options)


def start(options: argparse.Namespace) -> int:
    """A new run."""
    data, model = options.data or "digits", options.model or "lenet"
    config = Config.chosen(
        data,
        model,
        options.epochs,
        options.batch_size,
        options.lr,
        options.optimizer,
        schedule=options.schedule or "cosine",
        clip=options.clip,
        seed=options.seed or 0,
        root=_root(data, options.root),
        version=striate.__version__,
        isa=_C.isa(),
    )
    task = load_task(config)
    folder = new_folder(Path(options.out or "runs"), options.name, f"{data}-{model}")
    files.write_json(folder / CONFIG, describe(config, task))
    try:
        return train(config, task, folder, options)
    except BaseException:
        if not (folder / CHECKPOINT).exists():  # nothing to go on with
            (folder / CONFIG).unlink()
            folder.rmdir()
        raise


def resume(options: argparse.Namespace) -> int:
    """An interrupted run, continued as it was begun."""
    fixed = (
        "data", "root", "model", "epochs", "batch_size", "lr", "optimizer", "schedule", "clip",
        "seed", "name",
    )  # fmt: skip
    given = [f"--{n.replace('_', '-')}" for n in fixed if getattr(options, n) is not None]
    if given:
        raise ValueError(
            f"--resume: {', '.join(given)}: a run goes on as it was begun\n"
            "  only --device, --out, --threads, --profile and --no-progress go with --resume"
        )
    folder = run_folder(options.resume, options.out)
    config, whole = Config.from_file(folder / CONFIG)
    if not (folder / CHECKPOINT).is_file():
        if (folder / MODEL).is_file():
            raise ValueError(f"--resume: {folder}: this run is finished")
        raise NotFound(f"--resume: {folder}: there is no {CHECKPOINT}")
    task = load_task(config)
    if describe(config, task)["scaling"] != whole.get("scaling"):
        raise ValueError(f"--resume: {folder}: the data is not what the run was begun with")
    if config.isa != _C.isa():
        print(
            f"note: begun with {config.isa} kernels, going on with {_C.isa()}: results will differ "
            "in the last bits",
            file=sys.stderr,
        )
    return train(config, task, folder, options, resumed=True)


def train(
    config: Config, task: Task, folder: Path, options: argparse.Namespace, resumed: bool = False
) -> int:
    """Trains into a folder and leaves the run's files there."""
    striate.manual_seed(config.seed)
    model = build(config.model, task.scaling.shape, len(task.classes)).to(options.device)
    loader = task.train_loader(config)
    kind = ProfiledTrainer if options.profile else Trainer
    trainer = kind(model, loader, task.test_loader(), config, folder)
    if resumed:
        trainer.load_checkpoint()
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{config.model} with {count:,} parameters on {len(task.train):,} {config.data} images, "
        f"tested on {len(task.test):,}; {place(options.device)}"
    )
    completed = trainer.run(not options.no_progress)
    if isinstance(trainer, ProfiledTrainer):
        print(trainer.report())
    if not completed:
        print(
            f"stopped in epoch {trainer.epoch + 1} of {config.epochs}, after {trainer.batch} of "
            f"{len(loader)} batches; this goes on from there:\n  striate train --resume {folder}",
            file=sys.stderr,
        )
        return INTERRUPTED
    finish(config, task, folder, trainer)
    return 0


def place(device: str) -> str:
    """What computes, as a run's first line says it."""
    if device == "cuda":
        return cuda.get_device_name()
    return f"{_C.isa()}, {_C.num_threads()} threads"


def finish(config: Config, task: Task, folder: Path, trainer: Trainer) -> None:
    """Leaves the model and the pictures, and says how well it went."""
    evaluation = trainer.evaluation or evaluate(trainer.model, trainer.test_loader.batches(0))
    weights = {name: value.cpu() for name, value in trainer.model.state_dict().items()}
    striate.save(weights, folder / MODEL)
    result = {
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "seconds": round(trainer.seconds, 3),
    }
    files.write_json(folder / CONFIG, {**describe(config, task), "result": result})
    title = f"{config.data}, {config.model}"
    if pictures.available():
        first = next(w for w in weights.values() if w.ndim >= 2).numpy()
        pictures.curve(folder / "curve.png", trainer.history, title)
        pictures.confusion(folder / "confusion.png", evaluation, task.classes, title)
        if config.model not in RECURRENT:  # whose weights meet a row, not an image
            pictures.filters(folder / "filters.png", first, task.scaling.shape, title)
    else:
        print('no pictures: matplotlib is missing; pip install "striate[train]"', file=sys.stderr)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    total = int(evaluation.confusion.sum())
    print(
        f"{evaluation.accuracy:.2%} of {total:,} test images right, {trainer.seconds:.1f} s\n"
        f"{folder}{os.sep}: {'  '.join(sorted(p.name for p in folder.iterdir()))}\n"
        f"try it: striate predict {folder} IMAGE"
    )


def _root(data: str, root: str | None) -> str | None:
    """The data folder: --root, else the environment variable STRIATE_DATA."""
    if data == "digits":
        if root is not None:
            raise ValueError("--root: digits needs none; it comes with scikit-learn")
        return None
    found = root or os.environ.get("STRIATE_DATA")
    if found is None:
        raise ValueError(
            "--root: expected the folder that holds MNIST's four idx files\n"
            "  striate train --data mnist --root DIR, or set STRIATE_DATA"
        )
    return str(Path(found).resolve())

# SPDX-License-Identifier: Apache-2.0
"""A run's pictures: learning curves, confusion matrix, first-layer filters. PNG by matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.tensor import Array
from striate.train.evaluate import Evaluation
from striate.train.files import write_atomically

_COLOURS = {"train": "#3b6fb6", "test": "#d1495b"}
_INK, _SOFT = "#222222", "#8a8a8a"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#bbbbbb",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "figure.facecolor": "white",
}
_DPI = 150


def available() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    write_atomically(path, content.getvalue())


def curve(path: Path, history: Sequence[Any], title: str) -> None:
    """Loss and accuracy on both parts of the data over the epochs."""
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

    epochs = [row.epoch for row in history]
    marker = "o" if len(epochs) <= 12 else ""
    with rc_context(_STYLE):
        figure = _figure(10, 4.2)
        note = "train is the mean over an epoch while the weights move"
        figure.suptitle(f"{title}; {note}", x=0.01, ha="left", color=_SOFT, fontsize=10)
        for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            values = {p: [getattr(row, f"{p}_{what}") for row in history] for p in _COLOURS}
            for part, colour in _COLOURS.items():
                axes.plot(epochs, values[part], color=colour, marker=marker, ms=4, lw=1.8)
            axes.set_title(what)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            axes.grid(axis="y", color="#eeeeee")
            axes.set_axisbelow(True)
            (_scale_loss if what == "loss" else _scale_accuracy)(axes, values)
            ends = {p: (v[-1], f"{p} {_written(what, v[-1])}") for p, v in values.items()}
            _name_ends(axes, epochs[-1], ends)
        _save(figure, path)


def _written(what: str, value: float) -> str:
    return f"{value:.4f}" if what == "loss" else f"{100 * value:.2f} %"


def _scale_loss(axes: Any, values: dict[str, list[float]]) -> None:
    """A logarithmic axis where the loss falls far, with plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = [v for part in values.values() for v in part if v > 0]
    if positive and max(positive) > 8 * min(positive):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)


def _scale_accuracy(axes: Any, values: dict[str, list[float]]) -> None:
    """An axis that ends just above 100 % and leaves out the first steep rise."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    settled = [v for part in values.values() for v in part[len(part) // 6 :]]
    floor = max(0.0, math.floor((min(settled) - 0.004) * 100) / 100)
    axes.set_ylim(floor, 1 + 0.03 * (1 - floor))
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.4g} %" if v <= 1 else ""))


def _name_ends(axes: Any, x: float, ends: dict[str, tuple[float, str]]) -> None:
    """Writes each line's name and last value beside its end, the upper one above."""
    upper = max(ends, key=lambda part: ends[part][0])
    for part, (y, text) in ends.items():
        axes.annotate(
            text,
            (x, y),
            xytext=(7, 6 if part == upper else -6),
            textcoords="offset points",
            va="center",
            color=_COLOURS[part],
            fontweight="bold",
            annotation_clip=False,
        )


def confusion(path: Path, evaluation: Evaluation, classes: Sequence[str], title: str) -> None:
    """Counts by true class and answer. Right answers are pale, errors coloured by their number."""
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap

    counts = evaluation.confusion
    n = len(classes)
    errors = counts - np.diag(np.diag(counts))
    most = max(5, int(errors.max()))  # one error is no alarm
    wrong = LinearSegmentedColormap.from_list("errors", ["#ffffff", "#f9c6b4", "#d1495b"])
    with rc_context({**_STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = _figure(6.4, 6.6)
        axes = figure.subplots()
        axes.imshow(errors, cmap=wrong, vmin=0, vmax=most)
        axes.imshow(
            np.where(np.eye(n, dtype=bool), 1.0, np.nan), cmap="Blues", vmin=0, vmax=5, alpha=0.9
        )
        for i in range(n):
            for j in range(n):
                count = int(counts[i, j])
                if not count:
                    continue
                dark = i != j and count > 0.6 * most
                axes.text(
                    j,
                    i,
                    f"{count}",
                    ha="center",
                    va="center",
                    color="white" if dark else _INK,
                    fontweight="bold" if i != j else "normal",
                    fontsize=10 if n <= 12 else 6,
                )
        axes.set_xticks(range(n), classes)
        axes.set_yticks(range(n), classes)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#e6e6e6", lw=0.8)
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        total = int(counts.sum())
        axes.set_title(f"accuracy {100 * evaluation.accuracy:.2f} %", pad=26)
        axes.text(
            0,
            1.02,
            f"{title}: {total - int(np.trace(counts)):,} of {total:,} test images wrong",
            transform=axes.transAxes,
            color=_SOFT,
        )
        _save(figure, path)


def filters(path: Path, weight: Array, shape: tuple[int, int, int], title: str) -> None:
    """The first layer's weights as images: red excites, blue inhibits, each on its own scale.

    `weight` is (K, C, R, S), or (K, C H W) for a linear layer on images of `shape`, of which the
    64 strongest are shown. Channels are averaged.
    """
    from matplotlib import rc_context

    linear = weight.ndim == 2
    images = weight.reshape(len(weight), *shape) if linear else weight
    images = images.astype(np.float64).mean(1)
    strength = np.sqrt((images**2).sum((1, 2)))
    order = np.argsort(-strength, kind="stable")[:64]
    square = math.ceil(math.sqrt(len(order)))
    columns = next((c for c in range(square, 2 * square) if len(order) % c == 0), square)
    rows = math.ceil(len(order) / columns)
    cell = max(0.9, 5.4 / columns)  # inches; wide enough for the title
    with rc_context(_STYLE):
        figure = _figure(cell * columns, cell * rows + 0.8)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, k in zip(grid.flat, order, strict=False):
            most = max(float(np.abs(images[k]).max()), 1e-12)
            axes.imshow(images[k], cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        size = f"{images.shape[1]}x{images.shape[2]}"
        shown = f"{len(order)} of {len(weight)}" if len(order) < len(weight) else f"{len(weight)}"
        kind = "units of the first layer" if linear else "filters of the first layer"
        figure.suptitle(f"{shown} {kind}, {size}\n", x=0.02, ha="left", fontweight="bold")
        figure.text(
            0.02,
            0.995,
            f"\n\n{title}: red excites, blue inhibits; strongest first",
            va="top",
            color=_SOFT,
            fontsize=9,
        )
        _save(figure, path)

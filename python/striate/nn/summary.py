# SPDX-License-Identifier: Apache-2.0
"""A network as a table: what each layer makes, holds and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from striate.autograd import no_grad
from striate.dtypes import as_dtype, get_default_dtype
from striate.nn.flops import flops
from striate.nn.module import Module
from striate.nn.place import unexplained
from striate.tensor import Tensor

__all__ = [
    "Summary",
    "summary",
]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One call of one layer."""

    path: str
    type: str
    shapes: tuple[Shape, ...]  # of its results
    parameters: int  # of its own, 0 where an earlier row counted them
    flops: int  # floating-point operations of the forward pass
    bytes: int  # of its results


@dataclass
class Summary:
    """What `summary` returns. Printing it shows the table.

    `flops` counts the forward pass for the whole batch, a multiply-add as 2 (nn/flops.py says what
    counts for which layer; functions called outside of layers are not seen). `error` is the message
    of the layer that refused its input, if one did; the rows are then those up to there.
    """

    model: str
    inputs: tuple[Shape, ...]
    rows: list[Row] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    parameter_bytes: int = 0
    gradient_bytes: int = 0
    error: str | None = None

    @property
    def flops(self) -> int:
        """Of all layers, for the whole batch."""
        return sum(row.flops for row in self.rows)

    @property
    def training_bytes(self) -> int:
        """Parameters, their gradients and all results: what a training step holds at least.

        An optimizer's state comes on top, once (momentum) or twice (Adam) the gradients.
        """
        return self.parameter_bytes + self.gradient_bytes + self.output_bytes

    @property
    def output_bytes(self) -> int:
        """Of all layers' results together."""
        return sum(row.bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("Layer", "Type", "Output", "Parameters", "FLOPs", "Memory")
        body = [
            (
                row.path or "(model)",
                row.type,
                _shapes(row.shapes),
                f"{row.parameters:,}" if row.parameters else "-",
                f"{row.flops:,}" if row.flops else "-",
                _size(row.bytes),
            )
            for row in self.rows
        ]
        lines = _table([head, *body])
        rule = "─" * len(lines[0])
        totals = [
            f"{self.model}, input {_shapes(self.inputs)}",
            f"Parameters: {self.parameters:,} ({self.trainable:,} trainable)",
            f"FLOPs: {self.flops:,} forward",
            f"Memory: parameters {_size(self.parameter_bytes)}, gradients "
            f"{_size(self.gradient_bytes)}, results {_size(self.output_bytes)}; training "
            f"{_size(self.training_bytes)} at least",
        ]
        if self.error is not None:
            totals.append(f"Stopped: {self.error}")
        return "\n".join([lines[0], rule, *lines[1:], rule, *totals])

    __repr__ = __str__


def _shapes(shapes: Sequence[Shape]) -> str:
    return ", ".join("(" + ", ".join(map(str, s)) + ")" for s in shapes) or "-"


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def _table(cells: list[tuple[str, ...]]) -> list[str]:
    """Columns at equal places: text to the left, numbers (from the fourth on) to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i < 3 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in a layer's arguments or result."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


class _Watch:
    """A forward hook on every layer that has no parts, or parameters of its own."""

    def __init__(self, model: Module, result: Summary) -> None:
        self.result = result
        self.paths = {id(m): path for path, m in model.named_modules()}
        self.counted: set[int] = set()
        self.handles = [
            module.register_forward_hook(self.seen)
            for module in model.modules()
            if not module._modules or any(p is not None for p in module._parameters.values())
        ]

    def seen(self, module: Module, args: Any, output: Any) -> None:
        tensors = _tensors(output)
        new = [
            p for p in module._parameters.values() if p is not None and id(p) not in self.counted
        ]
        self.counted.update(map(id, new))
        self.result.rows.append(
            Row(
                self.paths[id(module)],
                type(module).__name__,
                tuple(t.shape for t in tensors),
                sum(p.numel() for p in new),
                flops(module, args, output),
                sum(t._array.nbytes for t in tensors),
            )
        )

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def _example(model: Module, value: Any, dtype: Any) -> Tensor:
    """An input as given, or zeros of a shape."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (tuple, list)) or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in value
    ):
        raise ValueError(
            "summary: input: expected a tensor, or a shape with the batch, such as (1, 1, 28, 28), "
            f"got {value!r}"
        )
    if dtype is None:
        own = (p.dtype for p in model.parameters())
        dtype = next(own, get_default_dtype())
    return Tensor._wrap(np.zeros(tuple(value), as_dtype(dtype)))


def summary(model: Module, *inputs: Any, dtype: Any = None) -> Summary:
    """Runs `model` once, in evaluation and without gradients, and tells about every layer.

    Each of `inputs` is an example tensor, or a shape, the batch included: zeros of `dtype` (that of
    the parameters by default) are used. A layer that refuses its input ends the table; the message
    stands below it and in `error`.

        >>> import striate
        >>> net = striate.nn.Sequential(striate.nn.Linear(4, 3))
        >>> striate.nn.summary(net, (2, 4)).parameters
        15
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: model: expected a Module, got {type(model).__name__}")
    if not inputs:
        raise ValueError("summary: input: expected a shape or a tensor for every input, got none")
    examples = [_example(model, value, dtype) for value in inputs]
    result = Summary(type(model).__name__, tuple(x.shape for x in examples))
    for p in model.parameters():
        result.parameters += p.numel()
        result.trainable += p.numel() if p.requires_grad else 0
        result.parameter_bytes += p._array.nbytes
        result.gradient_bytes += p._array.nbytes if p.requires_grad else 0
    modes = [(module, module.training) for module in model.modules()]
    watch = _Watch(model, result)
    model.eval()
    try:
        with no_grad(), unexplained():
            model(*examples)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        result.error = str(error)
    finally:
        watch.remove()
        for module, training in modes:
            object.__setattr__(module, "training", training)
    return result

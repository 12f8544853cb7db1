# SPDX-License-Identifier: Apache-2.0
"""A network as a table: layers, output shapes, parameters, multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import nn
from striate.autograd import no_grad
from striate.report import table
from striate.tensor import Tensor


def summary(model: nn.Module, input: Sequence[int], dtype: Any = np.float32) -> str:
    """The layers that one input of shape `input` (without the batch axis) passes, in that order.

    Runs the model once on zeros, in evaluation mode. The multiplications are those of convolutions
    and linear layers, for one sample. Raises ValueError, naming the layer, where the shape does not
    fit.
    """
    shape = tuple(int(n) for n in input)
    if not shape or min(shape) < 1:
        raise ValueError(f"summary: input: expected sizes of 1 or more, got {tuple(input)}")
    rows: list[tuple[str, ...]] = []
    total = 0

    def note(path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal total
            count = _multiplications(module, output)
            total += count
            own = sum(p.numel() for p in module.parameters())
            shown = "x".join(str(n) for n in output.shape[1:]) if isinstance(output, Tensor) else ""
            rows.append(
                (
                    path,
                    type(module).__name__,
                    module.extra_repr(),
                    shown,
                    _count(own),
                    _count(count),
                )
            )

        return hook

    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]
    handles = [m.register_forward_hook(note(n)) for n, m in leaves]
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            model(Tensor(np.zeros((1, *shape), dtype)))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    parameters = sum(p.numel() for p in model.parameters())
    size = sum(p.numel() * p.dtype.itemsize for p in model.parameters())
    heads = ("layer", "type", "", "output", "parameters", "multiplications")
    return (
        f"{table([heads, *rows])}\n\n{parameters:,} parameters ({size / 2**20:.2f} MiB), {total:,} "
        f"multiplications an input of {'x'.join(map(str, shape))}"
    )


def _count(n: int) -> str:
    return f"{n:,}" if n else ""


def _multiplications(module: nn.Module, output: Any) -> int:
    if not isinstance(output, Tensor) or not output.shape[0]:
        return 0
    if isinstance(module, nn.Linear):
        return output.numel() // output.shape[0] * module.in_features
    if isinstance(module, nn.Conv2d):  # each output takes one multiplication a weight of its filter
        return output.numel() // output.shape[0] * math.prod(module.weight.shape[1:])
    return 0

# SPDX-License-Identifier: Apache-2.0
"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops.indexing import getitem
from striate.ops.interpolate import resample
from striate.ops.operand import check_tensor
from striate.ops.record import op
from striate.ops.shape import unsqueeze
from striate.tensor import Array, Tensor

__all__ = [
    "pad",
]

MODES = ("reflect", "replicate", "circular")


@op("(...) -> (...)", name="pad")
def _pad(ctx: Node, x: Array, widths: tuple[int, ...], value: float) -> Array:
    ctx.save(widths)
    return _C.pad(x, widths, value)


@_pad.backward
def _(ctx: Node, grad: Array) -> Any:
    (widths,) = ctx.saved
    return _C.pad(grad, tuple(-w for w in widths), 0.0)


def _repeated(input: Tensor, widths: tuple[int, ...], mode: str) -> Tensor:
    """Padding with the image's own elements, of the last one to three axes."""
    count = len(widths) // 2
    if len(widths) % 2 or not 1 <= count <= 3 or input.ndim not in (count + 1, count + 2):
        raise ValueError(
            f"pad: pad: expected 2, 4 or 6 widths for mode {mode!r}, and one or two axes more than "
            f"there are pairs, got {len(widths)} widths for shape {input.shape}"
        )
    if 0 in input.shape[-count - 1 :]:
        raise ValueError(f"pad: input: expected no empty axis but N, got shape {input.shape}")
    axes = tuple((mode, widths[2 * i], widths[2 * i + 1]) for i in reversed(range(count)))
    if input.ndim == count + 2:
        return resample(input, axes=axes)
    return getitem(resample(unsqueeze(input, 0), axes=axes), 0)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Elements around the others: pad is (before, after) of the last axis, then of the one before.

    (..., n) -> (..., before + n + after); negative widths crop. mode "constant" puts `value` there,
    "replicate" the outermost element, "reflect" the elements mirrored at the outermost one (widths
    below n), "circular" those of the other end (widths up to n). The last three take the last one
    to three axes of (N, C, ...) or (C, ...). Images stay channels-last. Raises ValueError for an
    odd number of widths, more pairs than axes, more cropped than there is, widths that the mode
    does not reach, and an unknown mode.
    """
    check_tensor("pad", "input", input)
    if mode != "constant" and mode not in MODES:
        raise ValueError(f"pad: mode: expected one of constant, {', '.join(MODES)}, got {mode!r}")
    if not isinstance(pad, (tuple, list)) or not all(isinstance(w, (int, np.integer)) for w in pad):
        raise TypeError(f"pad: pad: expected a tuple of integers, got {pad!r}")
    if input.dtype.kind != "f":
        raise TypeError(f"pad: input: expected float32 or float64, got {input.dtype}")
    widths = tuple(int(w) for w in pad)
    if max(map(abs, widths), default=0) >= 2**40:
        raise ValueError(f"pad: pad: expected widths below 2^40, got {pad}")
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"pad: value: expected a number, got {value!r}")
    if mode == "constant":
        return _pad(input, widths=widths, value=float(value))
    if value:
        raise ValueError(f"pad: value: expected none for mode {mode!r}, got {value}")
    return _repeated(input, widths, mode)

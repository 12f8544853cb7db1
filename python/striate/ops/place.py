# SPDX-License-Identifier: Apache-2.0
"""The same elements on another device."""

from __future__ import annotations

from typing import Any

from striate.autograd import Node
from striate.device import device, device_of, placed
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__: list[str] = []


@op("(...) -> (...)", name="to")
def _moved(ctx: Node, x: Array, where: device) -> Array:
    ctx.save(device_of(x))
    return placed("to", x, where)


@_moved.backward
def _(ctx: Node, grad: Array) -> Any:
    return placed("to", grad, ctx.saved[0])


def moved(x: Tensor, where: Any) -> Tensor:
    """x on a device, in its memory order: x itself if it is there, else a copy."""
    wanted, here = device(where), x.device
    if wanted.type == here.type and wanted.index in (None, here.index):
        return x
    return _moved(x, where=wanted)

# SPDX-License-Identifier: Apache-2.0
"""Products in bfloat16, of float32 networks: autocast."""

from __future__ import annotations

from typing import Any

from striate.device import device, index_on, is_device
from striate.dtypes import as_dtype, float32, is_bfloat16
from striate.scope import Flag, Scope

_mode = Flag(False)


class autocast(Scope):
    """Inside `with autocast(dtype=striate.bfloat16):` products round their operands to bfloat16.

    `linear`, `matmul` and what is made of them (`mm`, `bmm`, `mv`, attention, …) and convolutions
    of sequences and images round float32 operands to bfloat16 and sum their products in float32;
    recurrent layers round their inputs and weights. Results, gradients and parameters stay float32,
    and everything else computes in it: the results of products are not rounded, as PyTorch's are.
    float64 is left alone. Gradients of products are products of bfloat16 too, also outside the
    block. A decorator as well; needs the package ml_dtypes. `enabled=False` switches it off inside
    another. As in PyTorch, a device may come first, which has to be there; operands on any are
    rounded.
    """

    _flag = _mode

    def __init__(
        self,
        device_type: Any = "cpu",
        dtype: Any = "bfloat16",
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not is_device(device_type):  # autocast(striate.bfloat16)
            device_type, dtype = "cpu", device_type
        where = device(device_type)
        if where.type != "cpu":
            index_on("autocast", where)  # raises where there is none
        if enabled and not is_bfloat16(as_dtype(dtype, "autocast: dtype")):
            raise TypeError(f"autocast: dtype: expected bfloat16, got {as_dtype(dtype)}")
        self._wanted = bool(enabled)
        super().__init__()

    def _again(self) -> Scope:
        return autocast(enabled=self._wanted)


def is_autocast_enabled() -> bool:
    """Whether products on this thread round float32 operands to bfloat16."""
    return _mode.enabled


def narrows(dtype: Any) -> bool:
    """Whether operands of this dtype are to be rounded here and now."""
    return _mode.enabled and dtype == float32

# SPDX-License-Identifier: Apache-2.0
"""Padding layers: `padding` is one width for all sides, or (before, after) of the last axis, then
of the one before. Inputs are (N, C, ...) or (C, ...) of one, two or three axes behind C.
"""

from __future__ import annotations

from typing import Any, ClassVar

from striate import ops
from striate.nn.arguments import integer, number, refuse
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """What the padding layers share: `dims` axes padded in `mode`."""

    dims: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name, count = type(self).__name__, 2 * self.dims
        widths = padding if isinstance(padding, (tuple, list)) else (padding,) * count
        if len(widths) != count:
            refuse(name, "padding", f"one width or {count}", padding)
        self.padding = tuple(integer(name, "padding", w, -(2**40)) for w in widths)

    def forward(self, input: Tensor) -> Tensor:
        return ops.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    """Padding with one value."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = number(type(self).__name__, "value", value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Puts `value` around."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Puts `value` around."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Puts `value` around."""

    dims = 3


class ZeroPad1d(_Pad):
    """Puts zeros around."""

    dims = 1


class ZeroPad2d(_Pad):
    """Puts zeros around."""

    dims = 2


class ZeroPad3d(_Pad):
    """Puts zeros around."""

    dims = 3


class ReflectionPad1d(_Pad):
    """Mirrors the elements at the outermost ones; widths below the size."""

    dims = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors the elements at the outermost ones; widths below the size."""

    dims = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Mirrors the elements at the outermost ones; widths below the size."""

    dims = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the outermost elements."""

    dims = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the outermost elements."""

    dims = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Repeats the outermost elements."""

    dims = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """Goes on with the elements of the other end; widths up to the size."""

    dims = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Goes on with the elements of the other end; widths up to the size."""

    dims = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Goes on with the elements of the other end; widths up to the size."""

    dims = 3
    mode = "circular"

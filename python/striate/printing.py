# SPDX-License-Identifier: Apache-2.0
"""Tensors as text: aligned numbers of one format, the middle of large tensors left out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.arrays import Array
from striate.device import placed
from striate.dtypes import bool_, get_default_dtype, int64, is_floating

if TYPE_CHECKING:
    from striate.tensor import Tensor


@dataclass(frozen=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}
_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors print; what is None stays, but for sci_mode: None lets the values decide.

    `precision` digits after the point; tensors of more than `threshold` elements show `edgeitems`
    at each end of an axis; lines of `linewidth` characters. `profile` is "default", "short" or
    "full".
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: profile: expected one of {list(_PROFILES)}, got "
                         f"{profile!r}")  # fmt: skip
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems,
             "linewidth": linewidth}  # fmt: skip
    for name, value in given.items():
        if value is not None and not isinstance(value, (int, float)):
            raise TypeError(f"set_printoptions: {name}: expected a number, got {value!r}")
        if value is not None and not value >= (1 if name == "linewidth" else 0):
            raise ValueError(f"set_printoptions: {name}: expected 0 or more, got {value}")
    changes: Any = {name: value for name, value in given.items() if value is not None}
    start = _options if profile is None else _PROFILES[profile]
    _options = replace(start, **changes, sci_mode=sci_mode)


class _Format:
    """One format for all numbers of a tensor: how wide, and whether with an exponent."""

    def __init__(self, values: Array) -> None:
        self.floating = is_floating(values.dtype)
        if not self.floating:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        wide = values.ravel().astype(np.float64)
        shown = wide[np.isfinite(wide) & (wide != 0)]
        sizes = np.abs(shown)
        self.whole = bool(np.all(shown == np.ceil(shown)))
        self.scientific = False
        if sizes.size:
            low, high = float(sizes.min()), float(sizes.max())
            self.scientific = high / low > 1000 or high > 1e8 or (not self.whole and low < 1e-4)
        if sizes.size and _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        self.width = max((len(self._number(v)) for v in shown.tolist()), default=1)

    def _number(self, v: float) -> str:
        if self.scientific:
            return f"{v:.{_options.precision}e}"
        if self.whole:
            return f"{v:.0f}" + ("." if math.isfinite(v) else "")
        return f"{v:.{_options.precision}f}"

    def __call__(self, v: Any) -> str:
        return (self._number(v) if self.floating else str(v)).rjust(self.width)


def _ends(array: Array) -> Array:
    """The elements that are shown where the middle of every axis is left out."""
    for axis, n in enumerate(array.shape):
        if n > 2 * _options.edgeitems:
            ends = [*range(_options.edgeitems), *range(n - _options.edgeitems, n)]
            array = np.take(array, ends, axis)
    return array


def _rows(array: Array, indent: int, short: bool, form: _Format) -> str:
    if array.ndim == 0:
        return form(array.item())
    edge = _options.edgeitems
    cut = short and len(array) > 2 * edge
    chosen = [*array[:edge], *array[len(array) - edge :]] if cut else list(array)
    if array.ndim == 1:
        words = [form(v.item()) for v in chosen]
        words[edge if cut else len(words) : edge if cut else len(words)] = [" ..."] * cut
        a_line = max(1, (_options.linewidth - indent) // (form.width + 2))
        lines = [", ".join(words[i : i + a_line]) for i in range(0, len(words), a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [_rows(part, indent + 1, short, form) for part in chosen]
    parts[edge if cut else len(parts) : edge if cut else len(parts)] = ["..."] * cut
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def text(t: Tensor) -> str:
    """What repr(t) is."""
    array, start = placed("repr", t._array, "cpu"), "tensor("
    notes = [f"device='{t.device}'"] if t.is_cuda else []
    if array.size == 0:
        body = "[]"
        if array.ndim != 1:
            notes.append(f"size={t.shape}")
        plain = array.dtype == get_default_dtype()
    else:
        short = array.size > _options.threshold
        form = _Format(_ends(array) if short else array)
        body = _rows(array, len(start), short, form)
        plain = array.dtype in (get_default_dtype(), int64, bool_)
    if not plain:
        notes.append(f"dtype=striate.{array.dtype.name}")
    if t._node is not None:
        notes.append(f"grad_fn=<{t._node.op.name}>")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    result = start + body
    last = len(result) - result.rfind("\n") - 1
    for note in notes:
        if last + len(note) + 2 > _options.linewidth:
            result += ",\n" + " " * len(start) + note
            last = len(start) + len(note)
        else:
            result += ", " + note
            last += len(note) + 2
    return result + ")"

# SPDX-License-Identifier: Apache-2.0
"""Checks of constructor arguments: a wrong one is refused where it is written."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np


def refuse(layer: str, argument: str, expected: str, got: Any) -> NoReturn:
    """Raises ValueError: "Conv2d: groups: expected …, got …"."""
    raise ValueError(f"{layer}: {argument}: expected {expected}, got {got}")


def integer(layer: str, argument: str, value: Any, least: int = 1) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{layer}: {argument}: expected an integer, got {value!r}")
    if value < least:
        refuse(layer, argument, f"{least} or more", value)
    if value >= 2**63:
        refuse(layer, argument, "an integer of 64 bits", value)
    return int(value)


def pair(layer: str, argument: str, value: Any, least: int = 1) -> tuple[int, int]:
    """An integer for both axes, or one for each: (height, width)."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            refuse(layer, argument, "an integer or a pair (height, width)", value)
        return (
            integer(layer, argument, value[0], least),
            integer(layer, argument, value[1], least),
        )
    both = integer(layer, argument, value, least)
    return both, both


def number(
    layer: str,
    argument: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> float:
    """`value` as a finite float in [low, high], or in (low, high] with `open_low`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{layer}: {argument}: expected a number, got {value!r}")
    value = float(value)
    inside = low < value <= high if open_low else low <= value <= high
    if not math.isfinite(value) or not inside:
        if high < math.inf:
            expected = f"a number {'above' if open_low else 'from'} {low:g} to {high:g}"
        elif low > -math.inf:
            expected = f"a finite number {'above' if open_low else 'of at least'} {low:g}"
        else:
            expected = "a finite number"
        refuse(layer, argument, expected, value)
    return value


def flag(layer: str, argument: str, value: Any) -> bool:
    """`value` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{layer}: {argument}: expected True or False, got {value!r}")
    return bool(value)


def choice(layer: str, argument: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, which must be one of the strings."""
    if not isinstance(value, str) or value not in choices:
        refuse(layer, argument, "one of " + ", ".join(map(repr, choices)), repr(value))
    return value

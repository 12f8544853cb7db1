# SPDX-License-Identifier: Apache-2.0
"""Names the layer in errors that pass through modules.

The innermost module marks the error; each module above puts the child's name before it. The path
that costs nothing is the one without an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.nn.module import Module


class _Place:
    """Where an error has come from, seen from the module that it reached last."""

    def __init__(self, module: Module, message: str) -> None:
        self.module = module  # the last one reached
        self.path = ""  # from there to where the error was raised
        self.layer = type(module).__name__
        self.message = message


def _path_to(module: Module, parent: Module) -> str:
    for path, found in parent.named_modules():
        if found is module:
            return path
    return ""


def name_place(error: Exception, module: Module) -> None:
    """Notes that `error` passes `module`: "features.3 (Conv2d): " and the message."""
    place: _Place | str | None = getattr(error, "_striate_place", None)
    if isinstance(place, str):  # the message says it
        return
    if place is None:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error._striate_place = _Place(module, error.args[0])  # type: ignore[attr-defined]
        return
    name = _path_to(place.module, module)
    place.module = module
    if name:
        place.path = f"{name}.{place.path}" if place.path else name
        error.args = (f"{place.path} ({place.layer}): {place.message}",)

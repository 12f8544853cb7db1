# SPDX-License-Identifier: Apache-2.0
"""Names the layer in errors that pass through modules, and says what had passed before it.

The innermost module marks the error; each module above puts the child's name before it. The
outermost adds the shapes of the layers that had passed, for which it runs the model once more. The
path that costs nothing is the one without an error.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any

from striate.autograd import no_grad, observe

if TYPE_CHECKING:
    from striate.nn.module import Module

_MOST_LINES = 12  # of layers passed


class _Local(threading.local):
    explaining = False


_local = _Local()
_call_code: list[CodeType] = []


def outer_calls_run(code: CodeType) -> None:
    """Says which code a module's call runs, by which the outermost one is known."""
    _call_code.append(code)


@contextmanager
def unexplained() -> Iterator[None]:
    """Inside, errors say nothing of the layers passed: somebody else tells, or looks for them."""
    before, _local.explaining = _local.explaining, True
    try:
        yield
    finally:
        _local.explaining = before


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


def name_place(error: Exception, module: Module, args: Any, kwargs: Any) -> None:
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
        text = f"{place.path} ({place.layer}): {place.message}"
        if isinstance(error, ValueError) and not _local.explaining and _is_outermost():
            text += _passed(module, args, kwargs, place.message)
        error.args = (text,)


def _is_outermost() -> bool:
    frame = sys._getframe(2).f_back  # behind name_place and the call that it is told about
    while frame is not None:
        if frame.f_code in _call_code:
            return False
        frame = frame.f_back
    return True


class _Shapes(observe.Observer):
    """The results' shapes of the layers that this thread passes."""

    def __init__(self, model: Module) -> None:
        self.thread = threading.get_ident()
        self.paths = {id(m): path for path, m in model.named_modules()}
        self.rows: list[tuple[str, str]] = []

    def module(self, run: Callable[[], Any], module: Module) -> Any:
        result = run()
        has_own = any(p is not None for p in module._parameters.values())
        if threading.get_ident() == self.thread and (has_own or not module._modules):
            name = f"{self.paths.get(id(module), '?')} ({type(module).__name__})"
            self.rows.append((name, shapes_text(result)))
        return result


def shapes_text(value: Any) -> str:
    """The shapes of the tensors in a layer's arguments or result."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return str(tuple(shape))
    values = value.values() if isinstance(value, dict) else value
    if isinstance(value, (tuple, list, dict)):
        return ", ".join(filter(None, map(shapes_text, values)))
    return ""


def _passed(model: Module, args: Any, kwargs: Any, message: str) -> str:
    """The layers that `model` passes before it fails with `message`, with their results' shapes.

    Nothing is kept while all goes well, so the model runs again: without gradients, on the same
    arguments, with the random numbers of before; what it changes in its buffers is undone. Not
    where somebody's hooks would run twice, and nothing is said unless it fails alike.
    """
    from striate.random import get_rng_state, set_rng_state

    if any(m._hooked for m in model.modules()) or observe.watching():
        return ""
    buffers = [(b, b._array.copy()) for b in model.buffers()]
    random = get_rng_state()
    shapes = _Shapes(model)
    observe.install(shapes)
    alike = False
    try:
        with no_grad(), unexplained():
            model(*args, **kwargs)
    except Exception as error:
        place = getattr(error, "_striate_place", None)
        alike = isinstance(place, _Place) and place.message == message
    finally:
        observe.remove(shapes)
        set_rng_state(random)
        for buffer, before in buffers:
            buffer._array[...] = before
            buffer._touch()
    if not alike or not shapes.rows:
        return ""
    rows = [("input", shapes_text((args, kwargs))), *shapes.rows]
    width = max(len(name) for name, _ in rows)
    lines = [f"    {name.ljust(width)}  {shape}" for name, shape in rows]
    if len(lines) > _MOST_LINES:
        left_out = len(lines) - _MOST_LINES
        lines = [lines[0], f"    … {left_out} more …", *lines[1 - _MOST_LINES :]]
    return "\n  what had passed, with the shapes of the results:\n" + "\n".join(lines)

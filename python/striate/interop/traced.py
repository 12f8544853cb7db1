# SPDX-License-Identifier: Apache-2.0
"""A module whose forward is a list of steps, as tracing finds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from striate.nn.module import Module


@dataclass(frozen=True)
class Result:
    """Stands for the result of an earlier step among a step's arguments."""

    name: str


class Training:
    """Stands for the module's `training` flag among a step's arguments."""

    def __repr__(self) -> str:
        return "self.training"

    def __deepcopy__(self, memo: Any) -> Training:
        return self


TRAINING = Training()


def replaced(value: Any, of: Callable[[Any], Any]) -> Any:
    """`value` with `of` applied to everything that is no tuple, list, dict or slice."""
    if isinstance(value, (tuple, list)):
        parts = [replaced(v, of) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {k: replaced(v, of) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(*(replaced(v, of) for v in (value.start, value.stop, value.step)))
    return of(value)


@dataclass
class Step:
    """name = what(*args, **kwargs)"""

    name: str
    kind: str  # "function", "method", "module", "attribute" or "output"
    what: Any  # the function, the method's name, the path of a module or of an attribute
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    last_uses: tuple[str, ...] = ()  # results that nothing after this step reads

    def __str__(self) -> str:
        what = self.what if isinstance(self.what, str) else self.what.__name__

        def text(value: Any) -> Any:
            return _Bare(value.name) if isinstance(value, Result) else value

        words = [repr(replaced(a, text)) for a in self.args]
        words += [f"{k}={replaced(v, text)!r}" for k, v in self.kwargs.items()]
        if self.kind == "output":
            return f"return {words[0]}"
        if self.kind == "attribute":
            return f"{self.name} = self.{what}"
        if self.kind == "method":
            return f"{self.name} = {words[0]}.{what}({', '.join(words[1:])})"
        return f"{self.name} = {'self.' if self.kind == 'module' else ''}{what}({', '.join(words)})"


class _Bare(str):
    """A name, printed without quotes."""

    def __repr__(self) -> str:
        return str(self)


def specialised(condition: bool, message: str) -> None:
    """Raises ValueError where an argument is not the one that the steps were found with."""
    if not condition:
        raise ValueError(message)


class TracedModule(Module):
    """Runs the steps of a traced forward, with parts under the names that they had.

    `origin` is the name of the class that was traced; `code()` shows the steps.
    """

    def __init__(self, origin: str, arguments: dict[str, inspect.Parameter], steps: Any) -> None:
        super().__init__()
        self.origin = origin
        self._arguments = arguments  # by the name that steps know their values by
        self._signature = inspect.Signature(list(arguments.values()))
        self._steps: list[Step] = steps
        self._note_last_uses()

    def _note_last_uses(self) -> None:
        seen: set[str] = set()
        for step in reversed(self._steps):
            used: list[str] = []

            def see(value: Any, used: list[str] = used) -> Any:
                if isinstance(value, Result) and value.name not in seen:
                    seen.add(value.name)
                    used.append(value.name)
                return value

            replaced((step.args, step.kwargs), see)
            step.last_uses = tuple(used)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        results = {name: bound.arguments[p.name] for name, p in self._arguments.items()}

        def value_of(value: Any) -> Any:
            if isinstance(value, Result):
                return results[value.name]
            return self.training if value is TRAINING else value

        for step in self._steps:
            given, named = replaced((step.args, step.kwargs), value_of)
            if step.kind == "output":
                return given[0]
            results[step.name] = self._run(step, given, named)
            for name in step.last_uses:
                del results[name]
        return None

    def _run(self, step: Step, args: Any, kwargs: Any) -> Any:
        if step.kind == "function":
            return step.what(*args, **kwargs)
        if step.kind == "method":
            return getattr(args[0], step.what)(*args[1:], **kwargs)
        if step.kind == "module":
            return self.get_submodule(step.what)(*args, **kwargs)
        owner, _, name = step.what.rpartition(".")
        return getattr(self.get_submodule(owner), name)

    def code(self) -> str:
        """The steps as text."""
        return "\n".join(
            [f"forward({', '.join(self._arguments)}):", *(f"    {step}" for step in self._steps)]
        )

    def extra_repr(self) -> str:
        return self.origin

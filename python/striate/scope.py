# SPDX-License-Identifier: Apache-2.0
"""Flags of a thread, and what sets them for a block of code or a function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any


class Flag(threading.local):
    """On or off, on each thread by itself; `Flag(True)` begins as on."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled


class Scope:
    """Context manager and decorator that sets a flag, and sets it back."""

    _flag: Flag
    _wanted = True

    def __init__(self) -> None:
        self._outer: list[bool] = []

    def __enter__(self) -> None:
        self._outer.append(self._flag.enabled)
        self._flag.enabled = self._wanted

    def __exit__(self, *exc: object) -> None:
        self._flag.enabled = self._outer.pop()

    def _again(self) -> Scope:
        """The same once more: a decorated function may be running on several threads."""
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return inside

# SPDX-License-Identifier: Apache-2.0
"""Refusing what is no tensor, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from striate.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def check_tensor(name: str, argument: str, value: Any) -> None:
    """Raises TypeError unless value is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")


def of_tensor(function: Function) -> Function:
    """Decorator of operations: TypeError, naming the argument, where `input` is no Tensor."""

    @wraps(function)
    def call(input: Any, *arguments: Any, **parameters: Any) -> Any:
        check_tensor(function.__name__, "input", input)
        return function(input, *arguments, **parameters)

    return call  # type: ignore[return-value]

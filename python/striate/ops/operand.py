# SPDX-License-Identifier: Apache-2.0
"""Refusing what is no tensor, by name."""

from __future__ import annotations

from functools import wraps
from typing import Any

from striate.explain import CAUGHT, Function, explain
from striate.tensor import Tensor


def check_tensor(name: str, argument: str, value: Any) -> None:
    """Raises TypeError unless value is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")


def of_tensor(function: Function) -> Function:
    """Decorator of operations: `explained`, and TypeError where `input` is no Tensor."""

    @wraps(function)
    def call(input: Any, *arguments: Any, **parameters: Any) -> Any:
        check_tensor(function.__name__, "input", input)
        try:
            return function(input, *arguments, **parameters)
        except CAUGHT as error:
            told = explain(function, (input, *arguments), parameters, error)
            if told is error:
                raise
            raise told from error

    return call  # type: ignore[return-value]

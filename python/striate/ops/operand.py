# SPDX-License-Identifier: Apache-2.0
"""Refusing what is no tensor, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from striate.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def of_tensor(function: Function) -> Function:
    """Decorator of operations: TypeError, naming the argument, where `input` is no Tensor."""

    @wraps(function)
    def call(input: Any, *arguments: Any, **parameters: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{function.__name__}: input: expected a Tensor, got {type(input).__name__}"
            )
        return function(input, *arguments, **parameters)

    return call  # type: ignore[return-value]

# SPDX-License-Identifier: Apache-2.0
"""The parameter: a tensor that a module lists, and that an optimizer changes."""

from __future__ import annotations

from typing import Any

from striate.tensor import Tensor

__all__ = [
    "Parameter",
]


class Parameter(Tensor):
    """A leaf tensor that becomes one of a module's parameters when assigned as an attribute.

    Shares memory with `data` where that is an array or a tensor.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

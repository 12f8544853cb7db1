# SPDX-License-Identifier: Apache-2.0
"""The operations that layers are made of, as functions, under PyTorch's names."""

from typing import Any

from striate import ops


def __getattr__(name: str) -> Any:
    try:
        return getattr(ops, name)
    except AttributeError:
        raise AttributeError(f"striate.nn.functional has no function {name!r}") from None

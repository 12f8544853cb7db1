# SPDX-License-Identifier: Apache-2.0
"""State dicts: a module's parameters and buffers by path, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.device import placed
from striate.tensor import Tensor, as_array

if TYPE_CHECKING:
    from striate.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) found no counterpart for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def state_dict(module: Module, prefix: str, keep_vars: bool) -> dict[str, Tensor]:
    """Parameters and persistent buffers by path, in the order of registration."""
    state: dict[str, Tensor] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        at = f"{prefix}{path}." if path else prefix
        for name, tensor in (*owner._parameters.items(), *owner._buffers.items()):
            if tensor is not None and name not in owner._transient:
                state[at + name] = tensor if keep_vars else tensor.detach()
    return state


def _some(names: list[str]) -> str:
    return ", ".join(names)


def load_state_dict(module: Module, given: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Checks everything, then writes everything."""
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: state_dict: expected a dict, got {type(given).__name__}")
    wanted = state_dict(module, "", keep_vars=True)
    missing = [key for key in wanted if key not in given]
    unexpected = [str(key) for key in given if key not in wanted]
    values: list[tuple[Tensor, Any]] = []
    wrong = []
    for key, tensor in wanted.items():
        if key not in given:
            continue
        array = as_array(given[key], argument=f"load_state_dict: {key}")
        if array.shape == tensor.shape:
            values.append((tensor, array))
        else:
            wrong.append(f"{key}: expected {tensor.shape}, got {array.shape}")
    problems = []
    if strict and missing:
        problems.append(f"missing: {_some(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {_some(unexpected)}")
    if wrong:
        problems.append(f"shapes that differ: {'; '.join(wrong)}")
    if problems:
        raise ValueError(
            f"load_state_dict: the state dict does not fit {type(module).__name__}:"
            + "\n  ".join(["", *problems])
        )
    for tensor, array in values:
        tensor._array[...] = placed("load_state_dict", array, tensor.device)
        tensor._touch()
    return IncompatibleKeys(missing, unexpected)

# SPDX-License-Identifier: Apache-2.0
"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from striate import ops
from striate.explain import explained
from striate.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


@explained
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, each in C order, as one vector."""
    flat = [p.reshape(-1) for p in parameters]
    if not flat:
        raise ValueError("parameters_to_vector: parameters: expected at least one tensor, got none")
    return ops.cat(flat)


@explained
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes the elements of `vec` into the parameters, in order. ValueError unless all fit."""
    name = "vector_to_parameters"
    if not isinstance(vec, Tensor):
        raise TypeError(f"{name}: vec: expected a Tensor, got {type(vec).__name__}")
    given = list(parameters)
    size = sum(p.numel() for p in given)
    if vec.shape != (size,):
        raise ValueError(f"{name}: vec: expected shape ({size},), got {vec.shape}")
    at = 0
    for p in given:
        count = p.numel()
        p._array[...] = vec._array[at : at + count].reshape(p.shape)
        p._touch()
        at += count

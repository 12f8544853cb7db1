# SPDX-License-Identifier: Apache-2.0
"""Gradients kept within limits (Pascanu, Mikolov and Bengio 2013, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.dtypes import result_type
from striate.explain import explained
from striate.nn.arguments import number
from striate.tensor import Array, Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

_SUMS = {1.0: "absolute", 2.0: "squares", math.inf: "largest"}


def _listed(name: str, argument: str, tensors: Any) -> list[Tensor]:
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(given):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: {argument}[{i}]: expected a Tensor, got {type(t).__name__}")
    return given


def _gradients(name: str, parameters: Any) -> list[Tensor]:
    return [p._grad for p in _listed(name, "parameters", parameters) if p._grad is not None]


def _norm_type(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise TypeError(f"{name}: norm_type: expected a number, got {value!r}")
    return float(value)


def _norm(x: Array, order: float) -> Any:
    if order not in _SUMS:
        return x.dtype.type(np.linalg.norm(x.ravel(order="K"), order))
    total = _C.vector_norm(x, _SUMS[order])[()]
    return np.sqrt(total) if order == 2 else total


@explained
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all elements of all tensors, as if they were one vector; 0 of no tensors.

    `norm_type` is the order: 2, 1, math.inf for the largest magnitude, or another number. Raises
    RuntimeError where the norm is infinite or NaN, with `error_if_nonfinite`.
    """
    name = "get_total_norm"
    given = _listed(name, "tensors", tensors)
    order = _norm_type(name, norm_type)
    for i, t in enumerate(given):
        if t.dtype.kind != "f":
            raise TypeError(f"{name}: tensors[{i}]: expected float32 or float64, got {t.dtype}")
    if not given:
        return Tensor(0.0)
    dtype = result_type(*given)
    with np.errstate(all="ignore"):
        norms = np.stack([_norm(t._array, order) for t in given]).astype(dtype)
        total = as_result(_norm(norms, order)).astype(dtype, copy=False)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"{name}: the norm of order {order:g} of the gradients is {total}: not scaled. Pass "
            "error_if_nonfinite=False to scale by it anyway"
        )
    return Tensor._wrap(total)


@explained
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor
) -> None:
    """Scales the gradients by max_norm / (total_norm + 1e-6) where that is below 1."""
    name = "clip_grads_with_norm_"
    gradients = _gradients(name, parameters)
    if max_norm == math.inf:
        return
    factor = number(name, "max_norm", max_norm, low=0) / (float(total_norm) + 1e-6)
    if factor >= 1:
        return
    for g in gradients:
        _C.mul(g._array, factor, out=g._array)
        g._touch()


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scales the gradients of `parameters` so that their norm, as of one vector, is `max_norm`.

    Gradients of a smaller norm stay as they are, and all do where `max_norm` is inf. Returns the
    norm before. RuntimeError, and nothing changed, where it is infinite or NaN and
    `error_if_nonfinite` is set.
    """
    given = _listed("clip_grad_norm_", "parameters", parameters)
    limit = max_norm if max_norm == math.inf else number("clip_grad_norm_", "max_norm", max_norm, 0)
    total = get_total_norm(_gradients("clip_grad_norm_", given), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, limit, total)
    return total


@explained
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of the gradients to -clip_value ... clip_value."""
    limit = number("clip_grad_value_", "clip_value", clip_value, low=0)
    for g in _gradients("clip_grad_value_", parameters):
        _C.maximum(_C.minimum(g._array, limit, out=g._array), -limit, out=g._array)
        g._touch()

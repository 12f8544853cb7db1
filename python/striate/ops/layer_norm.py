# SPDX-License-Identifier: Apache-2.0
"""Normalisation over the last axes: each sample by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops.conv2d import images
from striate.ops.norm import check_eps
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "layer_norm",
    "rms_norm",
]


def _ordered(y: Array, x: Array) -> Array:
    """y, channels-last if x is, and not in C order as well."""
    last = x.ndim == 4 and not x.flags.c_contiguous and x.transpose(0, 2, 3, 1).flags.c_contiguous
    return images(y) if last else y


@op("(..., D), (D,)?, (D,)? -> (..., D)", name="layer_norm")
def _layer_norm(
    ctx: Node, x: Array, *affine: Array, axes: int, weighted: bool, biased: bool, eps: float
) -> Array:
    weight = affine[0] if weighted else None
    y, mean, invstd = _C.layer_norm(x, axes, eps, weight, affine[-1] if biased else None)
    ctx.save(x, mean, invstd, weight, axes, biased)
    return _ordered(y, x)


@_layer_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, mean, invstd, weight, axes, biased = ctx.saved
    grads = _C.layer_norm_backward(grad, x, axes, mean, invstd, weight, biased)
    return tuple(g for g in grads if g is not None)


@op("(..., D), (D,)? -> (..., D)", name="rms_norm")
def _rms_norm(ctx: Node, x: Array, *weights: Array, axes: int, eps: float) -> Array:
    weight = weights[0] if weights else None
    y, invstd = _C.rms_norm(x, axes, eps, weight)
    ctx.save(x, invstd, weight, axes)
    return _ordered(y, x)


@_rms_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, invstd, weight, axes = ctx.saved
    grads = _C.rms_norm_backward(grad, x, axes, invstd, weight)
    return tuple(g for g in grads if g is not None)


def shape_of(name: str, normalized_shape: Any) -> tuple[int, ...]:
    """An integer, or several, as a tuple."""
    whole = isinstance(normalized_shape, (int, np.integer))
    values = (normalized_shape,) if whole else normalized_shape
    if not isinstance(values, (tuple, list)) or not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values
    ):
        raise TypeError(
            f"{name}: normalized_shape: expected an integer or several, got {normalized_shape!r}"
        )
    if not values or any(v < 0 for v in values):
        raise ValueError(
            f"{name}: normalized_shape: expected at least one size, of 0 or more, got {values}"
        )
    return tuple(int(v) for v in values)


def _operands(
    name: str, input: Tensor, normalized_shape: Any, affine: dict[str, Any], eps: Any
) -> tuple[int, list[Tensor]]:
    """How many axes are normalised, and the operands that are there, checked."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {input.dtype}")
    shape = shape_of(name, normalized_shape)
    if input.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: input: expected a shape that ends in normalized_shape {shape}, got "
            f"{input.shape}"
        )
    check_eps(name, eps)
    given = [input]
    for argument, value in affine.items():
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument}: expected a Tensor, got {type(value).__name__}")
        if value.shape != shape or value.dtype != input.dtype:
            raise ValueError(
                f"{name}: {argument}: expected {input.dtype} of shape {shape}, got {value.dtype} "
                f"of shape {value.shape}"
            )
        given.append(value)
    return len(shape), given


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes (Ba et al. 2016).

    (..., *normalized_shape) -> the same; weight and bias are of normalized_shape. var is over n.
    The variance is taken in two passes, about a mean of differences, so that a large mean costs no
    digits. Raises ValueError where the shapes don't end alike.
    """
    affine = {"weight": weight, "bias": bias}
    axes, given = _operands("layer_norm", input, normalized_shape, affine, eps)
    y: Tensor = _layer_norm(
        *given, axes=axes, weighted=weight is not None, biased=bias is not None, eps=float(eps)
    )
    return y


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """y = x / sqrt(mean of x^2 + eps) * weight over the last axes (Zhang and Sennrich 2019).

    (..., *normalized_shape) -> the same; weight is of normalized_shape. eps=None is the dtype's
    machine epsilon. Raises ValueError where the shapes don't end alike.
    """
    if eps is None and isinstance(input, Tensor) and input.dtype.kind == "f":
        eps = float(np.finfo(input.dtype).eps)
    small: Any = 0.0 if eps is None else eps
    axes, given = _operands("rms_norm", input, normalized_shape, {"weight": weight}, small)
    y: Tensor = _rms_norm(*given, axes=axes, eps=float(small))
    return y

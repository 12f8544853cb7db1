# SPDX-License-Identifier: Apache-2.0
"""Interpolation of images, and padding that repeats them: resampling along each axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops.operand import check_tensor
from striate.ops.pool import adaptive_avg_pool2d
from striate.ops.pool_nd import adaptive_avg_pool1d, adaptive_avg_pool3d
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "interpolate",
    "upsample",
]

Axes = tuple[tuple[Any, ...], ...]  # one an axis behind (N, C): see csrc/bindings/interpolate.cpp
_NEAREST = ("nearest", "nearest-exact")
_RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}  # others take any
_KINDS = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}
MODES = (*_NEAREST, *_RANKS)


@op("(N, C, ...) -> (N, C, ...)", name="interpolate")
def resample(ctx: Node, x: Array, axes: Axes) -> Array:
    """x resampled along its axes, as `axes` says."""
    ctx.save(x.shape[2:], axes)
    return _C.interpolate(x, axes)


@resample.backward
def _(ctx: Node, grad: Array) -> Any:
    size, axes = ctx.saved
    return _C.interpolate_backward(grad, size, axes)


def _per_axis(argument: str, value: Any, count: int, whole: bool) -> list[Any]:
    """One number an axis, or one for all of them."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    values = list(value) if isinstance(value, (tuple, list)) else [value] * count
    if not all(isinstance(v, kinds) and not isinstance(v, bool) for v in values):
        expected = "integers" if whole else "numbers"
        raise TypeError(f"interpolate: {argument}: expected {expected}, got {value!r}")
    if len(values) != count:
        raise ValueError(
            f"interpolate: {argument}: expected one number, or one for each of the {count} axes "
            f"behind (N, C), got {value!r}"
        )
    return values


def _check_mode(input: Tensor, mode: str, align_corners: bool | None) -> None:
    check_tensor("interpolate", "input", input)
    if mode not in (*_NEAREST, "area", *_RANKS):
        choices = ", ".join((*_NEAREST, "area", *_RANKS))
        raise ValueError(f"interpolate: mode: expected one of {choices}, got {mode!r}")
    if mode not in _RANKS and align_corners is not None:
        raise ValueError(
            f"interpolate: align_corners: expected None for mode {mode!r}, got {align_corners!r}"
        )
    if input.dtype.kind != "f":
        raise TypeError(f"interpolate: input: expected float32 or float64, got {input.dtype}")
    rank = _RANKS.get(mode, input.ndim)
    if input.ndim != rank or not 3 <= rank <= 5 or 0 in input.shape[1:]:
        shape = {3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}.get(
            _RANKS.get(mode, 0), "(N, C, ...) of 3 to 5 axes"
        )
        raise ValueError(
            f"interpolate: input: expected {shape} with no empty axis but N for mode {mode!r}, got "
            f"shape {input.shape}"
        )


@explained
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """input (N, C, ...) resampled to `size`, or to floor(scale_factor times its size).

    Output o reads the input at s (o + 1/2) - 1/2, s input pixels an output pixel: edges of the
    outermost pixels meet edges. With align_corners their centres meet: s o, s = (n - 1) / (m - 1).
    s is n / m, or 1 / scale_factor where that is given; recompute_scale_factor makes it n / m.

    mode "nearest": the input floor(s o), "nearest-exact": the input around s (o + 1/2);
    "linear" (N, C, L), "bilinear" (N, C, H, W), "trilinear" (N, C, D, H, W): straight lines between
    neighbours; "bicubic" (N, C, H, W): Keys 1981 with a = -3/4, over four neighbours, those at the
    edge repeated; "area": the mean of what an output covers, as adaptive average pooling.

    Raises ValueError for a shape that the mode does not take, unless one of size and scale_factor
    is given, and where a size comes out below 1.
    """
    _check_mode(input, mode, align_corners)
    count = input.ndim - 2
    if (size is None) == (scale_factor is None):
        given = "neither" if size is None else "both"
        raise ValueError(f"interpolate: size: expected either size or scale_factor, got {given}")
    if size is not None and recompute_scale_factor:
        raise ValueError("interpolate: recompute_scale_factor: expected a scale_factor, got a size")
    steps = [0.0] * count
    if size is not None:
        sizes = [int(n) for n in _per_axis("size", size, count, True)]
    else:
        factors = _per_axis("scale_factor", scale_factor, count, False)
        if any(not 0 < f < math.inf for f in factors):
            raise ValueError(
                f"interpolate: scale_factor: expected finite numbers above 0, got {scale_factor!r}"
            )
        sizes = [math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
        if not recompute_scale_factor:
            steps = [1.0 / f for f in factors]
    if min(sizes) < 1 or max(sizes) >= 2**40:
        expected = "1 or more" if min(sizes) < 1 else "less than 2^40"
        raise ValueError(
            f"interpolate: size: expected {expected}, got {tuple(sizes)} for an input of shape "
            f"{input.shape}"
        )
    if mode == "area":
        pools = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
        return pools[count - 1](input, tuple(sizes))
    kind = _KINDS.get(mode, mode)
    axes = tuple((kind, n, step, bool(align_corners)) for n, step in zip(sizes, steps, strict=True))
    return resample(input, axes=axes)


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)

# SPDX-License-Identifier: Apache-2.0
"""Normalisation over each image's own pixels, of some channels together or of each by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops.norm import (
    as_image,
    batch_norm,
    check_channels,
    check_eps,
    check_input,
    check_momentum,
)
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "group_norm",
    "instance_norm",
]


@op("(N, C, ...), (C,)?, (C,)? -> (N, C, ...)", name="group_norm")
def _group_norm(
    ctx: Node,
    x: Array,
    *affine: Array,
    groups: int,
    weighted: bool,
    biased: bool,
    eps: float,
    spread: list[Array] | None = None,
) -> Array:
    weight = affine[0] if weighted else None
    y, mean, var, invstd = _C.group_norm(x, groups, eps, weight, affine[-1] if biased else None)
    ctx.save(x, mean, invstd, weight, biased)
    if spread is not None:
        spread += [mean, var]
    return y


@_group_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, mean, invstd, weight, biased = ctx.saved
    dx, dweight, dbias = _C.group_norm_backward(grad, x, mean, invstd, weight)
    return (dx, *([dweight] if weight is not None else []), *([dbias] if biased else []))


def _normalised(
    name: str,
    input: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    spread: list[Array] | None = None,
) -> Tensor:
    affine = []
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            check_channels(name, argument, value, input)
            affine.append(value)
    y: Tensor = _group_norm(
        as_image(input),
        *affine,
        groups=groups,
        weighted=weight is not None,
        biased=bias is not None,
        eps=check_eps(name, eps),
        spread=spread,
    )
    return y.reshape(input.shape) if input.ndim > 4 else y


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias (Wu and He 2018).

    (N, C, ...) -> the same. mean and var are those of one sample's C / num_groups neighbouring
    channels, var over n; weight and bias are (C,). Raises ValueError where num_groups does not
    divide C, and for a single value a group in a batch of one.
    """
    name = "group_norm"
    check_input(name, input, range(2, 65), "(N, C, ...)")
    if isinstance(num_groups, bool) or not isinstance(num_groups, (int, np.integer)):
        raise TypeError(f"{name}: num_groups: expected an integer, got {num_groups!r}")
    n, c, *spatial = input.shape
    if num_groups < 1 or c % num_groups:
        raise ValueError(
            f"{name}: num_groups: expected a divisor of the {c} channels of input {input.shape}, "
            f"got {num_groups}"
        )
    if n * (c // num_groups) * math.prod(spatial) == 1:
        raise ValueError(f"{name}: input: expected more than one value, got shape {input.shape}")
    return _normalised(name, input, int(num_groups), weight, bias, eps)


@explained
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias (Ulyanov, Vedaldi and Lempitsky 2016).

    (N, C, L), (N, C, H, W) or (N, C, D, H, W) -> the same; the vectors are (C,). mean and var are
    those of one sample's channel, var over n; the running ones (where given) become (1 - momentum)
    running + momentum times the samples' average, in place, with var over n - 1. Without
    `use_input_stats` they are the running ones. Raises ValueError for one value a channel, and
    where running statistics are needed and missing.
    """
    name = "instance_norm"
    check_input(name, input, (3, 4, 5), "(N, C, L), (N, C, H, W) or (N, C, D, H, W)")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, 0.0, eps)
    mean = check_channels(name, "running_mean", running_mean, input)
    var = check_channels(name, "running_var", running_var, input)
    momentum = check_momentum(name, momentum)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"{name}: input: expected more than one value a channel, got shape {input.shape}"
        )
    spread: list[Array] = []
    y = _normalised(name, input, input.shape[1] or 1, weight, bias, eps, spread)
    if input.numel():
        unbiased = spread[1] * (count / (count - 1))
        for running, held, seen in (
            (running_mean, mean, spread[0]),
            (running_var, var, unbiased),
        ):
            if running is not None and held is not None:
                held[...] = (1 - momentum) * held + momentum * seen.mean(0)
                running._touch()
    return y

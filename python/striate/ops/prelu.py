# SPDX-License-Identifier: Apache-2.0
"""ReLUs with a slope of their own below 0: one that is learned, one that is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops.activation import as_float, leaky_relu, number
from striate.ops.arithmetic import same_dtype
from striate.ops.record import op
from striate.random import generator
from striate.tensor import Array, Tensor

__all__ = [
    "prelu",
    "rrelu",
]
METHODS = [
    "prelu",
]


@op("(N, C, ...), (C,) -> (N, C, ...)", name="prelu")
def _prelu(ctx: Node, x: Array, weight: Array) -> Array:
    ctx.save(x, weight)
    return _C.prelu(x, _along_channels(weight, x.ndim))


@_prelu.backward
def _(ctx: Node, grad: Array) -> Any:
    x, weight = ctx.saved
    dx, dw = _C.prelu_backward(x, _along_channels(weight, x.ndim), grad)
    if not ctx.needs[1]:
        return dx, None
    if weight.size == 1:
        return dx, _C.sum(dw, tuple(range(dw.ndim))).reshape(weight.shape)
    return dx, _C.sum(dw, (0, *range(2, dw.ndim)))


def _along_channels(weight: Array, rank: int) -> Array:
    """One slope a channel, as (C, 1, ...); one in all, as it is."""
    return weight if weight.ndim == 0 or rank < 2 else weight.reshape(-1, *[1] * (rank - 2))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, weight[c] x elsewhere (He, Zhang, Ren and Sun 2015).

    input (N, C, ...), weight (C,), or (1,) or () for one slope in all. The gradient of the weight
    is the sum of dy x over all x <= 0 of its channel. Raises ValueError for another number of
    slopes.
    """
    same_dtype("prelu", {"input": input, "weight": weight})
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(
            f"prelu: weight: expected shape (1,) or ({channels},) for an input of shape "
            f"{input.shape}, got {weight.shape}"
        )
    return _prelu(input, weight)


@op("(...) -> (...)", name="rrelu")
def _rrelu(ctx: Node, x: Array, slopes: Array) -> Array:
    ctx.save(x, slopes)
    return _C.prelu(x, slopes)


@_rrelu.backward
def _(ctx: Node, grad: Array) -> Any:
    x, slopes = ctx.saved
    return _C.prelu_backward(x, slopes, grad)[0]


@explained
def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    """x where x > 0, a x elsewhere: a drawn from U(lower, upper) for each element in training, and
    (lower + upper) / 2 otherwise (Xu, Wang, Chen and Li 2015).

    Raises ValueError where lower is above upper.
    """
    x = as_float(input, "rrelu")
    low, high = number(lower, "rrelu", "lower"), number(upper, "rrelu", "upper")
    if low > high:
        raise ValueError(f"rrelu: lower: expected at most upper {high:g}, got {low:g}")
    if not training:
        return leaky_relu(x, (low + high) / 2)
    slopes = np.empty_like(x._array)
    slopes[...] = generator().uniform(low, high, x.shape)
    return _rrelu(x, slopes=slopes)

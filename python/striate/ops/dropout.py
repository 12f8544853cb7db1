# SPDX-License-Identifier: Apache-2.0
"""Dropout: elements, channels, and the kind that keeps mean and variance.

A mask follows from a key that is drawn from striate's random stream, and from each element's index
in logical (C) order: it is the same for any number of threads, any memory order and both dtypes,
and the gradient makes it again instead of keeping it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.ops.record import op
from striate.random import generator
from striate.tensor import Array, Tensor

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

_ALPHA = -1.7580993408473766  # selu's value far to the left: -lambda alpha


def _key() -> int:
    """64 bits off the random stream."""
    return int(generator().bit_generator.random_raw())


# The probability of dropping, what the rest is multiplied by, and what is added to what is kept and
# to what is dropped.
Rule = tuple[float, float, float, float]


def _rule(p: float) -> Rule:
    return (0.0 if p == 1 else p, 0.0 if p == 1 else 1 / (1 - p), 0.0, 0.0)


def _alpha_rule(p: float) -> Rule:
    if p == 1:
        return 0.0, 0.0, 0.0, 0.0
    a = 1 / math.sqrt((1 - p) * (1 + p * _ALPHA * _ALPHA))
    b = -a * p * _ALPHA
    return p, a, b, b + a * _ALPHA


@op("(...) -> (...)", name="dropout")
def _dropout(ctx: Node, x: Array, rule: Rule, key: int) -> Array:
    ctx.save(rule, key)
    p, scale, kept, dropped = rule
    return _C.dropout(x, p, key, scale, kept, dropped)


@_dropout.backward
def _(ctx: Node, grad: Array) -> Any:
    (p, scale, _, _), key = ctx.saved
    return _C.dropout(grad, p, key, scale)


@op("(N, C, ...) -> (N, C, ...)", name="feature_dropout")
def _feature_dropout(ctx: Node, x: Array, rule: Rule, key: int) -> Array:
    n, c, *spatial = x.shape
    shape = (n, c, *[1] * len(spatial))
    p, scale, kept, dropped = rule
    mask = _C.dropout(np.ones_like(x, shape=shape), p, key, scale)
    ctx.save(mask)
    y = _C.mul(x, mask)
    if dropped:
        nothing = np.zeros_like(x, shape=shape)
        _C.add(y, _C.dropout(nothing, p, key, 1.0, kept, dropped), out=y)
    return y


@_feature_dropout.backward
def _(ctx: Node, grad: Array) -> Any:
    return _C.mul(grad, ctx.saved[0])


def _check(name: str, input: Tensor, p: float) -> float:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {input.dtype}")
    if isinstance(p, bool) or not isinstance(p, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: p: expected a number, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p: expected a probability from 0 to 1, got {p}")
    return float(p)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero with probability p, x / (1 - p) otherwise: each element by itself.

    Any shape -> the same. `input` itself unless `training`. A dropped NaN or infinity is NaN, as in
    PyTorch (x * 0). p is rounded to a multiple of 2^-32. `inplace` is accepted, and changes
    nothing. Raises ValueError for a p outside [0, 1], TypeError for integers. (Srivastava et al.
    2014, with the scaling moved to training.)
    """
    p = _check("dropout", input, p)
    if not training or p == 0:
        return input
    y: Tensor = _dropout(input, rule=_rule(p), key=_key())
    return y


def _channels(
    name: str, input: Tensor, p: float, training: bool, ranks: tuple[int, ...], layout: str
) -> Tensor:
    p = _check(name, input, p)
    if input.ndim not in ranks:
        raise ValueError(f"{name}: input: expected {layout}, got shape {input.shape}")
    if not training or p == 0:
        return input
    if input.ndim < max(ranks):  # without a batch axis
        return _channels(name, input.reshape(1, *input.shape), p, True, ranks, layout).reshape(
            input.shape
        )
    y: Tensor = _feature_dropout(input, rule=_rule(p), key=_key())
    return y


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, L) or (C, L) zero with probability p, x / (1 - p) otherwise.

    Neighbouring values of a feature map are alike, so dropping one by one would only lower the
    learning rate (Tompson et al. 2015, section 3.2). Otherwise as `dropout`.
    """
    return _channels("dropout1d", input, p, training, (2, 3), "(N, C, L) or (C, L)")


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, H, W) zero with probability p, x / (1 - p) otherwise.

    (Tompson et al. 2015, section 3.2.) Otherwise as `dropout`. PyTorch also takes three axes here,
    with a warning, and reads them as (N, C, L): use `dropout1d`.
    """
    layout = "(N, C, H, W) (dropout1d takes (N, C, L))"
    return _channels("dropout2d", input, p, training, (4,), layout)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, D, H, W) or (C, D, H, W) zero with probability p, x / (1 - p) else.

    (Tompson et al. 2015, section 3.2.) Otherwise as `dropout`.
    """
    return _channels("dropout3d", input, p, training, (4, 5), "(N, C, D, H, W) or (C, D, H, W)")


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Each element a x + b, or with probability p, a alpha' + b: for networks of SELU.

    alpha' = -1.7581 is SELU far to the left. a = ((1 - p) (1 + p alpha'^2))^-1/2 and b = -a p
    alpha' keep mean 0 and variance 1 (Klambauer et al. 2017, "Self-Normalizing Neural Networks",
    section 3). p = 1 gives zeros. Otherwise as `dropout`.
    """
    p = _check("alpha_dropout", input, p)
    if not training or p == 0:
        return input
    y: Tensor = _dropout(input, rule=_alpha_rule(p), key=_key())
    return y


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    name = "feature_alpha_dropout"
    p = _check(name, input, p)
    if input.ndim < 2:
        raise ValueError(f"{name}: input: expected (N, C, ...), got shape {input.shape}")
    if not training or p == 0:
        return input
    y: Tensor = _feature_dropout(input, rule=_alpha_rule(p), key=_key())
    return y

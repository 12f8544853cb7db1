# SPDX-License-Identifier: Apache-2.0
"""Normalisation: over the batch, and over neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import Node
from striate.explain import explained
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "batch_norm",
    "local_response_norm",
]


@op("(N, C, ...), (C,)?, (C,)? -> (N, C, ...)", name="batch_norm")
def _batch_norm(
    ctx: Node,
    x: Array,
    *affine: Array,
    weighted: bool,
    biased: bool,
    running_mean: Array | None,
    running_var: Array | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Array:
    weight = affine[0] if weighted else None
    bias = affine[-1] if biased else None
    if training:
        y, mean, invstd = _C.batch_norm_train(
            x, weight, bias, running_mean, running_var, momentum, eps
        )
    else:
        assert running_mean is not None and running_var is not None
        mean = running_mean.copy()  # later batches write to the running ones
        invstd = 1 / np.sqrt(running_var + x.dtype.type(eps))
        y = _C.batch_norm_infer(x, mean, invstd, weight, bias)
    ctx.save(x, mean, invstd, weight, biased, "batch" if training else "given")
    return y


@_batch_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    x, mean, invstd, weight, biased, statistics = ctx.saved
    dx, dweight, dbias = _C.batch_norm_backward(grad, x, mean, invstd, weight, statistics)
    return (dx, *([dweight] if weight is not None else []), *([dbias] if biased else []))


def check_channels(name: str, argument: str, value: Any, x: Tensor) -> Array | None:
    """The array of a per-channel vector, checked."""
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {argument}: expected a tensor, got {type(value).__name__}")
    if value.shape != (x.shape[1],) or value.dtype != x.dtype:
        raise ValueError(
            f"{name}: {argument}: expected {x.dtype} of shape ({x.shape[1]},), one a channel of "
            f"input {x.shape}, got {value.dtype} of shape {value.shape}"
        )
    return value._array


def check_input(name: str, x: Tensor, ranks: Sequence[int], layout: str) -> None:
    """Raises unless x is a floating tensor of one of the ranks."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(x).__name__}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {x.dtype}")
    if x.ndim not in ranks:
        raise ValueError(f"{name}: input: expected {layout}, got shape {x.shape}")


def check_eps(name: str, eps: Any) -> float:
    """eps as a finite float of at least 0."""
    if isinstance(eps, bool) or not isinstance(eps, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: eps: expected a number, got {eps!r}")
    if not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"{name}: eps: expected a finite number of at least 0, got {eps}")
    return float(eps)


def check_momentum(name: str, momentum: Any) -> float:
    """momentum as a finite float."""
    if isinstance(momentum, bool) or not isinstance(
        momentum, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name}: momentum: expected a number, got {momentum!r}")
    if not math.isfinite(momentum):
        raise ValueError(f"{name}: momentum: expected a finite number, got {momentum}")
    return float(momentum)


def as_image(x: Tensor) -> Tensor:
    """x with at most two axes behind its channels, the last of x and all before it as one."""
    if x.ndim <= 4:
        return x
    n, c, *spatial, last = x.shape
    return x.reshape(n, c, math.prod(spatial), last)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel (Ioffe and Szegedy 2015).

    (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W) -> the same shape; the vectors are (C,). In
    training, mean and var are the batch's, var over its n values a channel, and the running ones
    (where given) become (1 - momentum) running + momentum batch, in place, with var over n - 1.
    Otherwise mean and var are the running ones. Raises ValueError for other shapes, for one value a
    channel in training, and where running statistics are needed and missing.
    """
    name = "batch_norm"
    check_input(name, input, (2, 3, 4, 5), "(N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W)")
    mean = check_channels(name, "running_mean", running_mean, input)
    var = check_channels(name, "running_var", running_var, input)
    if not training and (mean is None or var is None):
        raise ValueError(f"{name}: running_mean and running_var are needed unless training=True")
    affine = []
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            check_channels(name, argument, value, input)
            affine.append(value)
    y: Tensor = _batch_norm(
        as_image(input),
        *affine,
        weighted=weight is not None,
        biased=bias is not None,
        running_mean=mean,
        running_var=var,
        training=training,
        momentum=check_momentum(name, momentum),
        eps=check_eps(name, eps),
    )
    if training:
        for running in (running_mean, running_var):
            if running is not None:
                running._touch()
    return y.reshape(input.shape) if input.ndim > 4 else y


@op("(N, C, ...) -> (N, C, ...)", name="local_response_norm")
def _local_response_norm(
    ctx: Node, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    ctx.save(x, size, alpha, beta, k)
    return _C.local_response_norm(x, size, alpha, beta, k)


@_local_response_norm.backward
def _(ctx: Node, grad: Array) -> Any:
    return _C.local_response_norm_backward(grad, *ctx.saved)


@explained
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """y[c] = x[c] / (k + alpha / size * sum of x[j]^2)^beta, j the `size` channels around c.

    j runs from c - size // 2 to c + (size - 1) // 2, as far as there are channels (Krizhevsky et
    al. 2012, section 3.3, whose alpha is not divided by size; here it is, as in PyTorch). (N, C, L)
    or (N, C, H, W) -> the same shape. Raises ValueError for other shapes and for a size below 1.
    """
    name = "local_response_norm"
    check_input(name, input, (3, 4), "(N, C, L) or (N, C, H, W)")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size < 2**62:
        raise ValueError(f"{name}: size: expected an integer of 1 or more, got {size!r}")
    y: Tensor = _local_response_norm(
        input, size=size, alpha=float(alpha), beta=float(beta), k=float(k)
    )
    return y

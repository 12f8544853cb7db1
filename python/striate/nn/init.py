# SPDX-License-Identifier: Apache-2.0
"""Filling tensors in place before training.

All random numbers come from the stream that `striate.manual_seed` starts, drawn in logical order,
so that a tensor's memory order doesn't change them. No gradient is recorded.

The schemes keep the variance of activations (fan in) or of gradients (fan out) alike from layer to
layer. For a weight (out, in, *kernel), fan in = in * prod(kernel) and fan out = out * prod(kernel).
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from striate.explain import explained
from striate.nn.arguments import choice, number, refuse
from striate.random import generator
from striate.tensor import Tensor

T = TypeVar("T", bound=Tensor)

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


@explained
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which to scale weights ahead of an activation, as PyTorch's table has it.

    `param` is leaky_relu's negative slope (default 0.01): sqrt(2 / (1 + slope^2)), He et al. 2015,
    equation 15.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else number("calculate_gain", "param", param)
        return math.sqrt(2.0 / (1 + slope**2))
    choice("calculate_gain", "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    return _GAINS[nonlinearity]


def fans(tensor: Tensor, name: str = "fans") -> tuple[int, int]:
    """(fan in, fan out) of a weight of at least two axes."""
    if tensor.ndim < 2:
        refuse(name, "tensor", "at least two axes (out, in, ...)", f"shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _floating(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: tensor: expected a Tensor, got {type(tensor).__name__}")
    if tensor.dtype.kind != "f":
        raise TypeError(f"{name}: tensor: expected a floating-point dtype, got {tensor.dtype}")


def _fill(tensor: T, values: Any) -> T:
    tensor._array[...] = values
    tensor._touch()
    return tensor


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0) -> T:
    """Uniform numbers from a (included) to b."""
    _floating("uniform_", tensor)
    a, b = number("uniform_", "a", a), number("uniform_", "b", b)
    if a > b:
        refuse("uniform_", "b", f"at least a = {a:g}", b)
    dtype = tensor.dtype.type
    drawn = generator().random(tensor.shape, dtype=dtype)
    return _fill(tensor, drawn * dtype(b - a) + dtype(a))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0) -> T:
    """Normal numbers."""
    _floating("normal_", tensor)
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std, 0.0)
    dtype = tensor.dtype.type
    drawn = generator().standard_normal(tensor.shape, dtype=dtype)
    return _fill(tensor, drawn * dtype(std) + dtype(mean))


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> T:
    """Normal numbers drawn anew until they lie in [a, b]. a and b are values, not multiples of std.

    Raises ValueError where the interval lies more than four standard deviations off the mean: few
    draws would be kept.
    """
    _floating("trunc_normal_", tensor)
    mean, std = (
        number("trunc_normal_", "mean", mean),
        number("trunc_normal_", "std", std, 0.0, 1e30),
    )
    a, b = number("trunc_normal_", "a", a), number("trunc_normal_", "b", b)
    if a >= b:
        refuse("trunc_normal_", "b", f"more than a = {a:g}", b)
    if a > mean + 4 * std or b < mean - 4 * std or (b - a) < 0.01 * std:
        refuse("trunc_normal_", "a, b", f"an interval near {mean:g}, not narrow", f"[{a:g}, {b:g}]")
    values = generator().standard_normal(tensor.shape) * std + mean
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = generator().standard_normal(int(outside.sum())) * std + mean
        outside = (values < a) | (values > b)
    return _fill(tensor, np.clip(values.astype(tensor.dtype), a, b))


@explained
def constant_(tensor: T, val: float) -> T:
    """`val` everywhere."""
    return _fill(tensor, float(val))


@explained
def zeros_(tensor: T) -> T:
    """Zeros."""
    return _fill(tensor, 0)


@explained
def ones_(tensor: T) -> T:
    """Ones."""
    return _fill(tensor, 1)


@explained
def xavier_uniform_(tensor: T, gain: float = 1.0) -> T:
    """U(-a, a), a = gain sqrt(6 / (fan in + fan out)): Glorot and Bengio 2010, equation 16."""
    total = sum(fans(tensor, "xavier_uniform_"))
    bound = number("xavier_uniform_", "gain", gain, 0.0) * math.sqrt(6.0 / max(1, total))
    return uniform_(tensor, -bound, bound)


@explained
def xavier_normal_(tensor: T, gain: float = 1.0) -> T:
    """N(0, std^2), std = gain sqrt(2 / (fan in + fan out)): Glorot and Bengio 2010, equation 12."""
    total = sum(fans(tensor, "xavier_normal_"))
    std = number("xavier_normal_", "gain", gain, 0.0) * math.sqrt(2.0 / max(1, total))
    return normal_(tensor, 0.0, std)


def _he(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    choice(name, "mode", mode, ("fan_in", "fan_out"))
    fan = fans(tensor, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, number(name, "a", a)) / math.sqrt(max(1, fan))


@explained
def kaiming_uniform_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> T:
    """U(-b, b), b = gain sqrt(3 / fan): He et al. 2015. `a` is leaky_relu's slope."""
    bound = math.sqrt(3.0) * _he("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


@explained
def kaiming_normal_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> T:
    """N(0, std^2), std = gain / sqrt(fan): He et al. 2015, equations 10, 14 and 15."""
    return normal_(tensor, 0.0, _he("kaiming_normal_", tensor, a, mode, nonlinearity))


@explained
def lecun_uniform_(tensor: T) -> T:
    """U(-b, b), b = sqrt(3 / fan in), of variance 1 / fan in: LeCun et al. 1998, section 4.6."""
    bound = math.sqrt(3.0 / max(1, fans(tensor, "lecun_uniform_")[0]))
    return uniform_(tensor, -bound, bound)


@explained
def lecun_normal_(tensor: T) -> T:
    """N(0, 1 / fan in): LeCun et al. 1998, "Efficient BackProp", section 4.6, equation 16."""
    return normal_(tensor, 0.0, math.sqrt(1.0 / max(1, fans(tensor, "lecun_normal_")[0])))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for linear and convolution layers: U(-b, b), b = 1 / sqrt(fan in)."""
    kaiming_uniform_(weight, a=math.sqrt(5.0))
    if bias is not None:
        bound = 1 / math.sqrt(max(1, fans(weight)[0]))
        uniform_(bias, -bound, bound)

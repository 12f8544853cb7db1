# SPDX-License-Identifier: Apache-2.0
"""Linear layers, and layers that compute nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import ops
from striate.dtypes import as_dtype, get_default_dtype
from striate.nn import init
from striate.nn.arguments import flag, integer, refuse
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.activation import Numbers
from striate.tensor import Array, Tensor

__all__ = [
    "Flatten",
    "Identity",
    "Linear",
]


def floating(dtype: Any) -> np.dtype[Any]:
    """The dtype of a layer's parameters: floating, the default one for None."""
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(f"dtype: expected float32 or float64, got {wanted}")
    return wanted


def uninitialised(layer: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array for a parameter; from three axes on channels-last, as the kernels read it."""
    if math.prod(shape) * dtype.itemsize >= 2**63:
        refuse(layer, "weight", "a size that the address space holds", f"shape {shape}")
    if len(shape) < 3:
        return np.empty(shape, dtype)
    return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)


class Linear(Module):
    """y = x W^T + b: x (..., in_features) -> (..., out_features).

    `weight` is (out_features, in_features), `bias` (out_features,), both drawn from
    U(-b, b), b = 1 / sqrt(in_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        wanted = floating(dtype)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(uninitialised("Linear", shape, wanted))
        if flag("Linear", "bias", bias):
            self.bias = Parameter(np.empty(self.out_features, wanted))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        init.default_(self.weight, self.bias)

    def forward(
        self,
        input: Tensor,
        activation: str | None = None,
        activation_parameter: Numbers | None = None,
    ) -> Tensor:
        return ops.linear(input, self.weight, self.bias, activation, activation_parameter)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x, whatever the arguments of the constructor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Axes start_dim to end_dim, both included, as one: (N, C, H, W) -> (N, C H W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = integer("Flatten", "start_dim", start_dim, least=-64)
        self.end_dim = integer("Flatten", "end_dim", end_dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

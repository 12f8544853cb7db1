# SPDX-License-Identifier: Apache-2.0
"""Layers that normalise each sample by itself: over its last axes, or by groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from striate import ops
from striate.nn.arguments import flag, integer, number, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.norm import reset
from striate.nn.parameter import Parameter
from striate.ops.layer_norm import shape_of
from striate.tensor import Tensor

__all__ = [
    "GroupNorm",
    "LayerNorm",
    "RMSNorm",
]


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over (N, C, ...) (Wu and He 2018).

    mean and var are those of one sample's num_channels / num_groups neighbouring channels (var over
    n). weight and bias are (num_channels,), there with `affine` (the bias with `bias` too).
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = "GroupNorm"
        self.num_groups = integer(name, "num_groups", num_groups)
        self.num_channels = integer(name, "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            refuse(name, "num_groups", f"a divisor of {num_channels} channels", num_groups)
        self.eps = number(name, "eps", eps, 0.0)
        self.affine = flag(name, "affine", affine)
        wanted = floating(dtype)
        for part, there in (("weight", affine), ("bias", affine and flag(name, "bias", bias))):
            array = uninitialised(name, (self.num_channels,), wanted)
            self.register_parameter(part, Parameter(array) if there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes (Ba et al. 2016).

    (..., *normalized_shape) -> the same. weight and bias are of normalized_shape, there with
    `elementwise_affine` (the bias with `bias` too).
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = "LayerNorm"
        self.normalized_shape = shape_of(name, normalized_shape)
        self.eps = number(name, "eps", eps, 0.0)
        self.elementwise_affine = flag(name, "elementwise_affine", elementwise_affine)
        wanted = floating(dtype)
        both = self.elementwise_affine and flag(name, "bias", bias)
        for part, there in (("weight", self.elementwise_affine), ("bias", both)):
            array = uninitialised(name, self.normalized_shape, wanted)
            self.register_parameter(part, Parameter(array) if there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / sqrt(mean of x^2 + eps) * weight over the last axes (Zhang and Sennrich 2019).

    (..., *normalized_shape) -> the same. weight is of normalized_shape, there with
    `elementwise_affine`. eps=None is the input dtype's machine epsilon.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = "RMSNorm"
        self.normalized_shape = shape_of(name, normalized_shape)
        self.eps = None if eps is None else number(name, "eps", eps, 0.0)
        self.elementwise_affine = flag(name, "elementwise_affine", elementwise_affine)
        array = uninitialised(name, self.normalized_shape, floating(dtype))
        self.register_parameter("weight", Parameter(array) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        reset(self.weight, None)

    def forward(self, input: Tensor) -> Tensor:
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )

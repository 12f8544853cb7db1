# SPDX-License-Identifier: Apache-2.0
"""Convolution layers. Weights are (K, C/groups, R, S) over KRSC memory, which the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import ops
from striate.nn import init
from striate.nn.arguments import flag, integer, pair, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.activation import Numbers
from striate.tensor import Tensor

__all__ = [
    "Conv2d",
    "ConvTranspose2d",
]

Padding = int | str | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]


class _Conv(Module):
    """What Conv2d and ConvTranspose2d share."""

    weight: Parameter
    bias: Parameter | None
    padding: Padding
    output_padding: tuple[int, int] = (0, 0)

    def _common(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any
    ) -> None:
        name = type(self).__name__
        self.in_channels = integer(name, "in_channels", in_channels)
        self.out_channels = integer(name, "out_channels", out_channels)
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = pair(name, "stride", stride)
        self.dilation = pair(name, "dilation", dilation)

    def _grouped(self, groups: int, padding_mode: str) -> None:
        name = type(self).__name__
        self.groups = integer(name, "groups", groups)
        for argument in ("in_channels", "out_channels"):
            if getattr(self, argument) % self.groups:
                refuse(
                    name, argument, f"a multiple of groups={self.groups}", getattr(self, argument)
                )
        if padding_mode != "zeros":
            refuse(name, "padding_mode", "'zeros', the only one there is", repr(padding_mode))
        self.padding_mode = padding_mode

    def _weights(self, first: int, second: int, bias: bool, dtype: Any) -> None:
        wanted = floating(dtype)
        shape = (first, second, *self.kernel_size)
        self.weight = Parameter(uninitialised(type(self).__name__, shape, wanted))
        if flag(type(self).__name__, "bias", bias):
            self.bias = Parameter(np.empty(self.out_channels, wanted))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        if self.padding != (0, 0):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1, 1):
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0, 0):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


def _padding(name: str, value: Any) -> Padding:
    """One number, (height, width), ((top, bottom), (left, right)), "same" or "valid"."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            refuse(name, "padding", "a number, a pair, 'same' or 'valid'", repr(value))
        return value
    if isinstance(value, (tuple, list)) and any(isinstance(v, (tuple, list)) for v in value):
        if len(value) != 2 or not all(isinstance(v, (tuple, list)) for v in value):
            refuse(name, "padding", "((top, bottom), (left, right))", value)
        return pair(name, "padding", value[0], 0), pair(name, "padding", value[1], 0)
    return pair(name, "padding", value, 0)


class Conv2d(_Conv):
    """Cross-correlation of (N, C, H, W) images with K filters of R x S.

        y[n, k, p, q] = bias[k] + sum_{c, r, s} weight[k, c, r, s]
                        x[n, c, p stride + r dilation - padding, q stride + s dilation - padding]

    P = (H + padding above and below - dilation (R - 1) - 1) // stride + 1, Q likewise. `padding`:
    one number, (height, width), ((top, bottom), (left, right)), "valid" (none) or "same" (P = H,
    Q = W; stride 1 only). `groups` splits channels and filters into parts that don't mix. Weight
    (K, C / groups, R, S) and bias (K,) are drawn from U(-b, b), b = 1 / sqrt(C / groups R S).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Padding = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._common(in_channels, out_channels, kernel_size, stride, dilation)
        self.padding = _padding("Conv2d", padding)
        if self.padding == "same" and self.stride != (1, 1):
            refuse("Conv2d", "stride", "1 with padding='same'", self.stride)
        self._grouped(groups, padding_mode)
        self._weights(self.out_channels, self.in_channels // self.groups, bias, dtype)

    def forward(
        self,
        input: Tensor,
        activation: str | None = None,
        activation_parameter: Numbers | None = None,
    ) -> Tensor:
        return ops.conv2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            activation,
            activation_parameter,
        )


class ConvTranspose2d(_Conv):
    """Transposed convolution: the gradient of Conv2d with respect to its input, as a layer.

    P = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1, Q likewise. Weight is
    (C, K / groups, R, S), bias (K,).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = "ConvTranspose2d"
        self._common(in_channels, out_channels, kernel_size, stride, dilation)
        self.padding = pair(name, "padding", padding, 0)
        self.output_padding = pair(name, "output_padding", output_padding, 0)
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                refuse(name, "output_padding", "less than stride or dilation", self.output_padding)
        self._grouped(groups, padding_mode)
        self._weights(self.in_channels, self.out_channels // self.groups, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

# SPDX-License-Identifier: Apache-2.0
"""Convolution layers of sequences, images and volumes.

Weights are (K, C/groups, R, S), or with one axis less or more, over memory in which the channels
are innermost, as the kernels read it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from striate import ops
from striate.nn import init
from striate.nn.arguments import choice, flag, integer, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.activation import Numbers
from striate.tensor import Tensor

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

Padding = Any  # a number, one an axis, a pair an axis, "same" or "valid"
_MODES = ("zeros", "reflect", "replicate", "circular")
_CONVOLUTIONS = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
_TRANSPOSED = {1: ops.conv_transpose1d, 2: ops.conv_transpose2d, 3: ops.conv_transpose3d}


def _numbers(name: str, argument: str, value: Any, dims: int, least: int = 1) -> tuple[int, ...]:
    """An integer for all axes, or one for each."""
    values = value if isinstance(value, (tuple, list)) else (value,) * dims
    if len(values) != dims:
        axes = {1: "(length,)", 2: "a pair (height, width)", 3: "three (depth, height, width)"}
        refuse(name, argument, f"an integer or {axes[dims]}", value)
    return tuple(integer(name, argument, v, least) for v in values)


def _padding(name: str, value: Any, dims: int) -> Padding:
    """One number, one an axis, a pair (before, after) an axis, "same" or "valid"."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            refuse(name, "padding", "a number, one an axis, 'same' or 'valid'", repr(value))
        return value
    if isinstance(value, (tuple, list)) and any(isinstance(v, (tuple, list)) for v in value):
        if len(value) != dims or not all(isinstance(v, (tuple, list)) for v in value):
            refuse(name, "padding", f"{dims} pairs such as (left, right)", value)
        return tuple(_numbers(name, "padding", pair, 2, 0) for pair in value)
    return _numbers(name, "padding", value, dims, 0)


class _Conv(Module):
    """What all of them share."""

    dims: ClassVar[int]
    weight: Parameter
    bias: Parameter | None
    padding: Padding
    output_padding: tuple[int, ...] = ()

    def _common(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any
    ) -> None:
        name = type(self).__name__
        self.in_channels = integer(name, "in_channels", in_channels)
        self.out_channels = integer(name, "out_channels", out_channels)
        self.kernel_size = _numbers(name, "kernel_size", kernel_size, self.dims)
        self.stride = _numbers(name, "stride", stride, self.dims)
        self.dilation = _numbers(name, "dilation", dilation, self.dims)

    def _grouped(self, groups: int, padding_mode: str, modes: tuple[str, ...]) -> None:
        name = type(self).__name__
        self.groups = integer(name, "groups", groups)
        for argument in ("in_channels", "out_channels"):
            if getattr(self, argument) % self.groups:
                refuse(
                    name, argument, f"a multiple of groups={self.groups}", getattr(self, argument)
                )
        self.padding_mode = choice(name, "padding_mode", padding_mode, modes)

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
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            parts.append(f"dilation={self.dilation}")
        if any(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Convolution(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: Padding = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self._common(in_channels, out_channels, kernel_size, stride, dilation)
        self.padding = _padding(name, padding, self.dims)
        if self.padding == "same" and any(s != 1 for s in self.stride):
            refuse(name, "stride", "1 with padding='same'", self.stride)
        self._grouped(groups, padding_mode, _MODES)
        self._weights(self.out_channels, self.in_channels // self.groups, bias, dtype)

    def _widths(self) -> tuple[int, ...]:
        """The padding as ops.pad takes it: (before, after) of the last axis first."""
        if self.padding == "valid":
            pairs = [(0, 0)] * self.dims
        elif self.padding == "same":
            spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(span // 2, span - span // 2) for span in spans]
        else:
            pairs = [p if isinstance(p, tuple) else (p, p) for p in self.padding]
        return tuple(width for pair in reversed(pairs) for width in pair)

    def forward(
        self,
        input: Tensor,
        activation: str | None = None,
        activation_parameter: Numbers | None = None,
    ) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = ops.pad(input, self._widths(), self.padding_mode), 0
        return _CONVOLUTIONS[self.dims](
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            activation,
            activation_parameter,
        )


_OPTIONS = """`padding` is one number, one an axis, a pair (before, after) an axis, "valid" (none)
    or "same" (as many outputs as inputs; stride 1 only). `padding_mode` is what lies there:
    "zeros", "reflect", "replicate" or "circular" (see ops.pad). `groups` splits channels and
    filters into parts that don't mix."""


class Conv1d(_Convolution):
    __doc__ = f"""Cross-correlation of (N, C, L) or (C, L) sequences with K filters of S taps.

        y[n, k, q] = bias[k] + sum_{{c, s}} weight[k, c, s] x[n, c, q stride + s dilation - padding]

    Q = (L + padding on both sides - dilation (S - 1) - 1) // stride + 1. {_OPTIONS} Weight
    (K, C / groups, S) and bias (K,) are drawn from U(-b, b), b = 1 / sqrt(C / groups S).
    """

    dims = 1


class Conv2d(_Convolution):
    __doc__ = f"""Cross-correlation of (N, C, H, W) or (C, H, W) images with K filters of R x S.

        y[n, k, p, q] = bias[k] + sum_{{c, r, s}} weight[k, c, r, s]
                        x[n, c, p stride + r dilation - padding, q stride + s dilation - padding]

    P = (H + padding above and below - dilation (R - 1) - 1) // stride + 1, Q likewise. {_OPTIONS}
    Weight (K, C / groups, R, S) and bias (K,) are drawn from U(-b, b), b = 1 / sqrt(C / groups R
    S).
    """

    dims = 2


class Conv3d(_Convolution):
    __doc__ = f"""Cross-correlation of (N, C, D, H, W) or (C, D, H, W) volumes with K filters of
    T x R x S.

    As Conv2d with one more axis. {_OPTIONS} Weight (K, C / groups, T, R, S) and bias (K,) are drawn
    from U(-b, b), b = 1 / sqrt(C / groups T R S).
    """

    dims = 3


class _ConvTranspose(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self._common(in_channels, out_channels, kernel_size, stride, dilation)
        self.padding = _numbers(name, "padding", padding, self.dims, 0)
        self.output_padding = _numbers(name, "output_padding", output_padding, self.dims, 0)
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                refuse(name, "output_padding", "less than stride or dilation", self.output_padding)
        self._grouped(groups, padding_mode, ("zeros",))
        self._weights(self.in_channels, self.out_channels // self.groups, bias, dtype)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return _TRANSPOSED[self.dims](
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._extra(input, output_size),
            self.groups,
            self.dilation,
        )

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that makes the result `output_size`."""
        if output_size is None:
            return self.output_padding
        name, wanted = type(self).__name__, tuple(output_size)[-self.dims :]
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-self.dims :], self.stride, self.padding, self.dilation,
                self.kernel_size, strict=True,
            )
        ]  # fmt: skip
        if len(wanted) != self.dims or any(
            not low <= n < low + s for n, low, s in zip(wanted, least, self.stride, strict=True)
        ):
            most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            refuse(name, "output_size", f"from {least} to {most}", tuple(output_size))
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


_GRADIENT = """The gradient of a convolution with respect to its input, as a layer.

    P = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1 along each axis; calling
    it with output_size= chooses output_padding."""


class ConvTranspose1d(_ConvTranspose):
    __doc__ = f"""{_GRADIENT} (N, C, L) or (C, L); weight (C, K / groups, S), bias (K,).
    """

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    __doc__ = f"""{_GRADIENT} (N, C, H, W) or (C, H, W); weight (C, K / groups, R, S), bias (K,).
    """

    dims = 2


class ConvTranspose3d(_ConvTranspose):
    __doc__ = f"""{_GRADIENT} (N, C, D, H, W) or (C, D, H, W); weight (C, K / groups, T, R, S), bias
    (K,).
    """

    dims = 3

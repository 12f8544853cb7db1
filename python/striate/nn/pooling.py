# SPDX-License-Identifier: Apache-2.0
"""Pooling layers: (N, C, H, W) -> (N, C, P, Q)."""

from __future__ import annotations

from typing import Any

from striate import ops
from striate.nn.arguments import flag, integer, number, pair, refuse
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "LPPool2d",
    "MaxPool2d",
    "MaxUnpool2d",
    "SumPool2d",
]

Size = int | tuple[int, int]


def _as_given(layer: str, argument: str, value: Any, least: int = 1) -> int | tuple[int, int]:
    """A size for both axes, or one for each, as the user wrote it."""
    checked = pair(layer, argument, value, least)
    return checked if isinstance(value, (tuple, list)) else checked[0]


class _Window(Module):
    """What the pools over windows share: kernel_size, and stride, which defaults to it."""

    def _window(self, kernel_size: Any, stride: Any, padding: Any = 0) -> None:
        name = type(self).__name__
        self.kernel_size = _as_given(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else _as_given(name, "stride", stride)
        self.padding = _as_given(name, "padding", padding, 0)
        kernels, paddings = (pair(name, "", v, 0) for v in (self.kernel_size, self.padding))
        if any(2 * p > k for p, k in zip(paddings, kernels, strict=True)):
            refuse(name, "padding", f"at most half of kernel_size={self.kernel_size}", self.padding)


class MaxPool2d(_Window):
    """The largest of each window; with `return_indices` also where in H W it lay.

    P = (H + 2 padding - dilation (R - 1) - 1) // stride + 1, rounded up with `ceil_mode`.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.dilation = _as_given("MaxPool2d", "dilation", dilation)
        self.return_indices = flag("MaxPool2d", "return_indices", return_indices)
        self.ceil_mode = flag("MaxPool2d", "ceil_mode", ceil_mode)

    def forward(self, input: Tensor) -> Any:
        return ops.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(_Window):
    """The mean of each window. `count_include_pad` counts padded zeros as elements of it, and
    `divisor_override` replaces their number.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.ceil_mode = flag("AvgPool2d", "ceil_mode", ceil_mode)
        self.count_include_pad = flag("AvgPool2d", "count_include_pad", count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = integer("AvgPool2d", "divisor_override", divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        return ops.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class SumPool2d(_Window):
    """The sum of each window."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.ceil_mode = flag("SumPool2d", "ceil_mode", ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        return ops.sum_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class LPPool2d(_Window):
    """(sum |x|^p)^(1/p) over each window, p = norm_type (2: the L2 pooling of LeCun's networks)."""

    def __init__(
        self,
        norm_type: float,
        kernel_size: Size,
        stride: Size | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = number("LPPool2d", "norm_type", norm_type, 0.0, open_low=True)
        self._window(kernel_size, stride)
        self.ceil_mode = flag("LPPool2d", "ceil_mode", ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        return ops.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


def _output_size(name: str, value: Any) -> Any:
    """An integer or a pair; None keeps the input's size."""
    if value is None:
        return None, None
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            refuse(name, "output_size", "an integer or a pair (height, width)", value)
        return tuple(None if n is None else integer(name, "output_size", n) for n in value)
    return pair(name, "output_size", value)


class AdaptiveAvgPool2d(Module):
    """The mean of windows cut so that the result is output_size: (P, Q), or P for both.

    Window p covers rows floor(p H / P) to ceil((p + 1) H / P); None keeps an axis.
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = _output_size("AdaptiveAvgPool2d", output_size)

    def forward(self, input: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The largest of windows cut as AdaptiveAvgPool2d cuts them; with `return_indices` also where
    in H W it lay.
    """

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = _output_size("AdaptiveMaxPool2d", output_size)
        self.return_indices = flag("AdaptiveMaxPool2d", "return_indices", return_indices)

    def forward(self, input: Tensor) -> Any:
        return ops.adaptive_max_pool2d(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class MaxUnpool2d(_Window):
    """Puts each element where MaxPool2d(return_indices=True) found it, zeros elsewhere."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        for part in ("kernel_size", "stride", "padding"):  # pairs, as in PyTorch
            setattr(self, part, pair("MaxUnpool2d", part, getattr(self, part), 0))

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return ops.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

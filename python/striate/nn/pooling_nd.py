# SPDX-License-Identifier: Apache-2.0
"""Pooling layers of sequences (N, C, L) and volumes (N, C, D, H, W), with or without N."""

from __future__ import annotations

from typing import Any, ClassVar

from striate import ops
from striate.nn.arguments import flag, integer, number, refuse
from striate.nn.module import Module
from striate.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool3d",
]


def _numbers(layer: str, argument: str, value: Any, count: int, least: int) -> Any:
    """An integer, or `count` of them, as it was given."""
    if not isinstance(value, (tuple, list)):
        return integer(layer, argument, value, least)
    if len(value) != count:
        refuse(layer, argument, f"an integer or {count}", value)
    return tuple(integer(layer, argument, v, least) for v in value)


class _Window(Module):
    """What the pools over windows share: kernel_size, and stride, which defaults to it."""

    dims: ClassVar[int]

    def _window(self, kernel_size: Any, stride: Any, padding: Any = 0) -> None:
        name = type(self).__name__
        self.kernel_size = _numbers(name, "kernel_size", kernel_size, self.dims, 1)
        given = kernel_size if stride is None else stride
        self.stride = _numbers(name, "stride", given, self.dims, 1)
        self.padding = _numbers(name, "padding", padding, self.dims, 0)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Window):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self._window(kernel_size, stride, padding)
        self.dilation = _numbers(name, "dilation", dilation, self.dims, 1)
        self.return_indices = flag(name, "return_indices", return_indices)
        self.ceil_mode = flag(name, "ceil_mode", ceil_mode)

    def forward(self, input: Tensor) -> Any:
        pool = ops.max_pool1d if self.dims == 1 else ops.max_pool3d
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        more = f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        return f"{super().extra_repr()}, {more}"


class MaxPool1d(_MaxPool):
    """The largest of each window; with `return_indices` also where in L it lay."""

    dims = 1


class MaxPool3d(_MaxPool):
    """The largest of each box; with `return_indices` also where in D H W it lay."""

    dims = 3


class AvgPool1d(_Window):
    """The mean of each window; `count_include_pad` counts padded zeros as elements of it."""

    dims = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        # As PyTorch, this one layer shows numbers as tuples.
        for name in ("kernel_size", "stride", "padding"):
            value = getattr(self, name)
            setattr(self, name, value if isinstance(value, tuple) else (value,))
        self.ceil_mode = flag("AvgPool1d", "ceil_mode", ceil_mode)
        self.count_include_pad = flag("AvgPool1d", "count_include_pad", count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return ops.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool3d(_Window):
    """The mean of each box. `count_include_pad` counts padded zeros as elements of it, and
    `divisor_override` replaces their number.
    """

    dims = 3

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.ceil_mode = flag("AvgPool3d", "ceil_mode", ceil_mode)
        self.count_include_pad = flag("AvgPool3d", "count_include_pad", count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = integer("AvgPool3d", "divisor_override", divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        return ops.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPool(_Window):
    def __init__(
        self,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.norm_type = number(name, "norm_type", norm_type, 0.0, open_low=True)
        self._window(kernel_size, stride)
        self.ceil_mode = flag(name, "ceil_mode", ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        pool = ops.lp_pool1d if self.dims == 1 else ops.lp_pool3d
        return pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(sum x^p)^(1/p) over each window, p = norm_type."""

    dims = 1


class LPPool3d(_LPPool):
    """(sum x^p)^(1/p) over each box, p = norm_type."""

    dims = 3


class _Adaptive(Module):
    dims: ClassVar[int]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(output_size, (tuple, list)) and len(output_size) != self.dims:
            refuse(name, "output_size", f"an integer or {self.dims}", output_size)
        values = output_size if isinstance(output_size, (tuple, list)) else [output_size]
        for value in values:
            if value is not None:
                integer(name, "output_size", value, 0)
        self.output_size = output_size
        self.return_indices = flag(name, "return_indices", return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvg(_Adaptive):
    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size)

    def forward(self, input: Tensor) -> Tensor:
        pool = ops.adaptive_avg_pool1d if self.dims == 1 else ops.adaptive_avg_pool3d
        return pool(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def forward(self, input: Tensor) -> Any:
        pool = ops.adaptive_max_pool1d if self.dims == 1 else ops.adaptive_max_pool3d
        return pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvg):
    """The mean of windows cut so that the result is output_size long."""

    dims = 1


class AdaptiveAvgPool3d(_AdaptiveAvg):
    """The mean of boxes cut so that the result is output_size: (O, P, Q), or one for all; None
    keeps an axis."""

    dims = 3


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest of windows cut so that the result is output_size long."""

    dims = 1


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The largest of boxes cut as AdaptiveAvgPool3d cuts them."""

    dims = 3


class _MaxUnpool(_Window):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self._window(kernel_size, stride, padding)
        for name in ("kernel_size", "stride", "padding"):
            value = getattr(self, name)
            setattr(self, name, value if isinstance(value, tuple) else (value,) * self.dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = ops.max_unpool1d if self.dims == 1 else ops.max_unpool3d
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """Puts each element where MaxPool1d(return_indices=True) found it, zeros elsewhere."""

    dims = 1


class MaxUnpool3d(_MaxUnpool):
    """Puts each element where MaxPool3d(return_indices=True) found it, zeros elsewhere."""

    dims = 3

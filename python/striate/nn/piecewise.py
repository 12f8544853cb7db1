# SPDX-License-Identifier: Apache-2.0
"""Activations made of pieces of straight lines, as layers; and those with slopes of their own."""

from __future__ import annotations

from typing import Any

from striate import ops
from striate.nn.activation import Activation
from striate.nn.arguments import flag, integer, number, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.activation import Numbers
from striate.tensor import Tensor

__all__ = [
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Maxout",
    "PReLU",
    "RReLU",
    "ReLU6",
    "Softshrink",
    "Step",
    "Threshold",
]


class Hardtanh(Activation):
    """min(max(x, min_val), max_val). `inplace` is accepted, and changes nothing."""

    fuses = "hardtanh"

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = number("Hardtanh", "min_val", min_val)
        self.max_val = number("Hardtanh", "max_val", max_val)
        if self.min_val >= self.max_val:
            refuse("Hardtanh", "min_val", f"less than max_val={self.max_val}", min_val)
        self.inplace = flag("Hardtanh", "inplace", inplace)

    @property
    def fused_parameter(self) -> Numbers:
        return self.min_val, self.max_val

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        limits = f"min_val={self.min_val}, max_val={self.max_val}"
        return limits + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """min(max(x, 0), 6)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(Activation):
    """min(max(x + 3, 0), 6) / 6."""

    fuses = "hardsigmoid"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("Hardsigmoid", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardsigmoid(input)


class Hardswish(Activation):
    """x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""

    fuses = "hardswish"
    needs_input = True

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("Hardswish", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardswish(input)


class Hardshrink(Activation):
    """x where |x| > lambd, 0 elsewhere."""

    fuses = "hardshrink"
    needs_input = True

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = number("Hardshrink", "lambd", lambd)

    @property
    def fused_parameter(self) -> Numbers:
        return self.lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Activation):
    """x moved towards 0 by lambd, and 0 where |x| <= lambd."""

    fuses = "softshrink"
    needs_input = True

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = number("Softshrink", "lambd", lambd, 0.0)

    @property
    def fused_parameter(self) -> Numbers:
        return self.lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Threshold(Activation):
    """x where x > threshold, value elsewhere."""

    fuses = "threshold"
    needs_input = True

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = number("Threshold", "threshold", threshold)
        self.value = number("Threshold", "value", value)
        self.inplace = flag("Threshold", "inplace", inplace)

    @property
    def fused_parameter(self) -> Numbers:
        return self.threshold, self.value

    def forward(self, input: Tensor) -> Tensor:
        return ops.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        limits = f"threshold={self.threshold}, value={self.value}"
        return limits + (", inplace=True" if self.inplace else "")


class Step(Activation):
    """1 where x > 0, else 0, with the straight-through gradient: dy where |x| <= window."""

    fuses = "step"
    needs_input = True

    def __init__(self, window: float = 1.0) -> None:
        super().__init__()
        self.window = number("Step", "window", window, 0.0)

    @property
    def fused_parameter(self) -> Numbers:
        return self.window

    def forward(self, input: Tensor) -> Tensor:
        return ops.step(input, self.window)

    def extra_repr(self) -> str:
        return f"window={self.window}"


class PReLU(Module):
    """x where x > 0, weight x elsewhere, the weight learned (He et al. 2015).

    `num_parameters` is 1, one slope in all, or the number of channels. They begin as `init`.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = integer("PReLU", "num_parameters", num_parameters)
        self.init = number("PReLU", "init", init)
        self.weight = Parameter(uninitialised("PReLU", (self.num_parameters,), floating(dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every slope `init`."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """x where x > 0, a x elsewhere: a from U(lower, upper) in training, else their mean."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper = number("RReLU", "lower", lower), number("RReLU", "upper", upper)
        if self.lower > self.upper:
            refuse("RReLU", "lower", f"at most upper={self.upper}", lower)
        self.inplace = flag("RReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        limits = f"lower={self.lower}, upper={self.upper}"
        return limits + (", inplace=True" if self.inplace else "")


class Maxout(Module):
    """y[c] = max over i < pieces of x[c + i C] along `dim` (Goodfellow et al. 2013).

    A linear or convolution layer of pieces C outputs before it makes the whole maxout layer.
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__()
        self.pieces = integer("Maxout", "pieces", pieces)
        self.dim = integer("Maxout", "dim", dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}, dim={self.dim}"


class GLU(Module):
    """a sigmoid(b), a and b the halves of x along `dim` (Dauphin et al. 2017)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = integer("GLU", "dim", dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

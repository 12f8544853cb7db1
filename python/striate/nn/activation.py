# SPDX-License-Identifier: Apache-2.0
"""Activation functions as layers.

`fuses` names the activation to the epilogue of a linear or convolution layer; `Sequential` uses it.
Where `needs_input` is set, the gradient can't be had from the output alone.
"""

from __future__ import annotations

from typing import ClassVar

from striate import ops
from striate.nn.arguments import choice, flag, integer, number, refuse
from striate.nn.module import Module
from striate.ops.activation import Numbers
from striate.tensor import Tensor

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Activation(Module):
    """Base class of the elementwise activations."""

    fuses: ClassVar[str | None] = None
    needs_input: ClassVar[bool] = False

    @property
    def fused_name(self) -> str | None:
        """What an epilogue calls this activation; None where it has none for these parameters."""
        return self.fuses

    @property
    def fused_parameter(self) -> Numbers:
        """The number, or the pair of them, that goes with it."""
        return 0.0


class ReLU(Activation):
    """max(x, 0). `inplace` is accepted, and changes nothing."""

    fuses = "relu"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("ReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Activation):
    """x where x > 0, negative_slope * x elsewhere (Maas et al. 2013)."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)
        self.inplace = flag("LeakyReLU", "inplace", inplace)

    @property
    def fused_name(self) -> str | None:
        return "leaky_relu" if self.negative_slope >= 0 else None

    @property
    def fused_parameter(self) -> Numbers:
        return self.negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Activation):
    """x where x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = number("ELU", "alpha", alpha)
        self.inplace = flag("ELU", "inplace", inplace)

    @property
    def fused_name(self) -> str | None:
        return "elu" if self.alpha >= 0 else None

    @property
    def fused_parameter(self) -> Numbers:
        return self.alpha

    def forward(self, input: Tensor) -> Tensor:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Sigmoid(Activation):
    """1 / (1 + e^-x)."""

    fuses = "sigmoid"

    def forward(self, input: Tensor) -> Tensor:
        return ops.sigmoid(input)


class Tanh(Activation):
    """The hyperbolic tangent."""

    fuses = "tanh"

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanh(input)


class Softplus(Activation):
    """log(1 + e^(beta x)) / beta; x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = number("Softplus", "beta", beta)
        if self.beta == 0:
            refuse("Softplus", "beta", "a number other than 0", beta)
        self.threshold = number("Softplus", "threshold", threshold)

    @property
    def fused_name(self) -> str | None:
        return "softplus" if self.threshold >= 20 else None

    @property
    def fused_parameter(self) -> Numbers:
        return self.beta

    def forward(self, input: Tensor) -> Tensor:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class GELU(Activation):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016).

    approximate="tanh": x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    """

    needs_input = True

    @property
    def fused_name(self) -> str | None:
        return "gelu" if self.approximate == "none" else None

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Activation):
    """x / (1 + e^-x), also called swish (Elfwing et al. 2017; Ramachandran et al. 2017)."""

    fuses = "silu"
    needs_input = True

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("SiLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.silu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class SELU(Activation):
    """ELU scaled so that mean 0 and variance 1 stay as they are (Klambauer et al. 2017)."""

    fuses = "selu"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("SELU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.selu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class CELU(Activation):
    """x where x > 0, alpha (e^(x / alpha) - 1) elsewhere (Barron 2017)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = number("CELU", "alpha", alpha)
        if self.alpha == 0:
            refuse("CELU", "alpha", "a number other than 0", alpha)
        self.inplace = flag("CELU", "inplace", inplace)

    @property
    def fused_name(self) -> str | None:
        return "celu" if self.alpha > 0 else None

    @property
    def fused_parameter(self) -> Numbers:
        return self.alpha

    def forward(self, input: Tensor) -> Tensor:
        return ops.celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Mish(Activation):
    """x tanh(log(1 + e^x)) (Misra 2019)."""

    fuses = "mish"
    needs_input = True

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag("Mish", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return ops.mish(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Activation):
    """log(1 / (1 + e^-x))."""

    fuses = "logsigmoid"

    def forward(self, input: Tensor) -> Tensor:
        return ops.logsigmoid(input)


class Softsign(Activation):
    """x / (1 + |x|)."""

    fuses = "softsign"
    needs_input = True

    def forward(self, input: Tensor) -> Tensor:
        return ops.softsign(input)


class Tanhshrink(Activation):
    """x - tanh(x)."""

    fuses = "tanhshrink"
    needs_input = True

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanhshrink(input)


class Softmax(Module):
    """e^x / sum e^x along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = integer("Softmax", "dim", dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - log sum e^x along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = integer("LogSoftmax", "dim", dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """softmax(-x) along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = integer("Softmin", "dim", dim, least=-64)

    def forward(self, input: Tensor) -> Tensor:
        return ops.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of each pixel: (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            refuse("softmax", "input", "(N, C, H, W) or (C, H, W)", f"shape {input.shape}")
        return ops.softmax(input, -3)

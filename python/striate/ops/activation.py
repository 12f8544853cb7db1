# SPDX-License-Identifier: Apache-2.0
"""Activation functions, element by element. Integers become the default float dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import as_result
from striate.autograd import Node, is_grad_enabled
from striate.dtypes import get_default_dtype
from striate.explain import explained
from striate.ops.arithmetic import cast
from striate.ops.record import Op, op
from striate.ops.shape import where
from striate.tensor import Array, Tensor

METHODS = [
    "exp",
    "relu",
    "sigmoid",
    "tanh",
]

__all__ = [
    "celu",
    "elu",
    "exp",
    "gelu",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]

Numbers = float | tuple[float, float]

RECORDS: dict[str, Op] = {}  # every activation by its kernel's name
_DEFAULTS: dict[str, Numbers] = {  # parameters
    "leaky_relu": 0.01, "elu": 1.0, "softplus": 1.0, "celu": 1.0, "hardtanh": (-1.0, 1.0),
    "hardshrink": 0.5, "softshrink": 0.5, "threshold": (0.0, 0.0), "step": 1.0,
}  # fmt: skip
_FROM_RESULT: set[str] = set()  # those whose gradient needs only the result


def record_of(name: str, saves: str) -> Op:
    """The record of an activation whose gradient needs its result "y" or its operand "x"."""
    forward, backward = getattr(_C, name), getattr(_C, f"{name}_backward")

    @op("(...) -> (...)", name=name)
    def record(ctx: Node, x: Array, parameter: Numbers = 0.0) -> Array:
        y = forward(x, parameter)
        ctx.save(y if saves == "y" else x, parameter)
        return y

    @record.backward
    def _(ctx: Node, grad: Array) -> Any:
        saved, parameter = ctx.saved
        return backward(saved, grad, parameter)

    if RECORDS.setdefault(name, record) is record and saves == "y":
        _FROM_RESULT.add(name)
    return record


def with_activation(
    name: str,
    record: Op,
    operands: list[Tensor],
    activation: str | None,
    parameter: Numbers | None,
    **parameters: Any,
) -> Tensor:
    """record(*operands), with the activation in its epilogue where the gradient allows.

    An epilogue leaves no operand of the activation behind, so where a gradient is recorded it must
    be had from the result alone.
    """
    if activation is None:
        return record(*operands, **parameters)
    if activation not in RECORDS:
        choices = ", ".join(RECORDS)
        raise ValueError(
            f"{name}: activation: expected None or one of {choices}, got {activation!r}"
        )
    if parameter is None:
        parameter = _DEFAULTS.get(activation, 0.0)
    from_result = activation in _FROM_RESULT and (type(parameter) is tuple or parameter >= 0)  # type: ignore[operator]
    if from_result or not (is_grad_enabled() and any(t.requires_grad for t in operands)):
        return record(*operands, activation=activation, parameter=parameter, **parameters)
    return RECORDS[activation](record(*operands, **parameters), parameter=parameter)


def gradient(activation: str | None, parameter: Numbers, y: Array, dy: Array) -> Array:
    """dy through the activation that an epilogue applied, from its result."""
    if activation is None:
        return dy
    return getattr(_C, f"{activation}_backward")(y, dy, parameter)


def activation_of(name: str, saves: str, doc: str, whole: Any = None) -> Any:
    """The public function of an activation without parameters; `whole` is it for integers."""
    record = record_of(name, saves)

    def call(input: Tensor) -> Tensor:
        try:
            return record.of_one(input)
        except (AttributeError, TypeError):  # no tensor, or one of integers
            if whole is not None and isinstance(input, Tensor) and input.dtype.kind in "iu":
                return Tensor._wrap(as_result(whole(input._array)))
            return record(as_float(input, name))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def as_float(input: Tensor, name: str) -> Tensor:
    """`input`, or where it holds integers, the same in the default float dtype."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
    return input if input.dtype.kind == "f" else cast(input, get_default_dtype())


relu = activation_of(
    "relu",
    "y",
    "max(x, 0) (Nair and Hinton 2010). Slope 0 at 0; NaN stays NaN; integers stay integers.",
    lambda x: np.maximum(x, x.dtype.type(0)),
)
exp = activation_of("exp", "y", "e to the power of each element.")
sigmoid = activation_of("sigmoid", "y", "1 / (1 + e^-x).")
tanh = activation_of("tanh", "y", "The hyperbolic tangent.")
silu = activation_of(
    "silu", "x", "x sigmoid(x) (Elfwing et al. 2018; swish: Ramachandran et al. 2017)."
)
selu = activation_of(
    "selu",
    "y",
    "1.0507 x where x > 0, 1.0507 * 1.6733 (e^x - 1) elsewhere (Klambauer et al. 2017).",
)
mish = activation_of("mish", "x", "x tanh(log(1 + e^x)) (Misra 2019).")
logsigmoid = activation_of("logsigmoid", "y", "log(1 / (1 + e^-x)), with all digits on both sides.")
softsign = activation_of("softsign", "x", "x / (1 + |x|) (Bergstra et al. 2009).")
tanhshrink = activation_of("tanhshrink", "x", "x - tanh(x).")
_gelu = activation_of("gelu", "x", "x Phi(x).")
_gelu_tanh = activation_of("gelu_tanh", "x", "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.")
_leaky_relu, _leaky_relu_of_x = record_of("leaky_relu", "y"), record_of("leaky_relu", "x")
_elu = record_of("elu", "y")
_celu = record_of("celu", "y")
_softplus = record_of("softplus", "y")


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Phi(x), Phi the cumulative normal distribution (Hendrycks and Gimpel 2016).

    `approximate="tanh"`: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate: expected "none" or "tanh", got {approximate!r}')
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, negative_slope x elsewhere (Maas, Hannun and Ng 2013)."""
    slope = number(negative_slope, "leaky_relu", "negative_slope")
    record = _leaky_relu if slope >= 0 else _leaky_relu_of_x  # below 0 the result hides x's sign
    return record(as_float(input, "leaky_relu"), parameter=slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha (e^x - 1) elsewhere (Clevert, Unterthiner and Hochreiter 2016)."""
    x, alpha = as_float(input, "elu"), number(alpha, "elu", "alpha")
    if alpha >= 0:
        return _elu(x, parameter=alpha)
    return relu(x) + alpha * _elu(-relu(-x), parameter=1.0)  # the result would hide x's sign


def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha (e^(x / alpha) - 1) elsewhere, smooth at 0 (Barron 2017)."""
    x, alpha = as_float(input, "celu"), number(alpha, "celu", "alpha")
    if alpha == 0:
        raise ValueError("celu: alpha: expected a number other than 0, got 0")
    return _celu(x, parameter=alpha)


@explained
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, and x where beta x > threshold (Dugas et al. 2001).

    Nothing overflows, so a threshold of 20 or more changes nothing: the function is x there, to 1
    in 10^10.
    """
    x, beta = as_float(input, "softplus"), number(beta, "softplus", "beta")
    if beta == 0:
        raise ValueError("softplus: beta: expected a number other than 0, got 0")
    y = _softplus(x, parameter=beta)
    return y if threshold >= 20 else where(x * beta > threshold, x, y)


def number(value: Any, name: str, argument: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: {argument}: expected a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{name}: {argument}: expected a finite number, got {value}")
    return float(value)

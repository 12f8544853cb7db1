# SPDX-License-Identifier: Apache-2.0
"""What one call of a layer computes, in floating-point operations.

A multiply-add counts 2. An addition, a multiplication, a comparison, a division, a root, or a value
of exp, tanh or the like counts 1. Layers that only move data (reshaping, embedding, dropout in
evaluation, nearest interpolation) count 0. Counted is the forward pass; the backward pass of
products and convolutions takes twice as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.tensor import Tensor

if TYPE_CHECKING:
    from striate.nn.module import Module


def _first(value: Any) -> Tensor:
    """The first tensor in arguments or results."""
    while not isinstance(value, Tensor):
        value = value[0]
    return value


def _bias(module: Any, output: Tensor) -> int:
    return 0 if getattr(module, "bias", None) is None else output.numel()


def _linear(module: Any, args: Any, output: Any) -> int:
    y = _first(output)
    return 2 * y.numel() * module.in_features + _bias(module, y)


def _conv(module: Any, args: Any, output: Any) -> int:
    y = _first(output)
    return 2 * y.numel() * math.prod(module.weight.shape[1:]) + _bias(module, y)


def _conv_transpose(module: Any, args: Any, output: Any) -> int:
    """Every input value goes through its whole filter."""
    taps = math.prod(module.weight.shape[1:])
    return 2 * _first(args).numel() * taps + _bias(module, _first(output))


def _bilinear(module: Any, args: Any, output: Any) -> int:
    """x1 W is a product of its own, and each of its values meets one of x2."""
    y, (_, first, second) = _first(output), module.weight.shape
    return 2 * y.numel() * second * (first + 1) + _bias(module, y)


def _affine(module: Any, x: Tensor) -> int:
    parts = (getattr(module, "weight", None), getattr(module, "bias", None))
    return x.numel() * sum(p is not None for p in parts)


def _batch_norm(module: Any, args: Any, output: Any) -> int:
    """In evaluation one multiply-add: mean, variance and affine become a scale and a shift."""
    return 2 * _first(args).numel()


def _own_statistics(module: Any, args: Any, output: Any) -> int:
    """Mean 1, variance 3, normalising 2 an element, and the affine part."""
    x = _first(args)
    return 6 * x.numel() + _affine(module, x)


def _rms_norm(module: Any, args: Any, output: Any) -> int:
    """Sum of squares 2, scaling 1 an element, and the weight."""
    x = _first(args)
    return 3 * x.numel() + _affine(module, x)


def _local_response_norm(module: Any, args: Any, output: Any) -> int:
    """The window's sum of squares, a multiply-add, a power and a division an element."""
    return (2 * int(module.size) + 4) * _first(args).numel()


def _pool(module: Any, args: Any, output: Any) -> int:
    """Each tap of each window once: a comparison or an addition."""
    y, x = _first(output), _first(args)
    kernel = module.kernel_size
    axes = 3 if "3d" in type(module).__name__ else 1 if "1d" in type(module).__name__ else 2
    axes = min(axes, x.ndim)
    return y.numel() * (math.prod(kernel) if isinstance(kernel, (tuple, list)) else kernel**axes)


def _each_input(module: Any, args: Any, output: Any) -> int:
    return _first(args).numel()


def _each_output(module: Any, args: Any, output: Any) -> int:
    return _first(output).numel()


def _softmax(module: Any, args: Any, output: Any) -> int:
    """Maximum, difference and exp, sum, division."""
    return 5 * _first(args).numel()


def _recurrent(module: Any, args: Any, output: Any) -> int:
    """Every step of every sequence goes once through every weight."""
    x = _first(args)
    steps = x.numel() // max(1, x.shape[-1])
    weights = [p for p in module.parameters() if p.ndim == 2]
    biases = [p for p in module.parameters() if p.ndim == 1]
    return steps * (2 * sum(p.numel() for p in weights) + sum(p.numel() for p in biases))


def _attention(module: Any, args: Any, output: Any) -> int:
    """Q, K and V, their products with a softmax between; the layer behind them counts itself."""
    query, key, value = args[:3]
    sequences = 1 if query.ndim == 2 else query.shape[0 if module.batch_first else 1]
    rows, columns = query.numel() // module.embed_dim, key.numel() // module.kdim
    numbers = query.numel() + key.numel() + value.numel()
    bias = 0 if module.in_proj_bias is None else module.embed_dim * (rows + 2 * columns)
    pairs = rows * (columns // max(1, sequences))  # of a query and a key of its sequence
    softmax = 5 * module.num_heads * pairs
    return 2 * module.embed_dim * numbers + bias + 4 * module.embed_dim * pairs + softmax


Count = Callable[[Any, Any, Any], int]
_COUNTS: dict[str, Count] = {
    "Bilinear": _bilinear,
    "Linear": _linear,
    "LocalResponseNorm": _local_response_norm,
    "MultiheadAttention": _attention,
    "RMSNorm": _rms_norm,
    **{f"Conv{n}d": _conv for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _conv_transpose for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _batch_norm for n in (1, 2, 3)},
    **{f"InstanceNorm{n}d": _own_statistics for n in (1, 2, 3)},
    **dict.fromkeys(("LayerNorm", "GroupNorm"), _own_statistics),
    **{f"{kind}Pool{n}d": _pool for kind in ("Max", "Avg", "Sum", "LP") for n in (1, 2, 3)},
    **{f"Adaptive{kind}Pool{n}d": _each_input for kind in ("Max", "Avg") for n in (1, 2, 3)},
    **dict.fromkeys(("Softmax", "LogSoftmax", "Softmin", "Softmax2d"), _softmax),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"), _recurrent),
    # The base class of activations that epilogues know, and others.
    **dict.fromkeys(
        ("Activation", "Hardtanh", "Hardswish", "Hardsigmoid", "PReLU", "ReLU6", "Softsign"),
        _each_output,
    ),
}


def flops(module: Module, args: Any, output: Any) -> int:
    """Of one call, by the kind of the layer; 0 for kinds that compute nothing or are not known."""
    for kind in type(module).__mro__:
        if kind.__name__ in _COUNTS and kind.__module__.startswith("striate."):
            return int(_COUNTS[kind.__name__](module, args, output))
    return 0

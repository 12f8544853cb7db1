# SPDX-License-Identifier: Apache-2.0
"""bfloat16: casts, and products and convolutions with float32 sums."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample
from striate.testing.cases.conv2d import (
    _LAYERS,
    _bwd_data,
    _bwd_data_kernel,
    _bwd_data_samples,
    _bwd_depth,
    _bwd_weight,
    _bwd_weight_kernel,
    _bwd_weight_samples,
    _fwd,
    _fwd_depth,
    _fwd_kernel,
    _fwd_samples,
    _layer,
    _weight_depth,
)
from striate.testing.cases.conv2d import (
    _bound as _of_depth,
)
from striate.testing.cases.gemm import _BATCHES, _SIZES, _TILES

# Odd and even K around the blocks of words; wide enough for several panels and tasks.
_DEPTHS = [Sample(((15, k), (k, 33))) for k in (2, 3, 511, 512, 513, 1023, 1024, 1025, 2051)]
_LARGE = [Sample(((m, k), (k, n))) for m, n, k in [(85, 70, 33), (100, 3110, 9), (300, 64, 1030)]]
_LENGTHS = [Sample((s,)) for s in [(0,), (1,), (7,), (8,), (15,), (16,), (17,), (63,), (3, 5, 7)]]


def _bound(reference: Any, eps: float, a: Array, b: Array, **_: Any) -> Any:
    """Products are exact; the K - 1 sums, in any order, are rounded to float32."""
    k = a.shape[-1]
    largest = np.max(np.abs(a), initial=0) * np.max(np.abs(b), initial=0)
    return eps * (k + 6) * (largest + np.abs(reference))


def _narrowed(x: Array) -> Array:
    """float64 arithmetic for the nearest bfloat16, ties to even: 8 bits of significand."""
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.round(fraction * 256) / 256, exponent)


def _widen(x: Array, out: Array | None = None) -> Any:
    return _C.widen(_C.narrow(x) if x.dtype == np.float32 else x, out=out)


def _narrow(x: Array, out: Array | None = None) -> Any:
    """As float32, which holds it exactly."""
    wide = _C.widen(_C.narrow(x))
    if out is None:
        return wide
    out[...] = wide
    return out


# Windows in more than a block of k, with channels in pairs and odd; taps that are neighbours.
_CONVOLUTIONS = [
    *_LAYERS,
    _layer(1, 130, 6, 6, 33, 3, 3, pad=1),
    _layer(2, 115, 5, 4, 70, 3, 3, stride=2, pad=1),
    _layer(4, 6, 17, 16, 40, 2, 3, pad=(0, 1)),
]


def _direct(kernel: Any) -> Any:
    """The kernel with a bias of float32, and direct sums where operands are widened."""

    def pinned(a: Array, b: Array, bias: Any = None, **options: Any) -> Any:
        if bias is not None:
            options["b"] = bias if bias.dtype.kind == "f" else _C.widen(bias)
        with _C.pin_rows([f"conv2d_{p}_f32_implicit" for p in ("fwd", "bwd_data", "bwd_weight")]):
            return kernel(a, b, **options)

    return pinned


_CONVOLUTION_CASES = [
    Case(
        name=f"conv2d_{name}_bf16",
        rows=(f"conv2d_{name}_bf16_",),
        function=None,
        kernel=_direct(kernel),
        reference=reference,
        samples=samples,
        bound=_of_depth(depth),
    )
    for name, kernel, reference, samples, depth in (
        ("fwd", _fwd_kernel, _fwd, _fwd_samples(_CONVOLUTIONS), _fwd_depth),
        ("bwd_data", _bwd_data_kernel, _bwd_data,
         _bwd_data_samples(_CONVOLUTIONS, (False, True)), _bwd_depth),
        ("bwd_weight", _bwd_weight_kernel, _bwd_weight,
         _bwd_weight_samples(_CONVOLUTIONS), _weight_depth),
    )
]  # fmt: skip

CASES = [
    *_CONVOLUTION_CASES,
    Case(
        name="gemm_bf16",
        rows=("gemm_bf16_",),
        function=None,
        kernel=_C.gemm,
        reference=np.matmul,
        samples=[*_TILES, *_SIZES, *_BATCHES, *_DEPTHS, *_LARGE],
        bound=_bound,
        flops=lambda a, b: 2.0 * np.prod(a) * b[-1],
        bytes=lambda a, b: 2.0 * (np.prod(a) + np.prod(b)) + 4.0 * np.prod(a[:-1]) * b[-1],
        misuses=[
            Misuse(
                lambda: striate.ones(2, dtype="bfloat16") + striate.ones(2, dtype="bfloat16"),
                TypeError,
                ("add", "bfloat16", ".float()"),
            ),
            Misuse(
                lambda: _C.gemm(_C.narrow(np.zeros((2, 3), "f")), _C.narrow(np.zeros((4, 2), "f"))),
                ValueError,
                ("gemm", "b", "(4, 2)"),
            ),
            Misuse(
                lambda: _C.gemm(_C.narrow(np.zeros((2, 3), "f")), np.zeros((3, 2), "f")),
                TypeError,
                ("gemm", "b", "bfloat16", "float32"),
            ),
            Misuse(
                lambda: _C.gemm(np.zeros((2, 3), "f"), _C.narrow(np.zeros((3, 2), "f"))),
                TypeError,
                ("gemm", "b", "float32", "bfloat16"),
            ),
        ],
    ),
    Case(
        name="widen",
        rows=("cast_widen_",),
        function=None,
        kernel=_widen,
        reference=_narrowed,
        samples=_LENGTHS,
        bound=lambda reference, eps, x: 0.0,
        misuses=[Misuse(lambda: _C.widen(np.zeros(2, "f")), TypeError, ("widen", "x", "bfloat16"))],
    ),
    Case(
        name="narrow",
        rows=("cast_narrow_",),
        function=None,
        kernel=_narrow,
        reference=_narrowed,
        samples=_LENGTHS,
        bound=lambda reference, eps, x: 0.0,
        misuses=[Misuse(lambda: _C.narrow(np.zeros(2)), TypeError, ("narrow", "x", "float64"))],
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""Batch norm and local response norm."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _along(v: Array | None, x: Array, default: float) -> Any:
    """A vector (C,) as it meets x (N, C, ...)."""
    return default if v is None else v.reshape(1, -1, *[1] * (x.ndim - 2))


def _axes(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _spread(x: Array) -> tuple[Array, Array]:
    return x.mean(_axes(x), keepdims=True), x.var(_axes(x), keepdims=True)


# --- batch norm ----------------------------------------------------------------------------------


def _train(x: Tensor, w: Tensor | None, b: Tensor | None, epsilon: float = 1e-5) -> Tensor:
    return striate.batch_norm(x, None, None, w, b, training=True, eps=epsilon)


def _train_kernel(x: Array, w: Any, b: Any, epsilon: float = 1e-5, out: Any = None) -> Array:
    return _C.batch_norm_train(x, w, b, eps=epsilon, out=out)[0]


def _train_reference(x: Array, w: Any, b: Any, epsilon: float = 1e-5) -> Array:
    mean, var = _spread(x)
    return (x - mean) / np.sqrt(var + epsilon) * _along(w, x, 1) + _along(b, x, 0)


def _train_bound(reference: Any, eps: float, x: Array, w: Any, b: Any, **_: Any) -> Any:
    """The mean errs by a few eps max|x|, which 1 / std and the weight scale; so does var."""
    var = _spread(x)[1]
    scale = np.abs(_along(w, x, 1)) / np.sqrt(var + 1e-5)
    n = x.size // x.shape[1]
    grown = 8 + np.log2(n + 1)
    return eps * grown * (
        2 * scale * np.max(np.abs(x)) + 4 * np.abs(reference - _along(b, x, 0))
    ) + (eps * np.abs(reference))


def _infer(x: Tensor, mean: Tensor, var: Tensor, w: Any, b: Any) -> Tensor:
    return striate.batch_norm(x, mean.detach(), (var * var + 0.5).detach(), w, b)


def _infer_kernel(x: Array, mean: Array, var: Array, w: Any, b: Any, out: Any = None) -> Array:
    invstd = 1 / np.sqrt(var * var + x.dtype.type(0.5 + 1e-5))
    return _C.batch_norm_infer(x, mean, invstd, w, b, out=out)


def _infer_reference(x: Array, mean: Array, var: Array, w: Any, b: Any) -> Array:
    std = np.sqrt(_along(var * var + 0.5 + 1e-5, x, 0))
    return (x - _along(mean, x, 0)) / std * _along(w, x, 1) + _along(b, x, 0)


def _infer_bound(
    reference: Any, eps: float, x: Array, mean: Array, var: Array, w: Any, b: Any
) -> Any:
    std = np.sqrt(_along(var * var + 0.5, x, 0))
    off = np.abs(x) + np.abs(_along(mean, x, 0))
    return 8 * eps * (off / std * np.abs(_along(w, x, 1)) + np.abs(_along(b, x, 0)))


def _backward_kernel(x: Array, dy: Array, w: Any, given: bool, out: Any = None) -> Array:
    mean: Array
    mean, var = _spread(x)
    mean, invstd = mean.ravel(), (1 / np.sqrt(var + x.dtype.type(1e-5))).ravel()
    return _C.batch_norm_backward(dy, x, mean, invstd, w, "given" if given else "batch", out=out)[0]


def _backward_reference(x: Array, dy: Array, w: Any, given: bool) -> Array:
    mean, var = _spread(x)
    invstd = 1 / np.sqrt(var + 1e-5)
    if given:
        return dy * invstd * _along(w, x, 1)
    off = (x - mean) * invstd
    through = dy - dy.mean(_axes(x), keepdims=True)
    through -= off * (dy * off).mean(_axes(x), keepdims=True)
    return np.asarray(invstd * through * _along(w, x, 1))


def _backward_bound(reference: Any, eps: float, x: Array, dy: Array, w: Any, given: bool) -> Any:
    """mean and invstd, off by several eps each, meet sums of |dy| times up to (x / std)^2."""
    mean, var = _spread(x)
    invstd = 1 / np.sqrt(var + 1e-5)
    off = np.abs(x - mean) * invstd
    reach = 1 + np.max(off, initial=0) + np.max(np.abs(x), initial=0) * invstd
    scale = invstd * np.abs(_along(w, x, 1)) * np.max(np.abs(dy), initial=0)
    return eps * (16 + 2 * np.log2(x.size + 1)) * scale * reach**2


_SHAPES: list[tuple[int, ...]] = [
    *((3, c, 3, 5) for c in (1, 3, 8, 15, 16, 17, 31, 33, 64, 65, 127, 128, 129, 200)),
    (2, 5), (7, 3), (300, 70), (2, 3, 4), (5, 7, 3, 1), (1, 2, 1, 2), (4, 260, 2, 2),
    (3, 20, 60, 60), (2, 300, 20, 20),
]  # fmt: skip
_TRAIN = [Sample((s, (s[1],), (s[1],))) for s in _SHAPES]
_TRAIN += [Sample(((3, 5, 4, 4), (5,), None)), Sample(((3, 5, 4, 4), None, None), {"epsilon": 0.1})]
_TRAIN += [Sample(((3, 5, 4, 6), (5,), (5,)), images=False)]


def _moved(x: tuple[int, ...], *_: Any, **__: Any) -> float:
    return 8.0 * float(np.prod(x))


def _refused(*words: str, shape: tuple[int, ...] = (2, 3, 4, 4), **arguments: Any) -> Misuse:
    options = {"running_mean": None, "running_var": None, "training": True, **arguments}
    return Misuse(lambda: striate.batch_norm(striate.zeros(*shape), **options), ValueError, words)


# --- local response norm -------------------------------------------------------------------------


def _windows(x: Array, size: int, share: float, k: float) -> Array:
    """s[c] of norm.h."""
    c = x.shape[1]
    s = np.full_like(x, k)
    for i in range(c):
        first, last = max(0, i - size // 2), min(c - 1, i + (size - 1) // 2)
        s[:, i] += share * (x[:, first : last + 1] ** 2).sum(1)
    return s


def _lrn_reference(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    return x / _windows(x, size, alpha / size, k) ** beta


def _lrn_bound(reference: Any, eps: float, x: Array, size: int, **_: Any) -> Any:
    return eps * (size + 8) * np.abs(reference)


def _lrn_backward_kernel(x: Array, dy: Array, out: Any = None, **options: Any) -> Array:
    return _C.local_response_norm_backward(dy, x, **options, out=out)


def _lrn_backward_reference(
    x: Array, dy: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    c = x.shape[1]
    s = _windows(x, size, alpha / size, k)
    dx = dy / s**beta
    for i in range(c):
        for j in range(max(0, i - (size - 1) // 2), min(c - 1, i + size // 2) + 1):
            term = dy[:, j] * x[:, j] * s[:, j] ** (-beta - 1)
            dx[:, i] -= 2 * alpha * beta / size * x[:, i] * term
    return dx


def _lrn_backward_bound(
    reference: Any, eps: float, x: Array, dy: Array, size: int, alpha: float = 1e-4,
    beta: float = 0.75, k: float = 1.0,
) -> Any:  # fmt: skip
    """Each of size + 1 terms to a few eps; none exceeds max|dy| (1 + 2 beta) k^-beta."""
    return eps * (3 * size + 10) * np.max(np.abs(dy), initial=0) * (1 + 2 * beta) * k**-beta


_LRN: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    *(((2, c, 3, 4), {"size": 5, "alpha": 0.5}) for c in (1, 2, 3, 8, 15, 16, 17, 21, 33, 96)),
    ((2, 20, 3, 4), {"size": 4, "alpha": 0.5, "k": 2.0}),
    ((2, 20, 3, 4), {"size": 1, "alpha": 1.0}),
    ((2, 7, 3, 4), {"size": 9, "alpha": 1.0}),
    ((2, 40, 2, 3), {"size": 35, "alpha": 1.0}),
    ((2, 20, 3, 4), {"size": 3, "alpha": 0.3, "beta": 0.5}),
    ((1, 20, 3, 4), {"size": 5, "alpha": 0.3, "beta": 1.2, "k": 0.5}),
    ((2, 6, 5), {"size": 3}),
    ((0, 6, 5, 5), {"size": 3}),
    ((1, 64, 30, 30), {"size": 5}),
]

CASES = [
    Case(
        name="batch_norm",
        rows=("batch_norm_stats_", "batch_norm_fwd_"),
        function=_train,
        kernel=_train_kernel,
        reference=_train_reference,
        samples=_TRAIN,
        bound=_train_bound,
        bytes=_moved,
        misuses=[
            _refused("batch_norm", "one value", shape=(1, 3, 1, 1)),
            _refused("batch_norm", "input", "(2,)", shape=(2,)),
            _refused("running_mean", "training", training=False),
            _refused("weight", "(3,)", "(4,)", weight=striate.zeros(4)),
            _refused("bias", "float32", "float64", bias=striate.zeros(3, dtype=striate.float64)),
            _refused("running_var", "(3,)", running_var=striate.zeros(1)),
            Misuse(
                lambda: striate.batch_norm(striate.arange(6).reshape(2, 3), None, None),
                TypeError,
                ("batch_norm", "int64"),
            ),
        ],
    ),
    Case(
        name="batch_norm_infer",
        rows=("batch_norm_fwd_",),
        function=_infer,
        kernel=_infer_kernel,
        reference=_infer_reference,
        samples=[
            *(Sample((s, (s[1],), (s[1],), (s[1],), (s[1],))) for s in _SHAPES),
            Sample(((1, 5, 1, 1), (5,), (5,), None, (5,))),
            Sample(((0, 5, 2, 2), (5,), (5,), None, None)),
        ],
        bound=_infer_bound,
        gradient=False,  # test_torch_pool_norm.py checks it; here the statistics would want one
        bytes=_moved,
    ),
    Case(
        name="batch_norm_backward",
        rows=("batch_norm_sums_", "batch_norm_bwd_"),
        function=None,
        kernel=_backward_kernel,
        reference=_backward_reference,
        samples=[
            Sample((s, s, (s[1],)), {"given": given})
            for s in _SHAPES
            if s[0] * int(np.prod(s[2:])) > 2
            for given in (False, True)
        ],
        bound=_backward_bound,
        bytes=lambda x, *_, **__: 12.0 * float(np.prod(x)),
    ),
    Case(
        name="local_response_norm",
        rows=("lrn_fwd_",),
        function=striate.local_response_norm,
        kernel=_C.local_response_norm,
        reference=_lrn_reference,
        samples=[Sample((shape,), options) for shape, options in _LRN],
        bound=_lrn_bound,
        bytes=_moved,
        misuses=[
            Misuse(
                lambda: striate.local_response_norm(striate.zeros(1, 2, 3, 3), 0),
                ValueError,
                ("local_response_norm", "size", "0"),
            ),
            Misuse(
                lambda: striate.local_response_norm(striate.zeros(2, 3), 5),
                ValueError,
                ("local_response_norm", "(2, 3)"),
            ),
        ],
    ),
    Case(
        name="local_response_norm_backward",
        rows=("lrn_bwd_",),
        function=None,
        kernel=_lrn_backward_kernel,
        reference=_lrn_backward_reference,
        samples=[Sample((shape, shape), options) for shape, options in _LRN],
        bound=_lrn_backward_bound,
        bytes=lambda x, *_, **__: 12.0 * float(np.prod(x)),
    ),
]

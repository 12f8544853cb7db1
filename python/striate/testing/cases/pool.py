# SPDX-License-Identifier: Apache-2.0
"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

# --- the reference: every window cut out and looked at -------------------------------------------

Taps = list[list[int]]  # the input positions of every output along one axis, padding included


def _taps(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> Taps:
    room = n + 2 * p - d * (k - 1) - 1
    out = (-(-room // s) if ceil else room // s) + 1
    if ceil and (out - 1) * s >= n + p:
        out -= 1
    return [[o * s - p + i * d for i in range(k)] for o in range(out)]


def _adaptive_taps(n: int, out: int) -> Taps:
    return [list(range(o * n // out, -(-(o + 1) * n // out))) for o in range(out)]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _windows(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[Taps, Taps]:
    k, p, d = _pair(kernel_size), _pair(padding), _pair(dilation)
    s = k if stride is None else _pair(stride)
    h, w = (_taps(x.shape[2 + i], k[i], s[i], p[i], d[i], ceil_mode) for i in range(2))
    return h, w


def _each(x: Array, windows: tuple[Taps, Taps], reduce: Callable[..., Array]) -> Array:
    """reduce(taps inside (N, C, r, s), rows, cols) for every output."""
    rows, cols = windows
    y = np.empty((*x.shape[:2], len(rows), len(cols)))
    for p, h in enumerate(rows):
        for q, w in enumerate(cols):
            inside_h = [i for i in h if 0 <= i < x.shape[2]]
            inside_w = [i for i in w if 0 <= i < x.shape[3]]
            y[:, :, p, q] = reduce(x[:, :, inside_h][:, :, :, inside_w], h, w)
    return y


def _maximum(taps: Array, *_: Any) -> Array:
    return np.asarray(taps.max((2, 3)))


def _max_reference(x: Array, **window: Any) -> Array:
    return _each(x, _windows(x, **window), _maximum)


def _adaptive_windows(x: Array, output_size: Any) -> tuple[Taps, Taps]:
    p, q = _pair(output_size)
    return _adaptive_taps(x.shape[2], p), _adaptive_taps(x.shape[3], q)


def _adaptive_max_reference(x: Array, output_size: Any) -> Array:
    return _each(x, _adaptive_windows(x, output_size), _maximum)


def _adaptive_avg_reference(x: Array, output_size: Any) -> Array:
    return _each(x, _adaptive_windows(x, output_size), lambda t, *_: t.mean((2, 3)))


def _sum_reference(x: Array, **window: Any) -> Array:
    return _each(x, _windows(x, **window), lambda t, *_: t.sum((2, 3)))


def _avg_reference(
    x: Array,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    **window: Any,
) -> Array:
    ph, pw = _pair(window.get("padding", 0))

    def mean(taps: Array, h: list[int], w: list[int]) -> Array:
        if divisor_override:
            return taps.sum((2, 3)) / divisor_override
        if not count_include_pad:
            return np.asarray(taps.mean((2, 3)))
        rows = sum(i < x.shape[2] + ph for i in h)
        return taps.sum((2, 3)) / (rows * sum(i < x.shape[3] + pw for i in w))

    return _each(x, _windows(x, **window), mean)


def _lp_reference(x: Array, norm_type: float, **window: Any) -> Array:
    def norm(taps: Array, h: list[int], w: list[int]) -> Array:
        share = taps.shape[2] * taps.shape[3] / (len(h) * len(w))
        total = (taps**norm_type).sum((2, 3)) / share
        return np.asarray(np.sign(total) * np.abs(total) ** (1 / norm_type))

    return _each(x, _windows(x, **window), norm)


# --- the bindings under the public names ---------------------------------------------------------


def _spec(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    k = _pair(kernel_size)
    s = k if stride is None else _pair(stride)
    return (*k, *s, *_pair(padding), *_pair(dilation), int(ceil_mode))


def _avg_kernel(
    x: Array,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    out: Any = None,
    **window: Any,
) -> Array:
    divisor = divisor_override or ("padded" if count_include_pad else "inside")
    return _C.sum_pool2d(x, _spec(**window), divisor, out=out)


def _lp_kernel(x: Array, norm_type: float, out: Any = None, **window: Any) -> Array:
    return _C.lp2_pool2d(x, _spec(**window), out=out)


def _max_backward_kernel(x: Array, dy: Array, out: Any = None, **window: Any) -> Array:
    _, taps = _C.max_pool2d_taps(x, _spec(**window))
    return _C.max_pool2d_backward(dy, taps, x.shape[2:], _spec(**window), out=out)


def _max_backward_reference(x: Array, dy: Array, **window: Any) -> Array:
    rows, cols = _windows(x, **window)
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        taps = [
            (h, w) for h in rows[p] for w in cols[q] if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
        ]
        h, w = taps[int(np.argmax([x[n, c, h, w] for h, w in taps]))]
        dx[n, c, h, w] += dy[n, c, p, q]
    return dx


def _sum_backward_kernel(x: Array, dy: Array, out: Any = None, **window: Any) -> Array:
    return _C.sum_pool2d_backward(dy, x.shape[2:], _spec(**window), "inside", out=out)


def _sum_backward_reference(x: Array, dy: Array, **window: Any) -> Array:
    rows, cols = _windows(x, **window)
    dx = np.zeros_like(x)
    for p, q in np.ndindex(dy.shape[2:]):
        at = [
            (h, w) for h in rows[p] for w in cols[q] if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
        ]
        for h, w in at:
            dx[:, :, h, w] += dy[:, :, p, q] / len(at)
    return dx


# --- samples -------------------------------------------------------------------------------------

_CHANNELS = (1, 3, 4, 7, 8, 15, 16, 17, 33, 65, 101)
_SHAPES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    *(((2, c, 5, 6), {"kernel_size": 2}) for c in _CHANNELS),
    ((1, 64, 9, 8), {"kernel_size": 3, "stride": 2}),
    ((1, 20, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 20, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 84, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 69, 5, 6), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 5, 8, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((2, 5, 7, 10), {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    ((1, 5, 6, 6), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    ((1, 5, 7, 7), {"kernel_size": 7}),
    ((2, 140, 7, 9), {"kernel_size": 7, "stride": 2}),
    ((1, 140, 4, 10), {"kernel_size": (2, 9), "stride": 1, "padding": (0, 1)}),
    ((1, 32, 8, 11), {"kernel_size": 2, "stride": 3}),  # inputs that no window holds
    ((2, 80, 9, 8), {"kernel_size": 3, "padding": 1}),
    ((1, 3, 1, 1), {"kernel_size": 1}),
    ((1, 3, 20, 19), {"kernel_size": (17, 18), "stride": 1}),  # more taps than a byte counts
    ((0, 3, 4, 4), {"kernel_size": 2}),
]
_PLAIN = [Sample((shape,), window) for shape, window in _SHAPES]
_NCHW = [Sample(((2, 5, 7, 6),), {"kernel_size": 3, "stride": 2, "padding": 1}, images=False)]
_DILATED = [
    Sample(((1, 70, 9, 8),), {"kernel_size": 3, "dilation": 2, "padding": 1}),
    Sample(((2, 5, 9, 8),), {"kernel_size": 3, "dilation": 2}),
    Sample(((1, 5, 9, 8),), {"kernel_size": (2, 3), "stride": 1, "dilation": (3, 2), "padding": 1}),
    Sample(((1, 5, 9, 8),), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 2,
                             "ceil_mode": True}),
]  # fmt: skip
_SIZES = [
    Sample(((2, 5, 7, 6),), {"output_size": size})
    for size in (1, 2, (3, 5), (7, 6), (8, 9), (1, 4))
] + [
    Sample(((1, 100, 13, 13),), {"output_size": 6}),
    Sample(((1, 70, 20, 20),), {"output_size": 1}),
]


def _with_output(samples: list[Sample]) -> list[Sample]:
    """(x, dy) for samples of x."""
    paired = []
    for s in samples:
        rows, cols = _windows(np.empty(s.shapes[0] or ()), **s.parameters)
        shape = s.shapes[0]
        assert shape is not None
        dy = (*shape[:2], len(rows), len(cols))
        paired.append(Sample((shape, dy), s.parameters, s.images))
    return paired


def _taps_of(x: Array, parameters: dict[str, Any]) -> float:
    size = parameters.get("kernel_size")
    k = _pair(size) if size else x.shape[2:4]
    return float(np.prod(k))


def _exact(reference: Any, eps: float, *_: Any, **__: Any) -> Any:
    return 0.0


def _bound(reference: Any, eps: float, x: Array, *_: Any, **parameters: Any) -> Any:
    """A sum of k terms, each up to k max|x| on the way, and one division."""
    k = _taps_of(x, parameters)
    return eps * (k + 2) * (k * np.max(np.abs(x), initial=0) + np.abs(reference))


def _mean_bound(reference: Any, eps: float, x: Array, *_: Any, **parameters: Any) -> Any:
    k = _taps_of(x, parameters)
    return eps * (k + 3) * (np.max(np.abs(x), initial=0) + np.abs(reference))


def _norm_bound(reference: Any, eps: float, x: Array, **parameters: Any) -> Any:
    return eps * (_taps_of(x, parameters) + 3) * np.abs(reference)


def _backward_bound(reference: Any, eps: float, x: Array, dy: Array, **parameters: Any) -> Any:
    return eps * (_taps_of(x, parameters) + 3) ** 2 * np.max(np.abs(dy), initial=0)


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All different, so far apart that a finite difference doesn't change which is largest."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 64 - 1


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.5, 1.5, shape)


def _pools(x: tuple[int, ...], *_: Any, **__: Any) -> float:
    return 4.0 * float(np.prod(x))


def _refused(name: str, *words: str, **arguments: Any) -> Misuse:
    function = getattr(striate.ops, name)
    return Misuse(lambda: function(striate.zeros(1, 2, 4, 4), **arguments), ValueError, words)


def _window_misuses(name: str) -> list[Misuse]:
    op = "max_pool2d" if name == "max_pool2d" else "sum_pool2d"
    function = getattr(striate.ops, name)
    return [
        _refused(name, op, "kernel_size", "4", "5", kernel_size=5),
        _refused(name, op, "kernel_size", "1 or more", "0", kernel_size=0),
        _refused(name, op, "stride", "1 or more", "0", kernel_size=2, stride=0),
        _refused(name, op, "stride", "-1", kernel_size=2, stride=(1, -1)),
        _refused(name, op, "padding", "half", "2", kernel_size=3, padding=2),
        _refused(name, op, "padding", "-1", kernel_size=3, padding=-1),
        Misuse(lambda: function(striate.zeros(4, 4), 2), ValueError, (name, "(4, 4)")),
        Misuse(lambda: function(striate.zeros(1, 0, 4, 4), 2), ValueError, (name, "(1, 0, 4, 4)")),
        Misuse(lambda: function(striate.zeros(1, 1, 4, 4), 2.5), TypeError, (name, "kernel_size")),
        Misuse(
            lambda: function(striate.arange(16).reshape(1, 1, 4, 4), 2), TypeError, (name, "int64")
        ),
    ]


CASES = [
    Case(
        name="max_pool2d",
        rows=("pool2d_max_f",),
        function=striate.max_pool2d,
        kernel=lambda x, out=None, **window: _C.max_pool2d(x, _spec(**window), out=out),
        reference=_max_reference,
        samples=[*_PLAIN, *_NCHW, *_DILATED],
        bound=_exact,
        draw=_distinct,
        bytes=_pools,
        misuses=[
            *_window_misuses("max_pool2d"),
            _refused("max_pool2d", "dilation", "0", kernel_size=2, dilation=0),
            Misuse(
                lambda: _C.max_pool2d(np.zeros((1, 1, 4, 4)), (2, 2, 2)), ValueError, ("window",)
            ),
        ],
    ),
    Case(
        name="max_pool2d_backward",
        rows=("pool2d_max_bwd_", "pool2d_max_f"),
        function=None,
        kernel=_max_backward_kernel,
        reference=_max_backward_reference,
        samples=_with_output([*_PLAIN, *_NCHW, *_DILATED]),
        bound=_backward_bound,
        bytes=_pools,
        misuses=[
            Misuse(
                lambda: _C.max_pool2d_backward(
                    np.zeros((1, 1, 2, 2)), np.zeros((1, 2, 2, 2), np.uint8), (4, 4), _spec(2)
                ),
                ValueError,
                ("max_pool2d_backward", "taps", "(1, 2, 2, 1)"),
            ),
            Misuse(
                lambda: _C.max_pool2d_backward(
                    np.zeros((1, 1, 3, 2)), np.zeros((1, 2, 2, 1), np.uint8), (4, 4), _spec(2)
                ),
                ValueError,
                ("max_pool2d_backward", "dy", "(1, 1, 2, 2)", "(1, 1, 3, 2)"),
            ),
        ],
    ),
    Case(
        name="adaptive_max_pool2d",
        rows=("pool2d_max_f",),
        function=striate.adaptive_max_pool2d,
        kernel=lambda x, output_size, out=None: _C.max_pool2d(x, _pair(output_size), out=out),
        reference=_adaptive_max_reference,
        samples=_SIZES,
        bound=_exact,
        draw=_distinct,
        bytes=_pools,
        misuses=[
            _refused("adaptive_max_pool2d", "output_size", "-1", output_size=-1),
            Misuse(
                lambda: striate.adaptive_max_pool2d(striate.zeros(1, 1, 2, 2), "x"),
                TypeError,
                ("output_size", "'x'"),
            ),
        ],
    ),
    Case(
        name="sum_pool2d",
        rows=("pool2d_sum_f",),
        function=striate.sum_pool2d,
        kernel=lambda x, out=None, **window: _C.sum_pool2d(x, _spec(**window), out=out),
        reference=_sum_reference,
        samples=[*_PLAIN, *_NCHW],
        bound=_bound,
        bytes=_pools,
    ),
    Case(
        name="avg_pool2d",
        rows=("pool2d_sum_f",),
        function=striate.avg_pool2d,
        kernel=_avg_kernel,
        reference=_avg_reference,
        samples=[
            *_PLAIN,
            *_NCHW,
            *(Sample(s.shapes, {**s.parameters, "count_include_pad": False}) for s in _PLAIN[-9:]),
            *(Sample(s.shapes, {**s.parameters, "divisor_override": 3}) for s in _PLAIN[-9:]),
        ],
        bound=_mean_bound,
        bytes=_pools,
        misuses=[
            *_window_misuses("avg_pool2d"),
            _refused("avg_pool2d", "divisor", "0", kernel_size=2, divisor_override=0),
        ],
    ),
    Case(
        name="sum_pool2d_backward",
        rows=("pool2d_sum_bwd_",),
        function=None,
        kernel=_sum_backward_kernel,
        reference=_sum_backward_reference,
        samples=_with_output([*_PLAIN, *_NCHW]),
        bound=_backward_bound,
        bytes=_pools,
    ),
    Case(
        name="adaptive_avg_pool2d",
        rows=("pool2d_sum_f",),
        function=striate.adaptive_avg_pool2d,
        kernel=lambda x, output_size, out=None: _C.sum_pool2d(
            x, _pair(output_size), "inside", out=out
        ),
        reference=_adaptive_avg_reference,
        samples=_SIZES,
        bound=_mean_bound,
        bytes=_pools,
    ),
    Case(
        name="lp_pool2d",
        rows=("pool2d_lp2_f",),
        function=striate.lp_pool2d,
        kernel=_lp_kernel,
        reference=_lp_reference,
        samples=[
            Sample(s.shapes, {"norm_type": 2, **s.parameters}, s.images)
            for s in _PLAIN
            if "padding" not in s.parameters
        ],
        bound=_norm_bound,
        draw=_positive,
        bytes=_pools,
        misuses=[_refused("lp_pool2d", "norm_type", "0", norm_type=0, kernel_size=2)],
    ),
]

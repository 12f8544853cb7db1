# SPDX-License-Identifier: Apache-2.0
"""Convolution and transposed convolution of sequences and volumes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.ops.layout import channels_last
from striate.testing.cases.case import Array, Case, Misuse, Sample

# --- the reference, for any number of axes --------------------------------------------------------


def _taps(x: Array, size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Every tap with the strided view of the padded input that lies under it."""
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    outs = [
        (n - d * (k - 1) - 1) // u + 1
        for n, k, u, d in zip(padded.shape[2:], size, stride, dilation, strict=True)
    ]
    for tap in itertools.product(*map(range, size)):
        where = tuple(
            slice(t * d, t * d + (o - 1) * u + 1, u)
            for t, d, o, u in zip(tap, dilation, outs, stride, strict=True)
        )
        yield tap, padded, (slice(None), slice(None), *where)


def _fwd(
    x: Array, w: Array, b: Any = None, *, groups: int = 1, activation: Any = None, **where: Any
) -> Array:
    outs = []
    for xg, wg in zip(np.split(x, groups, 1), np.split(w, groups, 0), strict=True):
        y: Any = 0
        for tap, padded, at in _taps(xg, w.shape[2:], **where):
            y = y + np.einsum("nc...,kc->nk...", padded[at], wg[(slice(None), slice(None), *tap)])
        outs.append(y)
    y = np.concatenate(outs, axis=1)
    if b is not None:
        y = y + b.reshape(-1, *[1] * (x.ndim - 2))
    return np.asarray(np.maximum(y, 0) if activation == "relu" else y)


def _bwd_data(
    dy: Array, w: Array, b: Any = None, *, size: Any, groups: int = 1, **where: Any
) -> Array:
    outs = []
    for dyg, wg in zip(np.split(dy, groups, 1), np.split(w, groups, 0), strict=True):
        like = np.zeros((dy.shape[0], w.shape[1], *size))
        total: Any = None
        for tap, padded, at in _taps(like, w.shape[2:], **where):
            total = np.zeros_like(padded) if total is None else total
            total[at] += np.einsum("nk...,kc->nc...", dyg, wg[(slice(None), slice(None), *tap)])
        inside = tuple(
            slice(low, low + n) for (low, _), n in zip(where["padding"], size, strict=True)
        )
        outs.append(total[(slice(None), slice(None), *inside)])
    dx = np.concatenate(outs, axis=1)
    return dx if b is None else dx + b.reshape(-1, *[1] * (dy.ndim - 2))


def _bwd_weight(x: Array, dy: Array, *, size: Any, groups: int = 1, **where: Any) -> Array:
    outs = []
    for xg, dyg in zip(np.split(x, groups, 1), np.split(dy, groups, 1), strict=True):
        dw = np.zeros((dyg.shape[1], xg.shape[1], *size))
        for tap, padded, at in _taps(xg, size, **where):
            pixels = math.prod(dyg.shape[2:])
            flat = (a.reshape(*a.shape[:2], pixels) for a in (dyg, padded[at]))
            dw[(slice(None), slice(None), *tap)] = np.einsum("nkp,ncp->kc", *flat)
        outs.append(dw)
    return np.concatenate(outs, axis=0)


# --- samples --------------------------------------------------------------------------------------


def _layer(
    x: tuple[int, ...], k: int, filters: tuple[int, ...],
    stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1,
) -> tuple[Any, ...]:  # fmt: skip
    """A layer's shapes and options."""
    dims = len(filters)

    def each(v: Any) -> Any:
        return v if isinstance(v, tuple) else (v,) * dims

    pads = tuple(p if isinstance(p, tuple) else (p, p) for p in each(pad))
    options = {
        "stride": each(stride), "padding": pads, "dilation": each(dilation), "groups": groups,
    }  # fmt: skip
    out = (
        (n + sum(p) - d * (f - 1) - 1) // u + 1
        for n, p, d, f, u in zip(x[2:], pads, each(dilation), filters, each(stride), strict=True)
    )
    return x, (k, x[1] // groups, *filters), (x[0], k, *out), options


_VOLUMES = [
    _layer((1, 1, 1, 1, 1), 1, (1, 1, 1)),
    _layer((2, 3, 4, 5, 6), 4, (3, 3, 3), pad=1),
    _layer((1, 17, 5, 4, 3), 33, (3, 3, 3), pad=1),
    _layer((2, 4, 7, 6, 5), 5, (3, 2, 2), stride=2, pad=1),
    _layer((1, 3, 9, 7, 6), 6, (3, 3, 3), stride=(3, 1, 2), pad=(2, 0, 1)),
    _layer((1, 5, 9, 6, 7), 7, (3, 2, 2), dilation=(2, 3, 1), pad=(2, 1, 0)),
    _layer((2, 6, 3, 4, 5), 9, (1, 1, 1)),
    _layer((2, 6, 5, 4, 5), 9, (1, 3, 3), pad=(0, 1, 1)),
    _layer((2, 6, 5, 4, 5), 9, (1, 1, 1), stride=2),
    _layer((2, 6, 5, 4, 5), 9, (3, 1, 1), pad=(1, 0, 0)),
    _layer((5, 8, 2, 3, 4), 12, (3, 3, 3), pad=1, groups=2),  # more images than planes
    _layer((2, 6, 4, 3, 4), 6, (3, 3, 3), pad=1, groups=6),
    _layer((1, 2, 3, 3, 3), 3, (2, 3, 3), pad=((1, 0), (2, 1), (0, 2))),
    _layer((1, 2, 2, 2, 2), 3, (2, 2, 2), stride=5, pad=2),
    _layer((1, 2, 3, 2, 2), 3, (1, 1, 1), stride=(2, 1, 1), pad=(4, 0, 0)),  # planes with no taps
    _layer((0, 2, 3, 3, 3), 3, (3, 3, 3), pad=1),
    _layer((2, 32, 6, 7, 7), 40, (3, 3, 3), pad=1),  # many channels: taps one by one
    _layer((2, 34, 7, 6, 5), 5, (3, 2, 2), stride=2, pad=1),
    _layer((3, 32, 5, 7, 6), 6, (2, 3, 3), stride=(3, 1, 2), pad=((2, 0), (0, 1), (1, 0))),
    _layer((1, 33, 3, 4, 2), 3, (1, 2, 1), stride=(2, 1, 1), pad=(4, 0, 0)),
]
_SEQUENCES = [
    _layer((1, 1, 1), 1, (1,)),
    _layer((2, 3, 9), 4, (3,), pad=1),
    _layer((1, 40, 33), 17, (5,), pad=2),
    _layer((2, 4, 20), 5, (4,), stride=3, pad=1),
    _layer((2, 5, 20), 6, (3,), dilation=4, pad=((5, 2),)),
    _layer((2, 8, 10), 12, (3,), pad=1, groups=4),
    _layer((2, 7, 10), 7, (3,), pad=1, groups=7),
    _layer((0, 2, 5), 3, (3,)),
    _layer((1, 2, 3), 2, (2,), stride=5, pad=2),
]


def _bound(depth: Any) -> Any:
    """eps (length of the sum + 6) max|a| max|b|, as for a matrix product."""

    def bound(reference: Any, eps: float, a: Array, b: Array, *rest: Any, **options: Any) -> Any:
        largest = np.max(np.abs(a), initial=0) * np.max(np.abs(b), initial=0)
        return eps * (depth(a, b) + 6) * (largest + np.abs(reference))

    return bound


def _fwd_kernel(x: Array, w: Array, b: Any = None, out: Any = None, **options: Any) -> Any:
    return _C.conv3d(channels_last(x), channels_last(w), b, out=out, **options)


def _bwd_data_kernel(dy: Array, w: Array, b: Any = None, out: Any = None, **options: Any) -> Any:
    return _C.conv3d_bwd_data(channels_last(dy), channels_last(w), bias=b, out=out, **options)


def _bwd_weight_kernel(x: Array, dy: Array, out: Any = None, **options: Any) -> Any:
    return _C.conv3d_bwd_weight(channels_last(x), channels_last(dy), out=out, **options)


def _function(f: Any) -> Any:
    """The public function on arrays."""

    def call(*arrays: Any, **options: Any) -> Any:
        return f(*[a if a is None else striate.Tensor(a) for a in arrays], **options).numpy()

    return call


def _transposed(f: Any) -> Any:
    """A transposed convolution that is told the size of its result."""

    def call(x: Any, w: Any, b: Any, size: Any, **o: Any) -> Any:
        extra = tuple(
            s - ((n - 1) * u - 2 * p[0] + d * (k - 1) + 1)
            for s, n, u, p, d, k in zip(
                size,
                x.shape[2:],
                o["stride"],
                o["padding"],
                o["dilation"],
                w.shape[2:],
                strict=True,
            )
        )
        given = {**o, "padding": tuple(p[0] for p in o["padding"])}
        return f(x, w, b, output_padding=extra, **given)

    return call  # fmt: skip


def _reversible(layer: Any) -> bool:
    """Whether the layer is the transpose of one that PyTorch's arguments can name."""
    x, w, y, o = layer
    return all(a == b for a, b in o["padding"]) and all(
        0 <= n - ((m - 1) * u - 2 * p[0] + d * (k - 1) + 1) < max(u, d)
        for n, m, u, p, d, k in zip(
            x[2:], y[2:], o["stride"], o["padding"], o["dilation"], w[2:], strict=True
        )
    )


def _flops(x: Any, w: Any, *_: Any, **o: Any) -> float:
    sizes = zip(x[2:], w[2:], o["padding"], o["stride"], o["dilation"], strict=True)
    outs = [(n + sum(p) - d * (k - 1) - 1) // u + 1 for n, k, p, u, d in sizes]
    return 2.0 * x[0] * math.prod(outs) * math.prod(w)


def _zeros(*shape: int) -> Any:
    return striate.zeros(*shape)


def _misuses(dims: int) -> list[Misuse]:
    name, f = f"conv{dims}d", getattr(striate, f"conv{dims}d")
    x, w = (1, 3, *[8] * dims), (4, 3, *[3] * dims)

    def refused(*words: str, x: Any = x, w: Any = w, error: Any = ValueError, **o: Any) -> Misuse:
        return Misuse(lambda: f(_zeros(*x), _zeros(*w), **o), error, (name, *words))

    return [
        refused("input", str((8,)), x=(8,)),
        refused("weight", str((4, 2, *[3] * dims)), w=(4, 2, *[3] * dims)),
        refused("weight", "axes", "(4, 3)", w=(4, 3)),
        refused("input", "padded size of at least 3", "2 + 0", x=(1, 3, *[2] * dims)),
        refused("stride", "1 or more", stride=0),
        refused("dilation", "1 or more", dilation=0),
        refused("padding", "0 or more", padding=-1),
        refused("groups", "0", groups=0),
        refused("groups", "divisor", x=(1, 9, *[8] * dims), groups=3),
        refused("bias", "(4,)", "(5,)", bias=striate.zeros(5)),
        refused("same", "stride", stride=2, padding="same"),
        refused("padding", "'full'", padding="full"),
        refused("stride", "'x'", error=TypeError, stride="x"),
        refused("output" if dims == 3 else "padding", padding=2 ** (39 if dims == 3 else 41)),
    ]


def _transposed_misuses(dims: int) -> list[Misuse]:
    name, f = f"conv_transpose{dims}d", getattr(striate, f"conv_transpose{dims}d")
    x, w = (1, 3, *[8] * dims), (3, 2, *[3] * dims)

    def refused(*words: str, x: Any = x, w: Any = w, **o: Any) -> Misuse:
        return Misuse(lambda: f(_zeros(*x), _zeros(*w), **o), ValueError, (name, *words))

    return [
        refused("weight", "(3, K / groups, ...)", w=(4, 2, *[3] * dims)),
        refused("output_padding", output_padding=1),
        refused("input", "output", padding=20),
        refused("groups", "divisor", groups=2),
    ]


def _public(dims: int, layers: Any) -> list[Case]:
    f, t = (getattr(striate, f"conv{kind}{dims}d") for kind in ("", "_transpose"))
    return [
        Case(
            name=f"conv{dims}d",
            rows=(),
            function=f,
            kernel=_function(f),
            reference=_fwd,
            samples=[
                *(Sample((x, w, (w[0],)), o) for x, w, _, o in layers),
                *(Sample((x, w, None), {**o, "activation": "relu"}) for x, w, _, o in layers[1:4]),
                *(Sample((x, w, None), o, images=False) for x, w, _, o in layers[1:4]),
            ],
            bound=_bound(lambda x, w: np.prod(w.shape[1:])),
            takes_out=False,
            flops=_flops,
            misuses=_misuses(dims),
        ),
        Case(
            name=f"conv_transpose{dims}d",
            rows=(),
            function=_transposed(t),
            kernel=_function(_transposed(t)),
            reference=_bwd_data,
            samples=[
                Sample((layer[2], layer[1], (layer[0][1],)), {**layer[3], "size": layer[0][2:]})
                for layer in layers
                if _reversible(layer)
            ],
            bound=_bound(lambda dy, w: w.shape[0] * np.prod(w.shape[2:])),
            takes_out=False,
            misuses=_transposed_misuses(dims),
        ),
    ]


_ROWS = ("gemm_f32_scalar", "gemm_f32_avx", "gemm_f64_scalar", "gemm_f64_avx")  # the tiles
CASES = [
    *_public(1, _SEQUENCES),
    *_public(3, _VOLUMES),
    Case(
        name="conv3d_fwd",
        rows=_ROWS,
        function=None,
        kernel=_fwd_kernel,
        reference=_fwd,
        samples=[Sample((x, w, (w[0],)), o) for x, w, _, o in _VOLUMES],
        bound=_bound(lambda x, w: np.prod(w.shape[1:])),
        flops=_flops,
        misuses=[
            Misuse(
                lambda: _C.conv3d(
                    np.zeros((1, 1, 2, 2, 2)), np.zeros((1, 1, 1, 1, 1)), stride=(1, 1),
                    padding=((0, 0),) * 3, dilation=(1, 1, 1), groups=1,
                ),
                ValueError,
                ("conv3d", "stride", "three"),
            ),
            Misuse(
                lambda: _C.conv3d(
                    np.zeros((1, 2, 2, 2, 2)), np.zeros((1, 2, 1, 1, 1)), stride=(1, 1, 1),
                    padding=((0, 0),) * 3, dilation=(1, 1, 1), groups=1,
                ),
                ValueError,
                ("conv3d", "input", "channels-last"),
            ),
        ],
    ),
    Case(
        name="conv3d_bwd_data",
        rows=_ROWS,
        function=None,
        kernel=_bwd_data_kernel,
        reference=_bwd_data,
        samples=[Sample((y, w, None), {**o, "size": x[2:]}) for x, w, y, o in _VOLUMES],
        bound=_bound(lambda dy, w: w.shape[0] * np.prod(w.shape[2:])),
    ),
    Case(
        name="conv3d_bwd_weight",
        rows=_ROWS,
        function=None,
        kernel=_bwd_weight_kernel,
        reference=_bwd_weight,
        samples=[Sample((x, y), {**o, "size": w[2:]}) for x, w, y, o in _VOLUMES],
        bound=_bound(lambda x, dy: dy.shape[0] * np.prod(dy.shape[2:])),
    ),
]  # fmt: skip

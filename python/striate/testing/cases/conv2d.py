# SPDX-License-Identifier: Apache-2.0
"""Convolution, its gradients, and transposed convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.ops.conv2d import images
from striate.testing.cases.case import Array, Case, Misuse, Sample
from striate.testing.cases.gemm import ACTIVATIONS


def _taps(x: Array, size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Every tap (r, s) with the strided view of the padded input that lies under it."""
    (top, bottom), (left, right) = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    p = (padded.shape[2] - dilation[0] * (size[0] - 1) - 1) // stride[0] + 1
    q = (padded.shape[3] - dilation[1] * (size[1] - 1) - 1) // stride[1] + 1
    for r in range(size[0]):
        for s in range(size[1]):
            h, w = r * dilation[0], s * dilation[1]
            rows = slice(h, h + (p - 1) * stride[0] + 1, stride[0])
            cols = slice(w, w + (q - 1) * stride[1] + 1, stride[1])
            yield r, s, padded, (rows, cols)


def _grouped(array: Array, groups: int, axis: int) -> list[Array]:
    return np.split(array, groups, axis)


def _fwd(
    x: Array, w: Array, b: Any = None, *, groups: int = 1, activation: Any = None, **where: Any
) -> Array:
    outs = []
    for xg, wg in zip(_grouped(x, groups, 1), _grouped(w, groups, 0), strict=True):
        y: Any = 0
        for r, s, padded, (rows, cols) in _taps(xg, w.shape[2:], **where):
            y = y + np.einsum("nchw,kc->nkhw", padded[:, :, rows, cols], wg[:, :, r, s])
        outs.append(y)
    y = np.concatenate(outs, axis=1)
    if b is not None:
        y = y + b[None, :, None, None]
    return ACTIVATIONS[activation](y)


def _bwd_data(
    dy: Array, w: Array, b: Any = None, *, size: Any, groups: int = 1, **where: Any
) -> Array:
    (top, _), (left, _) = where["padding"]
    outs = []
    for dyg, wg in zip(_grouped(dy, groups, 1), _grouped(w, groups, 0), strict=True):
        like = np.zeros((dy.shape[0], w.shape[1], *size))
        total: Any = None
        for r, s, padded, (rows, cols) in _taps(like, w.shape[2:], **where):
            total = np.zeros_like(padded) if total is None else total
            total[:, :, rows, cols] += np.einsum("nkhw,kc->nchw", dyg, wg[:, :, r, s])
        outs.append(total[:, :, top : top + size[0], left : left + size[1]])
    dx = np.concatenate(outs, axis=1)
    return dx if b is None else dx + b[None, :, None, None]


def _bwd_weight(x: Array, dy: Array, *, size: Any, groups: int = 1, **where: Any) -> Array:
    outs = []
    for xg, dyg in zip(_grouped(x, groups, 1), _grouped(dy, groups, 1), strict=True):
        dw = np.zeros((dyg.shape[1], xg.shape[1], *size))
        for r, s, padded, (rows, cols) in _taps(xg, size, **where):
            dw[:, :, r, s] = np.einsum("nkhw,nchw->kc", dyg, padded[:, :, rows, cols])
        outs.append(dw)
    return np.concatenate(outs, axis=0)


def _layer(
    n: int, c: int, h: int, w: int, k: int, r: int, s: int,
    stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1,
) -> tuple[Any, ...]:  # fmt: skip
    """A layer's sizes and options, with the shape of its output."""

    def two(v: Any) -> Any:
        return v if isinstance(v, tuple) else (v, v)

    pads = tuple(two(v) for v in two(pad))
    options = {
        "stride": two(stride), "padding": pads, "dilation": two(dilation), "groups": groups,
    }  # fmt: skip
    p, q = (
        (size + sum(pad_) - d * (f - 1) - 1) // st + 1
        for size, pad_, d, f, st in zip(
            (h, w), pads, two(dilation), (r, s), two(stride), strict=True
        )
    )
    return (n, c, h, w), (k, c // groups, r, s), (n, k, p, q), options


_LAYERS = [
    _layer(1, 1, 1, 1, 1, 1, 1),
    _layer(2, 3, 5, 6, 4, 3, 3, pad=1),
    _layer(1, 17, 7, 5, 33, 3, 3, pad=1),
    _layer(2, 4, 9, 8, 5, 3, 2, stride=2, pad=1),
    _layer(1, 3, 13, 11, 6, 5, 5, stride=(2, 3), pad=2),
    _layer(1, 5, 9, 9, 7, 3, 3, dilation=2, pad=2),
    _layer(1, 16, 6, 7, 8, 1, 1),
    _layer(2, 6, 5, 7, 9, 1, 1, stride=2),
    _layer(2, 8, 6, 5, 12, 3, 3, pad=1, groups=2),
    _layer(2, 9, 6, 7, 9, 3, 3, pad=1, groups=9),
    _layer(1, 70, 5, 5, 70, 3, 3, stride=2, pad=1, groups=70),
    _layer(1, 4, 7, 7, 8, 3, 3, pad=1, groups=4),
    _layer(1, 2, 6, 6, 3, 3, 3, pad=((1, 0), (2, 1))),
    _layer(1, 2, 4, 4, 3, 4, 4),
    _layer(1, 2, 3, 3, 2, 2, 2, stride=5, pad=2),
    _layer(0, 2, 5, 5, 3, 3, 3, pad=1),
    _layer(1, 1, 12, 12, 6, 5, 5),
    _layer(1, 200, 4, 4, 10, 3, 3, pad=1),
    _layer(2, 20, 7, 7, 30, 1, 1, stride=2, pad=3),  # most filters lie in the padding
    _layer(1, 40, 7, 7, 60, 3, 3, pad=1),  # few pixels, more filters
    _layer(3, 6, 14, 14, 16, 5, 5),
    _layer(2, 3, 23, 21, 20, 11, 11, stride=4, pad=3),
    _layer(1, 3, 6, 290, 5, 3, 3, pad=1),
    _layer(1, 2, 5, 3, 4, 3, 5, pad=((0, 2), (3, 4)), dilation=(2, 1)),
]


# One filter a channel: filters that go by blocks, and all others tap by tap; every rest of rows and
# columns that blocks leave; channels around lines and vectors; edges with no pixel, paddings on one
# side, and images smaller than the filter.
_DEPTHWISE_LAYERS = [
    *(_layer(2, c, 7, w, c, r, s, stride=u, pad=p, groups=c) for c, w, r, s, u, p in (
        (16, 9, 3, 3, 1, 1), (33, 8, 3, 3, 1, 0), (40, 10, 3, 3, 2, 1), (24, 7, 3, 3, (2, 1), 1),
        (128, 6, 3, 3, 1, 1), (130, 7, 3, 3, 2, 1), (17, 11, 5, 5, 1, 2), (32, 12, 5, 5, 2, 2),
        (128, 9, 5, 5, 1, 2), (8, 9, 1, 1, 1, 0), (8, 9, 2, 2, 1, 1), (9, 9, 2, 2, 2, 0),
        (7, 9, 4, 4, 1, 2), (20, 9, 4, 4, 2, 1), (6, 9, 7, 7, 1, 3), (6, 13, 3, 7, 2, 3),
        (5, 12, 3, 3, 3, 1), (5, 9, 1, 3, 1, 1), (16, 5, 3, 3, 1, 4), (16, 1, 3, 3, 1, 1),
        (16, 2, 3, 5, 2, 2), (3, 70, 3, 3, 1, 1), (3, 67, 5, 3, 2, 1),
    )),
    *(_layer(1, 20, 11, 12, 20, 3, s, stride=u, pad=3, dilation=d, groups=20) for s, u, d in (
        (3, 1, 2), (3, 2, 2), (5, 1, (1, 3)), (2, 3, (2, 1)), (7, 1, 2)
    )),
    *(_layer(1, 19, h, 13 - h, 19, k, k, stride=u, pad=p, groups=19)
      for h in range(5, 9) for k in (3, 5) for u in (1, 2)
      for p in (0, 1, ((2, 0), (0, 1)), ((0, 3), (1, 2)))),
    _layer(1, 18, 5, 6, 18, 3, 3, pad=((0, 2), (2, 0)), groups=18),
    _layer(0, 4, 5, 5, 4, 3, 3, pad=1, groups=4),
]  # fmt: skip


# Stride 1: tiles that reach over every edge, channels around the vectors and the panels.
_WINOGRAD_LAYERS = [
    _layer(2, 3, 5, 6, 4, 3, 3, pad=1),
    _layer(1, 17, 7, 5, 33, 3, 3, pad=1),
    _layer(1, 16, 8, 8, 32, 3, 3),
    _layer(1, 40, 3, 3, 20, 3, 3),
    _layer(2, 5, 9, 10, 70, 3, 3, pad=((1, 0), (2, 1))),
    _layer(1, 33, 4, 17, 16, 3, 3, pad=2),
    _layer(1, 2, 3, 4, 3, 3, 3, pad=4),
    _layer(3, 20, 14, 13, 40, 3, 3, pad=1),
    _layer(2, 9, 8, 11, 24, 3, 3, pad=1),
    _layer(2, 9, 10, 4, 24, 3, 3, pad=1),
    _layer(0, 20, 5, 5, 20, 3, 3, pad=1),
]

# Filters in pieces of one to three taps, strides, and images of every size of tail.
_WINOGRAD_PIECES = [
    *(
        _layer(1, 5, h, w, 18, r, t, stride=stride, pad=pad)
        for r, t, stride, pad in (
            (2, 2, 1, 0), (3, 2, 1, (1, 0)), (4, 3, 1, 1), (5, 5, 1, 2), (6, 7, 1, 3),
            (3, 3, 2, 1), (2, 5, 2, (0, 2)), (5, 3, (2, 1), (2, 1)), (5, 5, 2, 2), (3, 4, 3, 0),
            (5, 4, (1, 2), ((3, 0), (1, 2))), (9, 9, 1, 8), (12, 11, (4, 2), 5), (4, 8, 4, 3),
        )
        for h, w in ((12, 13), (17, 14), (15, 22))
    ),
    _layer(2, 20, 5, 5, 33, 5, 5, pad=2),
    _layer(2, 33, 1, 2, 20, 2, 2, stride=2, pad=1),
    _layer(0, 3, 9, 9, 4, 3, 3, stride=2, pad=1),
]  # fmt: skip


# Widths around the tiles' heights and filters around their vectors; rows that no filter meets.
_ROW_LAYERS = [
    *(_layer(2, 3, 4, q, k, 3, 3, pad=1) for q, k in zip(
        (1, 2, 3, 5, 6, 7, 11, 12, 13, 14, 15, 27, 29, 31, 41, 43),
        (1, 8, 7, 16, 15, 17, 9, 24, 4, 32, 33, 47, 6, 48, 5, 80), strict=True
    )),
    *(_layer(1, c, 9, 12, k, 2, 3, stride=u) for c, k, u in (
        (1, 6, 1), (2, 16, 2), (3, 3, 3), (4, 20, (3, 1)), (1, 64, (1, 2))
    )),
    _layer(1, 2, 3, 4, 18, 3, 3, pad=((5, 7), (4, 0))),
    _layer(1, 2, 4, 5, 8, 3, 2, pad=((3, 2), (1, 9)), dilation=(4, 1)),
    _layer(2, 90, 3, 8, 40, 3, 3, pad=1),
    _layer(0, 3, 5, 5, 4, 3, 3, pad=1),
]  # fmt: skip


# Name, method, the matrices of its stages: input, filter, output, dy, dw; layers.
_WINOGRADS: list[tuple[str, str, str, float, list[Any]]] = [
    ("f2x2", "f2x2", "4x4 4x3 2x4 4x2 3x4", 1, _WINOGRAD_LAYERS),
    ("f4x4", "f4x4", "6x6 6x3 4x6 6x4 3x6", 8, _WINOGRAD_LAYERS),
    ("pieces", "f4x4", "part part part part part", 8, [*_WINOGRAD_LAYERS, *_WINOGRAD_PIECES]),
]


def _by(kernel: Any, method: str) -> Any:
    """The kernel by a method, which other layers than these may be meant for."""

    def pinned(a: Array, *rest: Any, **options: Any) -> Any:
        bits = 8 * a.itemsize
        rows = [f"conv2d_{p}_f{bits}_{method}" for p in ("fwd", "bwd_data", "bwd_weight")]
        with _C.pin_rows(rows):
            return kernel(a, *rest, **options)

    return pinned


def _fwd_samples(layers: list[Any]) -> list[Sample]:
    """Every layer with a bias and each activation, and with neither."""
    return [
        Sample((x, w, (w[0],) if f else None), {**o, "activation": f})
        for x, w, _, o in layers
        for f in ACTIVATIONS
    ]


def _bwd_data_samples(layers: list[Any], biases: tuple[bool, ...] = (False,)) -> list[Sample]:
    return [
        Sample((y, w, (x[1],) if b else None), {**o, "size": x[2:]})
        for x, w, y, o in layers
        for b in biases
    ]


def _bwd_weight_samples(layers: list[Any]) -> list[Sample]:
    return [Sample((x, y), {**o, "size": w[2:]}) for x, w, y, o in layers]


def _winograd_cases(
    name: str, tile: str, matrices: str, factor: float, layers: list[Any]
) -> list[Case]:
    name = f"conv2d_winograd_{name}"
    sizes = dict(zip(("input", "filter", "output", "dy", "dw"), matrices.split(), strict=True))

    def case(
        suffix: str, stages: str, kernel: Any, reference: Any, samples: list[Sample], depth: Any
    ) -> Case:
        return Case(
            name=name + suffix,
            rows=tuple(f"conv2d_winograd_{stage}_{sizes[stage]}_" for stage in stages.split()),
            function=None,
            kernel=_by(kernel, f"winograd_{tile}"),
            reference=reference,
            samples=samples,
            bound=_bound(depth, factor),
        )

    forward = _fwd_samples(_WINOGRAD_LAYERS)
    if layers is not _WINOGRAD_LAYERS:
        forward = [Sample((x, w, (w[0],)), {**o, "activation": "relu"}) for x, w, _, o in layers]
    backward, weight = _bwd_data_samples(layers), _bwd_weight_samples(layers)
    ends = "input filter output"
    return [
        case("", ends, _fwd_kernel, _fwd, forward, _fwd_depth),
        case("_bwd_data", ends, _bwd_data_kernel, _bwd_data, backward, _bwd_depth),
        case("_bwd_weight", "input dy dw", _bwd_weight_kernel, _bwd_weight, weight, _weight_depth),
    ]


def _fwd_depth(x: Array, w: Array) -> Any:
    return np.prod(w.shape[1:])


def _bwd_depth(dy: Array, w: Array) -> Any:
    return w.shape[0] * np.prod(w.shape[2:])


def _weight_depth(x: Array, dy: Array) -> Any:
    return dy.shape[0] * np.prod(dy.shape[2:])


def _bound(depth: Any, factor: float = 1) -> Any:
    """factor eps (length of the sum + 6) max|a| max|b|, as for a matrix product."""

    def bound(reference: Any, eps: float, a: Array, b: Array, *rest: Any, **options: Any) -> Any:
        largest = np.max(np.abs(a), initial=0) * np.max(np.abs(b), initial=0)
        return factor * eps * (depth(a, b) + 6) * (largest + np.abs(reference))

    return bound


def _fwd_kernel(x: Array, w: Array, b: Any = None, out: Any = None, **options: Any) -> Any:
    return _C.conv2d(images(x), images(w), b, out=out, **options)


def _bwd_data_kernel(dy: Array, w: Array, b: Any = None, out: Any = None, **options: Any) -> Any:
    return _C.conv2d_bwd_data(images(dy), images(w), bias=b, out=out, **options)


def _bwd_weight_kernel(x: Array, dy: Array, out: Any = None, **options: Any) -> Any:
    return _C.conv2d_bwd_weight(images(x), images(dy), out=out, **options)


def _flops(x: Any, w: Any, *_: Any, **options: Any) -> float:
    (top, bottom), (left, right) = options["padding"]
    p = (x[2] + top + bottom - options["dilation"][0] * (w[2] - 1) - 1) // options["stride"][0] + 1
    q = (x[3] + left + right - options["dilation"][1] * (w[3] - 1) - 1) // options["stride"][1] + 1
    return 2.0 * x[0] * p * q * float(np.prod(w))


def _zeros(*shape: int) -> Any:
    return striate.zeros(*shape)


_MISUSES = [
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 2, 3, 3)),
        ValueError,
        ("conv2d", "weight", "(K, 3, R, S)", "(4, 2, 3, 3)"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(8, 8), _zeros(4, 3, 3, 3)),
        ValueError,
        ("conv2d", "input", "(N, C, H, W)", "(8, 8)"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 2, 8), _zeros(4, 3, 3, 3)),
        ValueError,
        ("conv2d", "input", "padded height of at least 3", "2 + 0"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), stride=0),
        ValueError,
        ("conv2d", "stride", "1 or more", "(0, 0)"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), padding=-1),
        ValueError,
        ("conv2d", "padding", "0 or more"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), groups=2),
        ValueError,
        ("conv2d", "groups", "divisor of 3 channels"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), _zeros(5)),
        ValueError,
        ("conv2d", "bias", "(4,)", "(5,)"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(
            _zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), stride=2, padding="same"
        ),
        ValueError,
        ("conv2d", "same", "stride"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 3, 8, 8), _zeros(4, 3, 3, 3), stride="x"),
        TypeError,
        ("conv2d", "stride", "'x'"),
    ),
    Misuse(
        lambda: striate.ops.conv2d(_zeros(1, 1, 2, 2), _zeros(1, 1, 1, 1), padding=2**39),
        ValueError,
        ("conv2d", "output"),
    ),
]

CASES = [
    *(case for winograd in _WINOGRADS for case in _winograd_cases(*winograd)),
    Case(
        name="conv2d",
        rows=("conv2d_fwd_f32_", "conv2d_fwd_f64_"),
        function=striate.ops.conv2d,
        kernel=_fwd_kernel,
        reference=_fwd,
        samples=[
            *(Sample((x, w, (w[0],)), {**o}) for x, w, _, o in _LAYERS),
            *(Sample((x, w, None), {**o, "activation": "relu"}) for x, w, _, o in _LAYERS[:8]),
            *(Sample((x, w, (w[0],)), {**o, "activation": "tanh"}) for x, w, _, o in _LAYERS),
        ],
        bound=_bound(_fwd_depth),
        flops=_flops,
        misuses=_MISUSES,
    ),
    Case(
        name="conv2d_depthwise",
        rows=("conv2d_depthwise_blocks_", "conv2d_depthwise_taps_"),
        function=None,
        kernel=_fwd_kernel,
        reference=_fwd,
        samples=_fwd_samples(_DEPTHWISE_LAYERS),
        bound=_bound(_fwd_depth),
    ),
    Case(
        name="conv2d_depthwise_bwd_data",
        rows=("conv2d_depthwise_blocks_", "conv2d_depthwise_taps_"),
        function=None,
        kernel=_bwd_data_kernel,
        reference=_bwd_data,
        samples=_bwd_data_samples(_DEPTHWISE_LAYERS, (False, True)),
        bound=_bound(_bwd_depth),
    ),
    Case(
        name="conv2d_depthwise_bwd_weight",
        rows=("conv2d_depthwise_weight_",),
        function=None,
        kernel=_bwd_weight_kernel,
        reference=_bwd_weight,
        samples=_bwd_weight_samples(_DEPTHWISE_LAYERS),
        bound=_bound(_weight_depth),
    ),
    Case(
        name="conv2d_rows",
        rows=("conv2d_row_",),
        function=None,
        kernel=_by(_fwd_kernel, "rows"),
        reference=_fwd,
        samples=_fwd_samples(_ROW_LAYERS),
        bound=_bound(_fwd_depth),
    ),
    Case(
        name="conv2d_rows_bwd_data",
        rows=("conv2d_row_",),
        function=None,
        kernel=_by(_bwd_data_kernel, "rows"),
        reference=_bwd_data,
        samples=_bwd_data_samples(_ROW_LAYERS, (False, True)),
        bound=_bound(_bwd_depth),
    ),
    Case(
        name="conv2d_bwd_data",
        rows=("conv2d_bwd_data_f32_", "conv2d_bwd_data_f64_", "conv2d_scatter_windows_"),
        function=None,
        kernel=_bwd_data_kernel,
        reference=_bwd_data,
        samples=_bwd_data_samples(_LAYERS),
        bound=_bound(_bwd_depth),
    ),
    Case(
        name="conv2d_bwd_weight",
        rows=("conv2d_bwd_weight_f32_", "conv2d_bwd_weight_f64_"),
        function=None,
        kernel=_bwd_weight_kernel,
        reference=_bwd_weight,
        samples=_bwd_weight_samples(_LAYERS),
        bound=_bound(_weight_depth),
    ),
    Case(
        name="conv_transpose2d",
        rows=(),
        function=lambda x, w, b, size, **o: striate.ops.conv_transpose2d(
            x, w, b,
            output_padding=tuple(
                s - ((n - 1) * st - sum(p) + d * (f - 1) + 1)
                for s, n, st, p, d, f in zip(
                    size, x.shape[2:], o["stride"], o["padding"], o["dilation"], w.shape[2:],
                    strict=True,
                )
            ),
            **o,
        ),
        kernel=_bwd_data_kernel,
        reference=_bwd_data,
        samples=[
            Sample((y, w, (x[1],)), {**o, "size": x[2:]})
            for x, w, y, o in _LAYERS
            if o["stride"] != (5, 5)
        ],
        bound=_bound(_bwd_depth),
        misuses=[
            Misuse(
                lambda: striate.ops.conv_transpose2d(_zeros(1, 3, 8, 8), _zeros(4, 2, 3, 3)),
                ValueError,
                ("conv_transpose2d", "weight", "(3, K / groups, R, S)"),
            ),
            Misuse(
                lambda: striate.ops.conv_transpose2d(
                    _zeros(1, 3, 8, 8), _zeros(3, 2, 3, 3), output_padding=1
                ),
                ValueError,
                ("conv_transpose2d", "output_padding"),
            ),
        ],
    ),
]  # fmt: skip

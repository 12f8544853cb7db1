# SPDX-License-Identifier: Apache-2.0
"""Layer norm, RMS norm, group norm and instance norm."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample

_EPS = 1e-5


def _tail(x: Any, axes: int) -> tuple[int, ...]:
    return tuple(range(x.ndim - axes, x.ndim))


# --- layer norm and RMS norm ---------------------------------------------------------------------


def _layer(x: Tensor, w: Any, b: Any, axes: int = 1) -> Tensor:
    return striate.layer_norm(x, x.shape[-axes:], w, b, _EPS)


def _layer_kernel(x: Array, w: Any, b: Any, axes: int = 1, out: Any = None) -> Array:
    return _C.layer_norm(x, axes, _EPS, w, b, out=out)[0]


def _layer_reference(x: Array, w: Any, b: Any, axes: int = 1) -> Array:
    mean, var = (f(x, axis=_tail(x, axes), keepdims=True) for f in (np.mean, np.var))
    unit = (x - mean) / np.sqrt(var + _EPS)
    return np.asarray(unit * (1 if w is None else w) + (0 if b is None else b))


def _rms(x: Tensor, w: Any, axes: int = 1) -> Tensor:
    return striate.rms_norm(x, x.shape[-axes:], w, _EPS)


def _rms_kernel(x: Array, w: Any, axes: int = 1, out: Any = None) -> Array:
    return _C.rms_norm(x, axes, _EPS, w, out=out)[0]


def _rms_reference(x: Array, w: Any, axes: int = 1) -> Array:
    square = np.mean(x * x, axis=_tail(x, axes), keepdims=True)
    return np.asarray(x / np.sqrt(square + _EPS) * (1 if w is None else w))


def _steps(n: float) -> float:
    """Roundings on the way of one element through a blocked sum of n."""
    return 4 + n / 2048 + np.log2(n + 1)


def _bound(reference: Any, eps: float, x: Array, w: Any, *b: Any, axes: int = 1) -> Any:
    """The mean errs by a few eps of the spread, and so do invstd and the product."""
    n = int(np.prod(x.shape[x.ndim - axes :]))
    std = np.sqrt(np.var(x, axis=_tail(x, axes), keepdims=True) + _EPS)
    largest = np.max(np.abs(x), axis=_tail(x, axes), keepdims=True, initial=0) / std
    scale = 1 if w is None else np.abs(w)
    return eps * _steps(n) * (scale * (1 + largest) + np.abs(reference))


def _layer_backward(x: Array, dy: Array, w: Any, axes: int = 1, out: Any = None) -> Array:
    _, mean, invstd = _C.layer_norm(x, axes, _EPS, w)
    return _C.layer_norm_backward(dy, x, axes, mean, invstd, w, True, out=out)[0]


def _sums_kernel(x: Array, dy: Array, w: Array) -> Array:
    """dweight, dbias, and RMS norm's dweight."""
    _, mean, invstd = _C.layer_norm(x, 1, _EPS, w)
    _, dw, db = _C.layer_norm_backward(dy, x, 1, mean, invstd, w, True)
    _, rms = _C.rms_norm(x, 1, _EPS, w)
    dv = _C.rms_norm_backward(dy, x, 1, rms, w)[1]
    assert dw is not None and db is not None and dv is not None
    return np.stack([dw, db, dv])


def _sums_reference(x: Array, dy: Array, w: Array) -> Array:
    lead = tuple(range(x.ndim - 1))
    dw = (dy * _layer_reference(x, None, None)).sum(lead)
    return np.stack([dw, dy.sum(lead), (dy * _rms_reference(x, None)).sum(lead)])


def _sums_bound(reference: Any, eps: float, x: Array, dy: Array, w: Array) -> Any:
    rows, n = x.size // max(x.shape[-1], 1), x.shape[-1]
    size = np.abs(dy).reshape(-1, n).sum(0) * (1 + np.sqrt(n))
    return eps * (_steps(n) + min(rows, 256) + rows / 256) * size


def _rms_backward(x: Array, dy: Array, w: Any, axes: int = 1, out: Any = None) -> Array:
    _, invstd = _C.rms_norm(x, axes, _EPS, w)
    return _C.rms_norm_backward(dy, x, axes, invstd, w, out=out)[0]


def _layer_backward_reference(x: Array, dy: Array, w: Any, axes: int = 1) -> Array:
    tail = _tail(x, axes)
    unit = _layer_reference(x, None, None, axes)
    g = dy * (1 if w is None else w)
    through = g - g.mean(tail, keepdims=True) - unit * (g * unit).mean(tail, keepdims=True)
    return np.asarray(through / np.sqrt(x.var(tail, keepdims=True) + _EPS))


def _rms_backward_reference(x: Array, dy: Array, w: Any, axes: int = 1) -> Array:
    tail = _tail(x, axes)
    unit = _rms_reference(x, None, axes)
    g = dy * (1 if w is None else w)
    through = g - unit * (g * unit).mean(tail, keepdims=True)
    return np.asarray(through / np.sqrt((x * x).mean(tail, keepdims=True) + _EPS))


def _backward_bound(reference: Any, eps: float, x: Array, dy: Array, w: Any, axes: int = 1) -> Any:
    """x^ errs by a few eps of the largest, and meets the mean of |g x^|; invstd scales all."""
    n = int(np.prod(x.shape[x.ndim - axes :]))
    tail = _tail(x, axes)
    invstd = 1 / np.sqrt(np.var(x, axis=tail, keepdims=True) + _EPS)
    unit = 1 + np.abs(x) * invstd
    g = np.abs(dy) * (1 if w is None else np.abs(w))
    most = [np.max(v, axis=tail, keepdims=True, initial=0) for v in (unit, g)]
    return eps * _steps(n) * invstd * (most[1] + most[0] * (g * unit).mean(tail, keepdims=True))


_WIDTHS = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 127, 300)
_SHAPES: list[tuple[tuple[int, ...], int]] = [
    *(((5, n), 1) for n in _WIDTHS), ((0, 4), 1), ((7,), 1), ((2, 3, 5), 2), ((2, 3, 4, 6), 3),
    ((2, 5, 4, 6), 1), ((2000, 33), 1), ((3, 30000), 1),
]  # fmt: skip
_IN_PLACE = [((2, 3, 4, 6), 3), ((2, 5, 4, 6), 1)]


def _samples(vectors: int, gradient: bool = False) -> list[Sample]:
    def one(shape: tuple[int, ...], axes: int, given: int = 2, images: bool = True) -> Sample:
        tail = shape[len(shape) - axes :]
        operands = [shape] * (2 if gradient else 1)
        affine = [tail if i < given else None for i in range(vectors)]
        return Sample((*operands, *affine), {"axes": axes}, images)

    return [
        *(one(s, a) for s, a in _SHAPES),
        *(one(s, a, images=False) for s, a in _IN_PLACE),
        one((3, 21), 1, 0),
        one((3, 21), 1, 1),
    ]


# --- group norm ----------------------------------------------------------------------------------


def _group(x: Tensor, w: Any, b: Any, groups: int) -> Tensor:
    return striate.group_norm(x, groups, w, b, _EPS)


def _group_kernel(x: Array, w: Any, b: Any, groups: int, out: Any = None) -> Array:
    return _C.group_norm(x, groups, _EPS, w, b, out=out)[0]


def _parts(x: Array, groups: int) -> Array:
    """(N, groups, values of a group)."""
    return x.reshape(x.shape[0], groups, int(np.prod(x.shape[1:])) // groups)


def _along(v: Array | None, x: Array, default: float) -> Any:
    return default if v is None else v.reshape(1, -1, *[1] * (x.ndim - 2))


def _group_reference(x: Array, w: Any, b: Any, groups: int) -> Array:
    unit = _layer_reference(_parts(x, groups), None, None).reshape(x.shape)
    return np.asarray(unit * _along(w, x, 1) + _along(b, x, 0))


def _group_bound(reference: Any, eps: float, x: Array, w: Any, b: Any, groups: int) -> Any:
    p = _parts(x, groups)
    unit = _layer_reference(p, None, None)
    near = _bound(unit, eps, p, None).reshape(x.shape)
    return near * np.abs(_along(w, x, 1)) + 4 * eps * np.abs(reference)


def _group_backward(x: Array, dy: Array, w: Any, groups: int, out: Any = None) -> Array:
    _, mean, _, invstd = _C.group_norm(x, groups, _EPS)
    return _C.group_norm_backward(dy, x, mean, invstd, w, out=out)[0]


def _group_backward_reference(x: Array, dy: Array, w: Any, groups: int) -> Array:
    g = np.asarray(dy * _along(w, x, 1))
    dx = _layer_backward_reference(_parts(x, groups), _parts(g, groups), None)
    return dx.reshape(x.shape)


def _group_backward_bound(
    reference: Any, eps: float, x: Array, dy: Array, w: Any, groups: int
) -> Any:
    g = np.asarray(dy * _along(w, x, 1))
    near = _backward_bound(None, eps, _parts(x, groups), _parts(g, groups), None)
    return np.broadcast_to(near, _parts(x, groups).shape).reshape(x.shape)


_GROUPS: list[tuple[tuple[int, ...], int]] = [
    *(((2, c, 3, 5), g) for c, g in (
        (1, 1), (3, 1), (3, 3), (8, 2), (15, 5), (16, 16), (17, 1), (34, 17), (64, 8), (65, 13),
        (128, 4), (130, 130), (260, 2),
    )),
    ((2, 6), 3), ((3, 4, 7), 2), ((1, 6, 1, 2), 3), ((5, 6, 30, 30), 3), ((1, 20, 60, 60), 5),
    ((0, 4, 3, 3), 2),
]  # fmt: skip
_GROUP_SAMPLES = [
    *(Sample((s, (s[1],), (s[1],)), {"groups": g}) for s, g in _GROUPS),
    Sample(((2, 6, 3, 4), None, (6,)), {"groups": 3}),
    Sample(((2, 6, 3, 4), (6,), None), {"groups": 2}, images=False),
]


def _refused(f: str, error: type[Exception], *words: str, **arguments: Any) -> Misuse:
    options: dict[str, Any] = {"input": striate.zeros(2, 3, 4), **arguments}
    return Misuse(lambda: getattr(striate, f)(**options), error, (f, *words))


def _moved(x: tuple[int, ...], *_: Any, **__: Any) -> float:
    return 8.0 * float(np.prod(x))


def _moved_back(x: tuple[int, ...], *_: Any, **__: Any) -> float:
    return 12.0 * float(np.prod(x))


CASES = [
    Case(
        name="layer_norm",
        rows=("layer_norm_fwd_",),
        function=_layer,
        kernel=_layer_kernel,
        reference=_layer_reference,
        samples=_samples(2),
        bound=_bound,
        bytes=_moved,
        misuses=[
            _refused("layer_norm", ValueError, "(3,)", "(2, 3, 4)", normalized_shape=3),
            _refused("layer_norm", ValueError, "at least one", normalized_shape=()),
            _refused("layer_norm", TypeError, "'4'", normalized_shape="4"),
            _refused("layer_norm", TypeError, "int64", input=striate.arange(4), normalized_shape=4),
            _refused("layer_norm", ValueError, "weight", "(4,)", "(3,)", normalized_shape=4,
                     weight=striate.ones(3)),
            _refused("layer_norm", ValueError, "bias", "float64", normalized_shape=4,
                     bias=striate.ones(4, dtype=striate.float64)),
            _refused("layer_norm", ValueError, "eps", "-1", normalized_shape=4, eps=-1),
            _refused("layer_norm", TypeError, "eps", "'x'", normalized_shape=4, eps="x"),
            Misuse(
                lambda: striate.nn.LayerNorm((2**40, 2**40)), ValueError, ("LayerNorm", "weight")
            ),
            Misuse(lambda: striate.nn.LayerNorm(4)(striate.ones(2, 5)), ValueError, ("(2, 5)",)),
        ],
    ),
    Case(
        name="layer_norm_backward",
        rows=("layer_norm_bwd_",),
        function=None,
        kernel=_layer_backward,
        reference=_layer_backward_reference,
        samples=_samples(1, gradient=True),
        bound=_backward_bound,
        bytes=_moved_back,
    ),
    Case(
        name="layer_norm_sums",
        rows=("layer_norm_bwd_", "rms_norm_bwd_"),
        function=None,
        kernel=_sums_kernel,
        reference=_sums_reference,
        samples=[Sample((s, s, s[-1:])) for s, a in _SHAPES if a == 1 and s[-1] > 0 and len(s) > 1],
        bound=_sums_bound,
        takes_out=False,
    ),
    Case(
        name="rms_norm",
        rows=("rms_norm_fwd_",),
        function=_rms,
        kernel=_rms_kernel,
        reference=_rms_reference,
        samples=_samples(1),
        bound=_bound,
        bytes=_moved,
        misuses=[
            _refused("rms_norm", ValueError, "(5,)", "(2, 3, 4)", normalized_shape=5),
            _refused("rms_norm", ValueError, "weight", "(3, 4)", normalized_shape=(3, 4),
                     weight=striate.ones(4)),
        ],
    ),
    Case(
        name="rms_norm_backward",
        rows=("rms_norm_bwd_",),
        function=None,
        kernel=_rms_backward,
        reference=_rms_backward_reference,
        samples=_samples(1, gradient=True),
        bound=_backward_bound,
        bytes=_moved_back,
    ),
    Case(
        name="group_norm",
        rows=("batch_norm_stats_", "batch_norm_fwd_"),
        function=_group,
        kernel=_group_kernel,
        reference=_group_reference,
        samples=_GROUP_SAMPLES,
        bound=_group_bound,
        bytes=_moved,
        misuses=[
            _refused("group_norm", ValueError, "num_groups", "3 channels", "2", num_groups=2),
            _refused("group_norm", ValueError, "num_groups", "0", num_groups=0),
            _refused("group_norm", TypeError, "eps", "'x'", num_groups=3, eps="x"),
            _refused("group_norm", TypeError, "num_groups", "1.5", num_groups=1.5),
            _refused("group_norm", ValueError, "(4,)", input=striate.ones(4), num_groups=1),
            _refused("group_norm", ValueError, "one value", input=striate.ones(1, 2, 1, 1),
                     num_groups=2),
            _refused("group_norm", ValueError, "weight", "(3,)", "(4,)", num_groups=3,
                     weight=striate.ones(4)),
            _refused("instance_norm", ValueError, "one value", input=striate.ones(4, 3, 1)),
            _refused("instance_norm", ValueError, "(4, 3)", input=striate.ones(4, 3)),
            _refused("instance_norm", ValueError, "running_var", "(3,)",
                     running_var=striate.ones(4)),
            Misuse(lambda: striate.nn.GroupNorm(3, 4), ValueError, ("GroupNorm", "num_groups")),
            Misuse(
                lambda: striate.nn.InstanceNorm2d(3)(striate.ones(2, 4, 3, 3)),
                ValueError,
                ("instance_norm", "(2, 4, 3, 3)"),
            ),
        ],
    ),
    Case(
        name="group_norm_backward",
        rows=("batch_norm_sums_", "batch_norm_bwd_"),
        function=None,
        kernel=_group_backward,
        reference=_group_backward_reference,
        samples=[Sample((s, s, (s[1],)), {"groups": g}) for s, g in _GROUPS],
        bound=_group_backward_bound,
        bytes=_moved_back,
    ),
]  # fmt: skip

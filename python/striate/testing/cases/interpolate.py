# SPDX-License-Identifier: Apache-2.0
"""Interpolation, and padding with the image's own elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

# --- the reference: a dense matrix an axis --------------------------------------------------------


def _cubic(distance: float) -> float:
    d = abs(distance)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def _matrix(spec: tuple[Any, ...], n: int) -> Array:
    """[outputs, n] of an axis."""
    mode = spec[0]
    if mode in ("reflect", "replicate", "circular"):
        names = {"reflect": "reflect", "replicate": "edge"}
        before, after = spec[1:]
        if mode == "circular":  # goes round what cropping leaves
            kept = np.arange(n)[max(-before, 0) : n - max(-after, 0)]
            return np.eye(n)[np.pad(kept, (max(before, 0), max(after, 0)), mode="wrap")]
        at = np.pad(np.arange(n), (max(before, 0), max(after, 0)), mode=names[mode])
        at = at[max(-before, 0) : len(at) - max(-after, 0)]
        return np.eye(n)[at]
    size, scale, align = spec[1:]
    m = np.zeros((size, n))
    for o in range(size):
        if mode.startswith("nearest"):
            step = np.float32(scale or n / size)
            from_ = np.float32(o + (0.5 if mode == "nearest-exact" else 0)) * step
            if mode == "nearest" and size in (n, 2 * n):  # whatever the scale
                from_ = np.float32(o * n // size)
            m[o, min(int(from_), n - 1)] = 1
            continue
        if align:
            at_ = o * (n - 1) / (size - 1) if size > 1 else 0.0
        else:
            at_ = (o + 0.5) * (scale or n / size) - 0.5
        if mode == "linear":
            at_ = float(o) if size == n else min(max(at_, 0), n - 1)
        low = math.floor(at_)
        for i in range(low - 1, low + 3):
            weight = _cubic(at_ - i) if mode == "cubic" else max(0.0, 1 - abs(at_ - i))
            m[o, min(max(i, 0), n - 1)] += weight
    return m


def _reference(x: Array, axes: tuple[Any, ...]) -> Array:
    for i, spec in enumerate(axes):
        x = np.moveaxis(np.moveaxis(x, 2 + i, -1) @ _matrix(spec, x.shape[2 + i]).T, -1, 2 + i)
    return x


def _backward_reference(dy: Array, size: tuple[int, ...], axes: tuple[Any, ...]) -> Array:
    for i, spec in enumerate(axes):
        dy = np.moveaxis(np.moveaxis(dy, 2 + i, -1) @ _matrix(spec, size[i]), -1, 2 + i)
    return dy


# --- samples --------------------------------------------------------------------------------------


def _linear(*sizes: int, align: bool = False) -> tuple[Any, ...]:
    return tuple(("linear", n, 0.0, align) for n in sizes)


def _all(mode: str, *sizes: int, scale: float = 0.0, align: bool = False) -> tuple[Any, ...]:
    return tuple((mode, n, scale, align) for n in sizes)


_KERNEL: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    *(((2, c, 4, 3), _linear(7, 8)) for c in (1, 3, 4, 7, 8, 15, 16, 17, 33, 64, 65, 101, 130)),
    *(((1, c, 5, 4), _all("nearest", 9, 7)) for c in (1, 5, 16, 67)),
    ((2, 3, 5), _linear(11)),
    ((2, 3, 5), _all("nearest-exact", 13)),
    ((1, 5, 3, 4, 2), _linear(5, 3, 7)),
    ((1, 5, 3, 4, 2), _all("nearest", 6, 8, 3)),
    ((2, 5, 6, 7), _linear(3, 4)),
    ((2, 5, 6, 7), _linear(3, 10, align=True)),
    ((2, 5, 6, 7), _linear(1, 1, align=True)),
    ((2, 5, 6, 7), _all("cubic", 9, 4)),
    ((2, 5, 6, 7), _all("cubic", 9, 4, align=True)),
    ((1, 3, 1, 1), _all("cubic", 3, 2)),
    ((1, 3, 1, 1), _linear(3, 2)),
    ((1, 20, 6, 7), _all("linear", 7, 8, scale=1 / 1.21)),
    ((1, 20, 6, 7), _all("nearest", 13, 15, scale=1 / 2.21)),
    ((2, 17, 4, 5), (("reflect", 2, 3), ("reflect", 4, 0))),
    ((2, 17, 4, 5), (("replicate", 6, 0), ("replicate", 1, 7))),
    ((2, 17, 4, 5), (("circular", 4, 1), ("circular", 0, 5))),
    ((2, 17, 6, 5), (("reflect", -2, 1), ("circular", 3, -2))),
    ((1, 3, 7), (("reflect", 3, 6),)),
    ((1, 3, 3, 4, 5), (("reflect", 2, 0), ("replicate", 1, 1), ("circular", 2, 3))),
    ((0, 3, 4, 5), _linear(8, 10)),
    ((2, 64, 40, 41), _linear(60, 61)),
]


def _sizes(shape: tuple[int, ...], axes: tuple[Any, ...]) -> tuple[int, ...]:
    return (*shape[:2], *(len(_matrix(a, n)) for a, n in zip(axes, shape[2:], strict=True)))


def _bound(reference: Any, eps: float, x: Array, **given: Any) -> Any:
    """Each axis rounds its weights and adds up some taps: in sum 64 of |x| at most, cubic 3.4."""
    return 16 * eps * (np.abs(x).max(initial=0) * (1 + 3 * _is_cubic(given)) + np.abs(reference))


def _is_cubic(given: dict[str, Any]) -> bool:
    return any(a[0] == "cubic" for a in given["axes"])


def _backward_bound(reference: Any, eps: float, dy: Array, **given: Any) -> Any:
    """An input collects as many outputs as land on it, all of them at worst."""
    taps = math.prod(dy.shape[2:])
    return 16 * eps * min(taps, 1000) * np.abs(dy).max(initial=0)


def _moved(x: tuple[int, ...], *_: Any, **given: Any) -> float:
    return 4.0 * (math.prod(x) + math.prod(_sizes(x, given["axes"])))


def _zeros(*shape: int) -> Any:
    return striate.zeros(*shape)


def _refused(words: tuple[str, ...], error: Any = ValueError, **given: Any) -> Misuse:
    x = given.pop("x", (1, 2, 4, 4))
    return Misuse(lambda: striate.interpolate(_zeros(*x), **given), error, ("interpolate", *words))


_MODES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5), {"size": 9}),
    ((2, 3, 5), {"scale_factor": 1.7, "mode": "linear"}),
    ((2, 3, 5, 6), {"size": (9, 4), "mode": "bilinear"}),
    ((2, 3, 5, 6), {"scale_factor": (2, 0.5), "mode": "bilinear", "align_corners": True}),
    ((2, 3, 5, 6), {"scale_factor": 1.5, "mode": "bicubic"}),
    ((2, 3, 5, 6), {"size": 11, "mode": "bicubic", "align_corners": True}),
    ((2, 3, 5, 6), {"scale_factor": 2.3, "mode": "nearest-exact"}),
    ((2, 3, 5, 6), {"scale_factor": 2.3, "recompute_scale_factor": True}),
    ((1, 3, 2, 5, 6), {"size": (3, 7, 9), "mode": "trilinear"}),
    ((1, 3, 2, 5, 6), {"scale_factor": 2}),
    ((0, 3, 5, 6), {"scale_factor": 2}),
]


def _public_axes(shape: tuple[int, ...], given: dict[str, Any]) -> tuple[Any, ...]:
    count, mode = len(shape) - 2, given.get("mode", "nearest")
    size: Any = given.get("size")
    factor: Any = given.get("scale_factor")
    if size is None:
        factors = factor if isinstance(factor, tuple) else (factor,) * count
        size = tuple(math.floor(n * f) for n, f in zip(shape[2:], factors, strict=True))
        steps = [0 if given.get("recompute_scale_factor") else 1 / f for f in factors]
    else:
        size, steps = (size if isinstance(size, tuple) else (size,) * count), [0.0] * count
    kind = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    align = bool(given.get("align_corners"))
    return tuple((kind, n, step, align) for n, step in zip(size, steps, strict=True))


def _public_bound(reference: Any, eps: float, x: Array, **given: Any) -> Any:
    return _bound(reference, eps, x, axes=_public_axes(x.shape, given))


def _pad_axes(given: dict[str, Any]) -> tuple[Any, ...]:
    w = given["pad"]
    pairs = [(w[i], w[i + 1]) for i in range(0, len(w), 2)]
    return tuple((given["mode"], *pair) for pair in reversed(pairs))


def _pad_reference(x: Array, **given: Any) -> Array:
    axes = _pad_axes(given)
    if x.ndim == len(axes) + 1:
        return _reference(x[None], axes)[0]
    return _reference(x, axes)


def _pad_refused(words: tuple[str, ...], shape: tuple[int, ...], *args: Any) -> Misuse:
    return Misuse(lambda: striate.pad(_zeros(*shape), *args), ValueError, words)


CASES = [
    Case(
        name="resample",
        rows=("interpolate_f",),
        function=None,
        kernel=_C.interpolate,
        reference=_reference,
        samples=[
            *(Sample((x,), {"axes": axes}) for x, axes in _KERNEL),
            *(Sample((x,), {"axes": axes}, images=False) for x, axes in _KERNEL[-9:]),
        ],
        bound=_bound,
        bytes=_moved,
        misuses=[
            Misuse(
                lambda: _C.interpolate(np.zeros((2, 3)), ()), ValueError, ("rank 3 to 5", "(2, 3)")
            ),
            Misuse(
                lambda: _C.interpolate(np.zeros((1, 2, 3)), ()), ValueError, ("axes", "1 axes", "0")
            ),
            Misuse(
                lambda: _C.interpolate(np.zeros((1, 2, 3)), (("x", 1, 1, 1),)), ValueError, ("x",)
            ),
            Misuse(
                lambda: _C.interpolate(np.zeros((1, 2, 3)), (("linear", 2**62, 0.0, False),)),
                ValueError,
                ("size", "2^63"),
            ),
        ],
    ),
    Case(
        name="resample_backward",
        rows=("interpolate_f",),
        function=None,
        kernel=lambda dy, size, axes, out=None: _C.interpolate_backward(dy, size, axes, out=out),
        reference=_backward_reference,
        samples=[Sample((_sizes(x, axes),), {"size": x[2:], "axes": axes}) for x, axes in _KERNEL],
        bound=_backward_bound,
        misuses=[
            Misuse(
                lambda: _C.interpolate_backward(np.zeros((1, 2, 3)), (3,), _linear(4)),
                ValueError,
                ("interpolate_backward", "dy", "(1, 2, 4)", "(1, 2, 3)"),
            ),
        ],
    ),
    Case(
        name="interpolate",
        rows=(),
        function=striate.interpolate,
        kernel=lambda x, **given: _C.interpolate(x, _public_axes(x.shape, given)),
        reference=lambda x, **given: _reference(x, _public_axes(x.shape, given)),
        samples=[Sample((x,), given) for x, given in _MODES],
        bound=_public_bound,
        takes_out=False,
        misuses=[
            _refused(("size", "neither")),
            _refused(("size", "both"), size=3, scale_factor=2),
            _refused(("size", "1 or more", "(0, 0)"), scale_factor=0.1),
            _refused(("size", "1 or more"), size=0),
            _refused(("size", "one for each", "(1, 2, 3)"), size=(1, 2, 3)),
            _refused(("size", "integers", "2.5"), TypeError, size=2.5),
            _refused(("scale_factor", "above 0", "-1"), scale_factor=-1),
            _refused(("mode", "'cubic'"), size=3, mode="cubic"),
            _refused(("input", "(N, C, L)", "(1, 2, 4, 4)"), size=3, mode="linear"),
            _refused(("input", "(1, 2)"), x=(1, 2), size=3),
            _refused(("input", "empty"), x=(1, 0, 4), size=3),
            _refused(("align_corners", "None"), size=3, align_corners=False),
            _refused(("recompute_scale_factor",), size=3, recompute_scale_factor=True),
        ],
    ),
    Case(
        name="pad_repeated",
        rows=(),
        function=striate.pad,
        kernel=lambda x, **given: striate.pad(striate.Tensor(x), **given).numpy(),
        reference=_pad_reference,
        samples=[
            Sample(((2, 5),), {"pad": (2, 3), "mode": "reflect"}),
            Sample(((2, 3, 5),), {"pad": (4, 5), "mode": "circular"}),
            Sample(((2, 3, 4, 5),), {"pad": (4, 5, 1, 2), "mode": "replicate"}),
            Sample(((2, 3, 4, 5),), {"pad": (4, -3, 1, 2), "mode": "reflect"}, images=False),
            Sample(((3, 4, 5),), {"pad": (4, 0, 1, 2), "mode": "reflect"}),
            Sample(((1, 2, 3, 4, 5),), {"pad": (1, 2, 3, 0, 0, 2), "mode": "reflect"}),
            Sample(((0, 3, 4, 5),), {"pad": (1, 1, 1, 1), "mode": "reflect"}),
        ],
        bound=lambda reference, eps, x, **_: 0.0,
        takes_out=False,
        misuses=[
            _pad_refused(("pad", "at most 3", "(4, 0)"), (1, 2, 4), (4, 0), "reflect"),
            _pad_refused(("pad", "at most 4", "(0, 5)"), (1, 2, 4), (0, 5), "circular"),
            _pad_refused(("pad", "leave 1", "(-2, -2)"), (1, 2, 4), (-2, -2), "replicate"),
            _pad_refused(("pad", "2, 4 or 6", "(1, 2, 4)"), (1, 2, 4), (1, 1, 1), "reflect"),
            _pad_refused(("input", "empty", "(1, 0, 4)"), (1, 0, 4), (1, 1), "reflect"),
            _pad_refused(("value", "3"), (1, 2, 4), (1, 1), "reflect", 3),
        ],
    ),
]

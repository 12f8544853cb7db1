# SPDX-License-Identifier: Apache-2.0
"""Memory orders and padding: nothing may change but the place."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

_IMAGES: list[tuple[int, ...]] = [
    (1, 1, 1, 1), (0, 3, 4, 5), (2, 3, 5, 7), (2, 16, 4, 4), (1, 15, 3, 5), (1, 17, 1, 33),
    (3, 8, 1, 1), (2, 1, 6, 7), (1, 33, 31, 33), (2, 64, 14, 14), (1, 3, 40, 41),
]  # fmt: skip


def _same(x: Array) -> Array:
    return x


def _exact(reference: Any, eps: float, *_: Any, **__: Any) -> Any:
    return 0.0


def _moved(x: tuple[int, ...], **_: Any) -> float:
    return 8.0 * float(np.prod(x))


def _pad_reference(x: Array, pad: tuple[int, ...], value: float = 0.0) -> Array:
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    for axis, (before, after) in enumerate(pairs):
        keep = np.arange(max(0, -before), x.shape[axis] - max(0, -after))
        x = np.take(x, keep, axis)
    grown = [(max(0, before), max(0, after)) for before, after in pairs]
    return np.pad(x, grown, constant_values=value)


CASES = [
    Case(
        name="to_channels_last",
        rows=("layout_transpose_",),
        function=None,
        kernel=_C.to_channels_last,
        reference=_same,
        samples=[
            *(Sample((s,), images=False) for s in _IMAGES),
            *(Sample((s,)) for s in [(2, 3, 5), (0, 3, 4), (2, 17, 33), (2, 3, 4, 5, 6)]),
        ],
        bound=_exact,
        bytes=_moved,
        misuses=[
            Misuse(
                lambda: _C.to_channels_last(np.zeros((2, 3))), ValueError, ("rank 3 to 5", "(2, 3)")
            ),
            Misuse(lambda: _C.to_channels_last(np.zeros(3, int)), TypeError, ("x", "int64")),
        ],
    ),
    Case(
        name="contiguous",
        rows=("layout_transpose_",),
        function=striate.contiguous,
        kernel=_C.to_c_order,
        reference=_same,
        samples=[Sample((s,)) for s in [*_IMAGES, (5, 7), (3,), (2, 3, 4)]],
        bound=_exact,
        bytes=_moved,
    ),
    Case(
        name="copy",
        rows=("layout_copy_",),
        function=None,
        kernel=_C.to_c_order,
        reference=_same,
        samples=[Sample(((n,),)) for n in [*range(1, 36), 300, 70001]],
        bound=_exact,
        bytes=_moved,
    ),
    Case(
        name="pad",
        rows=("layout_transpose_",),
        function=striate.pad,
        kernel=_C.pad,
        reference=_pad_reference,
        samples=[
            Sample(((5,),), {"pad": (2, 1)}),
            Sample(((3, 4),), {"pad": (0, 1, 2, 0), "value": -1.5}),
            Sample(((2, 3, 4, 5),), {"pad": (1, 2)}),
            Sample(((2, 3, 4, 5),), {"pad": (1, 2, 3, 0)}),
            Sample(((2, 3, 4, 5),), {"pad": (1, 1, 1, 1), "value": 2.5}, images=False),
            Sample(((2, 3, 4, 5),), {"pad": (0, 0, 0, 0, 1, 1, 2, 0)}),
            Sample(((2, 3, 4, 5),), {"pad": (-1, 2, 1, -2)}),
            Sample(((2, 3, 4, 5),), {"pad": (-5, 2)}),
            Sample(((0, 3, 4, 5),), {"pad": (1, 1, 1, 1)}),
        ],
        bound=_exact,
        bytes=_moved,
        misuses=[
            Misuse(lambda: striate.pad(striate.zeros(3), (1,)), ValueError, ("pad", "pairs", "1")),
            Misuse(lambda: striate.pad(striate.zeros(3), (1, 2, 3, 4)), ValueError, ("(3,)",)),
            Misuse(lambda: striate.pad(striate.zeros(3), (-2, -2)), ValueError, ("at most 3", "4")),
            Misuse(
                lambda: striate.pad(striate.zeros(3), (1, 1), mode="wrap"), ValueError, ("mode",)
            ),
            Misuse(
                lambda: striate.pad(striate.zeros(3), 1),
                TypeError,
                ("pad", "integers"),
            ),
        ],
    ),
]

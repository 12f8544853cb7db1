# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and sums."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

_PAIRS = [
    *(Sample(((n,), (n,))) for n in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101)),
    Sample(((), ())),
    Sample(((5, 7), (7,))),
    Sample(((5, 1), (1, 7))),
    Sample(((4, 1, 3), (2, 3))),
    Sample(((3, 5), ())),
    Sample(((2, 3, 4, 5), (1, 3, 1, 1))),
    Sample(((300, 400), (300, 400))),
]


def _bound(reference: Any, eps: float, a: Array, b: Array) -> Any:
    return 2 * eps * np.abs(reference)


def _arithmetic(name: str, **more: Any) -> Case:
    return Case(
        name=name,
        rows=(f"{name}_f",),
        function=getattr(striate, name),
        kernel=getattr(_C, name),
        reference={
            "add": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "div": np.divide,
            "maximum": np.maximum,
            "minimum": np.minimum,
        }[name],
        samples=_PAIRS,
        bound=_bound,
        flops=lambda a, b: float(np.prod(np.broadcast_shapes(a, b))),
        bytes=lambda a, b: 4.0 * (np.prod(a) + np.prod(b) + np.prod(np.broadcast_shapes(a, b))),
        misuses=[
            Misuse(
                lambda: getattr(striate, name)(striate.zeros(2, 3), striate.zeros(4)),
                ValueError,
                (name, "(2, 3)", "(4,)"),
            ),
            Misuse(lambda: getattr(striate, name)(striate.zeros(2), "x"), TypeError, (name, "str")),
        ],
        **more,
    )


def _sum_reference(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.sum(x, axis=axes))


def _sum_bound(reference: Any, eps: float, x: Array, axes: tuple[int, ...]) -> Any:
    n = np.prod([x.shape[a] for a in axes])
    return eps * (2 + np.log2(n + 1)) * 4 * np.sum(np.abs(x), axis=axes)


CASES = [
    *(_arithmetic(name) for name in ("add", "sub", "mul", "div", "maximum", "minimum")),
    Case(
        name="sum",
        rows=("sum_row_", "sum_columns_"),
        function=lambda x, axes: striate.sum(x, axes),
        kernel=_C.sum,
        reference=_sum_reference,
        samples=[
            *(Sample(((n,),), {"axes": (0,)}) for n in (0, 1, 7, 8, 9, 127, 128, 129, 70000)),
            *(
                Sample(((m, n),), {"axes": (0,)})
                for m in (0, 1, 3, 300)
                for n in (1, 15, 16, 65, 81)
            ),
            *(Sample(((m, n),), {"axes": (1,)}) for m in (1, 3) for n in (0, 15, 16, 65, 129)),
            Sample(((2, 3, 4, 5),), {"axes": (0, 2, 3)}),
            Sample(((2, 3, 4, 5),), {"axes": (1,)}),
            Sample(((2, 3, 4, 5),), {"axes": (0, 1, 2, 3)}),
            Sample(((40000, 5),), {"axes": (0,)}),
        ],
        bound=_sum_bound,
        flops=lambda x, axes: float(np.prod(x)),
        bytes=lambda x, axes: 4.0 * np.prod(x),
        misuses=[
            Misuse(lambda: striate.sum(striate.zeros(2, 3), 2), IndexError, ("sum", "dim", "2")),
            Misuse(lambda: striate.sum(striate.zeros(2, 3), (0, 0)), ValueError, ("twice",)),
        ],
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""PReLU, maxout, gated linear units and softmin."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C, nn
from striate.testing.cases.case import Array, Case, Misuse, Sample

_SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (1,)), ((3, 1), (1,)), ((4, 7), (7,)), ((2, 33), (33,)), ((0, 3), (3,)),
    ((30, 40), (1,)), ((2, 3, 5), (3,)), ((2, 17, 4, 5), (17,)), ((2, 3, 31, 33), (3,)),
    ((1, 65, 3, 3), (1,)), ((1, 5, 2, 3, 4), (5,)), ((300, 101), (101,)),
]  # fmt: skip


def _slopes(x: Array, w: Array) -> Array:
    return w.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else w


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.standard_normal(shape)
    return np.where(np.abs(x) < 1e-3, 0.5, x)  # never close to the kink


def _elementwise(reference: Any, eps: float, x: Array, *_: Any, **__: Any) -> Any:
    return 4 * eps * np.abs(reference)


def _moved(x: tuple[int, ...], *_: Any, **__: Any) -> float:
    return 8.0 * float(np.prod(x))


def _pieces(x: Array, pieces: int, dim: int = 1) -> Array:
    return np.asarray(np.max(np.split(x, pieces, dim), axis=0))


def _softmin(x: Array, dim: int) -> Array:
    e = np.exp(x.min(dim, keepdims=True) - x)
    return np.asarray(e / e.sum(dim, keepdims=True))


def _glu(x: Array, dim: int = -1) -> Array:
    a, b = np.split(x, 2, dim)
    return np.asarray(a / (1 + np.exp(-b)))


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 64 - 1


def _of_function(function: Any) -> Any:
    """A kernel that is a composition: the public function on arrays."""
    return lambda *arrays, **given: function(*map(striate.Tensor, arrays), **given).numpy()


CASES = [
    Case(
        name="prelu",
        rows=("prelu_f",),
        function=striate.prelu,
        kernel=lambda x, w, out=None: _C.prelu(x, _slopes(x, w), out=out),
        reference=lambda x, w: np.where(x > 0, x, _slopes(x, w) * x),
        samples=[
            *(Sample(s) for s in _SHAPES),
            Sample(((2, 5, 3, 4), (5,)), images=False),
            Sample(((2, 5, 30, 40), (5,)), images=False),
        ],
        bound=_elementwise,
        draw=_draw,
        bytes=_moved,
        misuses=[
            Misuse(
                lambda: striate.prelu(striate.zeros(2, 3), striate.zeros(2)),
                ValueError,
                ("prelu", "weight", "(3,)", "(2,)"),
            ),
            Misuse(lambda: striate.prelu(striate.zeros(2, 3), 0.1), TypeError, ("weight", "float")),
            Misuse(lambda: _C.prelu(np.zeros((2, 3)), np.zeros(2)), ValueError, ("(2, 3)", "(2,)")),
            Misuse(lambda: _C.prelu(np.zeros((2, 3)), np.zeros(3, "f4")), TypeError, ("float32",)),
        ],
    ),
    *(
        Case(
            name=f"prelu_backward_{part}",
            rows=("prelu_backward_f",),
            function=None,
            kernel=lambda x, w, dy, i=i: _C.prelu_backward(x, _slopes(x, w), dy)[i],
            reference=reference,
            samples=[Sample((x, w, x)) for x, w in _SHAPES],
            bound=_elementwise,
            draw=_draw,
            takes_out=False,
            bytes=_moved,
        )
        for i, (part, reference) in enumerate(
            [
                ("x", lambda x, w, dy: np.where(x > 0, dy, _slopes(x, w) * dy)),
                ("weight", lambda x, w, dy: np.where(x > 0, 0, x * dy)),
            ]
        )
    ),
    Case(
        name="maxout",
        rows=(),
        function=striate.maxout,
        kernel=_of_function(striate.maxout),
        reference=_pieces,
        samples=[
            Sample(((3, 6),), {"pieces": 2}),
            Sample(((5, 40),), {"pieces": 5}),
            Sample(((2, 12, 3, 4),), {"pieces": 3}),
            Sample(((2, 12, 3, 4),), {"pieces": 3}, images=False),
            Sample(((2, 6, 5),), {"pieces": 2, "dim": -2}),
            Sample(((4, 6),), {"pieces": 1, "dim": 0}),
            Sample(((0, 6),), {"pieces": 2}),
            Sample(((2, 300),), {"pieces": 300}),  # more pieces than a byte counts
        ],
        bound=lambda reference, eps, *_, **__: 0.0,
        draw=_distinct,
        takes_out=False,
        misuses=[
            Misuse(
                lambda: striate.maxout(striate.zeros(2, 6), 4),
                ValueError,
                ("maxout", "pieces", "divisor of 6", "4"),
            ),
            Misuse(lambda: striate.maxout(striate.zeros(2, 6), 2.0), TypeError, ("pieces", "2.0")),
            Misuse(lambda: striate.maxout(striate.zeros(2, 6), 2, 2), IndexError, ("dim", "2")),
            Misuse(lambda: nn.Maxout(0), ValueError, ("Maxout", "pieces", "0")),
        ],
    ),
    Case(
        name="glu",
        rows=(),
        function=striate.glu,
        kernel=_of_function(striate.glu),
        reference=_glu,
        samples=[
            Sample(((6,),)),
            Sample(((3, 4, 5),), {"dim": 1}),
            Sample(((2, 6, 3, 4),), {"dim": 1}),
            Sample(((2, 0),)),
        ],
        bound=lambda reference, eps, x, **_: 6 * eps * np.abs(reference),
        takes_out=False,
        misuses=[
            Misuse(lambda: striate.glu(striate.zeros(3)), ValueError, ("glu", "even", "(3,)")),
        ],
    ),
    Case(
        name="softmin",
        rows=(),
        function=striate.softmin,
        kernel=_of_function(striate.softmin),
        reference=_softmin,
        samples=[Sample(((4, 9),), {"dim": 1}), Sample(((2, 3, 4, 5),), {"dim": 1})],
        bound=lambda reference, eps, x, dim: 20 * eps * np.abs(reference),
        takes_out=False,
    ),
]

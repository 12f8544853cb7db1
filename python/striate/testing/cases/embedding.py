# SPDX-License-Identifier: Apache-2.0
"""Rows of a table: taken, and summed in groups."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _numbers(rows: int, shape: tuple[int, ...]) -> Array:
    """Numbers below `rows`, small ones often."""
    if not rows:
        return np.zeros(shape, np.int64)
    drawn = np.random.default_rng(1).random(shape)
    return np.asarray(drawn**3 * rows).astype(np.int64)


def _taken(w: Tensor, count: tuple[int, ...]) -> Tensor:
    return striate.embedding(Tensor(_numbers(len(w), count)), w)


def _taken_kernel(w: Array, count: tuple[int, ...], out: Any = None) -> Array:
    return _C.embedding(w, _numbers(len(w), count), out=out)


def _taken_reference(w: Array, count: tuple[int, ...]) -> Array:
    return np.asarray(w[_numbers(len(w), count)])


def _backward_kernel(
    dy: Array, rows: int, padding: int = -1, by_frequency: bool = False, out: Any = None
) -> Array:
    index = _numbers(rows, dy.shape[:1])
    return _C.embedding_backward(
        dy, index, rows, padding=padding, by_frequency=by_frequency, out=out
    )


def _backward_reference(
    dy: Array, rows: int, padding: int = -1, by_frequency: bool = False
) -> Array:
    index = _numbers(rows, dy.shape[:1])
    total = np.zeros((rows, dy.shape[1]))
    np.add.at(total, index, dy)
    if by_frequency:
        total /= np.maximum(np.bincount(index, minlength=rows), 1)[:, None]
    if padding >= 0:
        total[padding] = 0
    return total


def _backward_bound(reference: Any, eps: float, dy: Array, rows: int, **_: Any) -> Any:
    """At most 256 additions in a row, then as many runs as there are."""
    index = _numbers(rows, dy.shape[:1])
    size = np.zeros((rows, dy.shape[1]))
    np.add.at(size, index, np.abs(dy))
    return eps * (2 + min(len(dy), 256) + len(dy) / 256) * size


def _bags(w: Any, n: int, bags: int) -> tuple[Array, Array]:
    cuts = np.sort(np.random.default_rng(2).integers(0, n + 1, max(bags - 1, 0)))
    begin = np.concatenate([[0], cuts, [n]]).astype(np.int64)[: bags + 1]
    return _numbers(len(w), (n,)), begin


def _bag(w: Tensor, share: Tensor | None, n: int, bags: int) -> Tensor:
    index, begin = _bags(w, n, bags)
    return striate.embedding_bag(
        Tensor(index),
        w,
        Tensor(begin),
        mode="sum",
        per_sample_weights=share,
        include_last_offset=True,
    )


def _bag_kernel(w: Array, share: Array | None, n: int, bags: int, out: Any = None) -> Array:
    return _C.embedding_sum(w, *_bags(w, n, bags), share, out=out)


def _bag_reference(w: Array, share: Array | None, n: int, bags: int) -> Array:
    index, begin = _bags(w, n, bags)
    rows = w[index] * (1 if share is None else share[:, None])
    return np.stack([rows[a:b].sum(0) for a, b in pairwise(begin)])


def _bag_bound(reference: Any, eps: float, w: Array, share: Any, n: int, bags: int) -> Any:
    absolute = _bag_reference(np.abs(w), None if share is None else np.abs(share), n, bags)
    return eps * (2 + min(n, 256) / 4) * absolute


def _largest(w: Tensor, n: int, bags: int) -> Tensor:
    index, begin = _bags(w, n, bags)
    return striate.embedding_bag(
        Tensor(index), w, Tensor(begin), mode="max", include_last_offset=True
    )


def _largest_kernel(w: Array, n: int, bags: int, out: Any = None) -> Array:
    return _C.embedding_max(w, *_bags(w, n, bags), out=out)[0]


def _largest_reference(w: Array, n: int, bags: int) -> Array:
    index, begin = _bags(w, n, bags)
    none = np.zeros(w.shape[1])
    return np.stack([w[index[a:b]].max(0) if b > a else none for a, b in pairwise(begin)])


_WIDTHS = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100)
_TABLE = striate.zeros(5, 3)


def _refused(error: type[Exception], *words: str, **arguments: Any) -> Misuse:
    options: dict[str, Any] = {"input": striate.tensor([1, 2]), "weight": _TABLE, **arguments}
    return Misuse(lambda: striate.embedding(**options), error, words)


def _refused_bag(error: type[Exception], *words: str, **arguments: Any) -> Misuse:
    options: dict[str, Any] = {"input": striate.tensor([1, 2]), "weight": _TABLE, **arguments}
    return Misuse(lambda: striate.embedding_bag(**options), error, words)


CASES = [
    Case(
        name="embedding",
        rows=("embedding_rows_",),
        function=_taken,
        kernel=_taken_kernel,
        reference=_taken_reference,
        samples=[
            *(Sample(((6, d),), {"count": (5,)}) for d in _WIDTHS),
            Sample(((6, 3),), {"count": ()}),
            Sample(((6, 3),), {"count": (0,)}),
            Sample(((0, 3),), {"count": (0, 2)}),
            Sample(((1, 5),), {"count": (2, 3, 4)}),
            Sample(((70, 33),), {"count": (40, 50)}),
        ],
        bound=lambda reference, eps, *_, **__: 0.0,
        bytes=lambda w, count: 8.0 * w[1] * float(np.prod(count)),
        misuses=[
            _refused(IndexError, "embedding", "0 to 4", "5", "(1,)", input=striate.tensor([1, 5])),
            _refused(
                IndexError, "-1 at index (1, 0)", input=striate.tensor([[1, 2], [-1, 7]])
            ),
            _refused(TypeError, "integers", "float32", input=striate.ones(2)),
            _refused(ValueError, "(V, D)", "(5,)", weight=striate.zeros(5)),
            _refused(TypeError, "weight", "int64", weight=striate.arange(6).reshape(2, 3)),
            _refused(ValueError, "padding_idx", "-5 to 4", "5", padding_idx=5),
            _refused(ValueError, "norm_type", max_norm=1.0, norm_type=0.0),
            _refused(TypeError, "max_norm", "'a'", max_norm="a"),
            _refused(IndexError, "0 to 4", "9", input=striate.tensor([9]), max_norm=1.0),
            Misuse(lambda: striate.nn.Embedding(3, 2, padding_idx=3), ValueError, ("padding_idx",)),
            Misuse(
                lambda: striate.nn.Embedding.from_pretrained(striate.zeros(3)),
                ValueError,
                ("embeddings", "(V, D)"),
            ),
            Misuse(
                lambda: striate.one_hot(striate.tensor([0, 3]), 3),
                ValueError,
                ("one_hot", "3", "(1,)"),
            ),
            Misuse(lambda: striate.one_hot(striate.tensor([-1])), ValueError, ("one_hot", "-1")),
            Misuse(lambda: striate.one_hot(striate.ones(2)), TypeError, ("one_hot", "float32")),
        ],
    ),
    Case(
        name="embedding_backward",
        rows=("embedding_sum_",),
        function=None,
        kernel=_backward_kernel,
        reference=_backward_reference,
        samples=[
            *(Sample(((9, d),), {"rows": 4}) for d in _WIDTHS),
            Sample(((0, 5),), {"rows": 3}),
            Sample(((9, 5),), {"rows": 4, "padding": 0}),
            Sample(((9, 5),), {"rows": 4, "by_frequency": True}),
            Sample(((1000, 5),), {"rows": 2, "by_frequency": True}),
            Sample(((3000, 20),), {"rows": 200}),
            *(Sample(((n, 70),), {"rows": 1}) for n in (255, 256, 257, 700)),
        ],
        bound=_backward_bound,
        bytes=lambda dy, rows, **_: 4.0 * dy[1] * (dy[0] + rows),
    ),
    Case(
        name="embedding_bag",
        rows=("embedding_sum_",),
        function=_bag,
        kernel=_bag_kernel,
        reference=_bag_reference,
        samples=[
            *(Sample(((6, d), (7,)), {"n": 7, "bags": 3}) for d in (1, 5, 16, 40, 65)),
            Sample(((6, 5), None), {"n": 7, "bags": 4}),
            Sample(((6, 5), (600,)), {"n": 600, "bags": 1}),
            Sample(((50, 40), None), {"n": 2000, "bags": 100}),
        ],
        bound=_bag_bound,
        misuses=[
            _refused_bag(ValueError, "offsets", "None"),
            _refused_bag(ValueError, "offsets", "[1]", offsets=striate.tensor([1])),
            _refused_bag(ValueError, "offsets", "[0, 3]", offsets=striate.tensor([0, 3])),
            _refused_bag(ValueError, "offsets", "tensor", input=striate.tensor([[1]]),
                         offsets=striate.tensor([0])),
            _refused_bag(ValueError, "mode", "'most'", mode="most", offsets=striate.tensor([0])),
            _refused_bag(ValueError, "per_sample_weights", "sum", offsets=striate.tensor([0]),
                         per_sample_weights=striate.ones(2)),
            _refused_bag(ValueError, "per_sample_weights", "(3,)", offsets=striate.tensor([0]),
                         per_sample_weights=striate.ones(3), mode="sum"),
            _refused_bag(IndexError, "embedding_bag", "0 to 4", "7 at index (1,)",
                         input=striate.tensor([1, 7]), offsets=striate.tensor([0])),
        ],
    ),
    Case(
        name="embedding_bag_max",
        rows=("embedding_max_",),
        function=_largest,
        kernel=_largest_kernel,
        reference=_largest_reference,
        samples=[
            *(Sample(((6, d),), {"n": 7, "bags": 3}) for d in _WIDTHS),
            Sample(((6, 5),), {"n": 3, "bags": 6}),
            Sample(((6, 5),), {"n": 0, "bags": 2}),
            Sample(((50, 40),), {"n": 2000, "bags": 100}),
        ],
        bound=lambda reference, eps, *_, **__: 0.0,
        misuses=[
            _refused_bag(ValueError, "scale_grad_by_freq", "max", offsets=striate.tensor([0]),
                         mode="max", scale_grad_by_freq=True),
            _refused_bag(IndexError, "0 to 4", "7 at index (1,)", mode="max",
                         input=striate.tensor([1, 7]), offsets=striate.tensor([0])),
        ],
    ),
]  # fmt: skip

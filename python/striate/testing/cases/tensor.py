# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table)
"""Operations on tensors that have no kernel rows of their own: indexing, order, products, norms.

They are NumPy's inside, or composed of others; what is checked is the composition, its gradient
and that threads change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import striate
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample, normal

Shapes = Sequence[tuple[int, ...]]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def _bound(terms: int) -> Callable[..., Any]:
    """Each result is a sum or product of at most `terms` values not much larger than the result.

    8 roundings more for functions between them; values up to the largest operand may cancel.
    """

    def bound(reference: Any, eps: float, *arrays: Array, **_: Any) -> Any:
        largest = max(float(np.max(np.abs(a), initial=0)) for a in arrays if a is not None)
        return eps * (terms + 8) * (np.abs(reference) + max(1.0, largest) ** 2)

    return bound


def _case(
    name: str,
    function: Callable[..., Any],
    reference: Callable[..., Any],
    samples: Sequence[Shapes],
    terms: int = 1,
    draw: Draw = normal,
    misuses: Sequence[Misuse] = (),
    gradient: bool = True,
) -> Case:
    def call(*arrays: Array, out: Any = None) -> Any:
        return function(*(Tensor(a) for a in arrays)).numpy()

    return Case(
        name=name,
        rows=(),
        function=function,
        kernel=call,
        reference=reference,
        samples=[Sample(tuple(shapes)) for shapes in samples],
        bound=_bound(terms),
        draw=draw,
        misuses=misuses,
        gradient=gradient,
        takes_out=False,
    )


def _away_from(step: float) -> Draw:
    """Numbers that are no multiples of `step`, where rounding and signs jump."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        x = rng.standard_normal(shape) * 2
        return (np.floor(x / step) + 0.2 + 0.6 * rng.random(shape)) * step

    return draw


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.abs(rng.standard_normal(shape)) + 0.3


def _inside(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-0.9, 0.9, shape)


_ONE: list[Shapes] = [[()], [(5,)], [(2, 3)], [(2, 3, 4, 5)], [(0,)], [(3, 0, 2)]]
_PAIR: list[Shapes] = [
    [(), ()],
    [(5,), (5,)],
    [(2, 3), (3,)],
    [(4, 1, 3), (2, 1)],
    [(0, 3), (1, 3)],
]
_FUNCTIONS: dict[str, tuple[Callable[..., Any], Draw]] = {
    "abs": (np.abs, _away_from(1.0)),
    "acos": (np.arccos, _inside),
    "acosh": (np.arccosh, lambda rng, shape: 1 + _positive(rng, shape)),
    "asin": (np.arcsin, _inside),
    "asinh": (np.arcsinh, normal),
    "atan": (np.arctan, normal),
    "atanh": (np.arctanh, _inside),
    "ceil": (np.ceil, _away_from(1.0)),
    "cos": (np.cos, normal),
    "cosh": (np.cosh, normal),
    "deg2rad": (np.deg2rad, normal),
    "exp2": (np.exp2, normal),
    "expm1": (np.expm1, normal),
    "floor": (np.floor, _away_from(1.0)),
    "frac": (lambda x: x - np.trunc(x), _away_from(1.0)),
    "rad2deg": (np.rad2deg, normal),
    "reciprocal": (lambda x: 1 / x, _positive),
    "round": (np.round, _away_from(0.5)),
    "rsqrt": (lambda x: x**-0.5, _positive),
    "sign": (np.sign, _away_from(1.0)),
    "sin": (np.sin, normal),
    "sinh": (np.sinh, normal),
    "sqrt": (np.sqrt, _positive),
    "square": (lambda x: x * x, normal),
    "tan": (np.tan, _inside),
    "trunc": (np.trunc, _away_from(1.0)),
}
_OF_TWO: dict[str, tuple[Callable[..., Any], Draw]] = {
    "atan2": (np.arctan2, _positive),
    "floor_divide": (np.floor_divide, _positive),
    "fmax": (np.fmax, normal),
    "fmin": (np.fmin, normal),
    "fmod": (np.fmod, _positive),
    "hypot": (np.hypot, normal),
    "pow": (np.power, _positive),
    "remainder": (np.remainder, _positive),
}
_INDEX = np.array([[2, 0, 1], [1, 1, 2]])
_VECTOR = np.array([2, 0, 2, 1])
_MASK = np.array([[True, False, True, True], [False, False, True, False], [True] * 4])


def _scattered_once(x: Array, source: Array) -> Array:
    out = x.copy()
    for j in range(3):
        out[_INDEX[0, j], j] = source[0, j]
    return out


def _scatter_added(x: Array, source: Array) -> Array:
    out = x.copy()
    for i, j in np.ndindex(*_INDEX.shape):
        out[_INDEX[i, j], j] += source[i, j]
    return out


def _added(x: Array, source: Array) -> Array:
    out = x.copy()
    for i, place in enumerate(_VECTOR):
        out[:, place] += source[:, i]
    return out


def _unfolded(x: Array) -> Array:
    return np.stack([x[:, i : i + 3] for i in range(0, x.shape[1] - 2, 2)], 1)


def _running(function: Callable[..., Any]) -> Callable[..., Any]:
    """function over the first i elements along axis 1, for every i, one after the other."""
    return lambda x: np.stack([function(x[:, : i + 1], 1) for i in range(x.shape[1])], 1)


def _tensor(array: Array) -> Tensor:
    return Tensor(array)


_INDEXING = [
    _case("gather", lambda x: striate.gather(x, 0, _tensor(_INDEX)),
          lambda x: np.stack([[x[_INDEX[i, j], j] for j in range(3)] for i in range(2)]),
          [[(3, 4)], [(5, 3)]],
          misuses=[Misuse(lambda: striate.gather(striate.zeros(2, 3), 0, _tensor(_INDEX)),
                          IndexError, ("gather", "index", "0 to 1", "2")),
                   Misuse(lambda: striate.gather(striate.zeros(3, 2), 0, _tensor(_INDEX)),
                          ValueError, ("gather", "(3, 2)", "(2, 3)")),
                   Misuse(lambda: striate.gather(striate.zeros(3), 0, _tensor(_INDEX)),
                          ValueError, ("gather", "1 axes", "(2, 3)")),
                   Misuse(lambda: striate.gather(striate.zeros(3, 3), 0, striate.zeros(1, 1)),
                          TypeError, ("gather", "integers", "float32"))]),
    _case("index_select", lambda x: striate.index_select(x, 1, _tensor(_VECTOR)),
          lambda x: x[:, _VECTOR], [[(3, 4)], [(2, 3, 4, 5)]],
          misuses=[Misuse(lambda: striate.index_select(striate.zeros(2), 0, _tensor(_VECTOR)),
                          IndexError, ("index_select", "0 to 1", "2")),
                   Misuse(lambda: striate.index_select(striate.zeros(3), 0, _tensor(_INDEX)),
                          ValueError, ("index_select", "vector", "(2, 3)"))]),
    _case("take", lambda x: striate.take(x, _tensor(_INDEX)), lambda x: x.ravel()[_INDEX],
          [[(3, 4)], [(3,)]],
          misuses=[Misuse(lambda: striate.take(striate.zeros(2), _tensor(_INDEX)),
                          IndexError, ("take", "0 to 1", "2"))]),
    _case("masked_fill", lambda x: striate.masked_fill(x, _tensor(_MASK), 2.0),
          lambda x: np.where(_MASK, 2.0, x), [[(3, 4)], [(2, 3, 4)], [(4,)]],
          misuses=[Misuse(lambda: striate.zeros(2).masked_fill(striate.zeros(2), 1),
                          TypeError, ("masked_fill", "mask", "bools", ".bool()")),
                   Misuse(lambda: striate.zeros(2).long().masked_fill(striate.ones(2) > 0, 1.5),
                          TypeError, ("masked_fill", "value", "int64"))]),
    _case("masked_select", lambda x: striate.masked_select(x, _tensor(_MASK)), lambda x: x[_MASK],
          [[(3, 4)]]),
    _case("scatter", lambda x, s: striate.scatter(x, 0, _tensor(_INDEX[:1]), s),
          _scattered_once, [[(3, 4), (2, 3)]],
          misuses=[Misuse(lambda: striate.scatter(striate.zeros(3, 3), 0, _tensor(_INDEX),
                                                  striate.zeros(1, 3)),
                          ValueError, ("scatter", "src", "(2, 3)", "(1, 3)"))]),
    _case("scatter_add", lambda x, s: striate.scatter_add(x, 0, _tensor(_INDEX), s),
          _scatter_added, [[(3, 4), (2, 3)], [(3, 3), (4, 5)]], 3),
    _case("index_add", lambda x, s: striate.index_add(x, 1, _tensor(_VECTOR), s), _added,
          [[(2, 3), (2, 4)]], 3,
          misuses=[Misuse(lambda: striate.index_add(striate.zeros(2, 3), 1, _tensor(_VECTOR),
                                                    striate.zeros(2, 3)),
                          ValueError, ("index_add", "source", "(2, 4)", "(2, 3)"))]),
]  # fmt: skip
_ORDER = [
    _case("sort", lambda x: striate.sort(x, 1).values, lambda x: np.sort(x, 1), [[(3, 8)], [(2, 5, 3)]]),
    _case("sort descending", lambda x: striate.sort(x, 0, descending=True).values,
          lambda x: -np.sort(-x, 0), [[(7, 3)]]),
    _case("topk", lambda x: striate.topk(x, 2).values, lambda x: -np.sort(-x)[..., :2],
          [[(3, 20)], [(4,)], [(2, 3, 9)]],
          misuses=[Misuse(lambda: striate.topk(striate.zeros(3), 4), ValueError, ("k", "3", "4"))]),
    _case("topk smallest", lambda x: striate.topk(x, 3, 0, largest=False).values,
          lambda x: np.sort(x, 0)[:3], [[(20, 2)], [(3, 2)]]),
    _case("kthvalue", lambda x: striate.kthvalue(x, 2, 1).values, lambda x: np.sort(x, 1)[:, 1],
          [[(3, 8)]],
          misuses=[Misuse(lambda: striate.kthvalue(striate.zeros(3), 0), ValueError, ("1 to 3",))]),
    _case("median", lambda x: striate.median(x, 1).values,
          lambda x: np.sort(x, 1)[:, (x.shape[1] - 1) // 2], [[(3, 8)], [(3, 7)]]),
    _case("cumsum", lambda x: striate.cumsum(x, 1), _running(np.sum), [[(3, 8)], [(2, 5, 3)]], 8),
    _case("cumprod", lambda x: striate.cumprod(x, 1), _running(np.prod), [[(3, 8)], [(2, 5, 3)]], 8),
    _case("cumprod of zeros", lambda x: striate.cumprod(x * (x.abs() > 0.5), 1),
          lambda x: np.cumprod(x * (np.abs(x) > 0.5), 1), [[(3, 8)]], 8),
    _case("logcumsumexp", lambda x: striate.logcumsumexp(x, 1),
          lambda x: np.log(np.cumsum(np.exp(x), 1)), [[(3, 8)]], 8),
    _case("quantile", lambda x: striate.quantile(x, 0.3, 1), lambda x: np.quantile(x, 0.3, 1),
          [[(3, 8)]], 2),
]  # fmt: skip
_PRODUCTS = [
    *(_case(f"einsum {equation}", lambda *x, e=equation: striate.einsum(e, *x),
            lambda *x, e=equation: np.einsum(e, *x), samples, 60)
      for equation, samples in {
          "ij,jk->ik": [[(3, 4), (4, 5)], [(0, 4), (4, 5)], [(3, 0), (0, 5)]],
          "bij,bjk->bik": [[(2, 3, 4), (2, 4, 5)]],
          "...ij,...kj->...ik": [[(2, 1, 3, 4), (5, 2, 4)]],
          "ii->i": [[(3, 3)]],
          "iij,jk->k": [[(3, 3, 2), (2, 4)]],
          "ab,bc,cd->ad": [[(2, 3), (3, 4), (4, 5)]],
          "bhqd,bhkd->bhqk": [[(2, 3, 4, 5), (2, 3, 6, 5)]],
          "i,j->ji": [[(3,), (4,)]],
          "bi,bi->b": [[(3, 4), (3, 4)]],
      }.items()),
    _case("tensordot", lambda a, b: striate.tensordot(a, b, 2), lambda a, b: np.tensordot(a, b, 2),
          [[(2, 3, 4), (3, 4, 5)]], 12),
    _case("addmm", lambda c, a, b: striate.addmm(c, a, b, beta=2, alpha=3),
          lambda c, a, b: 2 * c + 3 * (a @ b), [[(5,), (3, 4), (4, 5)], [(3, 1), (3, 4), (4, 5)]], 40,
          misuses=[Misuse(lambda: striate.addmm(striate.zeros(2), striate.zeros(3, 4),
                                                striate.zeros(4, 5)),
                          ValueError, ("addmm", "input", "(3, 5)", "(2,)"))]),
    _case("baddbmm", striate.baddbmm, lambda c, a, b: c + a @ b, [[(2, 3, 5), (2, 3, 4), (2, 4, 5)]], 8),
    _case("mv", striate.mv, lambda a, b: a @ b, [[(3, 4), (4,)]], 8,
          misuses=[Misuse(lambda: striate.mv(striate.zeros(2), striate.zeros(2)),
                          ValueError, ("mv", "input", "2 axes", "(2,)"))]),
    _case("dot", striate.dot, lambda a, b: np.sum(a * b), [[(40,), (40,)], [(0,), (0,)]], 40,
          misuses=[Misuse(lambda: striate.dot(striate.zeros(2), striate.zeros(3)),
                          ValueError, ("dot", "(2,)", "(3,)"))]),
    _case("outer", striate.outer, np.multiply.outer, [[(3,), (4,)]]),
    _case("kron", striate.kron, np.kron, [[(2, 3), (4, 2)], [(3,), (2, 2)]]),
    _case("cov", striate.cov, np.cov, [[(3, 9)]], 20),
]  # fmt: skip
_REDUCTIONS = [
    *(_case(f"norm {p}", lambda x, p=p: striate.norm(x, p, 1), reference, [[(3, 8)], [(2, 5, 3)]], 20)
      for p, reference in {
          1: lambda x: np.sum(np.abs(x), 1),
          2: lambda x: np.sqrt(np.sum(x * x, 1)),
          3.5: lambda x: np.sum(np.abs(x) ** 3.5, 1) ** (1 / 3.5),
          math.inf: lambda x: np.max(np.abs(x), 1),
          -math.inf: lambda x: np.min(np.abs(x), 1),
      }.items()),
    _case("prod", lambda x: striate.prod(x, (0, 2)), lambda x: np.prod(x, (0, 2)), [[(2, 3, 4)]], 8),
    _case("logsumexp", lambda x: striate.logsumexp(x * 100, 1) / 100,
          lambda x: np.max(x, 1) + np.log(np.sum(np.exp(100 * (x - np.max(x, 1, keepdims=True))), 1)) / 100,
          [[(3, 8)]], 8),
    _case("var", lambda x: striate.var(x, 1, correction=0), lambda x: np.var(x, 1), [[(3, 8)]], 20),
    _case("std_mean", lambda x: striate.std_mean(x, 0)[0] + striate.std_mean(x, 0)[1],
          lambda x: np.std(x, 0, ddof=1) + np.mean(x, 0), [[(9, 3)]], 20),
    _case("trace", striate.trace, np.trace, [[(4, 4)], [(3, 5)]], 4),
]  # fmt: skip
_ARRANGED = [
    _case("diagonal", lambda x: striate.diagonal(x, 1, 1, 2), lambda x: np.diagonal(x, 1, 1, 2), [[(2, 3, 4)]]),
    _case("diag_embed", lambda x: striate.diag_embed(x, -1),
          lambda x: np.stack([np.diag(row, -1) for row in x]), [[(2, 3)]]),
    _case("tril", lambda x: striate.tril(x, -1), lambda x: np.tril(x, -1), [[(4, 3)], [(2, 3, 4)]]),
    _case("triu", lambda x: striate.triu(x, 1), lambda x: np.triu(x, 1), [[(4, 3)], [(2, 3, 4, 5)]]),
    _case("flip", lambda x: striate.flip(x, (0, 1)), lambda x: x[::-1, ::-1], [[(4, 3)], [(2, 3, 4, 5)]]),
    _case("roll", lambda x: striate.roll(x, (1, -2), (0, 1)), lambda x: np.roll(x, (1, -2), (0, 1)),
          [[(4, 3)]]),
    _case("unfold", lambda x: x.unfold(1, 3, 2), _unfolded, [[(2, 7)], [(2, 8)]],
          misuses=[Misuse(lambda: striate.zeros(3).unfold(0, 4, 1), ValueError, ("unfold", "3", "4"))]),
    _case("repeat", lambda x: x.repeat(2, 1, 3), lambda x: np.tile(x, (2, 1, 3)), [[(4, 3)], [(3,)]]),
    _case("repeat_interleave", lambda x: striate.repeat_interleave(x, 2, 1), lambda x: np.repeat(x, 2, 1),
          [[(4, 3)]]),
    _case("movedim", lambda x: striate.movedim(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), [[(2, 3, 4)]]),
    _case("hstack", lambda *x: striate.hstack(x), lambda *x: np.hstack(x), [[(2, 3), (2, 1)], [(2,), (3,)]]),
    _case("clamp", lambda x: striate.clamp(x, -0.7, 0.7), lambda x: np.clip(x, -0.7, 0.7), _ONE,
          misuses=[Misuse(lambda: striate.clamp(striate.zeros(2)), ValueError, ("clamp", "min and max"))]),
    _case("clamp by tensors", striate.clamp, lambda x, a, b: np.minimum(np.maximum(x, a), b),
          [[(3, 4), (4,), (3, 1)]]),
    _case("lerp", striate.lerp, lambda a, b, w: a + w * (b - a), [[(3, 4), (4,), (3, 1)]], 3),
    _case("addcmul", lambda x, a, b: striate.addcmul(x, a, b, value=0.5),
          lambda x, a, b: x + 0.5 * a * b, [[(3, 4), (4,), (3, 1)]], 3),
    _case("addcdiv", striate.addcdiv, lambda x, a, b: x + a / b, [[(3, 4), (4,), (3, 1)]], 3, _positive),
]  # fmt: skip
CASES = [
    *(_case(name, getattr(striate, name), reference, _ONE, draw=draw)
      for name, (reference, draw) in _FUNCTIONS.items()),
    *(_case(name, getattr(striate, name), reference, _PAIR, 3, draw)
      for name, (reference, draw) in _OF_TWO.items()),
    *_INDEXING,
    *_ORDER,
    *_PRODUCTS,
    *_REDUCTIONS,
    *_ARRANGED,
]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Dropout, and the random words below it."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample

SEED = 7
KEY = int(np.random.Philox(SEED).random_raw())  # what the first call after manual_seed(SEED) draws
_ALPHA = 1.0507009873554805 * 1.6732632423543772  # selu's lambda alpha


def philox_reference(key: int, block: int, high: int, n: int) -> Array:
    """n words of Philox4x32-10 by Salmon et al. 2011, section 3.3, as uint64."""
    counter = np.arange(-(-n // 4), dtype=np.uint64) + np.uint64(block)
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c = [counter & low, counter >> half, *(np.full_like(counter, v) for v in divmod(high, 2**32))]
    c[2], c[3] = c[3], c[2]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> half) ^ c[1] ^ np.uint64(k[0]),
            p1 & low,
            (p0 >> half) ^ c[3] ^ np.uint64(k[1]),
            p0 & low,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(c, 1).reshape(-1)[:n]


def stays(shape: tuple[int, ...], p: float, key: int = KEY) -> Array:
    """Which elements a dropout of probability p leaves."""
    words = philox_reference(key, 0, 0, int(np.prod(shape)))
    return (words >= round(p * 2**32)).reshape(shape)


def _rule(p: float, alpha: bool) -> tuple[float, float, float]:
    """scale, and the shifts of those kept and those dropped."""
    if not alpha:
        return 1 / (1 - p), 0.0, 0.0
    a = ((1 - p) * (1 + p * _ALPHA**2)) ** -0.5
    return a, a * p * _ALPHA, a * p * _ALPHA - a * _ALPHA


def _public(x: Tensor, p: float, alpha: bool = False, turned: bool = False) -> Tensor:
    striate.manual_seed(SEED)
    f = striate.alpha_dropout if alpha else striate.dropout
    return f(x.transpose(0, 1) if turned else x, p, training=True)


def _kernel(x: Array, p: float, alpha: bool = False, turned: bool = False, out: Any = None) -> Any:
    return _C.dropout(x.swapaxes(0, 1) if turned else x, p, KEY, *_rule(p, alpha), out=out)


def _reference(x: Array, p: float, alpha: bool = False, turned: bool = False) -> Array:
    x = x.swapaxes(0, 1) if turned else x
    scale, kept, dropped = _rule(p, alpha)
    mask = stays(x.shape, p)
    return np.asarray(x * mask * scale + np.where(mask, kept, dropped))


def _bound(reference: Any, eps: float, x: Array, p: float, alpha: bool = False, **_: Any) -> Any:
    """scale, product and sum are rounded once each."""
    return 2 * eps * (np.abs(reference) + (4 if alpha else 0))


_SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 129, 300)
_IMAGES: list[tuple[int, ...]] = [
    *((2, c, 3, 5) for c in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33)),
    (3, 5, 1, 1), (1, 2, 16, 8), (2, 3, 43, 3), (1, 130, 12, 11), (1, 300, 2, 2), (0, 3, 4, 4),
    (2, 33, 40, 20), (2, 20000, 1, 2),
]  # fmt: skip


def _words_kernel(x: Array, key: int, block: int, high: int) -> Array:
    return _C.philox(key, block, high, len(x)).astype(np.float64)


def _words_reference(x: Array, key: int, block: int, high: int) -> Array:
    return philox_reference(key, block, high, len(x)).astype(np.float64)


CASES = [
    Case(
        name="dropout",
        rows=("dropout_f", "dropout_by_words_f", "philox_"),
        function=_public,
        kernel=_kernel,
        reference=_reference,
        samples=[
            *(Sample(((n,),), {"p": 0.3}) for n in _SIZES),
            *(Sample((s,), {"p": 0.5}) for s in _IMAGES),
            *(Sample((s,), {"p": 0.2}, images=False) for s in _IMAGES[:3]),
            *(Sample(((70001,),), {"p": p}) for p in (1e-12, 0.01, 0.99, 1 - 1e-15)),
            Sample(((33,),), {"p": 0.3, "alpha": True}),
            Sample(((2, 3, 5, 7),), {"p": 0.6, "alpha": True}),
            *(Sample(((3, 5, n),), {"p": 0.4, "turned": True}) for n in (1, 4, 7, 16, 33)),
            Sample(((40, 30, 37),), {"p": 0.4, "turned": True}),
            Sample(((2, 30, 40, 20),), {"p": 0.4, "turned": True}),
            Sample(((),), {"p": 0.5}),
        ],
        bound=_bound,
        bytes=lambda x, **_: 8.0 * float(np.prod(x)),
        misuses=[
            Misuse(lambda: striate.dropout(striate.ones(2), 1.5), ValueError, ("dropout", "1.5")),
            Misuse(lambda: striate.dropout(striate.ones(2), -0.1), ValueError, ("p", "-0.1")),
            Misuse(lambda: striate.dropout(striate.ones(2), "x"), TypeError, ("dropout", "'x'")),
            Misuse(lambda: striate.dropout(striate.arange(3)), TypeError, ("dropout", "int64")),
            Misuse(
                lambda: striate.dropout2d(striate.ones(2, 3, 4)),
                ValueError,
                ("dropout2d", "(2, 3, 4)", "dropout1d"),
            ),
            Misuse(lambda: striate.dropout1d(striate.ones(2, 3, 4, 5)), ValueError, ("dropout1d",)),
            Misuse(lambda: striate.dropout3d(striate.ones(2, 3)), ValueError, ("dropout3d",)),
            Misuse(
                lambda: striate.feature_alpha_dropout(striate.ones(2)),
                ValueError,
                ("feature_alpha_dropout", "(2,)"),
            ),
            Misuse(lambda: striate.nn.Dropout(1.1), ValueError, ("Dropout", "p", "1.1")),
        ],
    ),
    Case(
        name="philox",
        rows=("philox_",),
        function=None,
        kernel=_words_kernel,
        reference=_words_reference,
        samples=[
            Sample(((n,),), {"key": key, "block": block, "high": high})
            for n in (0, 1, 3, 4, 5, 16, 31, 32, 33, 100)
            for key, block, high in (
                (0, 0, 0),
                (2**64 - 1, 2**62, 2**64 - 1),
                (KEY, 2**32 - 3, 0x0370734413198A2E),
            )
        ],
        bound=lambda reference, eps, *_, **__: 0.0,
        takes_out=False,
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""The sums that norms are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.nn import utils
from striate.testing.cases.case import Case, Misuse, Sample

_SUMS: dict[str, Any] = {
    "squares": lambda x: np.sum(x * x),
    "absolute": lambda x: np.sum(np.abs(x)),
    "largest": lambda x: np.max(np.abs(x), initial=0),
}
_SHAPES: list[tuple[int, ...]] = [
    *((n,) for n in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 101, 129)),
    (),
    (5, 7),
    (2, 3, 4, 5),
    (300, 400),
]


def _norms(*gradients: Any, **options: Any) -> Any:
    ps = [striate.zeros(2, requires_grad=True) for _ in gradients]
    for p, g in zip(ps, gradients, strict=True):
        p.grad = striate.tensor(g)
    return utils.clip_grad_norm_(ps, **options)


_MISUSES = [
    Misuse(lambda: _C.vector_norm(np.zeros(2), "sum"), ValueError, ("what", "squares", "sum")),
    Misuse(lambda: _norms([1.0, 2.0], max_norm=-1), ValueError, ("max_norm", "at least 0", "-1")),
    Misuse(lambda: _norms([1.0, 2.0], max_norm=1, norm_type="2"), TypeError, ("norm_type", "'2'")),
    Misuse(
        lambda: _norms([1.0, float("inf")], max_norm=1, error_if_nonfinite=True),
        RuntimeError,
        ("norm", "inf", "error_if_nonfinite"),
    ),
    Misuse(
        lambda: utils.clip_grad_value_([np.zeros(2)], 1.0),  # type: ignore[list-item]
        TypeError,
        ("clip_grad_value_", "parameters[0]", "ndarray"),
    ),
    Misuse(
        lambda: utils.vector_to_parameters(striate.zeros(3), [striate.zeros(2, 2)]),
        ValueError,
        ("vec", "(4,)", "(3,)"),
    ),
    Misuse(lambda: utils.parameters_to_vector([]), ValueError, ("parameters", "none")),
]

CASES = [
    Case(
        name=f"vector_norm_{what}",
        rows=(f"vector_norm_{what}_",),
        function=None,
        kernel=lambda x, out=None, what=what: _C.vector_norm(x, what, out=out),
        reference=lambda x, total=total: np.asarray(total(x)),
        samples=[Sample((shape,)) for shape in _SHAPES],
        # 4 chains of a part's length over the lanes at most, and rounded squares
        bound=lambda reference, eps, x: eps * (4 + np.sqrt(x.size)) * reference,
        bytes=lambda x: 4.0 * np.prod(x),
        misuses=_MISUSES if what == "squares" else [],
    )
    for what, total in _SUMS.items()
]

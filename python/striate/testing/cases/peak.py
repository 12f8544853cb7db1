# SPDX-License-Identifier: Apache-2.0
"""The multiply-add rate: no operation, but a kernel like any other."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample


def _reference(like: Array, rounds: int) -> Any:
    return 0.0


def _per_round(like: Array, rounds: int) -> Any:
    """0 where the operations reported are a whole number of multiply-adds a round and thread."""
    done = _C.peak_fma(like, rounds)
    return np.asarray(done % (2.0 * rounds * _C.num_threads()), like.dtype)


CASES = [
    Case(
        name="peak_fma",
        rows=("peak_fma_",),
        function=None,
        kernel=_per_round,
        reference=_reference,
        samples=[Sample(((1,),), {"rounds": n}) for n in (1, 7, 1000)],
        bound=lambda reference, eps, like, rounds: 0.0,
        takes_out=False,
        misuses=[
            Misuse(lambda: _C.peak_fma(np.zeros(1), 0), ValueError, ("peak_fma", "rounds", "0"))
        ],
    )
]

# SPDX-License-Identifier: Apache-2.0
"""Stacking by NumPy's names, and grids: every choice of one element of each of some vectors."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import combinations as _chosen
from itertools import combinations_with_replacement as _repeated
from typing import Any

import numpy as np

from striate.explain import explained
from striate.ops.indexing import getitem
from striate.ops.joining import cat, listed, stack
from striate.ops.operand import check_tensor
from striate.ops.shape import expand, reshape
from striate.tensor import Tensor

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "dstack",
    "hstack",
    "meshgrid",
    "vstack",
]


def _at_least(ndim: int, shape: Any, doc: str) -> Any:
    def call(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
            tensors = tuple(tensors[0])
        elif len(tensors) == 1:
            (x,) = tensors
            check_tensor(f"atleast_{ndim}d", "tensors", x)
            return x if x.ndim >= ndim else reshape(x, shape(x.shape))
        return tuple(call(x) for x in tensors)

    call.__name__ = call.__qualname__ = f"atleast_{ndim}d"
    call.__doc__ = doc
    return call


atleast_1d = _at_least(1, lambda s: (1,), "The tensor, or each of several, with an axis at least.")
atleast_2d = _at_least(2, lambda s: (1, *(s or (1,))), "As rows (1, N) where there is one axis.")
atleast_3d = _at_least(
    3, lambda s: (1, *(s or (1,)), 1) if len(s) < 2 else (*s, 1), "As (1, N, 1) or (M, N, 1)."
)


@explained
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Along axis 1, or axis 0 where tensors have one axis at most."""
    parts = [atleast_1d(x) for x in listed("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


@explained
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Along axis 0, with vectors as rows."""
    return cat([atleast_2d(x) for x in listed("vstack", tensors)], 0)


@explained
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Along axis 2, with vectors as (1, N, 1) and matrices as (M, N, 1)."""
    return cat([atleast_3d(x) for x in listed("dstack", tensors)], 2)


@explained
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Along axis 1, with vectors as columns."""
    parts = listed("column_stack", tensors)
    return cat([reshape(x, (x.numel(), 1)) if x.ndim < 2 else x for x in parts], 1)


@explained
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Each vector repeated along an axis of its own. `indexing` "xy" swaps the first two axes."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing: expected "ij" or "xy", got {indexing!r}')
    if builtins.any(x.ndim > 1 for x in tensors):
        raise ValueError(f"meshgrid: expected vectors, got {[x.shape for x in tensors]}")
    places = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        places[:2] = [1, 0]
    shape = [0] * len(tensors)
    for place, x in zip(places, tensors, strict=True):
        shape[place] = x.numel()
    grids = []
    for place, x in zip(places, tensors, strict=True):
        alone = [1] * len(tensors)
        alone[place] = x.numel()
        grids.append(expand(reshape(x, tuple(alone)), tuple(shape)))
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element of each vector, a row each."""
    for t in tensors:
        check_tensor("cartesian_prod", "tensors", t)
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(grid, (-1,)) for grid in meshgrid(*tensors)], 1)


@explained
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a vector in order, a row each."""
    check_tensor("combinations", "input", input)
    if input.ndim != 1 or r < 0:
        raise ValueError(f"combinations: expected a vector and r >= 0, got {input.shape}, {r}")
    rows = list((_repeated if with_replacement else _chosen)(range(input.shape[0]), r))
    index = np.array(rows, np.int64).reshape(len(rows), r)
    return getitem(input, Tensor._wrap(index))

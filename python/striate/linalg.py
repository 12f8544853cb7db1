# SPDX-License-Identifier: Apache-2.0
"""`striate.linalg`: norms as torch.linalg names them.

What takes a decomposition (inverses, singular values, eigenvalues) is not here.
"""

from __future__ import annotations

from typing import Any

from striate.explain import explained
from striate.ops.linalg import _matrix_norm, vector_norm
from striate.tensor import Tensor

__all__ = [
    "matrix_norm",
    "norm",
    "vector_norm",
]


@explained
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False
) -> Tensor:
    """The norm of matrices in the axes `dim`: "fro", or 1, -1, inf, -inf of column and row sums."""
    if A.ndim < 2 or not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ValueError(f"matrix_norm: expected matrices and two axes, got {A.shape} and {dim}")
    return _matrix_norm(A, ord, (dim[0], dim[1]), keepdim)


@explained
def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """A matrix norm where `dim` (or A, if ord is given) has two axes, else a vector norm.

    Without ord, the square root of the sum of squares.
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim)
    pair = isinstance(dim, (tuple, list)) and len(dim) == 2
    if pair or (dim is None and A.ndim == 2):
        return matrix_norm(A, ord, tuple(dim) if pair else (0, 1), keepdim)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord: expected a number for vectors, got {ord!r}")
    if dim is None and A.ndim != 1:
        raise ValueError(
            f"norm: A: expected a vector or a matrix where ord is given, got {A.shape}"
        )
    return vector_norm(A, ord, dim, keepdim)

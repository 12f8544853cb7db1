# SPDX-License-Identifier: Apache-2.0
"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

# Every m <= MR and n <= NR of the largest tile, and sizes around the cache blocks.
_TILES = [Sample(((m, 5), (5, n))) for m in range(1, 15) for n in range(1, 33)]
_SIZES = [
    Sample(((m, k), (k, n)))
    for m, n, k in [
        (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 33, 7), (29, 1, 17), (15, 33, 385),
        (28, 64, 384), (29, 65, 383), (169, 31, 769), (13, 257, 100), (170, 300, 50),
    ]
]  # fmt: skip
_BATCHES = [
    Sample(((3, 5, 7), (3, 7, 4))),
    Sample(((1, 5, 7), (3, 7, 4))),
    Sample(((3, 5, 7), (7, 4))),
    Sample(((0, 5, 7), (0, 7, 4))),
]

# Rows and columns around the vectors, chains and groups of the kernels, and y's blocks.
_VECTORS = [
    *((m, k) for m in (1, 3, 4, 9) for k in (0, 1, 15, 17, 63, 64, 65, 83, 300)),
    *((m, k) for m in (15, 16, 17, 33, 64, 4095, 4099, 8195) for k in (1, 7, 8, 9, 21)),
    (600, 500),
]


def _bound(reference: Any, eps: float, a: Array, b: Array, *_: Any, **__: Any) -> Any:
    k = a.shape[-1]
    largest = np.max(np.abs(a), initial=0) * np.max(np.abs(b), initial=0)
    return eps * (k + 6) * (largest + np.abs(reference))


def _linear_kernel(
    x: Array, w: Array, b: Array | None, activation: Any = None, out: Any = None
) -> Any:
    return _C.gemm(x, w.T, bias=b, activation=activation, out=out)


# Of slope 1 at most, so that the product's bound holds behind them (tanh's own error: 4 ULP).
ACTIVATIONS: dict[str | None, Any] = {
    None: lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "tanh": np.tanh,
}


def _linear_reference(x: Array, w: Array, b: Array | None, activation: Any = None) -> Array:
    return ACTIVATIONS[activation](x @ w.T + (0 if b is None else b))


def _packed_kernel(a: Array, b: Array, bias: Array | None, out: Any = None, **more: Any) -> Any:
    return _C.gemm_packed(a, _C.gemm_pack_b(b), b.shape[1], bias, out=out, **more)


def _packed_reference(a: Array, b: Array, bias: Array | None, activation: Any = None) -> Array:
    return ACTIVATIONS[activation](a @ b + (0 if bias is None else bias))


def _matrix_vector(a: Array, x: Array, out: Any = None) -> Any:
    return _C.gemm(a, x[:, None], out=None if out is None else out[:, None])[:, 0]


def _vector_matrix(x: Array, b: Array, out: Any = None) -> Any:
    return _C.gemm(x[None], b, out=None if out is None else out[None])[0]


def _few_rows(a: Array, b: Array, out: Any = None) -> Any:
    """By gemv, which only large products choose."""
    with _C.pin_rows([f"gemm_f{8 * a.itemsize}_gemv"]):
        return _C.gemm(a, b, out=out)


def _dot_kernel(
    x: Array, w: Array, b: Array | None, activation: Any = None, out: Any = None
) -> Any:
    """By dot, which few rows choose, once their sums are long."""
    with _C.pin_rows([f"gemm_f{8 * x.itemsize}_dot"]):
        return _C.gemm(x, w.T, bias=b, activation=activation, out=out)


def _dot_turned(a: Array, b: Array, out: Any = None) -> Any:
    """A few columns of b, which dot copies."""
    with _C.pin_rows([f"gemm_f{8 * a.itemsize}_dot"]):
        return _C.gemm(a, b, out=out)


def _dot_by_columns(x: Array, w: Array, b: Array, activation: Any = None, out: Any = None) -> Any:
    """Into a C that lies by columns: the transposed product, whose bias is one a row."""
    columns = np.empty((len(w), len(x)), x.dtype).T
    made = _dot_kernel(x, w, b, activation, columns)
    if out is None:
        return made
    out[...] = made
    return out


def _wide_kernel(
    x: Array, w: Array, b: Array | None, activation: Any = None, out: Any = None
) -> Any:
    """By panels of three vectors, which few rows choose beside a large w."""
    with _C.pin_rows([f"gemm_f{8 * x.itemsize}_wide"]):
        return _C.gemm(x, w.T, bias=b, activation=activation, out=out)


def _wide_columns(a: Array, b: Array, out: Any = None) -> Any:
    """Few columns of a b whose rows are contiguous."""
    with _C.pin_rows([f"gemm_f{8 * a.itemsize}_wide"]):
        return _C.gemm(a, b, out=out)


CASES = [
    Case(
        name="gemm_packed",
        rows=("gemm_f32_", "gemm_f64_"),
        function=None,
        kernel=_packed_kernel,
        reference=_packed_reference,
        samples=[
            *(Sample((*s.shapes, None)) for s in [*_TILES, *_SIZES]),
            *(
                Sample((*s.shapes, (s.shapes[1] or ())[-1:]), {"activation": "relu"})
                for s in _SIZES
            ),
        ],
        bound=_bound,
        misuses=[
            Misuse(
                lambda: _C.gemm_packed(np.zeros((2, 3)), np.zeros(7), 2),
                ValueError,
                ("gemm_packed", "packed", "(7,)"),
            ),
            Misuse(lambda: _C.gemm_pack_b(np.zeros(3)), ValueError, ("gemm_pack_b", "rank 2")),
        ],
    ),
    Case(
        name="gemv_rows",
        rows=("gemv_rows_", "gemm_f32_", "gemm_f64_"),
        function=None,
        kernel=_matrix_vector,
        reference=lambda a, x: (a @ x[:, None])[:, 0],
        samples=[Sample(((m, k), (k,))) for m, k in _VECTORS],
        bound=_bound,
    ),
    Case(
        name="gemv_columns",
        rows=("gemv_columns_", "gemm_f32_", "gemm_f64_"),
        function=None,
        kernel=_vector_matrix,
        reference=lambda x, b: (x[None] @ b)[0],
        samples=[Sample(((k,), (k, m))) for m, k in _VECTORS],
        bound=_bound,
    ),
    Case(
        name="gemv_few",
        rows=("gemv_columns_",),
        function=None,
        kernel=_few_rows,
        reference=np.matmul,
        samples=[
            Sample(((rows, k), (k, m)))
            for rows in range(2, 5)
            for m, k in ((9, 3), (16, 4), (17, 1), (33, 9), (64, 0), (1031, 6), (8200, 3))
        ]
        + [Sample(((3, 5), (5, 66000)))],  # shared by threads
        bound=_bound,
    ),
    Case(
        name="dot",
        rows=("dot_",),
        function=None,
        kernel=_dot_kernel,
        reference=_linear_reference,
        samples=[
            *(
                Sample(((m, k), (n, k), bias), {"activation": f})
                for m in (1, 2, 3, 4, 5, 8, 11)
                for n, k in ((1, 5), (4, 16), (7, 33), (8, 1), (21, 100))
                for bias, f in (((n,), "relu"), (None, None), ((n,), "tanh"))
            ),
            Sample(((70, 900), (75, 900), (75,)), {"activation": None}),  # two blocks of k
            Sample(((60, 2000), (3, 2000), None), {"activation": "relu"}),  # few columns
            Sample(((7, 70), (9000, 70), (9000,)), {"activation": "relu"}),  # shared by threads
        ],
        bound=_bound,
    ),
    Case(
        name="dot_turned",
        rows=("dot_",),
        function=None,
        kernel=_dot_turned,
        reference=np.matmul,
        samples=[Sample(((m, k), (k, n))) for m, n, k in ((40, 5, 70), (9, 8, 33), (9000, 7, 70))],
        bound=_bound,
    ),
    Case(
        name="dot_by_columns",
        rows=("dot_",),
        function=None,
        kernel=_dot_by_columns,
        reference=_linear_reference,
        samples=[
            Sample(((m, k), (n, k), (n,)), {"activation": f})
            for m, n, k in ((2, 9, 40), (17, 3, 33))
            for f in ACTIVATIONS
        ],
        bound=_bound,
    ),
    Case(
        name="gemm_wide",
        rows=("gemm_f32_", "gemm_f64_"),
        function=None,
        kernel=_wide_kernel,
        reference=_linear_reference,
        samples=[
            Sample(((m, k), (n, k), bias), {"activation": f})
            for m, n, k in ((48, 50, 5), (49, 64, 100), (56, 71, 33), (98, 130, 700))
            for bias, f in (((n,), "relu"), (None, None), ((n,), "tanh"))
        ],
        bound=_bound,
    ),
    Case(
        name="gemm_wide_columns",
        rows=("gemm_f32_", "gemm_f64_"),
        function=None,
        kernel=_wide_columns,
        reference=np.matmul,
        samples=[Sample(((m, k), (k, n))) for m, n, k in ((70, 48, 20), (61, 53, 130))],
        bound=_bound,
    ),
    Case(
        name="matmul",
        rows=("gemm_f32_", "gemm_f64_"),
        function=striate.matmul,
        kernel=_C.gemm,
        reference=np.matmul,
        samples=[
            *_TILES,
            *_SIZES,
            *_BATCHES,
            Sample(((45, 2048), (2048, 40))),  # rows of A that share the sets of L1
            Sample(((45, 2048), (2048, 7))),
            Sample(((100, 300), (300, 35))),  # turned: 35 rows fill tiles, 35 columns do not
            Sample(((150, 90), (90, 51))),
        ],
        bound=_bound,
        flops=lambda a, b: 2.0 * np.prod(a) * b[-1],
        bytes=lambda a, b: 4.0 * (np.prod(a) + np.prod(b) + np.prod(a[:-1]) * b[-1]),
        misuses=[
            Misuse(
                lambda: striate.matmul(striate.zeros(2, 3), striate.zeros(4, 5)),
                ValueError,
                ("matmul", "(2, 3)", "(4, 5)"),
            ),
            Misuse(
                lambda: _C.gemm(np.zeros((2, 3), "f"), np.zeros((3, 2))),
                TypeError,
                ("gemm", "b", "float32", "float64"),
            ),
            Misuse(lambda: _C.gemm([1], np.zeros((3, 2))), TypeError, ("gemm", "a", "list")),
            Misuse(
                lambda: _C.gemm(np.zeros((2, 3)), np.zeros((3, 2)), out=np.zeros((3, 3))),
                ValueError,
                ("gemm", "out", "(2, 2)", "(3, 3)"),
            ),
        ],
    ),
    Case(
        name="linear",
        rows=("gemm_f32_", "gemm_f64_"),
        function=striate.ops.linear,
        kernel=_linear_kernel,
        reference=_linear_reference,
        samples=[
            *(
                Sample(((m, k), (n, k), bias), {"activation": f})
                for m, n, k in [(1, 1, 1), (7, 5, 3), (64, 10, 84), (33, 120, 400)]
                for bias in [(n,), None]
                for f in ACTIVATIONS
            ),
            # Turned: B stays in place, C is made by columns.
            Sample(((32, 300), (700, 300), (700,)), {"activation": "relu"}),
            Sample(((32, 300), (700, 300), (700,)), {"activation": "tanh"}),
            # Turned beside panels of three vectors and a column, and with several blocks of k.
            *(Sample(((49, 600), (800, 600), (800,)), {"activation": f}) for f in ACTIVATIONS),
            Sample(((102, 3000), (110, 3000), None), {"activation": None}),
        ],
        bound=_bound,
        flops=lambda x, w, b, **_: 2.0 * x[0] * x[1] * w[0],
        misuses=[
            Misuse(
                lambda: striate.ops.linear(striate.zeros(2, 3), striate.zeros(4, 5)),
                ValueError,
                ("linear", "input", "(..., 5)", "(2, 3)"),
            ),
        ],
    ),
]

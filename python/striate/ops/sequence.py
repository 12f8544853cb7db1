# SPDX-License-Identifier: Apache-2.0
"""Sequences of different lengths: their rows packed without the padding, and back.

Copies by index, where every row is met once at most; so gradients are copies too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.autograd import Node
from striate.ops.record import op
from striate.tensor import Array


@op("(A, B, ...) -> (R, ...)")
def take_rows(ctx: Node, x: Array, index: Array) -> Array:
    """x with its first two axes as one, at `index`."""
    ctx.save(x.shape, index)
    return np.take(x.reshape(-1, *x.shape[2:]), index, 0)


@take_rows.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, index = ctx.saved
    dx = np.zeros_like(grad, order="C", shape=(shape[0] * shape[1], *shape[2:]))
    dx[index] = grad
    return dx.reshape(shape)


@op("(R, ...) -> (A, B, ...)")
def put_rows(ctx: Node, rows: Array, index: Array, sizes: tuple[int, int], value: float) -> Array:
    """`rows` at `index` of the first two axes as one, `value` elsewhere."""
    ctx.save(index)
    y = np.full_like(rows, value, order="C", shape=(sizes[0] * sizes[1], *rows.shape[1:]))
    y[index] = rows
    return y.reshape(*sizes, *rows.shape[1:])


@put_rows.backward
def _(ctx: Node, grad: Array) -> Any:
    (index,) = ctx.saved
    return np.take(grad.reshape(-1, *grad.shape[2:]), index, 0)


@op("(D, N, H) -> (D, N, H)")
def permuted(ctx: Node, x: Array, order: Array) -> Array:
    """x with its second axis in another order."""
    ctx.save(order)
    return np.take(x, order, 1)


@permuted.backward
def _(ctx: Node, grad: Array) -> Any:
    return np.take(grad, np.argsort(ctx.saved[0]), 1)

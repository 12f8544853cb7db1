# SPDX-License-Identifier: Apache-2.0
"""Undoing max pooling of sequences and volumes by the kernels for images."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.arrays import in_c_order
from striate.autograd import Node
from striate.explain import explained
from striate.ops import composed
from striate.ops.conv import numbers
from striate.ops.layout import channels_last
from striate.ops.operand import check_tensor
from striate.ops.pool_nd import checked, single, volume
from striate.ops.record import op
from striate.tensor import Array, Tensor

__all__ = [
    "max_unpool1d",
    "max_unpool3d",
]


@op("(N, C, ...) -> (N, C, ...)", name="max_unpool")
def _max_unpool(ctx: Node, x: Array, indices: Array, size: tuple[int, ...]) -> Array:
    ctx.save(x.shape, indices)
    x = channels_last(x)
    image = _flat(x)  # positions count through the axes, so (D H, W) serves for (D, H, W)
    rows = int(np.prod(size[:-1]))
    return volume(composed.max_unpool2d(image, indices, (rows, size[-1])), (*x.shape[:2], *size))


@_max_unpool.backward
def _(ctx: Node, grad: Array) -> Any:
    shape, indices = ctx.saved
    return volume(composed.max_unpool2d_backward(_flat(channels_last(grad)), indices), shape)


def _flat(x: Array) -> Array:
    """(N, C, ..., W) as (N, C, H, W), all axes before the last one together."""
    n, c, *size = x.shape
    image = np.moveaxis(x, 1, -1).reshape(n, int(np.prod(size[:-1])), size[-1], c)
    return np.moveaxis(image, -1, 1)


def _max_unpool_nd(
    dims: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any,
    output_size: Any,
) -> Tensor:  # fmt: skip
    name = f"max_unpool{dims}d"
    x = checked(name, dims, input)
    check_tensor(name, "indices", indices)
    if indices.shape != input.shape or indices.dtype != np.int64:
        raise ValueError(
            f"{name}: indices: expected int64 of shape {input.shape}, like input, got "
            f"{indices.dtype} of shape {indices.shape}"
        )
    k = numbers(name, "kernel_size", kernel_size, dims, 1)
    s = k if stride is None else numbers(name, "stride", stride, dims, 1)
    p = numbers(name, "padding", padding, dims, 0)
    size = tuple(
        (n - 1) * a - 2 * pad + f for n, a, pad, f in zip(x.shape[2:], s, p, k, strict=True)
    )
    if output_size is not None:
        wanted = tuple(output_size)[-dims:]
        if len(wanted) != dims or any(
            abs(n - m) >= d for n, m, d in zip(wanted, size, s, strict=True)
        ):
            raise ValueError(
                f"{name}: output_size: expected {size} but for less than a stride of {s}, got "
                f"{tuple(output_size)}"
            )
        size = wanted
    if min(size) < 0 or max(size) >= 2**40:
        raise ValueError(f"{name}: output_size: expected 0 or more, got {size}")
    at = indices._array if indices.ndim == dims + 2 else indices._array[None]
    flat = in_c_order(np.moveaxis(_flat(at), 1, -1))
    places = int(np.prod(size))
    if flat.size and not 0 <= flat.min() <= flat.max() < places:
        wrong = flat[(flat < 0) | (flat >= places)][0]
        raise IndexError(f"{name}: indices: expected 0 to {places - 1}, got {int(wrong)}")
    return single(_max_unpool(x, indices=flat, size=size), input)


@explained
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Zeros with each x where its maximum came from: (N, C, Q) -> (N, C, L), or without N.

    Undoes `max_pool1d(..., return_indices=True)`; as `max_unpool2d`.
    """
    return _max_unpool_nd(1, input, indices, kernel_size, stride, padding, output_size)


@explained
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Zeros with each x where its maximum came from: (N, C, O, P, Q) -> (N, C, D, H, W).

    Undoes `max_pool3d(..., return_indices=True)`; as `max_unpool2d`, also without N.
    """
    return _max_unpool_nd(3, input, indices, kernel_size, stride, padding, output_size)

# SPDX-License-Identifier: Apache-2.0
"""Convolution of volumes on a GPU, by the kernels for images.

With filters of T planes, tap t of output plane o meets plane o u + t d - front of the volume:

    y[o]                      is the sum over t of the convolutions of that plane with w[t]
    dx[o u + t d - front]     is the sum over t of the data gradients of dy[o] with w[t]
    dw[t]                     is the weight gradient of those planes and dy[o]

All planes that a tap meets inside the volume are one batch of images. As in composed.py, each
function has the name, the arguments and the results of a binding, which serves the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import Array
from striate.ops.composed import standing_for
from striate.ops.layout import channels_last

Options = dict[str, Any]


def _taps(options: Options, depth: int, out: int, taps: int) -> Iterator[tuple[int, slice, slice]]:
    """(t, planes of the volume, planes of the result) of each tap that meets any."""
    step, spread = options["stride"][0], options["dilation"][0]
    front = options["padding"][0][0]
    for t in range(taps):
        off = t * spread - front
        first = max(0, -(off // step))  # the least o with o step + off >= 0
        last = min(out - 1, (depth - 1 - off) // step)
        if first <= last:
            yield t, slice(first * step + off, last * step + off + 1, step), slice(first, last + 1)


def _of_planes(options: Options, groups: int) -> Options:
    return {**{k: v[1:] for k, v in options.items()}, "groups": groups}


def _images(x: Array, planes: slice) -> Array:
    """Planes of (N, C, D, H, W) as images (N D', C, H, W)."""
    part = np.moveaxis(x[:, :, planes], 1, -1)
    return channels_last(np.moveaxis(part.reshape(-1, *part.shape[2:]), -1, 1))


def _add(total: Array, planes: slice, images: Array) -> None:
    """total[:, :, planes] += images, which are (N D', C, H, W)."""
    part = total[:, :, planes]
    n, c, d, h, w = part.shape
    made = np.moveaxis(np.moveaxis(images, 1, -1).reshape(n, d, h, w, c), -1, 1)
    _C.add(part, made, out=part)


def _zeros(like: Array, shape: tuple[int, ...]) -> Array:
    """In channels-last memory."""
    n, c, *size = shape
    return np.moveaxis(np.zeros_like(like, shape=(n, *size, c)), -1, 1)


def _finished(y: Array, bias: Array | None, activation: str | None, parameter: Any) -> Array:
    if bias is not None:
        y = _C.add(y, bias.reshape(-1, 1, 1, 1))
    return y if activation is None else getattr(_C, activation)(y, parameter)


@standing_for(_C.conv3d)
def conv3d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    groups: int,
    activation: str | None = None,
    parameter: Any = 0.0,
    **options: Any,
) -> Array:
    spans = zip(x.shape[2:], weight.shape[2:], *options.values(), strict=True)
    order = list(options)
    size = []
    for n, f, *given in spans:
        of = dict(zip(order, given, strict=True))
        size.append((n + sum(of["padding"]) - of["dilation"] * (f - 1) - 1) // of["stride"] + 1)
    y = _zeros(x, (x.shape[0], weight.shape[0], *size))
    for t, planes, outs in _taps(options, x.shape[2], size[0], weight.shape[2]):
        filters = channels_last(weight[:, :, t])
        _add(y, outs, _C.conv2d(_images(x, planes), filters, **_of_planes(options, groups)))
    return _finished(y, bias, activation, parameter)


@standing_for(_C.conv3d_bwd_data)
def conv3d_bwd_data(
    dy: Array,
    weight: Array,
    *,
    size: tuple[int, ...],
    bias: Array | None = None,
    groups: int,
    **options: Any,
) -> Array:
    dx = _zeros(dy, (dy.shape[0], weight.shape[1] * groups, *size))
    given = {"size": tuple(size[1:]), **_of_planes(options, groups)}
    for t, planes, outs in _taps(options, size[0], dy.shape[2], weight.shape[2]):
        filters = channels_last(weight[:, :, t])
        _add(dx, planes, _C.conv2d_bwd_data(_images(dy, outs), filters, **given))
    return _finished(dx, bias, None, 0.0)


@standing_for(_C.conv3d_bwd_weight)
def conv3d_bwd_weight(
    x: Array, dy: Array, *, size: tuple[int, ...], groups: int, **options: Any
) -> Array:
    dw = _zeros(x, (dy.shape[1], x.shape[1] // groups, *size))
    given = {"size": tuple(size[1:]), **_of_planes(options, groups)}
    for t, planes, outs in _taps(options, x.shape[2], dy.shape[2], size[0]):
        dw[:, :, t] = _C.conv2d_bwd_weight(_images(x, planes), _images(dy, outs), **given)
    return dw

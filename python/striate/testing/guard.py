# SPDX-License-Identifier: Apache-2.0
"""Arrays that end where memory ends: one element too far is a crash, not a wrong number."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_PROT_NONE = 0


def guarded(array: Array, side: str = "end") -> Array:
    """A copy of `array`, with its strides' order, against a page that can't be touched.

    `side="end"`: the page follows the last byte; `"start"`: it precedes the first.
    """
    order = np.argsort([-abs(s) for s in array.strides], kind="stable").astype(int)
    packed = array.transpose(order)
    page = mmap.PAGESIZE
    span = (array.nbytes + page - 1) // page * page
    block = mmap.mmap(-1, span + page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(block))
    closed = base + (span if side == "end" else 0)
    if _libc.mprotect(closed, page, _PROT_NONE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")
    at = span - array.nbytes if side == "end" else page
    copy = np.frombuffer(block, array.dtype, array.size, at).reshape(packed.shape)
    copy[...] = packed
    return copy.transpose(np.argsort(order))


def misaligned(array: Array, items: int = 1) -> Array:
    """A copy that begins `items` elements past a 64-byte boundary, with the strides' order kept."""
    order = np.argsort([-abs(s) for s in array.strides], kind="stable").astype(int)
    packed = array.transpose(order)
    raw = np.empty(array.nbytes + 64 + items * array.itemsize, np.uint8)
    at = -raw.ctypes.data % 64 + items * array.itemsize
    copy = raw[at : at + array.nbytes].view(array.dtype).reshape(packed.shape)
    copy[...] = packed
    return copy.transpose(np.argsort(order))


def strided(array: Array) -> Array:
    """The same values with gaps of NaN between them along every axis."""
    if array.ndim == 0:
        return array.copy()
    wide = np.full([2 * n for n in array.shape], np.nan, array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view

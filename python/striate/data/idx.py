# SPDX-License-Identifier: Apache-2.0
"""The idx format of MNIST (http://yann.lecun.com/exdb/mnist/), plain or gzip.

A file is two zero bytes, a code for the element type, the number of axes, one big-endian uint32 an
axis, then the elements in C order, big-endian. Nothing in it is trusted: sizes are compared with
the file before memory is asked for, and no more is decompressed than the header promises.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from striate.tensor import Array

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Deflate stores at most 258 bytes in 2 bits; no honest gzip file expands further than this.
_MOST_EXPANSION = 1032
_MOST_AXES = 8


class NotFound(FileNotFoundError, ValueError):
    """A file or folder is missing."""


def read_idx(path: str | os.PathLike[str], max_bytes: int = 1 << 32) -> Array:
    """The array that an idx file holds, in native byte order.

    Raises ValueError (`NotFound` for a missing file) with path, expected and got, where the file is
    foreign, truncated, too long, broken, or claims more than `max_bytes`.
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        raise NotFound(f"read_idx: {path}: expected an idx file, got {kind}")
    size = path.stat().st_size
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            return _read(path, raw, size, max_bytes)
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(path, cast(BinaryIO, unpacked), size * _MOST_EXPANSION, max_bytes)
        except EOFError:
            raise ValueError(f"read_idx: {path}: the gzip data ends early: truncated") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"read_idx: {path}: broken gzip data: {error}") from None


def _read(path: Path, file: BinaryIO, most: int, max_bytes: int) -> Array:
    """The array from an open file of which at most `most` bytes can come."""
    shape, dtype = _header(path, file)
    count = math.prod(shape)  # Python's integers don't overflow
    wanted = count * dtype.itemsize
    if wanted > max_bytes:
        raise ValueError(
            f"read_idx: {path}: the header claims shape {shape}, {wanted} bytes; expected at most "
            f"max_bytes={max_bytes}"
        )
    if wanted > most:
        raise ValueError(
            f"read_idx: {path}: the header claims shape {shape}, {wanted} bytes, more than the "
            "file can hold: truncated or foreign"
        )
    array = np.empty(count, dtype)
    got = _fill(file, memoryview(cast(Any, array.view(np.uint8))))
    if got < wanted:
        raise ValueError(
            f"read_idx: {path}: expected {wanted} bytes of data for shape {shape}, got {got}: "
            "truncated"
        )
    if file.read(1):
        raise ValueError(
            f"read_idx: {path}: expected {wanted} bytes of data for shape {shape}, got more: "
            "trailing bytes"
        )
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise ValueError(f"read_idx: {path}: expected a header, got {len(magic)} bytes: truncated")
    if magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not 1 <= magic[3] <= _MOST_AXES:
        raise ValueError(
            f"read_idx: {path}: expected an idx file (00 00, type 08 to 0e, axes 1 to "
            f"{_MOST_AXES}), got the bytes {magic.hex(' ')}"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"read_idx: {path}: expected {magic[3]} sizes in the header: truncated")
    return tuple(int(n) for n in np.frombuffer(sizes, ">u4")), np.dtype(_DTYPES[magic[2]])


def _fill(file: BinaryIO, into: memoryview) -> int:
    """Reads until `into` is full or the file ends; returns the number of bytes."""
    got = 0
    while got < len(into):
        part = file.readinto(into[got : got + (1 << 20)])  # type: ignore[attr-defined]
        if not part:
            break
        got += part
    return got

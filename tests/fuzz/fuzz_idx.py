# SPDX-License-Identifier: Apache-2.0
"""striate.data.idx.read_idx: plain, and through gzip."""

import gzip

from harness import fuzz
from striate.data import idx


def read(path):
    return idx.read_idx(path)


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def typed(data: bytes) -> bytes:
    """A good magic number before the data."""
    types = b"\x08\x09\x0b\x0c\x0d\x0e"
    kind, axes = (data[0], data[1]) if len(data) > 1 else (0, 1)
    return bytes([0, 0, types[kind % 6], 1 + axes % 8]) + data[2:]


SHAPES = [lambda data: data, zipped, typed, lambda data: zipped(typed(data))]

if __name__ == "__main__":
    fuzz(read, SHAPES, [idx, gzip])

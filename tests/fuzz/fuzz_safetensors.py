# SPDX-License-Identifier: Apache-2.0
"""striate.load: the header's length, its JSON, the elements."""

import json.decoder

from harness import fuzz
from striate import serialization


def read(path):
    return serialization.load(path)


def headed(data: bytes) -> bytes:
    """Text before the first zero byte becomes a header of the right length."""
    text, _, elements = data.partition(b"\0")
    return len(text).to_bytes(8, "little") + text + elements


def structured(data: bytes) -> bytes:
    """Text before the first zero byte becomes the structure of a file with one good tensor."""
    text, _, elements = data.partition(b"\0")
    header = {
        "__metadata__": {"striate.structure": text.decode("utf-8", "replace")},
        "a": {"dtype": "U8", "shape": [len(elements)], "data_offsets": [0, len(elements)]},
    }
    return headed(json.dumps(header).encode() + b"\0" + elements)


SHAPES = [lambda data: data, headed, structured]

if __name__ == "__main__":
    fuzz(read, SHAPES, [serialization, json.decoder])

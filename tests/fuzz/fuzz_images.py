# SPDX-License-Identifier: Apache-2.0
"""The images that `striate predict` reads, by Pillow."""

import zlib

from harness import fuzz
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
)
from striate.train import image
from striate.train.task import Scaling

PLUGINS = [
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
]
Image.init()
# A few bytes may honestly be an image of 64 million pixels, the usual limit: seconds each.
image._MOST_PIXELS = 1 << 18
SCALING = Scaling.from_dict(
    {"shape": [1, 28, 28], "ink": 255, "mean": 0.1, "std": 0.3, "box": 0.7, "centred": "mass"}
)


def read(path):
    return image.read_image(path, SCALING)


def png(data: bytes) -> bytes:
    """Chunks with good lengths and checksums: a header of 13 bytes, then image data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        whole = name + body
        return len(body).to_bytes(4, "big") + whole + zlib.crc32(whole).to_bytes(4, "big")

    pixels = zlib.compress(data[13:], 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", data[:13])
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


SHAPES = [lambda data: data, png]

if __name__ == "__main__":
    fuzz(read, SHAPES, [image, *PLUGINS])

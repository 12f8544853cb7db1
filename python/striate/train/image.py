# SPDX-License-Identifier: Apache-2.0
"""Reading a user's image so that it looks like the training data."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from striate.data import Normalize
from striate.data.idx import NotFound
from striate.tensor import Array
from striate.train.task import Scaling

_MOST_PIXELS = 64_000_000


def read_image(path: Path, scaling: Scaling) -> Array:
    """The image in a file as the net's input, float32 (1, 1, H, W).

    Grey, light on dark (turned round if its border is light), cut to its ink, scaled to fill the
    data's usual box, and centred as the data is. An image of the net's own size is only turned.
    Raises ValueError where the file is missing, no image, too large, or blank.
    """
    grey = _ink(_open(path))
    _, height, width = scaling.shape
    if grey.shape != (height, width):
        grey = _framed(path, grey, height, width, scaling)
    normalize = Normalize(scaling.mean, scaling.std)
    return normalize(grey[None, None] * np.float32(scaling.ink))


def _open(path: Path) -> Array:
    """The image as grey levels from 0 (black) to 1, transparent parts white."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ValueError('predict: pillow is missing; pip install "striate[train]"') from None
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        raise NotFound(f"{path}: expected an image, got {kind}")
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} is more than 64 million pixels")
            upright: Any = ImageOps.exif_transpose(image)
            if upright.mode.startswith(("I", "F")):  # 16 bits and more, which "L" would clip
                values = np.asarray(upright, np.float64)
                return (values / max(float(values.max()), 1e-30)).clip(0, 1).astype(np.float32)
            rgba = upright.convert("RGBA")
            white = Image.new("RGBA", rgba.size, "white")
            grey = Image.alpha_composite(white, rgba).convert("L")
            return np.asarray(grey, np.float32) / 255
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image that Pillow can read") from None
    except MemoryError:
        raise
    except Exception as error:  # of a broken file Pillow's readers raise whatever comes
        raise ValueError(f"{path}: unreadable image: {error}") from None


def _ink(grey: Array) -> Array:
    """Light strokes on dark, whichever way the image was: the border tells the paper's colour."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return 1 - grey if np.median(border) > 0.5 else grey


def _framed(path: Path, ink: Array, height: int, width: int, scaling: Scaling) -> Array:
    """The ink alone, scaled to the data's box and centred in height x width."""
    from PIL import Image

    paper = float(np.quantile(ink, 0.1))
    strokes = np.clip((ink - paper) / max(float(ink.max()) - paper, 1e-6), 0, 1)
    marked = np.argwhere(strokes > 0.3)
    if float(ink.max()) - paper < 0.1 or not len(marked):
        raise ValueError(f"{path}: the image is blank: nothing stands out from the paper")
    (top, left), (bottom, right) = marked.min(0), marked.max(0) + 1
    cut = np.where(strokes > 0.1, strokes, 0)[top:bottom, left:right]
    zoom = scaling.box * min(height / cut.shape[0], width / cut.shape[1])
    size = tuple(max(1, round(n * zoom)) for n in cut.shape)
    levels = Image.fromarray((cut * 255).astype(np.uint8))
    small = (
        np.asarray(
            levels.resize(
                size[::-1], Image.Resampling.BOX if zoom < 1 else Image.Resampling.BILINEAR
            ),
            np.float32,
        )
        / 255
    )
    if scaling.centred == "mass":
        weight = small / small.sum()
        middle = [
            float((weight.sum(1 - axis) * (np.arange(n) + 0.5)).sum())
            for axis, n in enumerate(small.shape)
        ]
    else:
        middle = [n / 2 for n in small.shape]
    result = np.zeros((height, width), np.float32)
    y, x = (
        min(max(0, math.floor(whole / 2 - m + 0.5)), whole - n)
        for whole, m, n in zip((height, width), middle, small.shape, strict=True)
    )
    result[y : y + small.shape[0], x : x + small.shape[1]] = small
    return result

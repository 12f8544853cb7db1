# SPDX-License-Identifier: Apache-2.0
"""Transforms of whole batches of images, run by the loader's workers.

A transform takes (images, random): an array (B, C, H, W) and the batch's own random stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from striate.nn.arguments import number
from striate.tensor import Array

Transform = Callable[[Array, np.random.Generator], Array]


class Compose:
    """One transform after the other."""

    def __init__(self, *transforms: Transform) -> None:
        for i, transform in enumerate(transforms):
            if not callable(transform):
                raise TypeError(
                    f"Compose: transforms[{i}]: expected a function of (images, random), got "
                    f"{type(transform).__name__}"
                )
        self.transforms = transforms

    def __call__(self, images: Array, random: np.random.Generator) -> Array:
        for transform in self.transforms:
            images = transform(images, random)
        return images


class Normalize:
    """(x - mean) / std, as float32."""

    def __init__(self, mean: float, std: float) -> None:
        self.mean = number("Normalize", "mean", mean)
        self.std = number("Normalize", "std", std, 0, open_low=True)

    def __call__(self, images: Array, random: np.random.Generator | None = None) -> Array:
        scale = np.float32(1 / self.std)
        result = images.astype(np.float32)
        result -= np.float32(self.mean)
        result *= scale
        return result


class RandomAffine:
    """Turns, scales, slants and shifts each image at random about its centre, bilinearly.

    A pixel p of the result comes from A (p - centre) + centre + t of the image, where A is a turn
    by up to `degrees`, a slant by up to `shear` and a scale within 1 ± `scale`, and t is a shift by
    up to `shift` pixels; all uniform. What lies outside the image is 0 (paper). As in Simard,
    Steinkraus and Platt, Best Practices for Convolutional Neural Networks, ICDAR 2003, section 2.
    """

    def __init__(
        self, degrees: float = 0, shift: float = 0, scale: float = 0, shear: float = 0
    ) -> None:
        self.degrees = number("RandomAffine", "degrees", degrees)
        self.shift = number("RandomAffine", "shift", shift)
        self.scale = number("RandomAffine", "scale", scale)
        self.shear = number("RandomAffine", "shear", shear)

    def __call__(self, images: Array, random: np.random.Generator) -> Array:
        n, _, h, w = images.shape
        angle, zoom, slant, dy, dx = random.uniform(-1, 1, (5, n, 1, 1)).astype(np.float32)
        angle *= np.float32(math.radians(self.degrees))
        zoom = 1 + zoom * np.float32(self.scale)
        cos, sin, slant = np.cos(angle) * zoom, np.sin(angle) * zoom, slant * self.shear
        y = np.arange(h, dtype=np.float32)[:, None] - (h - 1) / 2
        x = np.arange(w, dtype=np.float32) - (w - 1) / 2
        x_slanted = x + slant * y
        from_y = cos * y - sin * x_slanted + (h - 1) / 2 + dy * self.shift  # [n, h, w]
        from_x = sin * y + cos * x_slanted + (w - 1) / 2 + dx * self.shift
        return _bilinear(images, from_y, from_x)


def _bilinear(images: Array, y: Array, x: Array) -> Array:
    """images (N, C, H, W) at the real positions y, x (N, P, Q), 0 outside: float32 (N, C, P, Q)."""
    n, _, h, w = images.shape
    # A border of zeros, so that positions outside need no mask once they are clamped to it.
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    y = np.clip(y, -1, h) + 1
    x = np.clip(x, -1, w) + 1
    top, left = y.astype(np.intp), x.astype(np.intp)
    fy, fx = (y - top)[:, None], (x - left)[:, None]
    rows = np.arange(n)[:, None, None]
    at = padded.transpose(0, 2, 3, 1)
    corner = [
        at[rows, top + i, left + j].transpose(0, 3, 1, 2).astype(np.float32)
        for i in (0, 1)
        for j in (0, 1)
    ]
    upper = corner[0] + fx * (corner[1] - corner[0])
    lower = corner[2] + fx * (corner[3] - corner[2])
    result = upper + fy * (lower - upper)
    return np.ascontiguousarray(result, np.float32)

# SPDX-License-Identifier: Apache-2.0
"""The progress bar of a training: loss, accuracy, rate, time left."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """A bar over all images of all epochs, with a line an epoch above it.

    The bar is tqdm's and appears on terminals only; without tqdm, or when it is not wanted, the
    lines alone are printed.
    """

    def __init__(self, total: int, done: int, wanted: bool) -> None:
        self._bar: Any = None
        if wanted and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(
                total=total,
                initial=done,
                unit=" images",
                unit_scale=True,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}% |{bar}| {desc}{rate_fmt}, {remaining} left",
            )

    def update(self, images: int, text: str) -> None:
        if self._bar is not None:
            self._bar.set_description_str(f"{text}, ", refresh=False)
            self._bar.update(images)

    def line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

# SPDX-License-Identifier: Apache-2.0
"""`striate predict`: what a trained net sees in images."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from striate import _C, no_grad
from striate.tensor import Array, Tensor
from striate.train.command import load_run
from striate.train.image import read_image

_BAR = 30


def run(options: argparse.Namespace) -> int:
    """Prints each image's likeliest classes."""
    if options.threads is not None:
        _C.set_num_threads(options.threads)
    model, scaling, classes = load_run(options.run_folder)
    images = [read_image(Path(p), scaling) for p in options.images]
    with no_grad():
        scores = model(Tensor(np.concatenate(images))).numpy()
    width = max(len(c) for c in classes)
    for path, chances in zip(options.images, probabilities(scores), strict=True):
        print(path)
        for k in np.argsort(-chances, kind="stable")[: options.top]:
            bar = "█" * round(_BAR * float(chances[k]))
            print(f"  {classes[k]:>{width}}  {chances[k]:7.2%}  {bar}".rstrip())
    return 0


def probabilities(scores: Array) -> Array:
    """softmax(scores) over the last axis, in double precision."""
    wide = scores.astype(np.float64)
    powers = np.exp(wide - wide.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)

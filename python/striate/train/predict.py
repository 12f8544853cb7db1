# SPDX-License-Identifier: Apache-2.0
"""`striate predict`: what a trained net sees in images."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from striate import _C, no_grad
from striate.nn.functional import softmax
from striate.tensor import Tensor
from striate.train.image import read_image
from striate.train.runs import load_run

_BAR = 30


def run(options: argparse.Namespace) -> int:
    """Prints each image's likeliest classes."""
    if options.threads is not None:
        _C.set_num_threads(options.threads)
    model, scaling, classes = load_run(options.run_folder)
    images = [read_image(Path(p), scaling) for p in options.images]
    with no_grad():
        chances = softmax(model(Tensor(np.concatenate(images))), dim=1).numpy()
    width = max(len(c) for c in classes)
    for path, row in zip(options.images, chances, strict=True):
        print(path)
        for k in np.argsort(-row, kind="stable")[: options.top]:
            bar = "█" * round(_BAR * float(row[k]))
            print(f"  {classes[k]:>{width}}  {row[k]:7.2%}  {bar}".rstrip())
    return 0

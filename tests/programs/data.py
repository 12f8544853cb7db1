# SPDX-License-Identifier: Apache-2.0
"""What the programs learn from, as NumPy arrays, and the noise that they draw.

Noise comes from here and not from a framework's generator, so that two frameworks see the same.
"""

import os
from pathlib import Path

import numpy as np

TEXT = """It was a bright cold day at the edge of the wood, and the small river under the bridge ran
fast with the snow of the hills. A heron stood in the reeds and waited, as herons do, for the water
to forget that it was there. Nobody came down the path that morning but a boy with a red cap, who
counted the planks of the bridge aloud, lost his count in the middle, went back, and began again.
When he came to the last plank the heron rose, and the boy said its name, and both went home. """


def digits(count):
    """(count, 1, 28, 28) images in [0, 1], and labels: MNIST's, or scikit-learn's digits."""
    folder = Path(os.environ.get("STRIATE_DATA", "")) / "mnist"
    if folder.is_dir():
        from striate.data import read_idx

        images = read_idx(folder / "t10k-images-idx3-ubyte.gz")[:count, None] / 255
        labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz")[:count]
        return images.astype(np.float32), labels.astype(np.int64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.kron(bunch.images[:count] / 16, np.ones((3, 3)))  # 8x8 to 24x24
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return images[:, None].astype(np.float32), bunch.target[:count].astype(np.int64)


def characters():
    """The text as numbers, and how many different ones there are."""
    known = sorted(set(TEXT))
    return np.array([known.index(c) for c in TEXT]), len(known)


def words():
    """The text's words as numbers, and how many different ones there are."""
    split = TEXT.lower().replace(",", " ,").replace(".", " .").split()
    known = sorted(set(split))
    return np.array([known.index(w) for w in split]), len(known)


def generator(seed=0):
    return np.random.default_rng(seed)

# SPDX-License-Identifier: Apache-2.0
"""Known datasets: scikit-learn's digits and MNIST."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from striate.data.dataset import TensorDataset
from striate.data.idx import NotFound, read_idx
from striate.tensor import Array, Tensor

_MNIST = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def digits() -> TensorDataset:
    """The 1,797 handwritten digits that scikit-learn carries: images (1797, 1, 8, 8), labels.

    Images are uint8 from 0 (paper) to 16 (ink). Source: Alpaydin and Kaynak, Optical Recognition of
    Handwritten Digits, UCI Machine Learning Repository, 1998 (its test part).
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            'digits: the data comes with scikit-learn, which is missing; pip install "striate'
            '[train]"'
        ) from None
    bunch = load_digits()
    images = np.asarray(bunch.images, np.uint8).reshape(-1, 1, 8, 8)
    return TensorDataset(Tensor(images), Tensor(np.asarray(bunch.target, np.int64)))


def mnist(root: str | os.PathLike[str]) -> tuple[TensorDataset, TensorDataset]:
    """MNIST's 60,000 training and 10,000 test digits from the idx files (or .gz) under `root`.

    Images are uint8 (N, 1, 28, 28) from 0 (paper) to 255 (ink), labels int64 (N,). The files are
    looked for in root, root/mnist and root/MNIST/raw. Source: LeCun, Bottou, Bengio and Haffner,
    Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), 1998.
    Raises ValueError where the folder or a file is missing, or not what it should be.
    """
    folder = _mnist_folder(Path(root))
    parts = []
    for names in _MNIST.values():
        images, labels = (read_idx(_existing(folder, name)) for name in names)
        _check_mnist(folder, names, images, labels)
        parts.append(
            TensorDataset(Tensor(images.reshape(-1, 1, 28, 28)), Tensor(labels.astype(np.int64)))
        )
    return parts[0], parts[1]


def _existing(folder: Path, name: str) -> Path:
    """The file in either of its two forms; torchvision's and others' dotted names count too."""
    for form in (
        name,
        f"{name}.gz",
        name.replace("-idx", ".idx"),
        name.replace("-idx", ".idx") + ".gz",
    ):
        if (folder / form).is_file():
            return folder / form
    raise NotFound(f"mnist: {folder}: {name}[.gz] is missing")


def _mnist_folder(root: Path) -> Path:
    """The folder at or under `root` that holds all four files."""
    if not root.is_dir():
        kind = "a file" if root.exists() else "no such folder"
        raise NotFound(
            f"mnist: root: expected a folder with MNIST's four idx files, got {kind}: {root}"
        )
    wanted = [name for names in _MNIST.values() for name in names]
    fewest = wanted
    nearest = root
    for folder in (root, root / "mnist", root / "MNIST" / "raw"):
        missing = []
        for name in wanted:
            try:
                _existing(folder, name)
            except NotFound:
                missing.append(name)
        if not missing:
            return folder
        if len(missing) < len(fewest):
            fewest, nearest = missing, folder
    raise NotFound(
        f"mnist: {nearest}: expected four idx files, plain or .gz; missing: {', '.join(fewest)}"
    )


def _check_mnist(folder: Path, names: tuple[str, str], images: Array, labels: Array) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"mnist: {folder / names[0]}: expected uint8 (N, 28, 28), got {images.dtype} "
            f"{images.shape}"
        )
    if labels.dtype != np.uint8 or labels.shape != (len(images),) or len(images) == 0:
        raise ValueError(
            f"mnist: {folder / names[1]}: expected a uint8 label for each of {len(images)} images, "
            f"got {labels.dtype} {labels.shape}"
        )
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise ValueError(
            f"mnist: {folder / names[1]}: label {wrong[0]}: expected 0 to 9, got {labels[wrong[0]]}"
        )

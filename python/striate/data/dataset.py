# SPDX-License-Identifier: Apache-2.0
"""Datasets: samples by number, and ways to divide them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from striate import random
from striate.explain import explained
from striate.tensor import Array, Tensor, as_array


class Dataset:
    """Samples by number: subclasses give `__len__` and `__getitem__`.

    `batch(indices)` may be overridden where many samples are had at once more cheaply than one by
    one; None says that the loader shall ask for single samples and collate them.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}.__len__")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.__getitem__")

    def batch(self, indices: Array) -> Any:
        """The collated samples at `indices`, or None."""
        return None


class TensorDataset(Dataset):
    """Sample i is the tuple of every tensor's row i. The tensors' first axes must be equal."""

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor, got none")
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor(as_array(t)) for t in tensors)
        for i, t in enumerate(self.tensors):
            if t.ndim == 0:
                raise ValueError(f"TensorDataset: tensor {i}: expected an axis of samples, got ()")
            if len(t) != len(self.tensors[0]):
                raise ValueError(
                    f"TensorDataset: tensor {i}: expected {len(self.tensors[0])} samples as in "
                    f"tensor 0, got {len(t)}"
                )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        i = _checked("TensorDataset", index, len(self))
        return tuple(Tensor._wrap(np.asarray(t._array[i])) for t in self.tensors)

    def batch(self, indices: Array) -> tuple[Tensor, ...]:
        return tuple(Tensor._wrap(t._array[indices]) for t in self.tensors)


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order."""

    @explained
    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset = dataset
        array = np.asarray(indices)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(
                f"Subset: indices: expected a list of integers, got {array.dtype} of shape "
                f"{array.shape}"
            )
        self.indices = array.astype(np.int64)
        wrong = np.flatnonzero((self.indices < 0) | (self.indices >= len(dataset)))
        if wrong.size:
            raise IndexError(
                f"Subset: indices[{wrong[0]}]: expected 0 to {len(dataset) - 1}, got "
                f"{self.indices[wrong[0]]}"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[_checked("Subset", index, len(self))])]

    def batch(self, indices: Array) -> Any:
        whole = getattr(self.dataset, "batch", None)
        return None if whole is None else whole(self.indices[indices])


def _checked(name: str, index: int, length: int) -> int:
    i = int(index)
    if not -length <= i < length:
        raise IndexError(f"{name}: index: expected below {length}, got {i}")
    return i + length if i < 0 else i


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=as_int(seed)))


@explained
def random_split(
    dataset: Any,
    lengths: Sequence[float],
    seed: int = 0,
    *,
    generator: random.Generator | None = None,
) -> list[Subset]:
    """Divides `dataset` at random into parts of the given lengths, or fractions that sum to 1.

    What rounding leaves over goes to the first parts, one sample each. The order is that of `seed`,
    or the next one of `generator` where that is given.
    """
    total = len(dataset)
    if not all(math.isfinite(n) and n >= 0 for n in lengths):
        raise ValueError(f"random_split: lengths: expected 0 or more, got {list(lengths)}")
    if any(isinstance(n, float) for n in lengths):
        if not math.isclose(sum(lengths), 1):
            raise ValueError(f"random_split: lengths: expected a sum of 1, got {sum(lengths)}")
        counts = [math.floor(total * n) for n in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(n) for n in lengths]
        if sum(counts) != total:
            raise ValueError(
                f"random_split: lengths: expected a sum of {total}, the dataset's length, got "
                f"{sum(counts)}"
            )
    stream = _generator(seed) if generator is None else random.stream_of("random_split", generator)
    order = stream.permutation(total)
    ends = np.cumsum(counts)
    return [Subset(dataset, order[e - n : e]) for e, n in zip(ends, counts, strict=True)]


@explained
def stratified_split(
    dataset: Any, fraction: float, seed: int = 0, labels: Any = None
) -> tuple[Subset, Subset]:
    """Divides `dataset` into (the rest, `fraction` of it), each class in the same proportion.

    `labels` are by default the last tensor of a TensorDataset. Every class keeps at least one
    sample on each side, so it needs two.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"stratified_split: fraction: expected between 0 and 1, got {fraction}")
    if labels is None:
        if not isinstance(dataset, TensorDataset):
            raise TypeError("stratified_split: labels: needed where the data is no TensorDataset")
        labels = dataset.tensors[-1]
    classes = as_array(labels, argument="stratified_split: labels")
    if classes.shape != (len(dataset),):
        raise ValueError(
            f"stratified_split: labels: expected shape ({len(dataset)},), got {classes.shape}"
        )
    random = _generator(seed)
    kept, held = [], []
    for label in np.unique(classes):
        members = random.permutation(np.flatnonzero(classes == label))
        if len(members) < 2:
            raise ValueError(f"stratified_split: class {label}: expected 2 samples or more, got 1")
        n = min(max(round(len(members) * fraction), 1), len(members) - 1)
        held.append(members[:n])
        kept.append(members[n:])
    return tuple(Subset(dataset, np.sort(np.concatenate(p))) for p in (kept, held))  # type: ignore[return-value]

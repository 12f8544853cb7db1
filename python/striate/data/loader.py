# SPDX-License-Identifier: Apache-2.0
"""The loader: batches in an order that is a function of (seed, epoch), prepared by threads."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from striate import random
from striate.data.dataset import Dataset
from striate.dtypes import get_default_dtype
from striate.explain import explained
from striate.tensor import Array, Tensor

# The last word of a Philox counter says what the stream is for.
_ORDER, _TRANSFORM = 0, 1


@explained
def default_collate(samples: list[Any]) -> Any:
    """A batch of samples: tensors, arrays and numbers stacked; tuples, lists, mappings by field.

    Strings and other objects stay lists. Raises ValueError where samples differ in shape.
    """
    if not samples:
        raise ValueError("default_collate: samples: expected at least one, got none")
    first = samples[0]
    if isinstance(first, Tensor):
        return _stacked([s._array for s in samples])
    if isinstance(first, (np.ndarray, np.generic)):
        return _stacked([np.asarray(s) for s in samples])
    if isinstance(first, (bool, int)):
        return Tensor._wrap(np.asarray(samples))
    if isinstance(first, float):
        return Tensor._wrap(np.asarray(samples, get_default_dtype()))
    if isinstance(first, Mapping):
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        for i, s in enumerate(samples):
            if len(s) != len(first):
                raise ValueError(
                    f"default_collate: sample {i} of the batch: expected {len(first)} fields as in "
                    f"sample 0, got {len(s)}"
                )
        fields = [default_collate([s[k] for s in samples]) for k in range(len(first))]
        return type(first)(*fields) if hasattr(first, "_fields") else type(first)(fields)
    return samples


def _stacked(arrays: list[Array]) -> Tensor:
    for i, a in enumerate(arrays):
        if a.shape != arrays[0].shape:
            raise ValueError(
                f"default_collate: sample {i} of the batch: expected shape {arrays[0].shape} as in "
                f"sample 0, got {a.shape}"
            )
    return Tensor(np.stack(arrays))


def _result(future: Future[Any]) -> Any:
    """future.result(), interrupted or not.

    An interrupt inside a condition variable's own code makes Python's threading release a lock that
    it does not hold, and a RuntimeError take the place of KeyboardInterrupt.
    """
    try:
        return future.result()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


class DataLoader:
    """Batches of a dataset.

    Each pass is an epoch with an order of its own, a function of (`seed`, epoch) alone: the same
    for any `num_workers`, and `batches(epoch, start)` continues one in its middle. Where no `seed`
    is given it is drawn from `generator`, or else from the library's random stream.

    `num_workers` threads read and prepare up to `prefetch_factor` batches each ahead; 0 does it in
    the caller's thread. `transform(batch, generator)` is called on each batch with a random stream
    of its own, a function of (seed, epoch, batch). A sample's error reaches the caller, with the
    sample's index, when its batch's turn comes. Leaving the loop early stops the workers.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        prefetch_factor: int = 2,
        seed: int | None = None,
        generator: random.Generator | None = None,
        transform: Callable[[Any, np.random.Generator], Any] | None = None,
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                "DataLoader: dataset: expected __len__ and __getitem__, got "
                f"{type(dataset).__name__}"
            )
        if len(dataset) == 0:
            raise ValueError("DataLoader: dataset: expected at least one sample, got none")
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("prefetch_factor", prefetch_factor, 1),
            ("seed", 0 if seed is None else seed, 0),
        ):
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not whole or value < least:
                raise ValueError(
                    f"DataLoader: {name}: expected an integer of {least} or more, got {value!r}"
                )
        for name, function in (("collate_fn", collate_fn), ("transform", transform)):
            if function is not None and not callable(function):
                raise TypeError(
                    f"DataLoader: {name}: expected a function, got {type(function).__name__}"
                )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.num_workers = int(num_workers)
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.prefetch_factor = int(prefetch_factor)
        if seed is not None and generator is not None:
            raise ValueError("DataLoader: expected seed or generator, not both")
        stream = random.stream_of("DataLoader", generator)
        self.seed = int(stream.integers(1 << 63)) if seed is None else int(seed)
        self.transform = transform
        self.epoch = 0

    def __len__(self) -> int:
        n, b = len(self.dataset), self.batch_size
        return n // b if self.drop_last else -(-n // b)

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch the next `iter()` is; it counts up by itself from there."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self.batches(epoch)

    def order(self, epoch: int) -> Array:
        """The samples' indices in the order of this epoch."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return self._generator(epoch, 0, _ORDER).permutation(len(self.dataset))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of one epoch, from number `start` on."""
        order = self.order(epoch)

        def load(number: int) -> Any:
            first = number * self.batch_size
            batch = self._collated(order[first : first + self.batch_size])
            if self.transform is None:
                return batch
            return self.transform(batch, self._generator(epoch, number, _TRANSFORM))

        numbers = iter(range(start, len(self)))
        return self._threaded(load, numbers) if self.num_workers else map(load, numbers)

    def _generator(self, epoch: int, batch: int, purpose: int) -> np.random.Generator:
        philox = np.random.Philox(key=self.seed, counter=[0, batch, epoch, purpose])
        return np.random.Generator(philox)

    def _collated(self, indices: Array) -> Any:
        if self.collate_fn is None and isinstance(self.dataset, Dataset):
            batch = self.dataset.batch(indices)
            if batch is not None:
                return batch
        return (self.collate_fn or default_collate)([self._sample(int(i)) for i in indices])

    def _sample(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            message = f"DataLoader: sample {index}: {error}"
            try:
                named = type(error)(message)
            except Exception:  # an exception class that wants other arguments
                named = RuntimeError(f"DataLoader: sample {index}: {type(error).__name__}: {error}")
            raise named from error

    def _threaded(self, load: Callable[[int], Any], numbers: Iterator[int]) -> Iterator[Any]:
        """What `load` gives for each number, in order, loaded ahead by threads."""
        ahead: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="striate-loader")
        try:
            for number in itertools.islice(numbers, self.num_workers * self.prefetch_factor):
                ahead.append(pool.submit(load, number))
            while ahead:
                batch = _result(ahead.popleft())
                for number in itertools.islice(numbers, 1):
                    ahead.append(pool.submit(load, number))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

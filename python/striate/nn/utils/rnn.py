# SPDX-License-Identifier: Apache-2.0
"""Sequences of different lengths in one batch: padded, and packed for recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_int
from typing import Any, NamedTuple

import numpy as np

from striate.explain import explained
from striate.nn.arguments import choice, refuse
from striate.ops.joining import cat
from striate.ops.sequence import put_rows, take_rows
from striate.tensor import Array, Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """The steps of all sequences without padding: a recurrent layer takes it and gives it back.

    data (R, ...) holds, step after step, a row for every sequence that is long enough, the longest
    sequence first; batch_sizes[t] is how many those are. sorted_indices[i] tells which sequence of
    the original batch is the i-th longest, unsorted_indices is its inverse; both are None where the
    batch came sorted.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, target: Any) -> PackedSequence:
        """With data converted to a dtype or moved to a device; batch_sizes stay on the CPU."""
        return self._replace(data=self.data.to(target))

    def float(self) -> PackedSequence:
        """With data as float32."""
        return self._replace(data=self.data.float())

    def double(self) -> PackedSequence:
        """With data as float64."""
        return self._replace(data=self.data.double())


def lengths_of(name: str, lengths: Any, batch: int, longest: int, exact: bool = False) -> Array:
    """`lengths` as an array of `batch` integers from 1 to `longest`, checked."""
    values = lengths._array if isinstance(lengths, Tensor) else np.asarray(lengths)
    if values.dtype.kind not in "iu" or values.dtype == bool:
        raise TypeError(f"{name}: lengths: expected integers, got {values.dtype}")
    if values.shape != (batch,):
        refuse(name, "lengths", f"one a sequence, {batch} in all", f"shape {values.shape}")
    values = values.astype(np.int64)
    wrong = np.flatnonzero((values < 1) | (values > longest))
    if wrong.size:
        i = int(wrong[0])
        refuse(name, "lengths", f"from 1 to {longest}, the steps there are", f"{values[i]} at {i}")
    return values


def _packed_order(lengths: Array) -> tuple[Array, Array]:
    """(steps, sequences) of packed rows, for lengths that never grow."""
    steps, sequences = np.nonzero(np.arange(int(lengths[0]))[:, None] < lengths)
    return steps, sequences


def _sorted(lengths: Array) -> Array:
    """The order from the longest to the shortest; equal ones stay in order."""
    return np.argsort(-lengths, kind="stable")


@explained
def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes `permutation`."""
    return None if permutation is None else Tensor._wrap(np.argsort(permutation._array))


@explained
def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """input (T, N, ...), or (N, T, ...) with `batch_first`, without what lies past `lengths`.

    Raises ValueError where a length is not from 1 to T or, with `enforce_sorted`, lengths grow.
    """
    name = "pack_padded_sequence"
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input: expected a Tensor, got {type(input).__name__}")
    if input.ndim < 2:
        refuse(name, "input", "(T, N, ...)", f"shape {input.shape}")
    batch, longest = input.shape[:2] if batch_first else input.shape[1::-1]
    if batch == 0:
        refuse(name, "input", "at least one sequence", f"shape {input.shape}")
    values = lengths_of(name, lengths, batch, longest)
    order = None
    if enforce_sorted:
        if np.any(np.diff(values) > 0):
            refuse(
                name,
                "lengths",
                "longest first, since enforce_sorted is set (pass enforce_sorted=False to have "
                "them sorted)",
                values.tolist(),
            )
    else:
        order = _sorted(values)
        values = values[order]
    steps, sequences = _packed_order(values)
    rows = sequences if order is None else order[sequences]
    index = rows * longest + steps if batch_first else steps * batch + rows
    return PackedSequence(
        take_rows(input, index=index),
        Tensor._wrap(np.bincount(steps)),
        None if order is None else Tensor._wrap(order),
        None if order is None else Tensor._wrap(np.argsort(order)),
    )


@explained
def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(padded, lengths) of a packed sequence: (T, N, ...), or (N, T, ...) with `batch_first`.

    T is the longest length, or `total_length`, which may not be less.
    """
    name = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: expected a PackedSequence, got {type(sequence).__name__}")
    sizes = sequence.batch_sizes._array
    longest, batch = len(sizes), int(sizes[0])
    lengths = (np.arange(batch)[:, None] < sizes).sum(1)
    if total_length is not None:
        if as_int(total_length) < longest:
            refuse(name, "total_length", f"{longest}, the longest length, or more", total_length)
        longest = as_int(total_length)
    steps, sequences = _packed_order(lengths)
    if sequence.sorted_indices is not None and sequence.unsorted_indices is not None:
        sequences = sequence.sorted_indices._array[sequences]
        lengths = lengths[sequence.unsorted_indices._array]
    index = sequences * longest + steps if batch_first else steps * batch + sequences
    shape = (batch, longest) if batch_first else (longest, batch)
    padded = put_rows(sequence.data, index=index, sizes=shape, value=float(padding_value))
    return padded, Tensor._wrap(lengths)


def _sequences(name: str, sequences: Any) -> list[Tensor]:
    """Checked: at least one, of one dtype, alike but for the first axis."""
    given = list(sequences)
    if not given:
        refuse(name, "sequences", "at least one", "none")
    for s in given:
        if not isinstance(s, Tensor):
            raise TypeError(f"{name}: sequences: expected tensors, got {type(s).__name__}")
        if s.ndim == 0 or s.shape[1:] != given[0].shape[1:] or s.dtype != given[0].dtype:
            refuse(
                name,
                "sequences",
                f"{given[0].dtype} of shape (length, {str(given[0].shape[1:])[1:]} like the first",
                f"{s.dtype} of shape {s.shape}",
            )
    return given


@explained
def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (length, ...) in one tensor (T, N, ...), or (N, T, ...) with `batch_first`.

    T is the longest; the rest is `padding_value`, behind a sequence or, with `padding_side="left"`,
    before it.
    """
    given = _sequences("pad_sequence", sequences)
    choice("pad_sequence", "padding_side", padding_side, ("left", "right"))
    lengths = np.array([len(s) for s in given])
    longest, batch = int(lengths.max()), len(given)
    numbers = np.repeat(np.arange(batch), lengths)
    steps = np.concatenate([np.arange(n) for n in lengths])
    if padding_side == "left":
        steps = steps + (longest - lengths)[numbers]
    index = numbers * longest + steps if batch_first else steps * batch + numbers
    sizes = (batch, longest) if batch_first else (longest, batch)
    return put_rows(cat(given), index=index, sizes=sizes, value=float(padding_value))


@explained
def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, ...), packed: `pad_sequence` and `pack_padded_sequence` in one."""
    given = _sequences("pack_sequence", sequences)
    lengths = [len(s) for s in given]
    return pack_padded_sequence(pad_sequence(given), lengths, enforce_sorted=enforce_sorted)


@explained
def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The sequences (length, ...) of a padded tensor."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    values = lengths_of("unpad_sequence", lengths, x.shape[0], x.shape[1])
    return [x[i][: int(n)] for i, n in enumerate(values)]


@explained
def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (length, ...) of a packed one."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)

# SPDX-License-Identifier: Apache-2.0
"""einsum: any sum of products over named axes, as permutations around batched matrix products."""

from __future__ import annotations

import math
import string
from collections import Counter
from typing import Any

from striate.dtypes import result_type
from striate.explain import explained
from striate.ops.arithmetic import as_operand, mul
from striate.ops.gemm import matmul
from striate.ops.operand import check_tensor
from striate.ops.reduction import sum
from striate.ops.shape import permute, reshape
from striate.ops.views import diagonal
from striate.tensor import Tensor

__all__ = [
    "einsum",
    "tensordot",
]

Labels = list[str]  # one an axis: a letter, or "0", "1", … counted from the end for the ellipsis


def _wrong(expected: str, got: str) -> ValueError:
    return ValueError(f"einsum: equation: expected {expected}, got {got!r}")


def _labels(term: str, ndim: int, number: int) -> Labels:
    """The axes of operand `number`, which the letters of `term` name."""
    letters = term.replace("...", ".")
    if letters.count(".") > 1:
        raise _wrong("one ellipsis a term at most", term)
    for c in letters:
        if c != "." and c not in string.ascii_letters:
            raise _wrong("letters, commas, -> and ...", term)
    named = len(letters) - letters.count(".")
    if named > ndim or ("." not in letters and named != ndim):
        raise ValueError(
            f"einsum: operand {number}: expected {named} axes{' or more' * ('.' in letters)} for "
            f"{term!r}, got {ndim}"
        )
    rest = [str(i) for i in reversed(range(ndim - named))]
    labels: Labels = []
    for c in letters:
        labels += rest if c == "." else [c]
    return labels


def _output(term: str | None, inputs: list[Labels]) -> Labels:
    """The axes of the result: those named, or else the ellipsis and every letter met once."""
    count = Counter(label for labels in inputs for label in labels)
    dots = sorted({label for label in count if label.isdigit()}, key=int, reverse=True)
    if term is None:
        return dots + sorted(label for label, n in count.items() if n == 1 and label.isalpha())
    output: Labels = []
    for c in term.replace("...", "."):
        if c == ".":
            output += dots
        elif c not in count:
            raise _wrong("a result of the operands' letters", term)
        else:
            output.append(c)
    if len(set(output)) != len(output):
        raise _wrong("each letter of the result once", term)
    return output


def _with_diagonals(x: Tensor, labels: Labels, number: int) -> tuple[Tensor, Labels]:
    """x with the diagonal taken for every label that names two axes."""
    for label in [label for label, n in Counter(labels).items() if n > 1]:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(
                    f"einsum: operand {number}: expected one size for axes {label!r}, got "
                    f"{x.shape[first]} and {x.shape[second]}"
                )
            x = diagonal(x, 0, first, second)
            labels = [c for i, c in enumerate(labels) if i not in (first, second)] + [label]
    return x, labels


def _summed(x: Tensor, labels: Labels, keep: set[str]) -> tuple[Tensor, Labels]:
    """x summed over the labels that nobody else wants."""
    gone = tuple(i for i, label in enumerate(labels) if label not in keep)
    return (sum(x, gone) if gone else x), [label for label in labels if label in keep]


def _without_ones(x: Tensor, labels: Labels, sizes: dict[str, int]) -> tuple[Tensor, Labels]:
    """x without axes of size 1 that are repeated against another operand's size."""
    kept = [i for i, label in enumerate(labels) if x.shape[i] == sizes[label]]
    if len(kept) == len(labels):
        return x, labels
    return reshape(x, tuple(x.shape[i] for i in kept)), [labels[i] for i in kept]


def _arranged(x: Tensor, labels: Labels, groups: list[Labels], sizes: dict[str, int]) -> Tensor:
    """x with one axis for each group of labels."""
    order = [labels.index(label) for group in groups for label in group]
    if order != sorted(order):
        x = permute(x, tuple(order))
    return reshape(x, tuple(math.prod(sizes[label] for label in group) for group in groups))


def _contracted(
    a: Tensor, la: Labels, b: Tensor, lb: Labels, keep: set[str], sizes: dict[str, int]
) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over what both have and nobody keeps."""
    (a, la), (b, lb) = _without_ones(a, la, sizes), _without_ones(b, lb, sizes)
    a, la = _summed(a, la, keep | set(lb))
    b, lb = _summed(b, lb, keep | set(la))
    batch = [label for label in la if label in lb and label in keep]
    inner = [label for label in la if label in lb and label not in keep]
    rows, columns = ([x for x in mine if x not in other] for mine, other in ((la, lb), (lb, la)))
    shape = tuple(sizes[label] for label in batch + rows + columns)
    a3 = _arranged(a, la, [batch, rows, inner], sizes)
    if inner and (rows or columns or not batch):
        product = matmul(a3, _arranged(b, lb, [batch, inner, columns], sizes))
    else:  # nothing to sum, or one dot product an element of the batch
        b3 = _arranged(b, lb, [batch, columns, inner], sizes)
        n, m, k = a3.shape
        product = mul(reshape(a3, (n, m, 1, k)), reshape(b3, (n, 1, b3.shape[1], k)))
        product = sum(product, 3) if inner else reshape(product, (n, m, b3.shape[1]))
    return reshape(product, shape), batch + rows + columns


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum over named axes of products: `einsum("bik,bkj->bij", a, b)` are matrix products.

    A letter names an axis. Axes named in the result are kept, the others summed over; without
    `->` the result has those that are met once, in alphabetical order. A letter twice in a term
    takes the diagonal; `...` stands for any leading axes, broadcast. Operands are multiplied from
    left to right. Raises ValueError where letters, axes and sizes disagree.
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: equation: expected a str, got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not operands or len(terms) != len(operands):
        raise ValueError(
            f"einsum: expected {len(terms)} operands for {equation!r}, got {len(operands)}"
        )
    dtype = result_type(*operands)
    tensors = [as_operand(x, dtype, f"einsum: operand {i}") for i, x in enumerate(operands)]
    inputs = [_labels(t, x.ndim, i) for i, (t, x) in enumerate(zip(terms, tensors, strict=True))]
    output = _output(right if arrow else None, inputs)
    sizes: dict[str, int] = {}
    for i, x in enumerate(tensors):
        tensors[i], inputs[i] = _with_diagonals(x, inputs[i], i)
        for label, n in zip(inputs[i], tensors[i].shape, strict=True):
            if sizes.setdefault(label, n) == 1:
                sizes[label] = n
            elif n not in (1, sizes[label]):
                raise ValueError(
                    f"einsum: operand {i}: expected size {sizes[label]} or 1 for axis {label!r}, "
                    f"got {n}"
                )
    result, labels = tensors[0], inputs[0]
    for i in range(1, len(tensors)):
        keep = set(output).union(*inputs[i + 1 :])
        result, labels = _contracted(result, labels, tensors[i], inputs[i], keep, sizes)
    result, labels = _summed(result, labels, set(output))
    return permute(result, tuple(labels.index(label) for label in output))


@explained
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The product summed over the last `dims` axes of a and the first of b, or over pairs of lists.

    dims = ([i, …], [j, …]) pairs axis i of a with axis j of b.
    """
    check_tensor("tensordot", "a", a)
    check_tensor("tensordot", "b", b)
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: dims: expected 0 to {min(a.ndim, b.ndim)}, got {dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(left) != len(right):
        raise ValueError(f"tensordot: dims: expected as many axes of b as of a, got {dims}")
    letters = string.ascii_letters
    first, second = list(letters[: a.ndim]), list(letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    kept = [c for c in first if c not in second] + [c for c in second if c not in first]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", a, b)

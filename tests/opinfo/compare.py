# SPDX-License-Identifier: Apache-2.0
"""Tensors of torch as tensors of striate, and results of both compared."""

from typing import Any

import numpy as np
import striate
import torch
from striate import Tensor

DTYPES = {
    torch.float32: striate.float32,
    torch.float64: striate.float64,
    torch.int8: striate.int8,
    torch.int16: striate.int16,
    torch.int32: striate.int32,
    torch.int64: striate.int64,
    torch.uint8: striate.uint8,
    torch.bool: striate.bool_,
}
# Relative and absolute, the latter times the largest magnitude where that is above 1.
TOLERANCE = {"float32": (1e-5, 1e-5), "float64": (1e-7, 1e-7)}


class NoSuchValue(Exception):
    """striate can't hold a value that the sample needs; the message says which."""


class Mismatch(Exception):
    """What differs: "values", "dtype", "shape", "structure" or "gradient", and how."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _array(x: torch.Tensor) -> np.ndarray:
    """A copy with the same strides, overlaps included."""
    if x.layout != torch.strided:
        raise NoSuchValue("sparse tensors")
    if x.device.type != "cpu":
        raise NoSuchValue("tensors on other devices")
    if x.dtype not in DTYPES:
        raise NoSuchValue(f"{x.dtype} tensors".replace("torch.", ""))
    if x.ndim > 64:
        raise NoSuchValue("tensors of more than 64 axes")
    x = x.detach().resolve_conj().resolve_neg()
    if torch._is_zerotensor(x):
        return np.zeros(tuple(x.shape), DTYPES[x.dtype])
    if x.numel() == 0 or x.ndim == 0:
        return x.numpy().copy()
    strides = x.stride()
    span = 1 + sum((n - 1) * s for n, s in zip(x.shape, strides, strict=True))
    flat = torch.as_strided(x, (span,), (1,)).numpy().copy()
    bytes_ = [s * flat.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat, tuple(x.shape), bytes_)


def ours(value: Any, made: dict[int, Tensor] | None = None) -> Any:
    """The value for striate: tensors, dtypes, sizes, and sequences and dicts of them.

    A tensor that stands in two places is one tensor here too: `made` holds those there are.
    """
    made = {} if made is None else made
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            tensor = Tensor(_array(value))
            made[id(value)] = tensor.requires_grad_() if value.requires_grad else tensor
        return made[id(value)]
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise NoSuchValue(f"dtype {value}".replace("torch.", ""))
        return DTYPES[value]
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (torch.device, torch.layout)):
        if str(value) not in ("cpu", "torch.strided"):
            raise NoSuchValue(f"{type(value).__name__} {value}")
        return None
    if isinstance(value, (torch.memory_format, torch.Generator, torch.storage.TypedStorage)):
        raise NoSuchValue(f"a {type(value).__name__}")
    if isinstance(value, complex):
        raise NoSuchValue("complex numbers")
    if type(value) in (list, tuple):
        return type(value)(ours(v, made) for v in value)
    if isinstance(value, dict):
        return {k: ours(v, made) for k, v in value.items() if not _is_default(k, v)}
    return value


def _is_default(name: str, value: Any) -> bool:
    """Options that say what holds anyway: striate has one device and one layout."""
    if name == "device":
        return value is None or str(value) == "cpu"
    if name == "layout":
        return value in (None, torch.strided)
    return name == "pin_memory" and value is False


def leaves(value: Any) -> list[Any]:
    """Every tensor, of torch or of striate, in the order of the arguments."""
    if isinstance(value, (torch.Tensor, Tensor)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for v in value for leaf in leaves(v)]
    return []


def _check_arrays(expected: np.ndarray, got: np.ndarray, kind: str) -> None:
    if expected.dtype.kind != "f":
        if not np.array_equal(expected, got):
            wrong = np.sum(expected != got)
            raise Mismatch(kind, f"{wrong} of {expected.size} elements differ")
        return
    rtol, atol = TOLERANCE[expected.dtype.name]
    finite = np.abs(expected[np.isfinite(expected)])
    largest = max(1.0, float(finite.max())) if finite.size else 1.0
    with np.errstate(all="ignore"):
        close = np.isclose(got, expected, rtol, atol * largest, equal_nan=True)
    if not close.all():
        at = tuple(np.argwhere(~close)[0])
        raise Mismatch(
            kind,
            f"{np.sum(~close)} of {close.size} elements differ: expected {expected[at]!r}, got "
            f"{got[at]!r} at {tuple(int(i) for i in at)}",
        )


def check(expected: Any, got: Any, values: bool = True) -> None:
    """Raises Mismatch unless striate's result is torch's. `values=False`: shape and dtype only."""
    if isinstance(expected, torch.Tensor):
        if not isinstance(got, Tensor):
            raise Mismatch("structure", f"expected a tensor, got {type(got).__name__}")
        if expected.dtype not in DTYPES:
            raise NoSuchValue(f"a result of {expected.dtype}".replace("torch.", ""))
        if tuple(expected.shape) != got.shape:
            raise Mismatch("shape", f"shape: expected {tuple(expected.shape)}, got {got.shape}")
        if DTYPES[expected.dtype] != got.dtype:
            raise Mismatch("dtype", f"dtype: expected {expected.dtype}, got {got.dtype}")
        if values:
            _check_arrays(_array(expected), got.detach().numpy(), "values")
    elif isinstance(expected, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            raise Mismatch("structure", f"expected {len(expected)} results, got {got!r:.200}")
        for e, g in zip(expected, got, strict=True):
            check(e, g, values)
    elif isinstance(expected, float):
        if not isinstance(got, float):
            raise Mismatch("structure", f"expected a float, got {got!r:.100}")
        if values:
            _check_arrays(np.asarray(expected), np.asarray(got), "values")
    elif isinstance(expected, torch.dtype):
        if DTYPES.get(expected) != got:
            raise Mismatch("values", f"expected {expected}, got {got}")
    elif type(expected) is not type(got) or (values and expected != got):
        raise Mismatch("structure", f"expected {expected!r:.100}, got {got!r:.100}")


def check_gradients(expected: list[Any], leaves_of_ours: list[Tensor]) -> None:
    """The gradients of the leaves; None, on either side, is a gradient of zeros."""
    for i, (e, leaf) in enumerate(zip(expected, leaves_of_ours, strict=True)):
        wanted = np.zeros(leaf.shape, leaf.dtype) if e is None else _array(e)
        got = np.zeros(leaf.shape, leaf.dtype) if leaf.grad is None else leaf.grad.numpy()
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise Mismatch(
                "gradient",
                f"gradient of operand {i}: expected {wanted.dtype} of {wanted.shape}, got "
                f"{got.dtype} of {got.shape}",
            )
        try:
            _check_arrays(wanted, got, "gradient")
        except Mismatch as error:
            raise Mismatch("gradient", f"gradient of operand {i}: {error}") from None

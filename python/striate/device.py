# SPDX-License-Identifier: Apache-2.0
"""Where tensors live: on the CPU, or on a GPU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_KINDS = ("cpu", "cuda")


class device(str):
    """A device's name, "cpu" or "cuda:0", with its `type` and `index`. Equal to the plain str."""

    type: str
    index: int | None  # type: ignore[assignment]

    def __new__(cls, type: str = "cpu", index: int | None = None) -> device:
        if not isinstance(type, str):
            raise TypeError(f"device: type: expected a str such as 'cpu', got {type!r}")
        kind, colon, number = type.partition(":")
        if colon:
            if index is not None or not (number.isascii() and number.isdigit()):
                raise ValueError(f"device: expected a name such as 'cpu' or 'cuda:0', got {type!r}")
            index = int(number)
        if kind not in _KINDS:
            raise ValueError(f"device: expected 'cpu' or 'cuda', got {type!r}")
        made = str.__new__(cls, kind if index is None else f"{kind}:{index}")
        made.type, made.index = kind, index
        return made

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"


CPU = device("cpu")


def is_device(value: Any) -> bool:
    """Whether `value` names a device, rather than a dtype."""
    return isinstance(value, str) and value.partition(":")[0] in _KINDS


def device_of(array: Any) -> device:
    """Where an array lies: of NumPy's, on the CPU."""
    if isinstance(array, (np.ndarray, np.generic)):
        return CPU
    return device("cuda", int(array.data.device_id))


def index_on(name: str, where: device) -> int:
    """The number of the GPU that `where` names. RuntimeError where tensors can't be on it."""
    from striate import cuda, cupy_arrays

    lacks = cuda.missing(where.index)
    if lacks:
        raise RuntimeError(f"{name}: device '{where}': {lacks}; or use 'cpu'")
    return cupy_arrays.current_device() if where.index is None else where.index


def placed(name: str, array: Any, where: Any) -> Any:
    """`array` on a device: itself where it lies there, or `where` is None; else a copy."""
    if where is None:
        return array
    wanted = device(where)
    if wanted.type == "cpu" and isinstance(array, np.ndarray):
        return array
    from striate import cupy_arrays

    if wanted.type == "cpu":
        return cupy_arrays.to_host(array)
    return cupy_arrays.to_device(array, index_on(name, wanted))


def beside(value: Any, array: Any) -> Any:
    """`value` with the NumPy arrays in it, such as indices, on the GPU of a CuPy array."""
    if isinstance(value, np.ndarray):
        return placed("beside", value, device_of(array))
    if type(value) in (tuple, list):
        moved = [beside(v, array) for v in value]
        same = all(a is b for a, b in zip(moved, value, strict=True))
        return value if same else type(value)(moved)
    return value


def beside_gpu(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two arrays or numbers; where one is on a GPU, an array of the CPU without axes goes along."""
    for array, other in ((a, b), (b, a)):
        if not isinstance(array, np.ndarray) or not hasattr(other, "__cuda_array_interface__"):
            continue
        if array.ndim:
            raise TypeError(
                f"{name}: expected operands on one device, got {array.shape} on cpu and "
                f"{other.shape} on {device_of(other)}; move one with .to()"
            )
        return (array[()], b) if array is a else (a, array[()])
    return a, b


# What CuPy says where it lacks a function, or meets an array of the CPU.
_LACKING = re.compile(
    "Implicit conversion to a NumPy|no implementation found for 'numpy|__array_ufunc__|"
    "Unsupported type <class 'numpy|attribute 'writeable'"
)
_OURS = re.compile(r"[\w.]+: ")


def of_gpu(name: str, error: Exception, on_gpu: bool = False) -> Exception:
    """The error itself, or where it comes from CuPy, one that says what is the matter.

    `on_gpu` says that the operands are on a GPU: what is not our own message then is CuPy's.
    """
    foreign = on_gpu and not isinstance(error, IndexError) and not _OURS.match(str(error))
    if not foreign and not _LACKING.search(str(error)):
        return error
    return TypeError(
        f"{name}: there is nothing that computes this on a GPU yet, or operands lie on two "
        f"devices; move them with .cpu() ({type(error).__name__}: {error})"
    )


def made_on(name: str, where: Any, function: Any, *arguments: Any) -> Any:
    """What a creating function of NumPy's gives for these arguments, the last of which is a dtype;
    on a GPU, CuPy's namesake."""
    wanted = CPU if where is None else device(where)
    if wanted.type == "cpu":
        return function(*arguments)
    from striate import cupy_arrays

    index = index_on(name, wanted)
    if np.dtype(arguments[-1]).kind == "V":  # bfloat16, which CuPy before 14 fills with nothing
        return cupy_arrays.to_device(function(*arguments), index)
    with cupy_arrays.cupy().cuda.Device(index):
        return getattr(cupy_arrays.cupy(), function.__name__)(*arguments)


def expect_cpu(name: str, value: Any) -> None:
    """Raises where `value` is a device other than the CPU; None is the CPU."""
    if value is not None and device(value).type != "cpu":
        raise RuntimeError(f"{name}: device '{value}': not supported on a GPU yet; use 'cpu'")

# SPDX-License-Identifier: Apache-2.0
"""Sharing memory with other libraries by DLPack (https://dmlc.github.io/dlpack), both ways.

Tensors are arrays of NumPy's or of CuPy's, which make and read the capsules, with their reference
counts and NumPy's read-only flag. Added here: gradients are not given away in silence, read-only
memory stays so, and errors say what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.device import device as Device
from striate.dtypes import SUPPORTED

if TYPE_CHECKING:
    from striate.tensor import Tensor

_CPU, _CUDA = 1, 2  # kDLCPU, kDLCUDA


def __dlpack__(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A capsule over this tensor's memory, for another library's from_dlpack.

    Read-only memory is copied, since not every consumer keeps to the flag that says so (PyTorch
    2.13 writes all the same); with copy=False it is shared under that flag. BufferError where the
    tensor requires a gradient, where copy=False and the consumer can't be told that memory is
    read-only (max_version below 1.0), and for another device than the tensor's. On a GPU `stream`
    is the consumer's, which waits for what is under way.
    """
    if self.requires_grad:
        raise BufferError("__dlpack__: this tensor requires grad; use .detach() before sharing it")
    if self.is_cuda:
        return _capsule_of_gpu(self, stream, dl_device, copy)
    if stream is not None:
        raise BufferError(f"__dlpack__: stream: expected None for the CPU, got {stream!r}")
    if dl_device is not None and tuple(dl_device) != (_CPU, 0):
        raise BufferError(f"__dlpack__: dl_device: expected (1, 0), the CPU, got {dl_device}")
    array = self._array
    if copy or (copy is None and not array.flags.writeable):
        array = array.copy()
    try:
        return array.__dlpack__(max_version=max_version)
    except BufferError as error:
        raise BufferError(
            f"__dlpack__: {error}; use .clone() for memory that may be written to"
        ) from None


def _capsule_of_gpu(self: Tensor, stream: Any, dl_device: Any, copy: bool | None) -> Any:
    if dl_device is not None and tuple(dl_device) != __dlpack_device__(self):
        raise BufferError(
            f"__dlpack__: dl_device: expected {__dlpack_device__(self)}, where the tensor is, got "
            f"{dl_device}"
        )
    array = self._array.copy(order="K") if copy else self._array
    return array.__dlpack__(stream=stream)


def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    """(1, 0) on the CPU, (2, number) on a GPU."""
    index = self.device.index
    return (_CPU, 0) if index is None else (_CUDA, index)


class _Capsule:
    """A bare capsule as the object that the protocol asks for."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (_CPU, 0)


def from_dlpack(x: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor of an object with `__dlpack__` (or of a bare capsule), sharing its memory.

    `copy` True copies, False raises BufferError rather than copy, None shares where it can. Memory
    that its owner calls read-only makes a tensor that can't be written to. A capsule is used once.
    A Tensor gives a detached one that shares its version counter. BufferError for memory of another
    device, TypeError for dtypes that tensors don't have.
    """
    from striate.tensor import Tensor

    if copy is not None and not isinstance(copy, bool):
        raise TypeError(f"from_dlpack: copy: expected a bool or None, got {copy!r}")
    wanted = None if device is None else Device(device).type
    if isinstance(x, Tensor):
        if x.requires_grad:
            raise BufferError("from_dlpack: x requires grad; use .detach() before sharing it")
        if wanted not in (None, x.device.type):
            raise BufferError(f"from_dlpack: device: expected {x.device}, got {str(device)!r}")
        return x.clone() if copy else x.detach()
    if type(x).__name__ == "PyCapsule":
        x = _Capsule(x)
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: x: expected an object with __dlpack__, got {type(x).__name__}"
        )
    kind, _ = x.__dlpack_device__()
    if kind not in (_CPU, _CUDA):
        raise BufferError(f"from_dlpack: x: expected memory of the CPU or CUDA, got device {kind}")
    if wanted not in (None, "cpu" if kind == _CPU else "cuda"):
        where = "'cpu'" if kind == _CPU else "'cuda'"
        raise BufferError(f"from_dlpack: device: expected {where}, got {str(device)!r}")
    if kind == _CUDA:
        return _of_gpu(x, copy)
    try:
        array = np.from_dlpack(x, copy=copy)
    except (BufferError, RuntimeError, ValueError) as error:
        if isinstance(x, _Capsule) and "used" in repr(x.capsule):
            raise BufferError(
                "from_dlpack: x: the capsule was used already; make another"
            ) from None
        raise BufferError(f"from_dlpack: {error}") from None
    if copy and isinstance(x, _Capsule):  # a capsule can't be asked for a copy
        array = array.copy()
    if array.dtype not in SUPPORTED:
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"from_dlpack: x: expected one of {names}, got {array.dtype}")
    return Tensor(array)


def _of_gpu(x: Any, copy: bool | None) -> Tensor:
    from striate.cupy_arrays import cupy
    from striate.tensor import Tensor

    array = cupy().from_dlpack(x)
    return Tensor(array.copy() if copy else array)


METHODS: dict[str, Any] = {
    "__dlpack__": __dlpack__,
    "__dlpack_device__": __dlpack_device__,
}

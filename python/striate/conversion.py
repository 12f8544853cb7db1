# SPDX-License-Identifier: Apache-2.0
"""Methods of Tensor that change dtype, ask about memory, or make tensors of its kind."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import ops
from striate.arrays import Array, _varargs
from striate.device import is_device
from striate.dtypes import as_dtype, is_floating
from striate.ops.place import moved

if TYPE_CHECKING:
    from striate.tensor import Tensor


def to(
    self: Tensor,
    *target: Any,
    dtype: Any = None,
    device: Any = None,
    copy: builtins.bool = False,
    non_blocking: builtins.bool = False,
) -> Tensor:
    """This tensor as another dtype (`striate.float64`), on a device ("cuda"), or like another.

    The tensor itself where nothing changes, unless `copy`.
    """
    for value in target:
        if hasattr(value, "_array"):
            dtype, device = value.dtype, value.device
        elif is_device(value):
            device = value
        elif isinstance(value, builtins.bool):
            raise TypeError("to: expected a dtype, device or tensor; copy= is passed by name")
        else:
            dtype = value
    result = self if dtype is None else ops.cast(self, as_dtype(dtype))
    result = result if device is None else moved(result, device)
    return ops.clone(result) if copy and result is self else result


def _to_dtype(name: str, dtype: Any) -> Callable[[Tensor], Tensor]:
    wanted = np.dtype(dtype)

    def method(self: Tensor) -> Tensor:
        return ops.cast(self, wanted)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"This tensor as {wanted.name}; the tensor itself if it is."
    return method


def bfloat16(self: Tensor) -> Tensor:
    """This tensor as bfloat16, to the nearest, ties to even.

    Products, convolutions of sequences and images, and casts take it.
    """
    return to(self, "bfloat16")


def half(self: Tensor) -> Tensor:
    """Refused: there are no half-precision tensors."""
    raise TypeError("half: float16 is not supported: use .float(), or .bfloat16() for products")


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor in the dtype of `other`."""
    return to(self, other.dtype)


def type_(self: Tensor, dtype: Any) -> Tensor:
    """This tensor in another dtype."""
    return to(self, dtype=dtype)


def cpu(self: Tensor) -> Tensor:
    """This tensor on the CPU: itself if it is there."""
    return moved(self, "cpu")


def cuda(self: Tensor, device: Any = None) -> Tensor:
    """This tensor on a GPU, the current one if none is named: itself if it is there."""
    return to(self, device="cuda" if device is None else device)


# --- what lies in memory --------------------------------------------------------------------------


def is_contiguous(self: Tensor) -> builtins.bool:
    """Whether the elements lie in C order without gaps."""
    return builtins.bool(self._array.flags.c_contiguous)


def stride(self: Tensor, dim: builtins.int | None = None) -> Any:
    """How many elements apart neighbours along each axis lie."""
    steps = tuple(s // self._array.itemsize for s in self._array.strides)
    return steps if dim is None else steps[dim]


def _storage(array: Array) -> Array:
    """The array that owns the memory, or the last one on the way to it."""
    while isinstance(array.base, type(array)):
        array = array.base
    return array


def storage_offset(self: Tensor) -> builtins.int:
    """How many elements after the storage's first one this tensor begins."""
    storage = _storage(self._array)
    back = sum((n - 1) * s for n, s in zip(storage.shape, storage.strides, strict=True) if s < 0)
    start = _address(storage) + (back if storage.size else 0)
    return (_address(self._array) - start) // self._array.itemsize


def _address(array: Array) -> builtins.int:
    name = "__array_interface__" if isinstance(array, np.ndarray) else "__cuda_array_interface__"
    interface: dict[str, Any] = getattr(array, name)
    return builtins.int(interface["data"][0])


def data_ptr(self: Tensor) -> builtins.int:
    """The address of the first element; on a GPU, in its memory."""
    return _address(self._array)


def element_size(self: Tensor) -> builtins.int:
    """Bytes an element."""
    return self._array.itemsize


def is_floating_point(self: Tensor) -> builtins.bool:
    """Whether the dtype is float32, float64 or bfloat16."""
    return is_floating(self._array.dtype)


def is_signed(self: Tensor) -> builtins.bool:
    """Whether the dtype has negative numbers."""
    return self._array.dtype.kind in "fiV"


# --- tensors of the same kind ---------------------------------------------------------------------


def _new(name: str, like: Callable[..., Any]) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor:
        dtype = self.dtype if dtype is None else dtype
        device = self.device if device is None else device
        return like(*size, dtype=dtype, device=device, requires_grad=requires_grad)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"striate.{name[4:]} in this tensor's dtype and on its device."
    return method


def _creation(name: str) -> Callable[..., Any]:
    def make(*arguments: Any, **options: Any) -> Any:
        from striate import creation

        return getattr(creation, name)(*arguments, **options)

    return make


def detach_(self: Tensor) -> Tensor:
    """Forgets how this tensor was made: it becomes a leaf that requires no gradient."""
    if self._is_view and self.requires_grad:
        raise RuntimeError("detach_: a view that requires grad can't be detached in place")
    self._node, self._output, self.requires_grad = None, 0, False
    return self


# --- memory order and shape ----------------------------------------------------------------------


def contiguous(self: Tensor) -> Tensor:
    """The elements in C order: the tensor itself if they lie so."""
    return self if self._array.flags.c_contiguous else ops.contiguous(self)


def clone(self: Tensor) -> Tensor:
    """A copy, in the same memory order."""
    return ops.clone(self)


def reshape(self: Tensor, *shape: Any) -> Tensor:
    """The elements in logical order under another shape; one size may be -1."""
    return ops.reshape(self, _varargs(shape, "reshape"))


def permute(self: Tensor, *dims: Any) -> Tensor:
    """The axes in another order."""
    return ops.permute(self, _varargs(dims, "permute"))


def expand(self: Tensor, *shape: Any) -> Tensor:
    """Axes of size 1 repeated up to `shape`, as a view; -1 keeps a size."""
    return ops.expand(self, _varargs(shape, "expand"))


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This tensor where the condition holds, other elsewhere."""
    return ops.where(condition, self, other)


def reversed_axes(self: Tensor) -> Tensor:
    """The axes in reverse order."""
    return ops.permute(self, tuple(reversed(range(self.ndim))))


def transposed_matrices(self: Tensor) -> Tensor:
    """The last two axes exchanged."""
    return ops.transpose(self, -2, -1)


def transposed_matrix(self: Tensor) -> Tensor:
    """A matrix transposed."""
    if self.ndim not in (0, 2):
        raise RuntimeError(f"H: expected a matrix, got shape {self.shape}; use .mT")
    return reversed_axes(self)


METHODS: dict[str, Any] = {
    "T": property(reversed_axes),
    "mT": property(transposed_matrices),
    "H": property(transposed_matrix),
    "clone": clone,
    "contiguous": contiguous,
    "reshape": reshape,
    "view": reshape,
    "permute": permute,
    "expand": expand,
    "where": where,
    "to": to,
    "float": _to_dtype("float", np.float32),
    "double": _to_dtype("double", np.float64),
    "long": _to_dtype("long", np.int64),
    "int": _to_dtype("int", np.int32),
    "short": _to_dtype("short", np.int16),
    "char": _to_dtype("char", np.int8),
    "byte": _to_dtype("byte", np.uint8),
    "bool": _to_dtype("bool", np.bool_),
    "bfloat16": bfloat16,
    "half": half,
    "type": type_,
    "type_as": type_as,
    "cpu": cpu,
    "cuda": cuda,
    "is_contiguous": is_contiguous,
    "stride": stride,
    "storage_offset": storage_offset,
    "data_ptr": data_ptr,
    "element_size": element_size,
    "itemsize": property(element_size),
    "nbytes": property(lambda self: self._array.nbytes, doc="Bytes of all elements."),
    "is_cuda": property(lambda self: self.device.type == "cuda", doc="Whether it is on a GPU."),
    "is_floating_point": is_floating_point,
    "is_signed": is_signed,
    "detach_": detach_,
    "new_tensor": _new("new_tensor", _creation("tensor")),
    "new_zeros": _new("new_zeros", _creation("zeros")),
    "new_ones": _new("new_ones", _creation("ones")),
    "new_empty": _new("new_empty", _creation("empty")),
    "new_full": _new("new_full", _creation("full")),
}

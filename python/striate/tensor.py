# SPDX-License-Identifier: Apache-2.0
"""The Tensor: an array, and what the tape needs to know about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import _C, autograd
from striate.arrays import Array, as_array
from striate.autograd import Node, Version, hooks
from striate.autograd.hooks import HookHandle, LeafHooks
from striate.device import CPU, device, device_of, placed
from striate.dtypes import CATEGORY, DType, is_floating


class Tensor:
    """An n-dimensional array that remembers how it was made.

    Make one with `striate.tensor(data)`, or `striate.from_numpy(array)` to share memory. Names and
    semantics are PyTorch's. `requires_grad` says whether `backward` brings it a gradient, which
    then lies in `grad`.
    """

    # Defaults live on the class, so that making a result costs one attribute.
    _array: Array
    _node: Node | None = None
    _output: int = 0
    _grad: Tensor | None = None
    _version: Version | None = None
    _is_view: bool = False
    _hooks: LeafHooks | None = None
    requires_grad: bool = False

    __array_ufunc__ = None  # ndarray + Tensor asks the Tensor

    if TYPE_CHECKING:  # methods of other files are set below

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        self._array = as_array(data, dtype)
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def _wrap(cls, array: Array) -> Tensor:
        """A tensor of an array known to be good."""
        t = Tensor.__new__(Tensor)
        t._array = array
        return t

    def _view(self, array: Array) -> Tensor:
        """A tensor of a view of this one's array: they share the version counter."""
        t = Tensor._wrap(array)
        t._version = self._version_counter()
        t._is_view = True
        return t

    def _version_counter(self) -> Version:
        if self._version is None:
            self._version = Version()
        return self._version

    def _touch(self) -> None:
        """Notes an in-place write."""
        if self._version is not None:
            self._version.value += 1

    # --- what it is ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    @property
    def ndim(self) -> int:
        return self._array.ndim

    def dim(self) -> int:
        return self._array.ndim

    def numel(self) -> int:
        return int(self._array.size)

    ndimension, nelement = dim, numel

    @property
    def dtype(self) -> DType:
        return self._array.dtype

    @property
    def device(self) -> device:
        return CPU if type(self._array) is np.ndarray else device_of(self._array)

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        return self._node

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ValueError(
                    f"grad: expected shape {self.shape} of {self.dtype}, got {value.shape} of "
                    f"{value.dtype}"
                )
            if value.device != self.device:
                raise ValueError(f"grad: expected a tensor on {self.device}, got {value.device}")
        self._grad = value

    @property
    def data(self) -> Tensor:
        """The same storage without history. Writes to it are not seen by a recorded graph."""
        return Tensor._wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        self._array = as_array(value)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a tensor without axes")
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a tensor without axes")
        return (self[i] for i in range(len(self._array)))

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ValueError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use any() or all()"
            )
        return bool(self._array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iub":
            raise TypeError(f"only integer tensors are indices, got {self.dtype}")
        return int(self.item())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        from striate.printing import text

        return text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else repr(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "tensors are not pickled, because reading a pickle runs code; use striate.save and "
            "striate.load"
        )

    def __copy__(self) -> Tensor:
        self._version_counter()  # the copy shares the storage
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: only leaves can be copied; use .detach().clone()")
        copy = type(self).__new__(type(self))
        copy._array = self._array.copy(order="K")
        copy.requires_grad = self.requires_grad
        copy._grad = None if self._grad is None else self._grad.clone()
        memo[id(self)] = copy
        return copy

    # --- out of the library -------------------------------------------------------------------

    def numpy(self) -> Array:
        """The array itself, not a copy."""
        if self.requires_grad:
            raise RuntimeError("numpy(): this tensor requires grad; use .detach().numpy()")
        return self._on_cpu("numpy()")

    def _on_cpu(self, name: str) -> Array:
        """The array, of a tensor that is on the CPU."""
        if not isinstance(self._array, np.ndarray):
            raise TypeError(f"{name}: this tensor is on {self.device}; use .cpu() first")
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise RuntimeError("this tensor requires grad; use .detach() before np.asarray")
        return np.array(self._on_cpu("__array__"), dtype=dtype, copy=copy)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What CuPy, PyTorch and Numba share memory of a GPU by (version 3)."""
        if isinstance(self._array, np.ndarray):
            raise AttributeError("__cuda_array_interface__: this tensor is on the CPU")
        if self.requires_grad:
            raise RuntimeError("__cuda_array_interface__: this tensor requires grad; use .detach()")
        interface: dict[str, Any] = self._array.__cuda_array_interface__
        return interface

    def item(self) -> Any:
        """The one element, as a Python number."""
        if self.numel() != 1:
            raise ValueError(f"item(): expected one element, got shape {self.shape}")
        value = self._array.item()
        return float(value) if self._array.dtype.kind == "V" else value

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        array = self._array
        return (_C.widen(array) if array.dtype.kind == "V" else array).tolist()

    def __contains__(self, value: Any) -> bool:
        return bool(ops.eq(self, value)._array.any())

    # --- gradients ----------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad and not is_floating(self._array.dtype):
            raise TypeError(
                f"requires_grad: only floating-point tensors have gradients, got {self.dtype}"
            )
        if self._node is not None and not requires_grad:
            raise RuntimeError("requires_grad: a result keeps it; use .detach()")
        self.requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Adds d self / d leaf to the `.grad` of every leaf that requires it.

        `gradient` (default 1, for one element) is multiplied in: for a loss vector it says how much
        each element counts.
        """
        if create_graph:
            raise NotImplementedError(
                "backward: create_graph=True: gradients of gradients are not recorded (first order "
                "only)"
            )
        if gradient is None and self.requires_grad and self._array.size == 1:
            array = autograd.one_like(self._array)
        else:
            array = autograd.seed("backward", self, gradient)
        root = autograd.copied_for_backward(self, retain_graph) if autograd.heeded else self
        autograd.sweep(root, array, retain_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Calls hook(gradient) whenever backward has brought this tensor its whole gradient.

        What it returns, if not None, takes the gradient's place: a tensor of its shape and dtype.
        The hook must not write to its argument. Returns a handle; `handle.remove()` takes it off.
        """
        return hooks.register_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> HookHandle:
        """Calls hook(self) after each backward has added to this leaf's `.grad`."""
        return hooks.register_post_accumulate_grad_hook(self, hook)

    def retain_grad(self) -> None:
        """Makes backward add to this tensor's `.grad` though it is a result. Leaves do anyway."""
        hooks.retain_grad(self)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this result."""
        return hooks.retains_grad(self)

    def detach(self) -> Tensor:
        """The same storage without history."""
        return self._view(self._array)

    # --- in place -----------------------------------------------------------------------------

    def _check_in_place(self, name: str) -> None:
        """Raises where an in-place write would falsify a gradient."""
        if not self.requires_grad or not autograd._mode.enabled:
            return
        if self._is_view:
            raise RuntimeError(f"{name}: a view that requires grad can't be written in place")
        if self._node is None:
            raise RuntimeError(
                f"{name}: a leaf that requires grad can't be written in place; use no_grad()"
            )
        raise RuntimeError(
            f"{name}: a result that requires grad can't be written in place; use the operation "
            "that makes a new tensor"
        )

    def _write(self, name: str, value: Any, where: Any = ...) -> Tensor:
        self._check_in_place(name)
        if value is None:  # NumPy would make NaN of it
            raise TypeError(f"{name}: value: expected a tensor or numbers, got None")
        if isinstance(value, Tensor):
            if value.requires_grad and autograd._mode.enabled:
                raise RuntimeError(f"{name}: value: expected a tensor that requires no grad")
            value = placed(name, value._array, self.device)
        try:
            self._array[where] = value
        except (ValueError, IndexError, TypeError) as error:
            raise type(error)(f"{name}: {error}") from None
        self._touch()
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._watched(value):
            self._in_place("indexed assignment", ops.setitem, value, index=ops.as_index(index))
        else:
            self._write("indexed assignment", value, ops.as_index(index))

    def _watched(self, *operands: Any) -> bool:
        """Whether the tape watches this tensor or an operand."""
        if not autograd._mode.enabled:
            return False
        return self.requires_grad or any(
            isinstance(x, Tensor) and x.requires_grad for x in operands
        )

    def _in_place(self, name: str, function: Any, *operands: Any, **parameters: Any) -> Tensor:
        """self = function(self, …): into the storage, or into a new one where the tape watches.

        What the tape has seen stays as it was, so that gradients stay right: this tensor becomes
        the result, and other tensors of the old storage keep that.
        """
        if not self._watched(*operands, *parameters.values()):
            with autograd.no_grad():
                result = function(self, *operands, **parameters)
                return self._write(name, self._kept(name, result))
        if self._is_view or (self.requires_grad and self._node is None):
            self._check_in_place(name)
            raise RuntimeError(
                f"{name}: other: expected a tensor that requires no grad, as this one is a view"
            )
        result = self._kept(name, function(self, *operands, **parameters))
        retained = hooks.let_go(self)
        self._array, self._version = result._array, result._version
        self._node, self._output, self.requires_grad = result._node, result._output, True
        if retained:
            self.retain_grad()
        return self

    def _kept(self, name: str, result: Tensor) -> Tensor:
        """`result` in this tensor's dtype, if it has its shape and is of no higher kind."""
        if result.shape != self.shape:
            raise ValueError(f"{name}: the result's shape {result.shape} is not {self.shape}")
        if CATEGORY[result.dtype.kind] > CATEGORY[self.dtype.kind]:
            raise TypeError(f"{name}: a result of {result.dtype} can't be kept in {self.dtype}")
        return result if result.dtype == self.dtype else ops.cast(result, self.dtype)

    # --- arithmetic ---------------------------------------------------------------------------

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __lshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(self, other)

    def __rshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(self, other)

    def __pos__(self) -> Tensor:
        return ops.positive(self)

    def __round__(self, digits: Any = None) -> Tensor:
        return ops.round(self, decimals=digits or 0)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.eq(self, other) if isinstance(other, _COMPARED) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.ne(self, other) if isinstance(other, _COMPARED) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(other, self)

    def __invert__(self) -> Tensor:
        return ops.bitwise_not(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)


from striate import (  # noqa: E402
    conversion,
    dlpack,
    inplace,
    ops,
)

_methods = ops.METHODS, ops.OPERATORS, conversion.METHODS, dlpack.METHODS, inplace.METHODS
for _table in _methods:
    for _name, _function in _table.items():
        setattr(Tensor, _name, _function)


# What == and != look into; anything else is another thing, as in Python.
_COMPARED = (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)

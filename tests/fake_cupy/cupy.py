# SPDX-License-Identifier: Apache-2.0
"""Stands in for CuPy where there is no GPU: as much of it as striate uses, and as strict.

Memory is the fake driver's (fake_cuda.c), which guards it; what CuPy computes, NumPy computes here.
Like CuPy's, an array refuses to become NumPy's, or to be mixed with one, in silence; results
without axes are arrays; there is no flag `writeable`; arrays of bfloat16 can be held and looked at,
but nothing copies or computes them; and NumPy's functions are handed on if CuPy
13.6 has them (UFUNCS) and with those of its parameters (PARAMETERS). CALLS counts what was called,
by name.
"""

import ctypes
import os
from collections import Counter, defaultdict
from heapq import heappop, heappush
from itertools import count
from types import SimpleNamespace

import numpy as np
from cupy_streams import Device, Event, ExternalStream, Stream, current_stream, driver, elapsed
from cupy_surface import PARAMETERS, UFUNCS

__version__ = "13.6.0"
CALLS = Counter()


class _OutOfMemoryError(MemoryError):
    pass


# With FAKE_POOL blocks that were freed are given out again, as by CuPy's pool, on the stream that
# was current when they were made; those made first come first, so a loop finds its addresses again.
# Without it the driver closes them, and who reads them still fails.
_POOL = defaultdict(list) if os.environ.get("FAKE_POOL") else None
_made = count()


class _Memory:
    """A block of a device's memory."""

    def __init__(self, size):
        Device().use()
        self.size, self.device_id = size, Device().id
        self._place = self.device_id, current_stream().ptr, size
        if _POOL and _POOL[self._place]:
            self._number, self.ptr = heappop(_POOL[self._place])
            return
        pointer = ctypes.c_ulonglong()
        if driver.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(max(size, 1))):
            raise _OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        self.ptr, self._number = pointer.value, next(_made)
        self._free = driver.cuMemFree_v2

    def __del__(self):
        if not hasattr(self, "ptr"):
            return
        if _POOL is None:
            self._free(ctypes.c_ulonglong(self.ptr))
        else:
            heappush(_POOL[self._place], (self._number, self.ptr))


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id


def _alloc(size):
    CALLS["alloc"] += 1
    return MemoryPointer(_Memory(size), 0)


class _Flags:
    def __init__(self, host):
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = host.flags.owndata


class ndarray:
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        shape = shape if isinstance(shape, tuple) else (shape,)
        dtype = np.dtype(dtype)
        assert dtype.kind in "biufc" or dtype.name == "bfloat16", f"{dtype} is not CuPy's"
        if strides is not None and memptr is None:
            raise ValueError("memptr is required if strides is given.")
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.data = _alloc(size) if memptr is None else memptr
        bytes_ = (ctypes.c_char * max(self.data.mem.size, 1)).from_address(self.data.ptr)
        self._host = np.ndarray(shape, dtype, bytes_, 0, strides, order)
        self.base = None

    @classmethod
    def _view(cls, host, source):
        """Writable, as all of CuPy's are; NumPy's of diagonals and broadcast ones are not."""
        made, memory = cls.__new__(cls), source.data.mem
        offset = host.__array_interface__["data"][0] - memory.ptr if host.size else 0
        made.data, made.base = MemoryPointer(memory, offset), source
        bytes_ = (ctypes.c_char * max(memory.size, 1)).from_address(memory.ptr)
        made._host = np.ndarray(host.shape, host.dtype, bytes_, offset, host.strides)
        return made

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: _Flags(self._host))
    device = property(lambda self: Device(self.data.device_id))
    T = property(lambda self: self.transpose())

    @property
    def __cuda_array_interface__(self):
        dense = self._host.flags.c_contiguous
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "data": (self.data.ptr, False),
            "strides": None if dense else self.strides,
            "version": 3,
            "stream": 1,
        }

    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or ufunc.signature is not None or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        return _ufunc(ufunc, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        if func.__name__ not in PARAMETERS or func.__module__ != "numpy":
            return NotImplemented
        if not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return _call(func, args, kwargs)

    def get(self):
        return np.array(self._host, order="C")

    def set(self, array):
        if not isinstance(array, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != array.dtype or self.shape != array.shape:
            raise ValueError("Shape mismatch")
        if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self._host[...] = array

    def item(self):
        return self._host.item()

    def tolist(self):
        return self._host.tolist()

    def copy(self, order="C"):
        return _new(_known(self._host).copy(order))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return _new(_known(self._host).astype(dtype, order))

    def fill(self, value):
        _known(self._host).fill(_scalar(value))

    def __getitem__(self, index):
        found = self._host[_index(index)]
        if isinstance(found, np.generic):  # CuPy's is a view without axes
            found = self._host[(*(index if isinstance(index, tuple) else (index,)), ...)]
        return _result(found, [self])

    def __setitem__(self, index, value):
        value = value._host if isinstance(value, ndarray) else _scalar(value)
        _known(self._host)[_index(index)] = value

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self._host)

    def __int__(self):
        return int(self._host)

    def __float__(self):
        return float(self._host)

    def __index__(self):
        return self._host.__index__()

    def __dlpack_device__(self):
        return (2, self.data.device_id)

    def __dlpack__(self, stream=None, max_version=None, dl_device=None, copy=None):
        return SimpleNamespace(array=self, stream=stream)


def _method(name):
    def method(self, *args, **kwargs):
        CALLS[name] += 1
        args = [_unwrapped(a) for a in args]
        return _result(getattr(self._host, name)(*args, **kwargs), [self])

    return method


for _name in [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "cumprod",
    "cumsum",
    "diagonal",
    "max",
    "mean",
    "min",
    "nonzero",
    "prod",
    "ravel",
    "repeat",
    "reshape",
    "round",
    "squeeze",
    "sum",
    "swapaxes",
    "take",
    "transpose",
    "view",
]:
    setattr(ndarray, _name, _method(_name))


def _operator(ufunc, reverse=False):
    def operator(self, other):
        if isinstance(other, (list, tuple)):
            return NotImplemented
        return _ufunc(ufunc, (other, self) if reverse else (self, other), {})

    return operator


def _in_place(ufunc):
    def operator(self, other):
        return _ufunc(ufunc, (self, other), {"out": (self,)})

    return operator


for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}.items():  # fmt: skip
    setattr(ndarray, f"__{_name}__", _operator(_function))
    setattr(ndarray, f"__r{_name}__", _operator(_function, reverse=True))
    setattr(ndarray, f"__i{_name}__", _in_place(_function))
for _name, _function in {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}.items():  # fmt: skip
    setattr(ndarray, f"__{_name}__", _operator(_function))
ndarray.__neg__ = lambda self: _ufunc(np.negative, (self,), {})
ndarray.__invert__ = lambda self: _ufunc(np.invert, (self,), {})
ndarray.__abs__ = lambda self: _ufunc(np.abs, (self,), {})


def _scalar(value):
    if isinstance(value, (np.ndarray, list, tuple)):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _unwrapped(value):
    """Fakes as NumPy arrays, in lists too; NumPy's own refused."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_unwrapped(v) for v in value)
    return value


def _known(host):
    """The array, unless it is of a dtype that CuPy has no kernels for."""
    if host.dtype.kind == "V":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    return host


def _index(index):
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    if isinstance(index, np.ndarray):
        raise IndexError(f"Unsupported type {type(index)}")
    return _unwrapped(index)


def _new(host):
    """A copy of a NumPy array, on the current device, in its memory order."""
    host = _known(np.asarray(host))
    order = sorted(range(host.ndim), key=lambda i: -abs(host.strides[i]))
    dense = host.transpose(order)
    made = ndarray(dense.shape, dense.dtype)
    made._host[...] = dense
    made._host = made._host.transpose(np.argsort(order))
    return made


def _result(value, sources):
    """What NumPy gave, as CuPy would have given it: views stay views."""
    if isinstance(value, (tuple, list)):
        return type(value)(_result(v, sources) for v in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    if isinstance(value, np.ndarray):
        for source in sources:
            if np.may_share_memory(value, source._host) or (
                value.size == 0 and value.base is not None
            ):
                return ndarray._view(value, source)
    return _new(value)


def _sources(values):
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _sources(value)


def _call(function, args, kwargs):
    CALLS[function.__name__] += 1
    known = PARAMETERS[function.__name__]
    if len(args) > len(known) or not set(kwargs) <= set(known):
        raise TypeError(f"{function.__name__}() takes {known}, got {len(args)} and {[*kwargs]}")
    if function is np.empty_like and args[0].dtype.kind == "V":  # not _new: nothing is copied
        made = ndarray(args[0].shape, np.uint16)
        order = sorted(range(made.ndim), key=lambda i: -abs(args[0].strides[i]))
        shape = tuple(made.shape[i] for i in order)
        made._host = made._host.reshape(shape).transpose(np.argsort(order)).view(args[0].dtype)
        return made
    if function is np.argsort:  # always stable, and told nothing else
        assert kwargs.setdefault("kind", "stable") in (None, "stable"), kwargs
        kwargs["kind"] = "stable"
    sources = [*_sources(args), *_sources(kwargs.values())]
    host = function(*_unwrapped(list(args)), **{k: _unwrapped(v) for k, v in kwargs.items()})
    return _result(host, sources)


def _ufunc(ufunc, inputs, kwargs):
    CALLS[ufunc.__name__] += 1
    assert set(kwargs) <= {"out", "dtype", "casting"}, kwargs
    out = kwargs.pop("out", None)
    if out is not None:
        (out,) = out if isinstance(out, tuple) else (out,)
        kwargs["out"] = out._host
    for x in inputs:
        if isinstance(x, ndarray):
            _known(x._host)
    with np.errstate(all="ignore"):
        host = ufunc(*(_unwrapped(_scalar(x)) for x in inputs), **kwargs)
    return _new(host) if out is None else out


def array(data, dtype=None, copy=True):
    return _new(np.array(data._host if isinstance(data, ndarray) else data, dtype))


class _Foreign:
    """Memory of another library, which it keeps."""

    def __init__(self, interface, owner):
        self.ptr, self.owner, self.device_id = interface["data"][0], owner, Device().id
        steps = interface["strides"] or ()
        item = np.dtype(interface["typestr"]).itemsize
        last = [(n - 1) * s for n, s in zip(interface["shape"], steps, strict=False)]
        self.size = sum(last) + item if steps else int(np.prod(interface["shape"])) * item


def asarray(a, dtype=None):
    """Shares the memory of arrays of other libraries."""
    interface = getattr(a, "__cuda_array_interface__", None)
    if isinstance(a, ndarray) or interface is None:
        return array(a, dtype) if not isinstance(a, ndarray) or dtype else a
    memory = MemoryPointer(_Foreign(interface, a), 0)
    return ndarray(interface["shape"], interface["typestr"], memory, interface["strides"])


def matmul(a, b, out=None):
    """For benchmarks: striate's products are its own, so NumPy's matmul is not handed on."""
    out._host[...] = a._host @ b._host
    return out


def asnumpy(a):
    return a.get()


def from_dlpack(x, device=None, copy=None):
    kind, _ = x.__dlpack_device__()
    assert kind == 2
    return ndarray._view(x.__dlpack__().array._host, x.__dlpack__().array)


def __getattr__(name):
    if name not in UFUNCS and name not in PARAMETERS:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    function = getattr(np, name)
    if isinstance(function, np.ufunc):
        return lambda *args, **kwargs: _ufunc(function, args, kwargs)

    def call(*args, **kwargs):
        return _call(function, args, kwargs)

    return call


cuda = SimpleNamespace(
    Device=Device,
    Event=Event,
    Stream=Stream,
    ExternalStream=ExternalStream,
    MemoryPointer=MemoryPointer,
    alloc=_alloc,
    get_current_stream=current_stream,
    get_elapsed_time=elapsed,
    memory=SimpleNamespace(OutOfMemoryError=_OutOfMemoryError),
    runtime=SimpleNamespace(getDevice=lambda: Device().id),
)

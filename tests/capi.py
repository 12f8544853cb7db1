# SPDX-License-Identifier: Apache-2.0
"""The C interface by ctypes, for its tests: the structs of striate.h, and calls on NumPy arrays."""

import ctypes
import re
from pathlib import Path

import numpy as np
import striate

HEADER = Path(striate.get_include()) / "striate.h"
F32, F64 = 1, 2


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("strides", ctypes.c_int64 * 8),
    )


class Epilogue(ctypes.Structure):
    _fields_ = (
        ("alpha", ctypes.c_double),
        ("beta", ctypes.c_double),
        ("bias", ctypes.POINTER(Tensor)),
        ("activation", ctypes.c_char_p),
        ("parameter", ctypes.c_double * 2),
    )


class Conv2d(ctypes.Structure):
    _fields_ = (
        ("stride", ctypes.c_int64 * 2),
        ("padding", ctypes.c_int64 * 4),
        ("dilation", ctypes.c_int64 * 2),
        ("groups", ctypes.c_int64),
    )


class Pool2d(ctypes.Structure):
    _fields_ = (
        ("kernel", ctypes.c_int64 * 2),
        ("stride", ctypes.c_int64 * 2),
        ("padding", ctypes.c_int64 * 2),
        ("dilation", ctypes.c_int64 * 2),
        ("ceil_mode", ctypes.c_int32),
        ("count_include_pad", ctypes.c_int32),
    )


class Conv3d(ctypes.Structure):
    _fields_ = (
        ("stride", ctypes.c_int64 * 3),
        ("padding", ctypes.c_int64 * 6),
        ("dilation", ctypes.c_int64 * 3),
        ("groups", ctypes.c_int64),
    )


class CrossEntropy(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.POINTER(Tensor)),
        ("ignore_index", ctypes.c_int64),
        ("label_smoothing", ctypes.c_double),
        ("reduction", ctypes.c_char_p),
    )


class Rnn(ctypes.Structure):
    _fields_ = (
        ("cell", ctypes.c_char_p),
        ("reverse", ctypes.c_int32),
        *((name, ctypes.POINTER(Tensor)) for name in ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr")),
        ("batch_sizes", ctypes.POINTER(ctypes.c_int64)),
        ("steps", ctypes.c_int64),
    )


RNN_GRADIENTS = ("dx", "dw_ih", "dw_hh", "db_ih", "db_hh", "dw_hr", "dh0", "dc0")


class RnnGradients(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.POINTER(Tensor)) for name in ("dy", "dh_n", "dc_n", *RNN_GRADIENTS)
    )


class Step(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_double)
        for name in (
            "sign",
            "weight_decay",
            "keep",
            "rate",
            "rate_grad",
            "first",
            "first_in",
            "second",
            "second_in",
            "root",
            "eps",
        )
    )


def load():
    library = ctypes.CDLL(striate.get_library())
    for name in ("version", "last_error", "isa", "activation_name", "activation_saves"):
        getattr(library, f"striate_{name}").restype = ctypes.c_char_p
    return library


def held(array):
    """A pointer to the struct of an array, for fields of other structs; it holds no reference."""
    return None if array is None else ctypes.pointer(tensor(array))


def integers(array):
    """A pointer to int64 memory."""
    assert array.dtype == np.int64 and array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))


def tensor(array, **changed):
    """The struct of an array; it holds no reference."""
    size = array.itemsize
    t = Tensor(array.ctypes.data, {4: F32, 8: F64}[size], array.ndim)
    t.shape[: array.ndim] = array.shape
    t.strides[: array.ndim] = [s // size for s in array.strides]
    for name, value in changed.items():
        setattr(t, name, value)
    return t


def ref(value):
    return None if value is None else ctypes.byref(value)


def double(value):
    return ctypes.c_double(value)


def call(lib, name, *args):
    """The call, with arrays and structs by reference; fails with the library's message."""
    structs = [tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    given = [ref(s) if isinstance(s, ctypes.Structure) else s for s in structs]
    status = getattr(lib, f"striate_{name}")(*given)
    assert status == 0, lib.striate_last_error().decode()
    assert lib.striate_last_error() == b""


def refused(lib, words, name, *args):
    structs = [tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    given = [ref(s) if isinstance(s, ctypes.Structure) else s for s in structs]
    assert getattr(lib, f"striate_{name}")(*given) == 1
    message = lib.striate_last_error().decode()
    assert re.search(words, message), message


def randn(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def nhwc(array):
    """The same images in channels-last memory."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def close(value, expected, depth=1):
    bound = 4 * (depth + 1) * np.finfo(value.dtype).eps * (1 + np.abs(expected).max(initial=0))
    np.testing.assert_allclose(value, expected, rtol=0, atol=bound)

# SPDX-License-Identifier: Apache-2.0
"""Element types, and the one table of what mixing them gives (PyTorch's rules)."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.explain import explained

DType = np.dtype[Any]

float32: DType = np.dtype(np.float32)
float64: DType = np.dtype(np.float64)
int8: DType = np.dtype(np.int8)
int16: DType = np.dtype(np.int16)
int32: DType = np.dtype(np.int32)
int64: DType = np.dtype(np.int64)
uint8: DType = np.dtype(np.uint8)
bool_: DType = np.dtype(np.bool_)


def _bfloat16() -> DType:
    """NumPy's dtype of bfloat16, which ml_dtypes brings; ImportError where that is missing."""
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            "bfloat16: needs the package ml_dtypes, which is missing here; pip install ml_dtypes"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


def __getattr__(name: str) -> Any:
    if name != "bfloat16":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = _bfloat16()
    return globals()[name]


def is_bfloat16(dtype: DType) -> bool:
    """Whether dtype is bfloat16; does not need ml_dtypes."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_floating(dtype: DType) -> bool:
    """Whether dtype is float32, float64 or bfloat16: what may have a gradient."""
    return dtype.kind == "f" or is_bfloat16(dtype)


SUPPORTED = (float32, float64, int8, int16, int32, int64, uint8, bool_)
_default = float32


def is_supported(dtype: DType) -> bool:
    """Whether a tensor may have this dtype."""
    return dtype in SUPPORTED or is_bfloat16(dtype)


def get_default_dtype() -> DType:
    """The dtype that Python floats become: float32 unless `set_default_dtype` changed it."""
    return _default


@explained
def set_default_dtype(dtype: Any) -> None:
    """Makes Python floats float32 or float64."""
    global _default
    wanted = np.dtype(dtype)
    if wanted not in (float32, float64):
        raise TypeError(f"set_default_dtype: dtype: expected float32 or float64, got {wanted}")
    _default = wanted


def as_dtype(dtype: Any, argument: str = "dtype") -> DType:
    """`dtype` as a supported NumPy dtype; TypeError otherwise."""
    try:
        wanted = _bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{argument}: expected a dtype such as float32, got {dtype!r}") from None
    if not is_supported(wanted):
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"{argument}: expected one of {names}, got {wanted}")
    return wanted


# Kind of a dtype: bool below integer below floating.
CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2}  # V: bfloat16


def _scalar_dtype(value: Any) -> DType:
    if isinstance(value, bool):
        return bool_
    return int64 if isinstance(value, int) else _default


def _promoted(a: DType, b: DType) -> DType:
    if a.kind == b.kind == "V":
        return a
    if "V" in (a.kind, b.kind):  # the other floating dtype is wider, integers are not
        low, other = (a, b) if a.kind == "V" else (b, a)
        return other if other.kind == "f" else low
    return np.promote_types(a, b)


def result_type(*operands: Any) -> DType:
    """The dtype of an operation on tensors, arrays and Python numbers.

    Tensors with axes decide, unless a tensor without axes, or failing that a Python number, is of a
    higher kind (bool < integer < floating): then the highest kind's dtype does.
    """
    ranked: list[list[DType]] = [[], [], []]  # numbers, tensors without axes, tensors with axes
    for x in operands:
        array = getattr(x, "_array", x)
        if hasattr(array, "ndim"):  # an array of NumPy's or CuPy's, or a NumPy number
            ranked[2 if array.ndim else 1].append(array.dtype)
        else:
            ranked[0].append(_scalar_dtype(x))
    best: DType | None = None
    for group in reversed(ranked):
        if not group:
            continue
        dtype = group[0]
        for other in group[1:]:
            dtype = _promoted(dtype, other)
            if dtype.kind == "f" and dtype.itemsize == 8 and float64 not in group:
                dtype = float32  # NumPy widens int64 + float32; PyTorch does not
        if best is None or CATEGORY[dtype.kind] > CATEGORY[best.kind]:
            best = dtype
    assert best is not None
    return best


class finfo:
    """Limits of a floating dtype: eps, max, min, tiny, smallest_normal, resolution, bits."""

    def __init__(self, type: Any = None) -> None:
        self.dtype = as_dtype(_default if type is None else type, "finfo: type")
        if not is_floating(self.dtype):
            raise TypeError(
                f"finfo: type: expected float32 or float64, got {self.dtype}; use iinfo"
            )
        info: Any
        if is_bfloat16(self.dtype):
            import ml_dtypes

            info = ml_dtypes.finfo(self.dtype)  # type: ignore[no-untyped-call]
        else:
            info = np.finfo(self.dtype)
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(eps={self.eps:g}, max={self.max:g}, min={self.min:g}, dtype={self.dtype})"


class iinfo:
    """Limits of an integer dtype: max, min, bits."""

    def __init__(self, type: Any) -> None:
        self.dtype = as_dtype(type, "iinfo: type")
        if self.dtype.kind not in "iu":
            raise TypeError(f"iinfo: type: expected an integer dtype, got {self.dtype}; use finfo")
        info = np.iinfo(self.dtype)
        self.bits, self.max, self.min = int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(max={self.max}, min={self.min}, dtype={self.dtype})"


def promote_types(type1: Any, type2: Any) -> DType:
    """The dtype of an operation on tensors of these two."""
    a, b = (np.empty((1,), as_dtype(t)) for t in (type1, type2))
    return result_type(a, b)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a value may be kept in `to`: not of a lower kind (bool < integer < floating)."""
    return CATEGORY[as_dtype(from_).kind] <= CATEGORY[as_dtype(to).kind]

# SPDX-License-Identifier: Apache-2.0
"""Files of tensors: safetensors, with the structure around the tensors as JSON in its header.

A safetensors file is 8 bytes of header length n (little endian), n bytes of JSON that maps names to
dtype, shape and byte range, and the elements, in C order. Nothing is pickled, so that reading a
file runs no code of its own.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.device import placed
from striate.dtypes import SUPPORTED, as_dtype, is_supported
from striate.explain import explained
from striate.tensor import Array, Tensor

Path = str | os.PathLike[str]

_HEADER_CAP = 100_000_000  # bytes, the format's own limit
_STRUCTURE = "striate.structure"  # the metadata key of the JSON structure
_DTYPES = {
    "F32": 4, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1, "BOOL": 1,
    "BF16": 2,
}  # fmt: skip
_DEEPEST = 64  # levels of nesting


# --- structure: JSON with tensors by name -----------------------------------------------------


class _Packer:
    """Turns nested values into JSON, and keeps the tensors met on the way, by dotted key."""

    def __init__(self) -> None:
        self.tensors: dict[str, Array] = {}

    def _name(self, path: str) -> str:
        name, more = path, 1
        while name in self.tensors or name == "__metadata__":
            more += 1
            name = f"{path}#{more}"
        return name

    def pack(self, value: Any, path: str, depth: int = 0) -> Any:
        """The JSON of a value; TypeError names the place of one that can't be saved."""
        if depth > _DEEPEST:
            raise ValueError(f"save: {path}: expected at most {_DEEPEST} levels of nesting")
        if isinstance(value, (Tensor, np.ndarray)):
            return self._tensor(value, path)
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, np.generic):
            return self.pack(value.item(), path, depth)
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$float": str(value)}
        if isinstance(value, (list, tuple)):
            items = [self.pack(v, f"{path}.{i}", depth + 1) for i, v in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        raise TypeError(
            f"save: {path or 'obj'}: expected tensors, numbers, strings, None, and lists and "
            f"dicts of them, got {type(value).__name__}"
        )

    def _tensor(self, value: Any, path: str) -> Any:
        array = placed("save", value._array, "cpu") if isinstance(value, Tensor) else value
        if not is_supported(array.dtype):
            names = ", ".join(d.name for d in SUPPORTED)
            raise TypeError(f"save: {path}: expected one of {names}, got {array.dtype}")
        name = self._name(path or "tensor")
        self.tensors[name] = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        return {"$tensor": name}

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> Any:
        for key in value:
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise TypeError(f"save: {path or 'obj'}: expected keys of str or int, got {key!r}")
        pairs = [
            (k, self.pack(v, f"{path}.{k}" if path else str(k), depth + 1))
            for k, v in value.items()
        ]
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return dict(pairs)
        return {"$items": [[k, v] for k, v in pairs]}


def _unpack(value: Any, tensors: dict[str, Tensor], depth: int = 0) -> Any:
    """The values that `_Packer` packed; ValueError where the JSON is not its."""
    if depth > 2 * _DEEPEST:
        raise ValueError("the structure is nested too deep")
    if isinstance(value, list):
        return [_unpack(v, tensors, depth + 1) for v in value]
    if not isinstance(value, dict):
        return value
    marks = [k for k in value if k.startswith("$")]
    if not marks:
        return {k: _unpack(v, tensors, depth + 1) for k, v in value.items()}
    held = value[marks[0]]
    if len(value) == 1 and marks == ["$tensor"] and held in tensors:
        return tensors[held]
    if len(value) == 1 and marks == ["$float"] and held in ("inf", "-inf", "nan"):
        return float(held)
    if len(value) == 1 and marks == ["$tuple"] and isinstance(held, list):
        return tuple(_unpack(v, tensors, depth + 1) for v in held)
    if len(value) == 1 and marks == ["$items"] and isinstance(held, list):
        return {k: _unpack(v, tensors, depth + 1) for k, v in held}
    raise ValueError(f"the structure holds {marks[0]!r} where it has no meaning")


# --- writing ----------------------------------------------------------------------------------


@explained
def save(obj: Any, path: Path) -> None:
    """Writes tensors, and the dicts, lists, numbers, strings and None around them, as safetensors.

    A flat dict of tensors, such as a module's state_dict(), becomes a file that every safetensors
    reader reads. The file is written beside `path`, synced, and renamed, so that `path` always
    holds a whole file. Raises TypeError, naming the place, for a value of another type.
    """
    from safetensors.numpy import save_file

    packer = _Packer()
    structure = packer.pack(obj, "")
    metadata = {_STRUCTURE: json.dumps(structure, allow_nan=False)}
    target = os.path.abspath(os.fspath(path))
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb"):
            pass
    except FileNotFoundError:
        raise FileNotFoundError(f"save: {target}: there is no folder {folder}") from None
    try:
        save_file(packer.tensors, temporary, metadata)
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync(folder)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- reading ----------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in the header")
    return found


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header's JSON and the number of bytes behind it."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise ValueError(f"it has {size} bytes, too few for a header")
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER_CAP:
            raise ValueError(
                f"its header would have {length} bytes, more than {_HEADER_CAP}: it is no "
                "safetensors file"
            )
        if length > size - 8:
            raise ValueError(
                f"its header would have {length} bytes, and {size - 8} are there: it is truncated, "
                "or no safetensors file"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("its header is not JSON: it is no safetensors file") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header, size - 8 - length


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_entry(name: str, entry: Any) -> tuple[int, int]:
    """The byte range of one tensor, which must have the length of its shape."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"tensor {name!r}: expected dtype, shape and data_offsets, got {entry!r}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"tensor {name!r}: dtype: expected {', '.join(_DTYPES)}, got {dtype!r}")
    if not isinstance(shape, list) or len(shape) > 32 or not all(map(_is_count, shape)):
        raise ValueError(f"tensor {name!r}: shape: expected a list of sizes, got {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise ValueError(f"tensor {name!r}: data_offsets: expected [begin, end], got {offsets!r}")
    expected = math.prod(shape) * _DTYPES[dtype]  # Python's integers do not overflow
    if offsets[1] - offsets[0] != expected:
        raise ValueError(
            f"tensor {name!r}: {dtype} of shape {shape} has {expected} bytes, but data_offsets are "
            f"{offsets}"
        )
    return offsets[0], offsets[1]


def _check_header(header: dict[str, Any], data: int) -> None:
    """Raises ValueError unless the tensors fill the data without gap or overlap."""
    at = 0
    entries = {k: v for k, v in header.items() if k != "__metadata__"}
    ranges = sorted((*_check_entry(name, entry), name) for name, entry in entries.items())
    for begin, end, name in ranges:
        if begin != at:
            raise ValueError(f"tensor {name!r} begins at byte {begin}, expected {at}")
        at = end
    if at > data:
        raise ValueError(f"its tensors have {at} bytes, and {data} are there: it is truncated")
    if at < data:
        raise ValueError(f"{data - at} bytes follow its last tensor")


@explained
def load(path: Path) -> Any:
    """What `save` wrote, or the tensors of any safetensors file by name.

    Raises ValueError naming the file where it is truncated, foreign, or contradicts itself.
    """
    from safetensors import SafetensorError, safe_open

    try:
        header, data = _read_header(path)
        _check_header(header, data)
        metadata = header.get("__metadata__", {})
        structure = metadata.get(_STRUCTURE) if isinstance(metadata, dict) else None
        if any(isinstance(e, dict) and e.get("dtype") == "BF16" for e in header.values()):
            as_dtype("bfloat16")  # registers it with NumPy, or says what is missing
        with safe_open(path, framework="numpy") as file:
            tensors = {
                name: Tensor(file.get_tensor(name)) for name in header if name != "__metadata__"
            }
        if structure is None:
            return tensors
        return _unpack(json.loads(structure), tensors)
    except (ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        raise ValueError(f"load: {os.fspath(path)}: {error}") from None

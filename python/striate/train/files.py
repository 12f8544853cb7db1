# SPDX-License-Identifier: Apache-2.0
"""Files of a run: written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from striate.data.idx import NotFound
from striate.tensor import Array

_MOST_JSON = 1 << 24


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary file beside `path`, syncs it and renames it.

    A reader sees the old file or the new one, also after a crash or a full disk.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. ValueError where there is none."""
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    if path.stat().st_size > _MOST_JSON:
        raise ValueError(f"{path}: expected at most {_MOST_JSON} bytes of JSON")
    return parse_json(path, path.read_bytes())


def parse_json(path: Path, text: bytes | str) -> dict[str, Any]:
    """The JSON object in a text that came from `path`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def write_arrays(path: Path, arrays: Mapping[str, Array], notes: Mapping[str, str]) -> None:
    """Arrays by name, and texts, as one safetensors file."""
    import numpy as np

    whole = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    write_atomically(path, save(whole, dict(notes)))


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and texts of a safetensors file. ValueError where it is foreign or truncated."""
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    try:
        with safe_open(path, "numpy") as file:
            names = list(file.keys())
            return {n: file.get_tensor(n) for n in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: expected a safetensors file: {error}") from None

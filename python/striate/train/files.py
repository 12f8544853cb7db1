# SPDX-License-Identifier: Apache-2.0
"""Small files of a run: written whole or not at all. Tensors go through striate.save."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from striate.data.idx import NotFound

_MOST_JSON = 1 << 24


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary file beside `path`, syncs it and renames it.

    A reader sees the old file or the new one, also after a crash or a full disk.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
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
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value

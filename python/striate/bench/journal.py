# SPDX-License-Identifier: Apache-2.0
"""The journal of a run: JSON lines, a head a session and then its rows, each safe once written.

A run that finds its journal goes on: rows in it are not measured again. A line cut short by a crash
is dropped; a journal of another machine or build is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMAT = 1
Record = dict[str, Any]
# What sessions of one journal share; "gpu" is there where one computes.
SAME = ("cpu", "isa", "build", "gpu", "precision")


def read(path: Path) -> tuple[list[Record], list[Record]]:
    """(heads, rows) of a journal; of rows measured twice the later. Raises ValueError."""
    heads: list[Record] = []
    rows: dict[tuple[str, int], Record] = {}
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # what follows the last newline was cut short
        try:
            record = json.loads(line)
            kind = record["kind"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: line {number} is not a line of a journal") from None
        if kind == "head":
            if record.get("format") != FORMAT:
                raise ValueError(f"{path}: expected format {FORMAT}, got {record.get('format')}")
            heads.append(record)
        elif kind == "row":
            rows[record["name"], record["threads"]] = record
    return heads, list(rows.values())


def check(path: Path, heads: Iterable[Record], machine: Record) -> None:
    """Raises ValueError where a session was of another machine or build than `machine`."""
    for head in heads:
        for key in SAME:
            if head["machine"].get(key) != machine.get(key):
                raise ValueError(
                    f"{path}: was measured with {key} {head['machine'].get(key)}, here it is "
                    f"{machine.get(key)}; name another --journal, or delete it"
                )


class Writer:
    """Appends records to a journal."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            text = path.read_bytes()
            whole = text.rfind(b"\n") + 1
            if whole < len(text):
                os.truncate(path, whole)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (held for the run)

    def write(self, kind: str, record: Record) -> None:
        """One line, on the disk when this returns."""
        line = json.dumps({"kind": kind, **record}, allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

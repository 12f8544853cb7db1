# SPDX-License-Identifier: Apache-2.0
"""A run's results as one record: from journals or result files, to a result file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from striate.bench import journal, summary

Results = dict[str, Any]
_KEYS = ("format", "heads", "rows")


def gather(heads: Sequence[Any], rows: Iterable[Any]) -> Results:
    """Heads and rows, each row with its ratios, and the summary by family."""
    judged = [_judged(r) for r in rows]
    return {
        "format": journal.FORMAT,
        "heads": list(heads),
        "rows": judged,
        "families": summary.by_family(judged),
    }


def _judged(row: summary.Row) -> summary.Row:
    if not summary.measured([row]):
        return row
    best = summary.best_peer(row)
    value, unit = summary.rate(row)
    return {
        **row, "value": value, "unit": unit, "share": summary.share(row), "best": best,
        "ratio": summary.ratio(row, best) if best else None, "loss": summary.is_loss(row),
    }  # fmt: skip


def load(path: Path) -> Results:
    """A result file (JSON) or a journal (JSON lines). Raises ValueError for anything else."""
    text = path.read_text(encoding="utf-8")
    try:
        record = json.loads(text)
    except ValueError:
        heads, rows = journal.read(path)
        return gather(heads, rows)
    if isinstance(record, dict) and record.get("kind") == "head":  # a journal of one line
        return gather([record], [])
    if not isinstance(record, dict) or not all(key in record for key in _KEYS):
        raise ValueError(f"{path}: expected results of striate bench (--json), or a journal")
    if record["format"] != journal.FORMAT:
        raise ValueError(f"{path}: expected format {journal.FORMAT}, got {record['format']}")
    return record


def merge(parts: Sequence[Results]) -> Results:
    """Several runs as one: shards, or thread counts. Of a row in several the last counts."""
    rows = {(r["name"], r["threads"]): r for part in parts for r in part["rows"]}
    return gather([h for part in parts for h in part["heads"]], rows.values())


def read(paths: Iterable[Path]) -> Results:
    """Result files and journals as one run. Raises OSError and ValueError, which name the file."""
    return merge([load(path) for path in paths])


def write(path: Path, text: str) -> None:
    """The file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _rounded(value: Any) -> Any:
    """Five digits of every number that isn't whole: no timing has more."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def to_json(results: Results) -> str:
    """A line a row, so that files of two runs can be compared line by line too."""
    parts = []
    for key, value in _rounded(results).items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(v, allow_nan=False) for v in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"

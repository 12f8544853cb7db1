# SPDX-License-Identifier: Apache-2.0
"""The table in the terminal: a line a row as it is known, a bar below it, families at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from striate.bench import summary
from striate.bench.summary import Row

_NAME, _CELL = 44, 8
_HEADS = (
    f"{'family':12} {'threads':>7} {'rows':>5} {'best peer':>10} {'cold':>7} {'of bound':>9} "
    f"{'losses':>7} {'flagged':>8} {'took':>7}"
)
_RED, _GREEN, _DIM, _BOLD, _OFF = "\033[31m", "\033[32m", "\033[2m", "\033[1m", "\033[0m"


def number(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _short(name: str) -> str:
    """A name that fits its column, cut in the middle."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 23]}…{name[-22:]}"


class Screen:
    """Where a worker shows what it does."""

    def __init__(self, progress: bool = True, stream: Any = None) -> None:
        self.out = stream or sys.stdout
        tty = self.out.isatty()
        self.colour = tty and not os.environ.get("NO_COLOR")
        self._wants_bar = progress and tty
        self._bar: Any = None
        self._columns: list[str] = []
        self._family = ""

    def _print(self, line: str = "") -> None:
        if self._bar is not None:
            self._bar.write(line, file=self.out)
        else:
            print(line, file=self.out, flush=True)

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_OFF}" if self.colour else text

    def begin(self, head: Row, rows: int, done: int) -> None:
        """The machine, the peers, and how many rows there are to come."""
        m, copy = head["machine"], head["copy"]
        threads = f"{head['threads']} thread" + ("s" if head["threads"] > 1 else "")
        place = m.get("gpu") or f"{m['cpu']}, {m['isa']}, {threads}"
        self._print(f"{place}: {head['peak'] / 1e9:.0f} GF/s of "
                    "multiply-adds; copy, in and out, GB/s: "
                    + ", ".join(f"{k} {v / 1e9:.0f}" for k, v in copy.items()))  # fmt: skip
        for name, said in head["peers"].items():
            self._columns += said["columns"] if "absent" not in said else []
            about = f"absent: {said['absent']}" if "absent" in said else (
                f"{said['version']} ({said['path']})")  # fmt: skip
            self._print(self._paint(f"  {name:12} {about}", _DIM if "absent" in said else ""))
        known = f", {done} in the journal already" if done else ""
        self._print(f"{rows} rows to measure{known}")
        if self._wants_bar and rows:
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=rows, unit="row", file=self.out, leave=False)

    def row(self, row: Row) -> None:
        if self._bar is not None:
            self._bar.update()
        if "skipped" in row:
            self._print(f"{_short(row['name']):{_NAME}} skipped: {row['skipped']}")
            return
        if row["family"] != self._family:
            self._family = row["family"]
            shown = self._columns or summary.columns([row])
            heads = "".join(f"{c.split()[-1][: _CELL - 1]:>{_CELL}}" for c in shown)
            line = f"{self._family:{_NAME}} {'speed':>12} {'of bound':>9} {heads}  best"
            self._print(self._paint(line, _BOLD))
        self._print(self._line(row))

    def _line(self, row: Row) -> str:
        mine = row["rivals"].get(summary.ours(row), {"failed": "no such operation"})
        if "failed" in mine:
            return self._paint(f"{_short(row['name']):{_NAME}} {mine['failed']}", _RED)
        value, unit = summary.rate(row)
        part = summary.share(row)
        cells = []
        for column in self._columns or summary.columns([row]):
            r = summary.ratio(row, column)
            failed = "failed" in row["rivals"].get(column, {})
            text = "failed" if failed else "" if r is None else f"{number(r)}x"
            cells.append(f"{text:>{_CELL}}")
        best, loss = summary.best_peer(row), summary.is_loss(row)
        end = "" if best is None else f"{number(summary.ratio(row, best) or 0)}x"
        end += " LOSS" if loss else ""
        end += "  ~ " + "; ".join(row["flags"]) if row.get("flags") else ""
        code = _RED if loss else _GREEN if best and (summary.ratio(row, best) or 0) > 1.03 else ""
        share = "" if part is None else f"{part:.0%}"
        line = f"{_short(row['name']):{_NAME}} {number(value):>7} {unit:>4} {share:>9} "
        return line + "".join(cells) + "  " + (self._paint(end, code) if code else end)

    def note(self, text: str) -> None:
        self._print(text)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def report(rows: Sequence[Row]) -> str:
    """Families: rows, geometric mean over the best peer, share of the bound, and all losses."""
    families = summary.by_family(rows)
    lines = [_HEADS if families else "no rows were measured"]

    def times(value: float | None) -> str:
        return "" if value is None else f"{number(value)}x"

    for f in families:
        share = "" if f["share"] is None else f"{f['share']:.0%}"
        lines.append(
            f"{f['family']:12} {f['threads']:7} {f['rows']:5} {times(f['geomean']):>10} "
            f"{times(f['geomean_cold']):>7} {share:>9} {len(f['losses']):7} {f['flagged']:8} "
            f"{seconds(f['seconds']):>7}"
        )
    for f in families:
        for loss in f["losses"]:
            mark = "  ~ " + "; ".join(loss["flags"]) if loss["flags"] else ""
            lines.append(
                f"loss: {loss['name']} ({f['threads']}T): {loss['ratio']:.2f}x of "
                f"{loss['peer']}{mark}"
            )
    if parts := sum("part" in r for r in rows):
        lines.append(f"{parts} rows were measured on a part of their problem (--whole: all of it)")
    skipped = [r for r in rows if "skipped" in r]
    lines += [f"skipped: {r['name']}: {r['skipped']}" for r in skipped]
    for r in rows:
        for column, rival in r.get("rivals", {}).items():
            if "failed" in rival:
                lines.append(f"failed: {r['name']}: {column}: {rival['failed']}")
    return "\n".join(lines)

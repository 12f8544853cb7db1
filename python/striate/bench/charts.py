# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: the roofline of a family, and its ratios as bars.

Each is drawn twice, for wide and narrow pages, so that letters keep their size; the page's style
sheet shows one of the two and gives the classes their colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from striate.bench import summary
from striate.bench.meter import LEVELS
from striate.bench.summary import Row
from striate.bench.terminal import number

WIDE, NARROW = 1090, 350
LABELLED = 60  # rows up to which each bar has its name


def both(draw: Callable[[int], str]) -> str:
    """A chart at both widths."""
    return f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>'


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


class _Axes:
    """Logarithmic axes with ticks at powers of ten."""

    def __init__(self, width: int, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.width, self.height = width, 360 if width == WIDE else 300
        self.left, self.right, self.top, self.bottom = 52, 14, 14, 44
        self.x_low, self.x_high = _decades(xs)
        self.y_low, self.y_high = _decades(ys)

    def x(self, value: float) -> float:
        span = self.width - self.left - self.right
        at = (math.log10(value) - self.x_low) / (self.x_high - self.x_low)
        return self.left + span * min(max(at, 0.0), 1.0)

    def y(self, value: float) -> float:
        span = self.height - self.top - self.bottom
        at = (math.log10(value) - self.y_low) / (self.y_high - self.y_low)
        return self.height - self.bottom - span * min(max(at, 0.0), 1.0)

    def frame(self, x_title: str, y_title: str, tick: Callable[[float], str]) -> list[str]:
        parts = []
        bottom, right = self.height - self.bottom, self.width - self.right
        for value in _ticks(self.x_low, self.x_high):
            x = self.x(value)
            parts += [_line(x, self.top, x, bottom, "grid")]
            anchor = "end" if x > right - 20 else "middle"
            parts += [_text(x, bottom + 16, tick(value), "tick", anchor)]
        for value in _ticks(self.y_low, self.y_high):
            y = self.y(value)
            parts += [_line(self.left, y, right, y, "grid")]
            parts += [_text(self.left - 6, y + 4, f"{value:g}", "tick", "end")]
        parts.append(_text((self.left + right) / 2, self.height - 8, x_title, "title", "middle"))
        middle = (self.top + bottom) / 2
        turned = f'<g transform="rotate(-90 13 {middle:.0f})">'
        parts.append(turned + _text(13, middle, y_title, "title", "middle") + "</g>")
        return parts


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two logarithms, with their 2 and 5 fold where there are few."""
    steps = (1, 2, 5) if high - low < 2 else (1,)
    powers = range(math.floor(low), math.floor(high) + 1)
    return [s * 10.0**p for p in powers for s in steps if low <= p + math.log10(s) <= high + 1e-9]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Limits in powers of ten, to a third of one, around all values."""
    low = math.floor(3 * math.log10(min(values)) - 0.3) / 3
    high = math.ceil(3 * math.log10(max(values)) + 0.3) / 3
    return low, high


def _bytes(value: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}"
        value /= 1000
    return ""


def _dot(x: float, y: float, kind: str, title: str, many: bool) -> str:
    radius = (3.0 if many else 4.5) - (0.0 if kind.startswith("ours") else 0.7)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _points(axes: _Axes, rows: Sequence[Row], x_of: Any, work: str) -> list[str]:
    """Best peers below, ours above them."""
    peers: list[str] = []
    mine: list[str] = []
    for row in rows:
        x, best = axes.x(x_of(row)), summary.best_peer(row)
        for column, into in ((best, peers), (summary.ours(row), mine)):
            if column is not None:
                speed = row[work] / summary.timed(row)[column]["median"] / 1e9
                kind = "peer" if into is peers else "ours"
                kind += " flagged" if row.get("flags") else ""
                title = f"{row['name']}: {column} {number(speed)}"
                into.append(_dot(x, axes.y(speed), kind, title, len(rows) > LABELLED))
    return peers + mine


def _speeds(rows: Sequence[Row], work: str) -> list[float]:
    """What _points draws."""
    return [
        row[work] / summary.timed(row)[column]["median"] / 1e9
        for row in rows
        for column in (summary.ours(row), summary.best_peer(row))
        if column
    ]


def roofline(rows: Sequence[Row], head: Row, width: int) -> str:
    """GF/s over operations a byte, below the roof of peak and of each memory's bandwidth."""
    rows = [r for r in rows if r["flops"] and r["bytes"]]
    peak, copy = head["peak"] / 1e9, {k: v / 1e9 for k, v in head["copy"].items()}

    def intensity(row: Row) -> float:
        return float(row["flops"] / row["bytes"])

    speeds = _speeds(rows, "flops")
    xs = [*map(intensity, rows), peak / copy["DRAM"]]
    axes = _Axes(width, xs, [*speeds, peak])
    parts = axes.frame("operations a byte", "GF/s", lambda v: f"{v:g}")
    low, high = 10**axes.x_low, 10**axes.x_high
    ridge = peak / max(copy.values())
    parts.append(_line(axes.x(max(ridge, low)), axes.y(peak), axes.x(high), axes.y(peak), "roof"))
    over = f"multiply-adds {number(peak)} GF/s"
    names = [_text(axes.x(high) - 4, axes.y(peak) - 6, over, "roofname", "end")]
    for i, (name, bandwidth) in enumerate(copy.items()):
        start = max(low, 10**axes.y_low / bandwidth)
        end = min(peak / bandwidth, high)
        if start < end:
            parts.append(_line(axes.x(start), axes.y(start * bandwidth), axes.x(end),
                               axes.y(end * bandwidth), "roof"))  # fmt: skip
            at = start * (end / start) ** (0.02 + 0.22 * (i % 2))  # L1's and L2's may be as one
            names.append(_text(axes.x(at), axes.y(at * bandwidth) - 6, name, "roofname"))
    parts += _points(axes, rows, intensity, "flops") + names
    return _svg(width, axes.height, parts, "Roofline: speed over operations a byte")


def bandwidth(rows: Sequence[Row], head: Row, width: int) -> str:
    """GB/s over the bytes that must move, below our copy's bandwidth from each memory."""
    rows = [r for r in rows if r["bytes"]]
    copy = {k: v / 1e9 for k, v in head["copy"].items()}
    speeds = _speeds(rows, "bytes")
    axes = _Axes(width, [r["bytes"] for r in rows], [*speeds, *copy.values()])
    parts = axes.frame("bytes in and out", "GB/s", _bytes)
    low, high = 10**axes.x_low, 10**axes.x_high
    ends = {**_sizes(head), "DRAM": high}
    start, names = low, []
    for name in (level for level in LEVELS if level in copy):
        end = min(max(ends[name], start), high)
        if end > start:
            y = axes.y(copy[name])
            parts.append(_line(axes.x(start), y, axes.x(end), y, "roof"))
            middle = (axes.x(start) + axes.x(end)) / 2
            names.append(_text(middle, y - 6, f"{name} copy", "roofname", "middle"))
            start = end
    parts += _points(axes, rows, lambda r: r["bytes"], "bytes") + names
    return _svg(width, axes.height, parts, "Bandwidth over the bytes that must move")


def _sizes(head: Row) -> dict[str, float]:
    """Bytes up to which a row counts as held by each cache, as machine.level has it."""
    sizes = {k: float(v) for k, v in head["machine"]["caches"].items()}
    return {"L1": sizes["L1"] * head["threads"], "L2": sizes["L2"] * head["threads"],
            "L3": sizes["L3"]}  # fmt: skip


def _kind(row: Row, value: float) -> str:
    """The class of a bar."""
    if summary.is_loss(row):
        return "loss"
    return "win" if value > 2 - summary.EVEN else "even"


def bars(rows: Sequence[Row], width: int) -> str:
    """Time of the best peer by ours, a bar a row from 1x: named, or sorted where there are many."""
    pairs = [(r, summary.ratio(r, b)) for r in rows if (b := summary.best_peer(r))]
    known = [(r, x) for r, x in pairs if x is not None]
    if not known:
        return ""
    reach = max(1.0, *(abs(math.log2(x)) for _, x in known)) * 1.05
    return _named(known, reach, width) if len(known) <= LABELLED else _sorted(known, reach, width)


def _title(row: Row, value: float) -> str:
    return f"<title>{escape(row['name'])}: {number(value)}x of {summary.best_peer(row)}</title>"


def _named(known: Sequence[tuple[Row, float]], reach: float, width: int) -> str:
    """Horizontal bars. On narrow pages the name stands above its bar."""
    narrow = width == NARROW
    names, height, top = (0, 30, 22) if narrow else (330, 20, 22)
    low = min(0.0, *(math.log2(x) for _, x in known)) * 1.05
    high = max(1.0, *(math.log2(x) for _, x in known)) * 1.05
    left, right = names + 40, width - 70

    def x_at(value: float) -> float:
        return left + (right - left) * (math.log2(value) - low) / (high - low)

    bottom = top + height * len(known)
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = x_at(2.0**power)
        parts.append(_line(x, top - 4, x, bottom, "one" if power == 0 else "grid"))
        parts.append(_text(x, top - 9, f"{2.0**power:g}x", "tick", "middle"))
    for i, (row, value) in enumerate(known):
        y, label = top + i * height, row["name"].split("/", 1)[-1]
        if narrow:
            parts.append(_text(0, y + 12, _cut(label, 52), "name"))
        else:
            parts.append(_text(names, y + 14, _cut(label, 50), "name", "end"))
        x, one = x_at(value), x_at(1.0)
        at = y + (16 if narrow else 4)
        flagged = " flagged" if row.get("flags") else ""
        parts.append(
            f'<rect x="{min(x, one):.1f}" y="{at}" width="{max(abs(x - one), 1.5):.1f}" '
            f'height="12" rx="2" class="{_kind(row, value)}{flagged}">{_title(row, value)}</rect>'
        )
        end = (x + 4, "start") if value >= 1 else (x - 4, "end")
        parts.append(_text(end[0], at + 10, f"{number(value)}x", "value", end[1]))
    return _svg(width, bottom + 6, parts, "Best peer's time by ours, row by row")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def _sorted(known: Sequence[tuple[Row, float]], reach: float, width: int) -> str:
    """Thin bars in order of the ratio, names on pointing."""
    height, left, right, top = 260, 44, 10, 14
    rows = sorted(known, key=lambda p: p[1])
    low, high = min(0.0, math.log2(rows[0][1])) - 0.1, max(1.0, math.log2(rows[-1][1])) + 0.1

    def y_at(value: float) -> float:
        return top + (height - 2 * top) * (high - math.log2(value)) / (high - low)

    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        y = y_at(2.0**power)
        parts.append(_line(left, y, width - right, y, "one" if power == 0 else "grid"))
        parts.append(_text(left - 6, y + 4, f"{2.0**power:g}x", "tick", "end"))
    step = (width - left - right) / len(rows)
    for i, (row, value) in enumerate(rows):
        y, one, wide = y_at(value), y_at(1.0), max(step * 0.85, 0.6)
        parts.append(
            f'<rect x="{left + i * step:.2f}" y="{min(y, one):.1f}" width="{wide:.2f}" '
            f'height="{max(abs(y - one), 1):.1f}" class="{_kind(row, value)}">'
            f"{_title(row, value)}</rect>"
        )
    return _svg(width, height, parts, "Best peer's time by ours, all rows in order")

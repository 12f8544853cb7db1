# SPDX-License-Identifier: Apache-2.0
"""The page: one HTML file that asks for nothing else, charts in it as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from striate.bench import charts, summary
from striate.bench.results import Results
from striate.bench.summary import Row
from striate.bench.terminal import number

_SHORT = 20  # rows of a table that needs no box to scroll in


def _times(value: float | None) -> str:
    return "" if value is None else f"{number(value)}×"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _cell(content: Any, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(str(content))}</td>' if kind else (
        f"<td>{escape(str(content))}</td>")  # fmt: skip


def _table(heads: Sequence[str], body: Iterable[str]) -> str:
    """A table whose rows are cells already. A head that begins with < stands over words."""
    top = "".join(
        f'<th class="words">{escape(h[1:])}</th>' if h[:1] == "<" else f"<th>{escape(h)}</th>"
        for h in heads
    )
    rows = "".join(f"<tr>{cells}</tr>" for cells in body)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _tall(heads: Sequence[str], body: list[str]) -> str:
    """A table that scrolls where it has many rows."""
    table = _table(heads, body)
    return f'<div class="tall">{table}</div>' if len(body) > _SHORT else table


def _against(value: float | None, loss: bool = False) -> str:
    """A ratio's cell."""
    if value is None:
        return _cell("")
    return _cell(_times(value), "loss" if loss else "win" if value > 2 - summary.EVEN else "")


# --- the head -------------------------------------------------------------------------------------


def _figures(results: Results) -> str:
    """What a reader wants first."""
    rows = summary.measured(results["rows"])
    compared = [x for r in rows if (b := summary.best_peer(r)) and (x := summary.ratio(r, b))]
    losses = sum(summary.is_loss(r) for r in rows)
    flagged = sum(bool(r.get("flags")) for r in rows)
    boxes = [
        (str(len(rows)), "rows measured"),
        (_times(summary.geomean(compared)) or "–", "the best peer's time by ours, geometric mean"),
        (str(losses), f"losses among {len(compared)} rows with a peer"),
        (str(flagged), "rows flagged: the machine was not quiet"),
    ]
    inner = "".join(f"<div><b>{escape(b)}</b><span>{escape(t)}</span></div>" for b, t in boxes)
    return f'<div class="figures">{inner}</div>'


def _machine(heads: Sequence[Row]) -> str:
    """Peak and bandwidths of each session."""
    body = []
    for head in heads:
        m = head["machine"]
        body.append(
            _cell(head["time"][:16].replace("T", " ")) + _cell(head["threads"]) + _cell(m["isa"])
            + _cell(f"{head['peak'] / 1e9:.0f}")
            + "".join(_cell(f"{v / 1e9:.0f}") for v in head["copy"].values())
        )  # fmt: skip
    names = [f"{k} copy, GB/s" for k in heads[-1]["copy"]]
    return _tall(["session", "threads", "ISA", "multiply-adds, GF/s", *names], body)


def _peers(heads: Sequence[Row]) -> str:
    seen: dict[str, Row] = {}
    for head in heads:
        for name, said in head["peers"].items():
            if name not in seen or "absent" in seen[name]:
                seen[name] = said
    body = []
    for name, said in seen.items():
        if "absent" in said:
            body.append(_cell(name) + _cell("absent", "absent") + _cell(said["absent"], "words"))
        else:
            body.append(_cell(name) + _cell(said["version"]) + _cell(said["path"], "words"))
    return _table(["peer", "version", "<instructions and libraries, as it says itself"], body)


def _overview(families: Sequence[Row], rows: Sequence[Row]) -> str:
    columns = summary.columns(rows)
    body = []
    for f in families:
        anchor = f"{f['family']}-{f['threads']}"
        name = f'<td><a href="#{escape(anchor)}">{escape(f["family"])}</a></td>'
        peers = [f["peers"].get(c, {}).get("geomean") for c in columns]
        body.append(
            name + _cell(f["threads"]) + _cell(f["rows"]) + _against(f["geomean"])
            + _against(f["geomean_cold"]) + _cell(_percent(f["share"]))
            + _cell(len(f["losses"]), "loss" if f["losses"] else "")
            + "".join(_against(p) for p in peers)
        )  # fmt: skip
    heads = ["family", "threads", "rows", "best peer", "caches cold", "of the bound", "losses"]
    return _table([*heads, *columns], body)


def _losses(families: Sequence[Row]) -> str:
    listed = [(f, loss) for f in families for loss in f["losses"]]
    if not listed:
        return "<p>None.</p>"
    listed.sort(key=lambda p: p[1]["ratio"])
    body = [
        _cell(loss["name"]) + _cell(f["threads"]) + _cell(_times(loss["ratio"]), "loss")
        + _cell(loss["peer"]) + _cell(_percent(loss["share"]))
        + _cell("; ".join(loss["flags"]), "words")
        for f, loss in listed
    ]  # fmt: skip
    return _tall(["row", "threads", "ratio", "to", "of the bound", "<flags"], body)


def _failures(rows: Sequence[Row]) -> str:
    """Rows left out, and rivals that were wrong or raised."""
    body = [_cell(r["name"]) + _cell("skipped") + _cell(r["skipped"], "words")
            for r in rows if "skipped" in r]  # fmt: skip
    for r in rows:
        for column, rival in r.get("rivals", {}).items():
            if "failed" in rival:
                body.append(_cell(r["name"]) + _cell(column) + _cell(rival["failed"], "words"))
    if not body:
        return ""
    return "<h3>Left out</h3>" + _table(["row", "who", "<why"], body)


# --- families -------------------------------------------------------------------------------------


def _family(record: Row, rows: Sequence[Row], head: Row) -> str:
    """One family at one thread count."""
    threads = f"{record['threads']} thread" + ("s" if record["threads"] > 1 else "")
    anchor = escape(f"{record['family']}-{record['threads']}")
    parts = [f'<h2 id="{anchor}">{escape(record["family"])}, {threads}</h2>']
    if record["geomean"] is not None:
        parts.append(
            f"<p>{_times(record['geomean'])} of the best peer over {record['compared']} rows, "
            f"{len(record['losses'])} losses.</p>"
        )
    if any(r["flops"] and r["bytes"] for r in rows):
        parts += [_ROOF, charts.both(lambda w: charts.roofline(rows, head, w))]
    elif any(r["bytes"] for r in rows):
        parts += [_BAND, charts.both(lambda w: charts.bandwidth(rows, head, w))]
    if charts.bars(rows, charts.WIDE):
        parts += [_BARS, charts.both(lambda w: charts.bars(rows, w))]
    parts.append(f"<details><summary>All {len(rows)} rows</summary>{_rows(rows)}</details>")
    return "".join(parts)


def _key(*names: tuple[str, str]) -> str:
    return '<p class="note key">' + "".join(f'<i class="{k}"></i>{t}' for k, t in names) + "</p>"


_ROOF = "<h3>Roofline</h3>" + _key(("ours", "striate"), ("peer", "best peer"))
_BAND = "<h3>Bandwidth</h3>" + _key(("ours", "striate"), ("peer", "best peer"))
_BARS = "<h3>The best peer’s time by ours</h3>" + _key(
    ("win", "ahead"), ("even", "even, or not beyond doubt"), ("loss", "loss")
)


def _part(row: Row) -> list[str]:
    """What was measured of a problem that takes seconds."""
    cut = row.get("part", {})
    return (
        [", ".join(f"{name} {some} of {all_}" for name, (some, all_) in cut.items())] if cut else []
    )


def _rows(rows: Sequence[Row]) -> str:
    columns = summary.columns(rows)
    body = []
    for r in rows:
        value, unit = summary.rate(r)
        mine, best = summary.timed(r)[summary.ours(r)], summary.best_peer(r)
        loss = summary.is_loss(r)
        spread = (mine["q3"] - mine["q1"]) / mine["median"]
        cells = [_cell(r["name"].split("/", 1)[-1]), _cell(f"{number(value)} {unit}"),
                 _cell(_percent(summary.share(r))), _cell(r["bound"] or ""),
                 _cell(f"{mine['median'] * 1e6:.4g}"), _cell(f"{mine['min'] * 1e6:.4g}"),
                 _cell(f"{spread:.1%}"),
                 _against(summary.ratio(r, best) if best else None, loss),
                 _against(summary.ratio(r, best, "cold") if best else None)]  # fmt: skip
        cells += [_against(summary.ratio(r, c)) for c in columns]
        cells.append(_cell(f"{mine['first'] * 1e3:.3g}"))
        cells.append(_cell("; ".join([*_part(r), *r.get("flags", [])]), "words"))
        body.append("".join(cells))
    heads = ["row", "speed", "of bound", "bound", "median, µs", "least", "quartiles", "best peer",
             "cold", *columns, "first call, ms", "<remarks"]  # fmt: skip
    return _table(heads, body)


def render(results: Results) -> str:
    """The page of a run. Raises ValueError where nothing was measured."""
    heads, rows = results["heads"], summary.measured(results["rows"])
    if not heads or not rows:
        raise ValueError("report: no row was measured, so there is nothing to show")
    m = heads[-1]["machine"]
    gpu = f"{m['gpu']} beside " if "gpu" in m else ""
    caches = ", ".join(f"{k} {v >> 10} KB" for k, v in m["caches"].items())
    style = (files("striate.bench") / "page.css").read_text(encoding="utf-8")
    families = summary.by_family(rows)
    sections = []
    for record in families:
        of = [
            r for r in rows if (r["family"], r["threads"]) == (record["family"], record["threads"])
        ]
        head = next((h for h in reversed(heads) if h["threads"] == record["threads"]), heads[-1])
        sections.append(_family(record, of, head))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>striate bench</title><style>{style}</style></head><body>
<h1>striate bench</h1>
<p class="lead">{escape(gpu + m["cpu"])}, {m["cores"]} cores, {escape(m["isa"])}, {caches} · striate
{escape(m["striate"])} · Python {escape(m["python"])} · {escape(heads[-1]["time"][:10])}</p>
{_figures(results)}
<p class="note">Times are medians of runs in turns, in one process, with equal threads. A ratio is
the best peer’s time by striate’s: above 1, striate is faster. A loss is a ratio below
{summary.EVEN} with disjoint quartile ranges in both of two measurements. The bound of a row is the
larger of its operations at the multiply-add rate and its bytes at our copy’s bandwidth, both
measured beside it; a better algorithm or a warm cache may pass it.</p>
<h2>Families</h2>{_overview(families, rows)}
<h2>All losses</h2>{_losses(families)}{_failures(results["rows"])}
<h2>Machine and peers</h2>{_machine(heads)}{_peers(heads)}
{"".join(sections)}
</body></html>
"""

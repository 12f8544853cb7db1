# SPDX-License-Identifier: Apache-2.0
"""`striate bench compare A.json B.json`: which rows became faster or slower from A to B."""

from __future__ import annotations

from typing import Any

from striate.bench import summary
from striate.bench.results import Results

NOISE = 0.03  # a change that is smaller is none


def _changed(a: Any, b: Any) -> bool:
    """Whether the quartile ranges are disjoint and the medians further apart than noise."""
    apart = a["q1"] > b["q3"] or b["q1"] > a["q3"]
    return apart and abs(a["median"] / b["median"] - 1) > NOISE


def changes(a: Results, b: Results) -> list[dict[str, Any]]:
    """Rows of both, with A's time by B's: above 1, B is faster."""
    before = {(r["name"], r["threads"]): r for r in summary.measured(a["rows"])}
    found = []
    for row in summary.measured(b["rows"]):
        key = (row["name"], row["threads"])
        if key in before and before[key].get("part") == row.get("part"):
            x = summary.timed(before[key])[summary.ours(before[key])]
            y = summary.timed(row)[summary.ours(row)]
            found.append({
                "name": row["name"], "threads": row["threads"], "family": row["family"],
                "a": x["median"], "b": y["median"], "ratio": x["median"] / y["median"],
                "changed": _changed(x, y),
                "flags": [*before[key].get("flags", []), *row.get("flags", [])],
            })  # fmt: skip
    return found


def _differences(a: Results, b: Results) -> list[str]:
    """What else differs between the two runs."""
    if not a["heads"] or not b["heads"]:
        return []
    x, y = a["heads"][-1]["machine"], b["heads"][-1]["machine"]
    keys = ("cpu", "cores", "isa", "striate", "numpy", "python", "system")
    return [f"{k}: {x.get(k)} | {y.get(k)}" for k in keys if x.get(k) != y.get(k)]


def report(a: Results, b: Results) -> str:
    """A page of text. Raises ValueError where the runs have no row in common."""
    rows = changes(a, b)
    if not rows:
        raise ValueError("compare: the two files have no row in common that was measured in both")
    lines = [f"differs: {line}" for line in _differences(a, b)]
    changed = [r for r in rows if r["changed"]]
    for title in ("slower", "faster"):
        of = [r for r in changed if (r["ratio"] > 1) == (title == "faster")]
        of.sort(key=lambda r: r["ratio"], reverse=title == "faster")
        lines.append(f"{title}: {len(of)}")
        for r in of:
            mark = "  ~ " + "; ".join(r["flags"]) if r["flags"] else ""
            lines.append(
                f"  {r['ratio']:6.2f}x  {r['name']} ({r['threads']}T): {r['a'] * 1e6:.4g} us -> "
                f"{r['b'] * 1e6:.4g} us{mark}"
            )
    same = len(rows) - len(changed)
    lines.append(f"as before, within the quartiles or {NOISE:.0%}: {same}")
    for family in dict.fromkeys(r["family"] for r in rows):
        ratios = [r["ratio"] for r in rows if r["family"] == family]
        mean = summary.geomean(ratios) or 0.0
        lines.append(f"{family:12} {len(ratios):5} rows, geometric mean {mean:.3f}x")
    names = [{(r["name"], r["threads"]) for r in x["rows"]} for x in (a, b)]
    for label, only in (("A", names[0] - names[1]), ("B", names[1] - names[0])):
        if only:
            lines.append(f"only in {label}: {len(only)} rows")
    return "\n".join(lines)

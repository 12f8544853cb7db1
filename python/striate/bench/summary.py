# SPDX-License-Identifier: Apache-2.0
"""What rows say: rate, share of the bound, ratio to each peer, losses, geometric means.

A ratio is the peer's median time by ours: above 1 we are faster. A loss is a row whose ratio to the
best peer is below 0.97 with disjoint quartile ranges, in both of two measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from striate.bench.ours import OURS
from striate.bench.problem import FAMILIES

Row = dict[str, Any]
EVEN = 0.97


def timed(row: Row) -> dict[str, Row]:
    """The rivals that were right, by column."""
    return {c: r for c, r in row["rivals"].items() if "median" in r}


def ours(row: Row) -> str:
    """The column that the others are compared with: ours, or the kernel asked for by name."""
    return str(row.get("ours", OURS))


def best_peer(row: Row) -> str | None:
    """The column of the fastest rival that isn't ours."""
    others = {c: r["median"] for c, r in timed(row).items() if c != ours(row)}
    return min(others, key=lambda c: others[c]) if others else None


def ratio(row: Row, column: str, which: str = "") -> float | None:
    """A peer's time by ours; `which` names a second measurement ("again", "cold")."""
    found = timed(row)
    if column not in found or ours(row) not in found:
        return None
    mine, its = found[ours(row)], found[column]
    if which:
        if which not in mine or which not in its:
            return None
        mine, its = mine[which], its[which]
    return float(its["median"] / mine["median"])


def _behind(mine: Row, its: Row) -> bool:
    return its["median"] / mine["median"] < EVEN and mine["q1"] > its["q3"]


def behind(row: Row) -> bool:
    """Whether the first measurement says that the best peer is ahead: it is then taken again."""
    best, found = best_peer(row), timed(row)
    return best is not None and ours(row) in found and _behind(found[ours(row)], found[best])


def is_loss(row: Row) -> bool:
    """Whether both measurements say so."""
    best = best_peer(row)
    if best is None or not behind(row):
        return False
    mine, its = timed(row)[ours(row)].get("again"), timed(row)[best].get("again")
    return mine is None or its is None or _behind(mine, its)


def rate(row: Row, column: str | None = None) -> tuple[float, str]:
    """(value, unit) of a rival: operations, bytes, or microseconds a call."""
    seconds = timed(row)[column or ours(row)]["median"]
    if row["flops"]:
        return row["flops"] / seconds / 1e9, "GF/s"
    if row["bytes"]:
        return row["bytes"] / seconds / 1e9, "GB/s"
    return seconds * 1e6, "us"


def share(row: Row) -> float | None:
    """Our speed as a part of the bound that applies."""
    found = timed(row).get(ours(row))
    return row["floor"] / found["median"] if found and row.get("floor") else None


def geomean(values: Iterable[float]) -> float | None:
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def columns(rows: Iterable[Row]) -> list[str]:
    """Every peer's column, in the order in which they appear, a peer's own side by side."""
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(c for c in row["rivals"] if c != ours(row)))
    first = {c.split()[0]: i for i, c in reversed(list(enumerate(seen)))}
    return sorted(seen, key=lambda c: (first[c.split()[0]], c))


def measured(rows: Iterable[Row]) -> list[Row]:
    """Rows in which ours was timed."""
    return [r for r in rows if "rivals" in r and ours(r) in timed(r)]


def by_family(rows: Sequence[Row]) -> list[Row]:
    """A record a family and thread count: geometric means, and the names of all losses."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in measured(rows):
        groups.setdefault((row["family"], row["threads"]), []).append(row)
    rank = {name: i for i, name in enumerate(FAMILIES)}
    return [
        _family(family, threads, group)
        for (family, threads), group in sorted(
            groups.items(), key=lambda g: (g[0][1], rank.get(g[0][0], len(rank)))
        )
    ]


def _family(family: str, threads: int, rows: list[Row]) -> Row:
    bests = [(r, best_peer(r)) for r in rows]
    against = [x for r, b in bests if b and (x := ratio(r, b)) is not None]
    peers = {}
    for column in columns(rows):
        values = [x for r in rows if (x := ratio(r, column)) is not None]
        if values:
            peers[column] = {"rows": len(values), "geomean": geomean(values)}
    cold = [x for r, b in bests if b and (x := ratio(r, b, "cold")) is not None]
    shares = [x for r in rows if (x := share(r)) is not None]
    return {
        "family": family,
        "threads": threads,
        "rows": len(rows),
        "compared": len(against),
        "geomean": geomean(against),
        "geomean_cold": geomean(cold),
        "share": geomean(shares),
        "peers": peers,
        "losses": [
            {"name": r["name"], "peer": b, "ratio": ratio(r, b), "share": share(r),
             "flags": r.get("flags", [])}
            for r, b in bests if b and is_loss(r)
        ],
        "flagged": sum(bool(r.get("flags")) for r in rows),
        "seconds": sum(r.get("seconds", 0.0) for r in rows),
    }  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""The table of what ran, as lines of text."""

from collections import Counter
from typing import Any


def lines(records: list[dict[str, Any]], wide: bool) -> list[str]:
    """The summary; with `wide` also a line for each operation, and what striate lacks."""
    out: list[str] = []
    for kind, title in (("op", "operations"), ("module", "modules"), ("optimizer", "optimizers")):
        ran = [r for r in records if kind in r]
        absent = [name for r in records for name in r.get(f"absent_{kind}s", [])]
        if ran or absent:
            out += _part(sorted(ran, key=lambda r: str(r[kind])), absent, kind, title, wide)
    return out


def _part(
    ran: list[dict[str, Any]], absent: list[str], kind: str, title: str, wide: bool
) -> list[str]:
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for r in ran:
        total.update({k: v for k, v in r.items() if isinstance(v, int)})
        reasons.update(r["reasons"])
    out = []
    if wide:
        width = max((len(r[kind]) for r in ran), default=0)
        out.append(f"{title:{width}}   passed  gradients  error inputs  other  failed")
        for r in ran:
            out.append(
                f"{r[kind]:{width}}   {r['passed']:6}  {r['gradients']:9}  {r['errors']:12}  "
                f"{sum(r['reasons'].values()):5}  {r['failed']:6}"
            )
        out.append("")
    others = sum(reasons.values())
    samples = total["passed"] + total["errors"] + others + total["failed"]
    out.append(f"{title} in torch's database: {len(ran) + len(absent)}, in striate: {len(ran)}")
    out.append(
        f"samples: {samples} ran; {total['passed']} passed ({total['gradients']} with gradients, "
        f"{total['undetermined']} random ones by shape and dtype); {total['errors']} that torch "
        f"refuses were refused; {total['failed']} failed; {total['capped']} more not run"
    )
    out.append(f"did not apply: {others}")
    out += [f"  {n:6}  {reason}" for reason, n in reasons.most_common()]
    if wide and absent:
        out.append(f"absent from striate ({len(absent)}):")
        out += _wrapped(sorted(absent))
    out.append("")
    return out


def _wrapped(words: list[str], width: int = 98) -> list[str]:
    rows = [""]
    for word in words:
        if len(rows[-1]) + len(word) > width:
            rows.append("")
        rows[-1] += f" {word}"
    return rows

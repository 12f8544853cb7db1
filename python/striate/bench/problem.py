# SPDX-License-Identifier: Apache-2.0
"""Problems: what problems/*.toml lists, by family, network and layer."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

FAMILIES = (
    "gemm", "conv", "pool", "norm", "activation", "softmax", "lstm", "layout", "overhead",
)  # fmt: skip
LOW = "bfloat16"  # a precision: that of operands and results, on a GPU
OF_LOW = ("gemm", "conv")  # families that have it


@dataclass(frozen=True)
class Problem:
    """One thing to measure. `sizes` are the columns of its line, and what its set has in common."""

    family: str
    network: str
    layer: str
    pass_: str  # "" where the family has but one
    sizes: dict[str, Any] = field(hash=False)
    quick: bool = False

    @property
    def name(self) -> str:
        """family/network/layer, and the pass where there are several."""
        parts = (self.family, self.network, self.layer, self.pass_)
        return "/".join(part for part in parts if part)


def _expand(text: str, where: str) -> list[Problem]:
    """The problems of one file."""
    table = tomllib.loads(text)
    problems = []
    for group in table["set"]:
        quick = set(group.get("quick", ()))
        common = dict(group.get("common", {}))
        passes = common.pop("passes", [""])
        for line in group["layers"]:
            sizes = dict(zip(group["fields"], line, strict=True))
            layer = sizes.pop("layer")
            quick_one = layer in quick
            quick.discard(layer)
            for pass_ in passes:
                one = Problem(
                    table["family"], group["network"], layer, pass_, {**common, **sizes}, quick_one
                )
                problems.append(one)
        if quick:
            raise ValueError(f"{where}: {group['network']}: quick: no layer {', '.join(quick)}")
    return problems


@cache
def read() -> tuple[Problem, ...]:
    """Every problem of the suite, by family and then as listed."""
    folder = files("striate.bench") / "problems"
    found: list[Problem] = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            found += _expand(file.read_text(encoding="utf-8"), file.name)
    found.sort(key=lambda p: FAMILIES.index(p.family))  # stable
    return tuple(found)


def select(
    problems: Iterable[Problem],
    families: Sequence[str] = (),
    match: str = "",
    quick: bool = False,
) -> list[Problem]:
    """Those of some families (all if none is named), whose names hold `match`."""
    return [
        p
        for p in problems
        if (not families or p.family in families) and match in p.name and (p.quick or not quick)
    ]


def shard(problems: Sequence[Problem], costs: Sequence[float], index: int, of: int) -> list[Any]:
    """The part `index` (from 1) of `of`: like costs, the dearest dealt out first, order kept."""
    if not 1 <= index <= of:
        raise ValueError(f"shard: expected I/N with 1 <= I <= N, got {index}/{of}")
    loads = [0.0] * of
    mine = []
    for i in sorted(range(len(problems)), key=lambda i: (-costs[i], i)):
        least = loads.index(min(loads))
        loads[least] += costs[i]
        if least == index - 1:
            mine.append(i)
    return [problems[i] for i in sorted(mine)]

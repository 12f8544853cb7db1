# SPDX-License-Identifier: Apache-2.0
"""How good the choice between convolution's methods is on this machine.

Each layer of the benchmark suite runs by every method that takes it, and the one that the model
chooses is compared with the quickest:

    python benchmarks/conv_choice.py --match resnet50
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import striate
from striate.autotune import Algorithm, Candidate
from striate.bench import problem as problems
from striate.bench.families import conv

MOST_FLOPS = 1.5e9  # of a run: fewer images stand for more


class Choice(NamedTuple):
    """A problem and what conv_algorithm says of it."""

    name: str
    found: Algorithm

    @property
    def quickest(self) -> Candidate:
        return min(self.found.candidates, key=lambda c: c.measured or 0.0)

    @property
    def ratio(self) -> float:
        """The chosen method's time over the quickest's."""
        chosen = next(c for c in self.found.candidates if c.method == self.found.method)
        return (chosen.measured or 0.0) / (self.quickest.measured or 1.0)


def choices(match: str = "") -> Iterator[Choice]:
    """Every layer of the suite that has a choice between methods."""
    for whole in problems.read():
        if whole.family != "conv" or match not in whole.name:
            continue
        one = conv.part(whole, MOST_FLOPS)
        v = conv.layer(one)
        found = striate.conv_algorithm(
            (v.n, v.c, v.h, v.w), (v.k, v.depth, v.r, v.s),
            stride=v.stride, padding=v.pad, groups=v.groups, direction=one.pass_,
        )  # fmt: skip
        if len(found.candidates) > 1:
            yield Choice(one.name, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--match", default="", help="only problems whose names hold it")
    parser.add_argument("--threads", type=int, default=1, help="(1)")
    options = parser.parse_args()
    striate.set_num_threads(options.threads)
    near = total = 0
    for choice in choices(options.match):
        total, near = total + 1, near + (choice.ratio <= 1.15)
        times = "  ".join(
            f"{c.method} {c.predicted * 1e3:.2f}/{(c.measured or 0) * 1e3:.2f}"
            for c in choice.found.candidates
        )
        mark = "" if choice.ratio <= 1.15 else f"  {choice.quickest.method} is quicker"
        print(f"{choice.name:<58}{choice.found.method:<15}{choice.ratio:5.2f}  {times}{mark}")
    if total:
        print(f"{near} of {total} within 15 % of the quickest; ms predicted/measured")


if __name__ == "__main__":
    main()

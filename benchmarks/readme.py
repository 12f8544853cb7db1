# SPDX-License-Identifier: Apache-2.0
"""Writes README's tables of speeds from results: python benchmarks/readme.py FILE...

FILE is what `striate bench --json` wrote, or a journal: a table each. They go between the two marks
of the README; with --check nothing is written, and the exit status is 1 where they are out of date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from striate.bench import results, summary
from striate.bench.terminal import number

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
ROOT = Path(__file__).parent.parent


def times(value):
    return "" if value is None else f"{number(value)}x"


def table(found):
    """A line a family and thread count."""
    columns = summary.columns(summary.measured(found["rows"]))
    heads = ["family", "threads", "rows", "best peer", "of the bound", "losses", *columns]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for f in found["families"]:
        share = "" if f["share"] is None else f"{f['share']:.0%}"
        peers = [times(f["peers"].get(c, {}).get("geomean")) for c in columns]
        cells = [f["family"], f["threads"], f["rows"], times(f["geomean"]), share,
                 len(f["losses"]), *peers]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measured(found):
    """The machine, the peers, the table."""
    head = found["heads"][-1]
    m = head["machine"]
    versions = {
        name: said["version"]
        for one in found["heads"]
        for name, said in one["peers"].items()
        if "version" in said
    }
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"""{m["cpu"]}, {m["cores"]} cores, {m["isa"]}, {head["time"][:10]}, beside {peers}:

{table(found)}
"""


def section(files):
    tables = "\n".join(measured(found) for found in files)
    return f"""{BEGIN}
A figure is the peer's time by striate's, geometric mean over the family's rows: above 1, striate is
faster. The best peer is the fastest of all, row by row. Every loss is listed by `striate bench
report` of the files in `benchmarks/results/`; [docs/benchmarks.md](docs/benchmarks.md) says how
rows are measured.

{tables}{END}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--check", action="store_true", help="say whether it is up to date")
    arguments = parser.parse_args()
    text = arguments.readme.read_text(encoding="utf-8")
    begin, end = text.find(BEGIN), text.find(END)
    if not 0 <= begin < end:
        parser.error(f"{arguments.readme}: expected the marks {BEGIN} and {END}")
    try:
        files = [results.read([file]) for file in arguments.files]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    new = text[:begin] + section(files) + text[end + len(END) :]
    if arguments.check:
        return int(new != text)
    arguments.readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

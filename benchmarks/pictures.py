# SPDX-License-Identifier: Apache-2.0
"""Draws the rooflines of the documents from results: python benchmarks/pictures.py FILE...

FILE is what `striate bench --json` wrote, or a journal. docs/pictures/FAMILY.svg shows a family's
rows at one thread: full points are striate's, rings the best peer's.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path

from striate.bench import charts, results, summary

WIDTH = 760  # of the documents' column
LEAST = 1000  # operations of a row
FOLDER = Path(__file__).parent.parent / "docs" / "pictures"


def picture(rows, head):
    """A family's chart as a file of its own."""
    by_operations = any(r["flops"] and r["bytes"] for r in rows)
    svg = (charts.roofline if by_operations else charts.bandwidth)(rows, head, WIDTH)
    style = (files("striate.bench") / "page.css").read_text(encoding="utf-8")
    end_of_tag = svg.index(">") + 1
    return (
        svg[:end_of_tag].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
        + f"<style>{style}</style>"
        + '<rect width="100%" height="100%" style="fill: var(--paper)"/>'
        + svg[end_of_tag:]
        + "\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    try:
        found = results.read(arguments.files)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    families = {}
    for row in summary.measured(found["rows"]):
        # Those of fewer operations measure a call, and would stretch the axis to it.
        if row["threads"] == 1 and row["bytes"] and not 0 < row["flops"] < LEAST:
            families.setdefault(row["family"], []).append(row)
    if not families:
        parser.error("files: expected rows of one thread, got none; run striate bench --threads 1")
    head = next(h for h in found["heads"] if h["threads"] == 1)
    for family, rows in families.items():
        results.write(arguments.folder / f"{family}.svg", picture(rows, head))
    return 0


if __name__ == "__main__":
    sys.exit(main())

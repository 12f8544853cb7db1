# SPDX-License-Identifier: Apache-2.0
"""Convolution's results by kind of layer: times the best peer, losses, median share of the bound.

FILE is what `striate bench --json` wrote, or a journal: python benchmarks/conv_classes.py FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from striate.bench import results
from striate.bench.families import conv
from striate.bench.summary import Row, geomean, measured, ratio

NHWC = "torch nhwc"


def layer(row: Row) -> conv.Layer:
    return conv.layer(SimpleNamespace(sizes=row["sizes"]))  # type: ignore[arg-type]


def kind(v: conv.Layer) -> str:
    """The one kind that a layer is counted in."""
    stride = max(v.stride)
    if v.groups > 1:
        return "depthwise" if v.groups == v.c else "grouped"
    if v.c <= 4:
        return "4 channels and fewer"
    if v.r != v.s or v.r not in (1, 3, 5) or stride > 2 or (v.r > 1 and stride > 1):
        return "other strides and filters"
    if v.r == 3:
        return "3x3, 64 channels and more" if min(v.c, v.k) >= 64 else "3x3, fewer channels"
    return f"{v.r}x{v.r}, stride {stride}"


def is_strided_bwd_data(row: Row) -> bool:
    return row["name"].endswith("/bwd_data") and max(layer(row).stride) > 1


def is_vgg(row: Row) -> bool:
    """VGG's layers of 64 channels and more, but for the gradient of weights."""
    return "/vgg" in row["name"] and layer(row).c >= 64 and not row["name"].endswith("bwd_weight")


def cell(rows: list[Row]) -> str:
    if not rows:
        return ""
    best = geomean(r["ratio"] for r in rows) or 0
    return (
        f"{best:.2f}, {sum(r['loss'] for r in rows)} of {len(rows)}, "
        f"{median(r['share'] for r in rows):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path, help="a file or journal of striate bench")
    parser.add_argument("--threads", type=int, default=1, help="(1)")
    parser.add_argument("--losses", action="store_true", help="list them")
    options = parser.parse_args()
    try:
        found = results.load(options.results)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    rows = [
        r for r in measured(found["rows"])
        if r["family"] == "conv" and r["threads"] == options.threads and r["best"]
    ]  # fmt: skip
    if not rows:
        parser.error(f"{options.results}: no convolutions at --threads {options.threads}")

    print(f"{'':<28}" + "".join(f"{p:<24}" for p in conv.OPS))
    for name in ["all", *sorted({kind(layer(r)) for r in rows})]:
        of_kind = [r for r in rows if name in ("all", kind(layer(r)))]
        passes = ([r for r in of_kind if r["name"].endswith("/" + p)] for p in conv.OPS)
        print(f"{name:<28}" + "".join(f"{cell(p):<24}" for p in passes))
    flagged = sum(bool(r["flags"]) for r in rows)
    print(f"\n{'all passes':<28}{cell(rows)}; {flagged} flagged")
    for name, of_kind in {
        "4 channels and fewer": [r for r in rows if kind(layer(r)) == "4 channels and fewer"],
        "depthwise": [r for r in rows if kind(layer(r)) == "depthwise"],
        "data gradients at a stride": [r for r in rows if is_strided_bwd_data(r)],
    }.items():
        print(f"{name:<28}{cell(of_kind)}")
    vgg = [x for r in rows if is_vgg(r) and (x := ratio(r, NHWC)) is not None]
    if vgg:
        print(f"{'VGG, fwd and bwd_data':<28}{geomean(vgg):.2f} times {NHWC}, {len(vgg)} rows")
    if options.losses:
        for r in sorted((r for r in rows if r["loss"]), key=lambda r: float(r["ratio"])):
            said = f"{r['ratio']:.2f} of {r['best']}, {r['share']:.2f} of the bound"
            print(f"{said}  {r['name']}", *r["flags"])


if __name__ == "__main__":
    main()

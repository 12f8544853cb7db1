# SPDX-License-Identifier: Apache-2.0
"""The options of `striate bench`, apart from the command so that other commands load none of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from striate.arguments import Parser, add_device, one_of, positive, whole
from striate.bench.problem import FAMILIES


def _words(text: str) -> list[str]:
    return [w for w in text.split(",") if w]


def _list_of(*choices: str) -> Callable[[str], list[str]]:
    """Words between commas."""

    def read(text: str) -> list[str]:
        words = _words(text)
        for w in words:
            if w not in choices:
                raise argparse.ArgumentTypeError(
                    f"expected names between commas of {', '.join(choices)}, got '{w}'"
                )
        return words

    return read


def _threads(text: str) -> list[int]:
    """Thread counts between commas."""
    words = text.split(",")
    if not all(w.isascii() and w.isdigit() and 0 < int(w) <= 1024 for w in words):
        raise argparse.ArgumentTypeError(f"expected numbers between commas, got '{text}'")
    return [int(w) for w in words]


def _shard(text: str) -> tuple[int, int]:
    """I/N."""
    index, slash, of = text.partition("/")
    if not (slash and index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of) <= 10_000):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, got '{text}'")
    return int(index), int(of)


def add(make: Callable[..., Parser], run: Callable[..., int]) -> None:
    """The command's parser."""
    parser = make(
        "bench",
        run,
        help="measure our kernels beside the peers that are installed here",
        description="Measures striate's kernels beside PyTorch, NumPy, oneDNN, ONNX Runtime and\n"
        "JAX, as far as they are installed, in turns in one process, on problems of known\n"
        "networks. Every result is checked against float64 before it is timed. A run that is\n"
        "stopped goes on from its journal when it is started again.\n\n"
        "STRIATE_ISA=avx2 caps striate and the peers.",
        examples=[
            ("striate bench --quick --html report.html", "a cut through all families, 3 minutes"),
            ("striate bench --family gemm --threads 1,2", "one family in full"),
            ("striate bench --shard 1/8 --journal 1.jsonl", "an eighth of everything"),
            ("striate bench report *.jsonl --html all.html", "shards together"),
            ("striate bench compare old.json new.json", "what became faster, what slower"),
            ("striate bench --device cuda --quick", "on a GPU, beside cuBLAS and cuDNN"),
            ("striate bench --kernel gemm_f32_avx2_6x16", "one row of the kernel tables"),
            ("striate bench --list --match resnet50", "what there is, and how long it takes"),
        ],
    )
    option = parser.add_argument
    option(
        "words", nargs="*", metavar="compare A B | report FILE...",
        help="compare two results, or report on journals; nothing: measure",
    )  # fmt: skip
    option("--quick", action="store_true", help="some problems of each family, under 3 minutes")
    option(
        "--family", type=_list_of(*FAMILIES), default=[], action="extend", metavar="A,B",
        help=f"only these families: {' '.join(FAMILIES)}",
    )  # fmt: skip
    option("--match", default="", metavar="TEXT", help="only problems whose names hold it")
    option("--kernel", default="", metavar="NAME", help="one row of the kernel tables, by name")
    option("--threads", type=_threads, default=[1], metavar="N,M", help="thread counts (1)")
    add_device(parser)
    option(
        "--precision", type=one_of("highest", "high", "medium", "bfloat16"), metavar="NAME",
        help="of products on a GPU: highest, high (default), medium, which is TF32, or bfloat16, "
        "of which products and convolutions are measured",
    )  # fmt: skip
    option(
        "--peers", type=_words, metavar="A,B",
        help="only these peers: torch numpy onednn onnxruntime jax, of a GPU torch cupy; or none",
    )  # fmt: skip
    option("--shard", type=_shard, metavar="I/N", help="the I-th of N parts of like duration")
    option("--seconds", type=positive, metavar="S", help="of timed runs a rival (0.15; quick 0.05)")
    option(
        "--cold", type=whole(0, 1000), metavar="RUNS",
        help="runs with cold caches at most, 0 for none (7; quick 2)",
    )  # fmt: skip
    option("--whole", action="store_true", help="never a part of a problem that takes seconds")
    option("--journal", metavar="FILE", help="where rows are kept (striate-bench.jsonl)")
    option("--json", metavar="FILE", help="write the results")
    option("--html", metavar="FILE", help="write a page with charts, all in one file")
    option("--list", action="store_true", help="name the problems and how long they take")
    option("--no-progress", action="store_true", help="no progress bar")

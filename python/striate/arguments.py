# SPDX-License-Identifier: Apache-2.0
"""Reading a command line: a parser whose errors help, and types that check."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

Examples = Sequence[tuple[str, str]]


class UserError(Exception):
    """Something that the user can put right: the message, and a hint on the second line."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are UserErrors and whose help ends in examples."""

    def __init__(self, examples: Examples = (), **options: Any) -> None:
        width = max((len(line) for line, _ in examples), default=0)
        shown = "\n".join(f"  {line:{width}}   {what}" for line, what in examples)
        super().__init__(
            epilog=f"examples:\n{shown}" if shown else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(message.removeprefix("argument "), f"{self.prog} --help says more")

    def check_unknown(self, words: Sequence[str]) -> None:
        """Raises for options that were not understood, naming the nearest that exists."""
        if not words:
            return
        known = [o for action in self._actions for o in action.option_strings]
        near = difflib.get_close_matches(words[0].split("=")[0], known, 1)
        kind = "option" if words[0].startswith("-") else "argument"
        meant = f"; did you mean {near[0]}?" if near else ""
        self.error(f"unknown {kind} '{words[0]}'{meant}")


# --- argument types -------------------------------------------------------------------------------


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """An integer from `least` to `most`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            limits = f"from {least} to {most}" if most < 2**63 - 1 else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"expected an integer {limits}, got '{text}'")
        return value

    return read


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got '{text}'")
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    """One of the words."""

    def read(text: str) -> str:
        if text not in choices:
            near = difflib.get_close_matches(text, choices, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            names = " or ".join(choices)
            raise argparse.ArgumentTypeError(f"expected {names}, got '{text}'{meant}")
        return text

    return read


def image_shape(text: str) -> tuple[int, int, int]:
    """1x28x28 as numbers."""
    words = text.lower().split("x")
    sizes = [int(w) if w.isascii() and w.isdigit() and len(w) < 8 else 0 for w in words]
    if len(sizes) != 3 or not 0 < math.prod(sizes) <= 1 << 20:
        raise argparse.ArgumentTypeError(
            f"expected CHANNELSxHEIGHTxWIDTH, 2^20 numbers at most, got '{text}'"
        )
    return sizes[0], sizes[1], sizes[2]


def add_device(parser: Parser) -> None:
    """The option --device; on_gpu() is what a command asks of it."""
    parser.add_argument(
        "--device", type=one_of("cpu", "cuda"), default="cpu", metavar="NAME", help="cpu or cuda"
    )


def on_gpu(options: argparse.Namespace) -> bool:
    """Whether --device names a GPU. UserError where tensors can't be on one here."""
    if options.device != "cuda":
        return False
    from striate import cuda

    if lacks := cuda.missing():
        raise UserError(f"--device cuda: {lacks}", "striate doctor says what is here")
    return True

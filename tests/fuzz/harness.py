# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of what reads files, with atheris (pip install ".[fuzz]").

    python tests/fuzz/fuzz_idx.py -max_total_time=300 tests/fuzz/corpus/idx

A reader may return, or raise ValueError that names the file. Anything else, more than 2 GiB of
memory, or more than 10 seconds, is a finding. New inputs land in the first folder that is named.
"""

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

LIMITS = ["-rss_limit_mb=2048", "-timeout=10", "-max_len=4096", "-print_final_stats=1"]


class File:
    """A file in memory that has a path."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("fuzz")
        self.path = Path(f"/proc/self/fd/{self._descriptor}")

    def holding(self, data: bytes) -> Path:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)
        return self.path


def reads(read: Callable[[Path], Any], path: Path) -> bool:
    """Whether the file was read; raises what no reader may raise."""
    try:
        read(path)
    except ValueError as error:
        if not str(error):
            raise AssertionError("a ValueError that says nothing") from error
        return False
    return True


def _instrument(module: ModuleType) -> None:
    """Has atheris watch the functions and methods of a module."""
    import atheris

    for owner in [module, *(v for v in vars(module).values() if inspect.isclass(v))]:
        for name, value in list(vars(owner).items()):
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                setattr(owner, name, atheris.instrument_func(value))


def fuzz(
    read: Callable[[Path], Any],
    shapes: list[Callable[[bytes], bytes]],
    watched: list[ModuleType],
) -> None:
    """Fuzzes a reader. The first byte of an input chooses one of `shapes`, which make a file."""
    import atheris

    for module in watched:
        _instrument(module)
    file = File()

    def one(data: bytes) -> None:
        if data:
            reads(read, file.holding(shapes[data[0] % len(shapes)](data[1:])))

    atheris.Setup(sys.argv + LIMITS, one)
    atheris.Fuzz()

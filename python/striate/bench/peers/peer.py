# SPDX-License-Identifier: Apache-2.0
"""What a peer is. To add one, write a file in this folder that holds a subclass named PEER:

    class PEER(Peer):
        name = "mylib"
        columns = ("mylib",)

        def __init__(self, threads):
            self.lib = package("mylib")  # raises Absent with the reason if it isn't installed
            self.lib.set_threads(threads)
            self.version, self.path = self.lib.__version__, self.lib.instruction_set()

        def gemm(self, task):
            a, b = self.lib.array(task["a"]), self.lib.array(task["b"])
            yield Rival("mylib", lambda: self.lib.product(a, b))

A method is named like the `op` of the tasks that it computes (striate/bench/families says which
there are) and yields its rivals, several where there are several ways worth timing. Everything that
users do once (conversion, packing, compilation) is done before the yield; the rival's call is what
they do each time. Tasks without a method leave the peer's column empty.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from striate import _C
from striate.bench.task import Task


class Absent(Exception):
    """The peer can't be compared with here, and why."""


def package(name: str) -> Any:
    """The package of that name. Raises Absent where it is missing or broken."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = "not installed" if error.name == name.split(".")[0] else str(error).split("\n")[0]
        raise Absent(reason) from None


def only_uncapped() -> None:
    """For a package that nothing caps: raises Absent where STRIATE_ISA caps striate."""
    if any(why.startswith("STRIATE_ISA") for why in _C.isas().values()):
        raise Absent(f"STRIATE_ISA caps striate to {_C.isa()}, and nothing caps this")


@dataclass
class Rival:
    """One contender on one task: what is timed, and its value as a NumPy array to be checked."""

    column: str
    call: Callable[[], Any]
    array: Callable[[Any], Any] = np.asarray
    around: Callable[[], AbstractContextManager[Any]] = nullcontext  # entered once a turn


class Peer:
    """A library that computes tasks."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]] = ("cpu",)  # where it computes
    version: str = ""
    path: str = ""  # which instructions its kernels use, as far as it says

    def __init__(self, threads: int) -> None:
        """Finds the package and gives it its threads. Raises Absent."""

    @classmethod
    def on(cls, device: str) -> Peer:
        """The peer on a GPU: "cuda", if that is one of its devices. Raises Absent."""
        raise NotImplementedError

    @staticmethod
    def environment(isa: str, threads: int) -> dict[str, str]:
        """Variables to be set before the package is loaded ("" unsets one): its threads, and
        `isa` caps its instructions as it caps ours."""
        return {}

    def rivals(self, task: Task) -> Iterable[Rival]:
        """The peer's ways to compute the task."""
        method = getattr(self, task.op, None)
        return method(task) if method else ()

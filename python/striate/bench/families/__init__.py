# SPDX-License-Identifier: Apache-2.0
"""Problems as tasks: one file a family.

Each has `task(problem, dtype)`, which draws the operands; `cost(problem)`, operations and bytes;
`rows(problem)`, beginnings of the names of the table rows that serve it; and where problems take
seconds, `part(problem, most)`, a smaller one that is like it. References are
computed here, in float64 NumPy, on a sample of the result: never by the library, nor by a peer.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from striate.bench.problem import Problem
from striate.bench.task import Task


def task(problem: Problem, dtype: Any = "float32") -> Task:
    """The problem with operands. Raises Unfit where it can't be had here."""
    module = import_module(f"{__name__}.{problem.family}")
    return module.task(problem, dtype)


def cost(problem: Problem) -> tuple[float, float]:
    """(operations, bytes) of a problem in float32."""
    module = import_module(f"{__name__}.{problem.family}")
    return module.cost(problem)


def part(problem: Problem, most: float) -> tuple[Problem, dict[str, list[int]]]:
    """The problem, or where it takes longer than `most` operations do a part whose speed stands for
    the whole: fewer rows and columns, images or steps; and for each letter [measured, whole]."""
    module = import_module(f"{__name__}.{problem.family}")
    if not hasattr(module, "part"):
        return problem, {}
    less = module.part(problem, most)
    cut = {k: [v, problem.sizes[k]] for k, v in less.sizes.items() if v != problem.sizes[k]}
    return less, cut


def available(problem: Problem) -> bool:
    """Whether striate has the operation at all."""
    module = import_module(f"{__name__}.{problem.family}")
    return module.available(problem) if hasattr(module, "available") else True


def rows(problem: Problem) -> tuple[str, ...]:
    """The beginnings of the names of the table rows that serve a problem."""
    module = import_module(f"{__name__}.{problem.family}")
    return module.rows(problem)

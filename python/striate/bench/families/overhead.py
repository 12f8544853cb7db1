# SPDX-License-Identifier: Apache-2.0
"""What a call costs on the way to its kernel: tensors of 4 x 4, and the import.

NumPy is no rival here: its arrays record no gradients, and striate imports it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.bench.problem import Problem
from striate.bench.task import Spots, Task, normal, rng


def cost(problem: Problem) -> tuple[float, float]:
    return 0.0, 0.0


def rows(problem: Problem) -> tuple[str, ...]:
    return ()


def task(problem: Problem, dtype: Any) -> Task:
    kind, n = problem.sizes["kind"], problem.sizes["size"]
    random = rng(problem.name)
    a, w = (normal(random, (n, n), dtype) for _ in range(2))
    wide, second = a.astype(np.float64), w.astype(np.float64)
    expected = {
        "add": wide + wide,
        "add_grad": wide + second,
        "matmul": wide @ second,
        "relu": np.maximum(wide, 0),
        "autograd": wide.T @ (wide @ second > 0),  # the gradient of w
        "import": np.zeros(0),
    }[kind]
    return Task(
        op=f"overhead_{kind}",
        arrays={"a": a, "w": w},
        shape=expected.shape,
        spots=lambda: Spots((...,), expected, 64 * np.finfo(np.float32).eps * (8 + abs(expected))),
    )

# SPDX-License-Identifier: Apache-2.0
"""Checks a gradient against finite differences along one random direction, in float64.

For y = f(x), a direction v and weights w: d/dt <w, f(x + t v)> at t = 0 must equal <grad, v>. Two
forward passes, whatever the size (as in Chainer's gradient check, Tokui et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from striate.tensor import Tensor

Array = np.ndarray[Any, Any]


def gradcheck(
    function: Callable[..., Any],
    inputs: Sequence[Array],
    *,
    seed: int = 0,
    step: float = 1e-5,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Raises AssertionError, naming the seed, where the gradient of `function` is wrong.

    `inputs` are arrays; floating ones are differentiated, in float64. `function` takes tensors and
    returns a tensor, or a tuple of which the floating ones count.
    """
    rng = np.random.default_rng(seed)
    points = [np.array(x, np.float64) if x.dtype.kind == "f" else x for x in inputs]
    moved = [x.dtype.kind == "f" for x in points]
    directions = [
        rng.standard_normal(x.shape) if m else x for x, m in zip(points, moved, strict=True)
    ]
    length = np.sqrt(sum(float(np.sum(d * d)) for d, m in zip(directions, moved, strict=True) if m))
    if length == 0:
        return
    directions = [d / length if m else d for d, m in zip(directions, moved, strict=True)]

    def results(tensors: list[Tensor]) -> list[Tensor]:
        out = function(*tensors)
        outs = out if isinstance(out, tuple) else (out,)
        return [o for o in outs if o.dtype.kind == "f"]

    leaves = [Tensor(x.copy(), requires_grad=m) for x, m in zip(points, moved, strict=True)]
    outs = results(leaves)
    weights = [rng.standard_normal(o.shape) for o in outs]
    total = None
    for o, w in zip(outs, weights, strict=True):
        part = (o * Tensor(w)).sum()
        total = part if total is None else total + part
    assert total is not None, "gradcheck: the function returned nothing floating"
    total.backward()

    def along(t: float) -> float:
        shifted = [
            Tensor(x + t * d if m else x) for x, d, m in zip(points, directions, moved, strict=True)
        ]
        pairs = zip(results(shifted), weights, strict=True)
        return sum(float(np.sum(o.numpy() * w)) for o, w in pairs)

    measured = (along(step) - along(-step)) / (2 * step)
    claimed = 0.0
    for i, (leaf, d, m) in enumerate(zip(leaves, directions, moved, strict=True)):
        if not m:
            continue
        assert leaf.grad is not None, f"gradcheck: input {i} got no gradient"
        assert leaf.grad.shape == leaf.shape, (
            f"gradcheck: input {i} of shape {leaf.shape} got a gradient of {leaf.grad.shape}"
        )
        claimed += float(np.sum(leaf.grad.numpy() * d))
    scale = max(abs(measured), abs(claimed), 1e-3 * abs(along(0.0)))
    assert abs(measured - claimed) <= atol + rtol * scale, (
        f"gradcheck: finite differences give {measured:.12g}, the gradient {claimed:.12g} "
        f"(seed {seed})"
    )

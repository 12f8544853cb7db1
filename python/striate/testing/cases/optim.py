# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps. A case's result is the new parameter and, behind it, the new momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.testing.cases.case import Array, Case, Misuse, Sample

_OPTIONS: dict[str, Any] = {
    "lr": 0.1,
    "momentum": 0.0,
    "dampening": 0.0,
    "weight_decay": 0.0,
    "nesterov": False,
    "maximize": False,
}


def _kernel(p: Array, grad: Array, b: Array | None, out: Any = None, **options: Any) -> Array:
    """The step on copies of p and b, or on p and b laid into `out`."""
    new_p = p.copy(order="K") if out is None else out[0, ...]
    new_p[...] = p
    new_b = b if b is None else b.copy(order="K") if out is None else out[1, ...]
    if new_b is not None:
        new_b[...] = b
    _C.sgd(new_p, grad, new_b, **{**_OPTIONS, **options})
    if out is not None:
        return out
    return np.stack([new_p] if new_b is None else [new_p, new_b])


def _reference(p: Array, grad: Array, b: Array | None, **options: Any) -> Array:
    o = {**_OPTIONS, **options}
    g = (-grad if o["maximize"] else grad) + o["weight_decay"] * p
    if b is None:
        return np.stack([p - o["lr"] * g])
    b = o["momentum"] * b + (1 - o["dampening"]) * g
    return np.stack([p - o["lr"] * (g + o["momentum"] * b if o["nesterov"] else b), b])


def _bound(
    reference: Any, eps: float, p: Array, grad: Array, b: Array | None, **options: Any
) -> Any:
    o = {**_OPTIONS, **options}
    g = np.abs(grad) + o["weight_decay"] * np.abs(p)
    if b is not None:
        g = 2 * (g + o["momentum"] * np.abs(b))
    return 8 * eps * (np.abs(p) + g * (1 + abs(o["dampening"])))


_RULES: list[tuple[str, bool, dict[str, Any]]] = [
    ("plain", False, {}),
    ("plain", False, {"weight_decay": 0.3, "maximize": True}),
    ("momentum", True, {"momentum": 0.9}),
    ("momentum", True, {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.1}),
    ("nesterov", True, {"momentum": 0.9, "nesterov": True}),
    ("nesterov", True, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
]
_SHAPES: list[tuple[int, ...]] = [
    *((n,) for n in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101)),
    (),
    (5, 7),
    (6, 3, 5, 5),
    (1, 8, 1, 1),
    (300, 400),
]


def _case(rule: str) -> Case:
    return Case(
        name=f"sgd_{rule}",
        rows=(f"sgd_{rule}_",),
        function=None,
        kernel=_kernel,
        reference=_reference,
        samples=[
            Sample((shape, shape, shape if buffered else None), options)
            for name, buffered, options in _RULES
            if name == rule
            for shape in _SHAPES
        ],
        bound=_bound,
        flops=lambda p, g, b: (2.0 if b is None else 5.0) * float(np.prod(p)),
        bytes=lambda p, g, b: (12.0 if b is None else 20.0) * float(np.prod(p)),
        misuses=_MISUSES if rule == "plain" else [],
    )


def _sgd(**options: Any) -> Any:
    return striate.optim.SGD([striate.zeros(2, requires_grad=True)], **options)


def _step(p: Any, grad: Any, b: Any = None) -> Any:
    return _C.sgd(p, grad, b, **_OPTIONS)


_MISUSES = [
    Misuse(lambda: _sgd(lr=-1.0), ValueError, ("SGD", "lr", "at least 0", "-1.0")),
    Misuse(lambda: _sgd(lr=float("nan")), ValueError, ("SGD", "lr", "finite", "nan")),
    Misuse(lambda: _sgd(momentum=-0.1), ValueError, ("SGD", "momentum", "-0.1")),
    Misuse(lambda: _sgd(weight_decay=float("inf")), ValueError, ("weight_decay", "inf")),
    Misuse(lambda: _sgd(nesterov=True), ValueError, ("nesterov", "momentum=0.0")),
    Misuse(lambda: _step(np.zeros(3), np.zeros(4)), ValueError, ("sgd", "grad", "(3,)", "(4,)")),
    Misuse(
        lambda: _step(np.zeros(3), np.zeros(3), np.zeros((3, 1))),
        ValueError,
        ("momentum_buffer", "(3,)", "(3, 1)"),
    ),
    Misuse(lambda: _step(np.zeros(3), np.zeros(3, np.float32)), TypeError, ("grad", "float64")),
]

CASES = [_case(rule) for rule in ("plain", "momentum", "nesterov")]

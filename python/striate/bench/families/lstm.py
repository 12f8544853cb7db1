# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers, one direction, one layer: LSTM, GRU and the plain tanh cell.

x (T, N, I), weights (G H, I) and (G H, H), two biases (G H), gates in PyTorch's order: i f g o, and
r z n. fwd gives y (T, N, H). train is forward and every gradient; dx (T, N, I) is what is compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import striate
from striate.bench.problem import Problem
from striate.bench.task import Array, Spots, Task, normal, rng, some

INTENSITY = 10  # operations a byte below which a step reads its weights longer than it computes
LEAST = 4  # steps that a part of a sequence keeps
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def available(problem: Problem) -> bool:
    return hasattr(striate.nn, problem.sizes["cell"].upper())


def cost(problem: Problem) -> tuple[float, float]:
    """Gradients cost twice the forward: of the operands, and of the weights."""
    z = problem.sizes
    t, n, i, h, gates = z["t"], z["n"], z["i"], z["h"], GATES[z["cell"]]
    weights = gates * h * (i + h + 2)
    flops = 2.0 * t * n * gates * h * (i + h)
    moved = 4.0 * (t * n * (i + h) + weights)
    return (flops, moved) if problem.pass_ == "fwd" else (3 * flops, 3 * moved)


def part(problem: Problem, most: float) -> Problem:
    """Fewer steps: each costs what the others cost. At least LEAST of them."""
    t, h = problem.sizes["t"], problem.sizes["h"]
    read = 4 * GATES[problem.sizes["cell"]] * h * h * INTENSITY  # operations in the time it takes
    steps = min(t, max(LEAST, int(most / max(cost(problem)[0] / t, read))))
    return replace(problem, sizes={**problem.sizes, "t": steps})


def rows(problem: Problem) -> tuple[str, ...]:
    cell = {"rnn": "rnn_tanh"}.get(problem.sizes["cell"], problem.sizes["cell"])
    passes = ("fwd",) if problem.pass_ == "fwd" else ("fwd", "bwd")
    return tuple(f"{cell}_cell_{p}_" for p in passes)


def task(problem: Problem, dtype: Any) -> Task:
    z, random = problem.sizes, rng(problem.name)
    t, n, i, h, gates = z["t"], z["n"], z["i"], z["h"], GATES[z["cell"]]
    reach = np.dtype(dtype).type(h**-0.5)
    arrays = {
        "x": normal(random, (t, n, i), dtype),
        "weight_ih": reach * normal(random, (gates * h, i), dtype),
        "weight_hh": reach * normal(random, (gates * h, h), dtype),
        "bias_ih": reach * normal(random, (gates * h,), dtype),
        "bias_hh": reach * normal(random, (gates * h,), dtype),
    }
    forward = problem.pass_ == "fwd"
    if not forward:
        arrays["dy"] = normal(random, (t, n, h), dtype)
    flops, moved = cost(problem)
    return Task(
        op="recurrent" if forward else "recurrent_train",
        arrays=arrays,
        shape=(t, n, h if forward else i),
        spots=lambda: _spots(problem, arrays),
        options={"cell": z["cell"]},
        flops=flops,
        bytes=moved * np.dtype(dtype).itemsize / 4,
    )


def _spots(problem: Problem, arrays: dict[str, Array]) -> Spots:
    """All steps of one sequence, which no other sequence touches."""
    sequence = some(rng(problem.name), arrays["x"].shape[1], 2)[-1:]
    wide = {
        k: (v[:, sequence] if k in ("x", "dy") else v).astype(np.float64) for k, v in arrays.items()
    }
    steps = _forward(problem.sizes["cell"], wide)
    if "dy" not in wide:
        expected = np.stack([s["y"] for s in steps])
    else:
        expected = _backward(problem.sizes["cell"], wide, steps)
    size = np.max(np.abs(expected))
    bound = 64 * np.finfo(np.float32).eps * np.sqrt(len(steps) * wide["weight_hh"].shape[1]) * size
    return Spots((slice(None), sequence), expected, bound)


def _sigmoid(v: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-v)))


def _forward(cell: str, a: dict[str, Array]) -> list[dict[str, Array]]:
    """What each step computes: gates, state and result."""
    h = np.zeros((a["x"].shape[1], a["weight_hh"].shape[1]))
    c = np.zeros_like(h)
    steps = []
    for x in a["x"]:
        of_x, of_h = x @ a["weight_ih"].T + a["bias_ih"], h @ a["weight_hh"].T + a["bias_hh"]
        s = {"h": h, "c": c}
        if cell == "lstm":
            i, f, g, o = np.split(of_x + of_h, 4, 1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            c = f * c + i * g
            h = o * np.tanh(c)
            s |= {"i": i, "f": f, "g": g, "o": o, "new": np.tanh(c)}
        elif cell == "gru":
            (rx, zx, nx), (rh, zh, nh) = np.split(of_x, 3, 1), np.split(of_h, 3, 1)
            r, z = _sigmoid(rx + rh), _sigmoid(zx + zh)
            g = np.tanh(nx + r * nh)
            s |= {"r": r, "z": z, "g": g, "nh": nh}
            h = (1 - z) * g + z * h
        else:
            h = np.tanh(of_x + of_h)
        steps.append({**s, "y": h})
    return steps


def _backward(cell: str, a: dict[str, Array], steps: list[dict[str, Array]]) -> Array:
    """dx of every step."""
    dx = np.zeros_like(a["x"])
    dh: Any = 0.0
    dc: Any = 0.0
    for t in reversed(range(len(steps))):
        s, dh = steps[t], a["dy"][t] + dh
        if cell == "lstm":
            dc = dc + dh * s["o"] * (1 - s["new"] ** 2)
            gates = [
                dc * s["g"] * s["i"] * (1 - s["i"]), dc * s["c"] * s["f"] * (1 - s["f"]),
                dc * s["i"] * (1 - s["g"] ** 2), dh * s["new"] * s["o"] * (1 - s["o"]),
            ]  # fmt: skip
            of_x = of_h = np.concatenate(gates, 1)
            dc, kept = dc * s["f"], 0.0
        elif cell == "gru":
            dg = dh * (1 - s["z"]) * (1 - s["g"] ** 2)
            dz = dh * (s["h"] - s["g"]) * s["z"] * (1 - s["z"])
            dr = dg * s["nh"] * s["r"] * (1 - s["r"])
            of_x, of_h = np.concatenate([dr, dz, dg], 1), np.concatenate([dr, dz, dg * s["r"]], 1)
            kept = dh * s["z"]
        else:
            of_x = of_h = dh * (1 - s["y"] ** 2)
            kept = 0.0
        dx[t], dh = of_x @ a["weight_ih"], of_h @ a["weight_hh"] + kept
    return dx

# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers in NumPy: a sequence step by step, and its gradients from the last step on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from striate.testing.cases.case import Array

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
ORDER = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")
_Maybe = Array | None


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


class Step:
    """One step on rows (N, …), what its gradient needs, and a bound of its error.

    Errors are to first order, in units of eps: a product's is (terms + 6) times the sum of the
    absolute values, a sigmoid's slope is at most 1/4, tanh's and relu's 1, their own error 4.
    """

    def __init__(self, cell: str, x: Array, h: Array, c: _Maybe, weights: Any, errors: Any) -> None:
        w_ih, w_hh, b_ih, b_hh, w_hr = weights
        self.cell, self.x, self.h0, self.c0, self.weights = cell, x, h, c, weights
        e_h, e_c = errors
        from_x, from_h = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        e_x = (x.shape[1] + 6) * (np.abs(x) @ np.abs(w_ih).T + np.abs(b_ih))
        e_r = (h.shape[1] + 6) * (np.abs(h) @ np.abs(w_hh).T + np.abs(b_hh)) + e_h @ np.abs(w_hh).T
        gates = GATES[cell]
        parts = [np.split(v, gates, 1) for v in (from_x, from_h, e_x, e_r)]
        self.h: Array
        self.e_h: Array
        self.e_c: Any = 0.0
        getattr(self, f"_{cell.split('_')[0]}")(parts, h, c, e_h, e_c)
        if w_hr is not None:
            self.m, e_m = self.h, self.e_h
            self.h = self.m @ w_hr.T
            self.e_h = (
                e_m @ np.abs(w_hr).T + (self.m.shape[1] + 6) * np.abs(self.m) @ np.abs(w_hr).T
            )

    def _lstm(self, parts: Any, h: Array, c: Array, e_h: Array, e_c: Array) -> None:
        pre = [a + b for a, b in zip(parts[0], parts[1], strict=True)]
        e = [a + b for a, b in zip(parts[2], parts[3], strict=True)]
        i, f, o = (_sigmoid(pre[k]) for k in (0, 1, 3))
        g = np.tanh(pre[2])
        e_i, e_f, e_o = (e[k] / 4 + 4 for k in (0, 1, 3))
        e_g = e[2] + 4
        self.c = f * c + i * g
        self.e_c = f * e_c + np.abs(c) * e_f + i * e_g + np.abs(g) * e_i
        self.e_c += 3 * (np.abs(f * c) + np.abs(i * g))
        t = np.tanh(self.c)
        self.h = o * t
        self.e_h = np.abs(t) * e_o + o * (self.e_c + 4) + np.abs(self.h)
        self.i, self.f, self.g, self.o, self.t = i, f, g, o, t

    def _gru(self, parts: Any, h: Array, c: None, e_h: Array, e_c: Any) -> None:
        from_x, from_h, e_x, e_r = parts
        r, z = (_sigmoid(from_x[k] + from_h[k]) for k in (0, 1))
        e_reset, e_z = ((e_x[k] + e_r[k]) / 4 + 4 for k in (0, 1))
        n = np.tanh(from_x[2] + r * from_h[2])
        e_n = e_x[2] + r * e_r[2] + np.abs(from_h[2]) * (e_reset + 2) + 4
        self.h = (1 - z) * n + z * h
        self.e_h = z * e_h + (1 - z) * e_n + np.abs(h - n) * e_z + 4 * (np.abs(h) + np.abs(n))
        self.r, self.z, self.n, self.n_h = r, z, n, from_h[2]

    def _rnn(self, parts: Any, h: Array, c: None, e_h: Array, e_c: Any) -> None:
        pre = parts[0][0] + parts[1][0]
        self.h = np.tanh(pre) if self.cell == "rnn_tanh" else np.maximum(pre, 0)
        self.e_h = parts[2][0] + parts[3][0] + 4

    def gradients(self, dh: Array, dc: Array) -> dict[str, Array]:
        """The gradients of all operands from those of h and c."""
        w_ih, w_hh, _, _, w_hr = self.weights
        out: dict[str, Array] = {}
        if w_hr is not None:
            out["w_hr"], dh = dh.T @ self.m, dh @ w_hr
        if self.cell == "lstm":
            dc = dc + dh * self.o * (1 - self.t**2)
            d = [
                dc * self.g * self.i * (1 - self.i),
                dc * self.c0 * self.f * (1 - self.f),
                dc * self.i * (1 - self.g**2),
                dh * self.t * self.o * (1 - self.o),
            ]
            out["c0"] = dc * self.f
            dx = dr = np.concatenate(d, 1)
        elif self.cell == "gru":
            dn = dh * (1 - self.z) * (1 - self.n**2)
            dz = dh * (self.h0 - self.n) * self.z * (1 - self.z)
            d_reset = dn * self.n_h * self.r * (1 - self.r)
            dx = np.concatenate([d_reset, dz, dn], 1)
            dr = np.concatenate([d_reset, dz, dn * self.r], 1)
        else:
            slope = 1 - self.h**2 if self.cell == "rnn_tanh" else (self.h > 0) * 1.0
            dx = dr = dh * slope
        out["h0"] = dr @ w_hh + (dh * self.z if self.cell == "gru" else 0)
        out |= {"x": dx @ w_ih, "w_ih": dx.T @ self.x, "w_hh": dr.T @ self.h0}
        out |= {"b_ih": dx.sum(0), "b_hh": dr.sum(0), "gates": dx}
        return out


def _filled(arrays: Any, batch: int) -> tuple[Any, Array, Array]:
    """(weights, h0, c0) with zeros for what is left out."""
    w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0 = arrays
    zero = np.zeros(len(w_hh))
    hidden = w_hh.shape[1] if w_hr is None else w_hr.shape[1]
    weights = (w_ih, w_hh, zero if b_ih is None else b_ih, zero if b_hh is None else b_hh, w_hr)
    return (
        weights,
        np.zeros((batch, w_hh.shape[1])) if h0 is None else h0,
        np.zeros((batch, hidden)) if c0 is None else c0,
    )


def steps_of(cell: str, x: Array, arrays: Any, reverse: bool) -> list[Step]:
    """The steps in the order in which they are taken."""
    weights, h, c = _filled(arrays, x.shape[1])
    errors: tuple[Any, Any] = (np.zeros_like(h), np.zeros_like(c))
    taken: list[Step] = []
    for row in x[::-1] if reverse else x:
        step = Step(cell, row, h, c, weights, errors)
        h, c, errors = step.h, step.c if cell == "lstm" else c, (step.e_h, step.e_c)
        taken.append(step)
    return taken


def sequences_of(x: Array, sizes: Any) -> Iterator[tuple[Any, slice]]:
    """(rows of x, sequences): all at once, or one after the other where they are packed."""
    if sizes is None:
        yield slice(None), slice(None)
        return
    first = np.concatenate([[0], np.cumsum(sizes)])
    for n in range(sizes[0]):
        length = sum(1 for size in sizes if size > n)
        yield first[:length] + n, slice(n, n + 1)


def own_states(arrays: Any, which: slice) -> list[Any]:
    """The operands with the states of some sequences."""
    return [*arrays[:5], *(None if s is None else s[which] for s in arrays[5:])]


def results(
    value: Callable[[Step], Any], cell: str, x: Array, arrays: Any, reverse: bool, sizes: Any
) -> Array:
    """value(step) of every row of x."""
    whole: Any = None
    for rows, which in sequences_of(x, sizes):
        part = x if sizes is None else x[rows][:, None]
        steps = steps_of(cell, part, own_states(arrays, which), reverse)
        values = np.stack([value(s) for s in (steps[::-1] if reverse else steps)])
        if sizes is None:
            return values
        whole = np.zeros((len(x), values.shape[-1])) if whole is None else whole
        whole[rows] = values[:, 0]
    return np.asarray(whole)


def gradients_of(x: Array, dy: Array, arrays: Any, cell: str, reverse: bool, sizes: Any) -> Any:
    """Every gradient of sum(dy y) + sum(h_n) + sum(c_n) by name, and the largest of the gates."""
    total: dict[str, Any] = {"x": np.zeros(x.shape)}
    largest = 0.0
    for rows, which in sequences_of(x, sizes):
        own = own_states(arrays, which)
        part, dpart = (v if sizes is None else v[rows][:, None] for v in (x, dy))
        steps = steps_of(cell, part, own, reverse)
        dh, dc = np.ones_like(steps[-1].h), np.ones((part.shape[1], arrays[1].shape[1]))
        if cell == "lstm":
            dc = np.ones_like(steps[-1].c)
        times = range(len(steps))[::-1] if reverse else range(len(steps))
        for step, t in zip(steps[::-1], list(times)[::-1], strict=True):
            d = step.gradients(dh + dpart[t], dc)
            dh, dc = d["h0"], d.get("c0", dc)
            largest = max(largest, float(np.max(np.abs(d["gates"]))))
            if sizes is None:
                total["x"][t] = d["x"]
            else:
                total["x"][rows[t]] = d["x"][0]
            for name in ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr"):
                if name in d:
                    total[name] = total.get(name, 0) + d[name]
        total.setdefault("h0", []).append(dh)
        total.setdefault("c0", []).append(dc)
    total["h0"], total["c0"] = np.concatenate(total["h0"]), np.concatenate(total["c0"])
    given = dict(zip(ORDER, (x, *arrays), strict=True))
    return {k: total[k] for k in ORDER if given[k] is not None}, largest

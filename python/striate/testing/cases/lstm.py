# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM, GRU and the plain RNN, one layer in one direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_Maybe = Array | None


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# --- the reference: a sequence step by step, and its gradients from the last step to the first ----


class _Step:
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
        self.e_c: Any = 0.0
        getattr(self, f"_{cell.split('_')[0]}")(parts, h, c, e_h, e_c)
        if w_hr is not None:
            self.m, e_m = self.h, self.e_h
            self.h = self.m @ w_hr.T
            self.e_h = e_m @ np.abs(w_hr).T + (self.m.shape[1] + 6) * np.abs(self.m) @ np.abs(
                w_hr
            ).T

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


def _steps(cell: str, x: Array, arrays: Any, reverse: bool) -> list[_Step]:
    """The steps in the order in which they are taken."""
    weights, h, c = _filled(arrays, x.shape[1])
    errors: tuple[Any, Any] = (np.zeros_like(h), np.zeros_like(c))
    taken: list[_Step] = []
    for row in x[::-1] if reverse else x:
        step = _Step(cell, row, h, c, weights, errors)
        h, c, errors = step.h, step.c if cell == "lstm" else c, (step.e_h, step.e_c)
        taken.append(step)
    return taken


def _sequences(x: Array, sizes: Any) -> Iterator[tuple[Any, slice]]:
    """(rows of x, sequences): all at once, or one after the other where they are packed."""
    if sizes is None:
        yield slice(None), slice(None)
        return
    first = np.concatenate([[0], np.cumsum(sizes)])
    for n in range(sizes[0]):
        length = sum(1 for size in sizes if size > n)
        yield first[:length] + n, slice(n, n + 1)


def _own(arrays: Any, which: slice) -> list[Any]:
    """The operands with the states of some sequences."""
    return [*arrays[:5], *(None if s is None else s[which] for s in arrays[5:])]


def _results(
    value: Callable[[_Step], Any], cell: str, x: Array, arrays: Any, reverse: bool, sizes: Any
) -> Array:
    """value(step) of every row of x."""
    whole: Any = None
    for rows, which in _sequences(x, sizes):
        part = x if sizes is None else x[rows][:, None]
        steps = _steps(cell, part, _own(arrays, which), reverse)
        values = np.stack([value(s) for s in (steps[::-1] if reverse else steps)])
        if sizes is None:
            return values
        whole = np.zeros((len(x), values.shape[-1])) if whole is None else whole
        whole[rows] = values[:, 0]
    return np.asarray(whole)


def _reference(
    x: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None, **_: Any
) -> Array:
    return _results(lambda s: s.h, cell, x, arrays, reverse, sizes)


def _bound(
    reference: Any, eps: float, x: Array, *arrays: Any, cell: str, reverse: bool = False,
    sizes: Any = None, **_: Any,
) -> Any:  # fmt: skip
    """Twice the error to first order, for what is of second."""
    return 2 * eps * _results(lambda s: s.e_h, cell, x, arrays, reverse, sizes)


def _kernel(
    x: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None, keep: bool = False,
    out: Any = None,
) -> Array:  # fmt: skip
    numbers = None if sizes is None else np.array(sizes)
    return _C.rnn_forward(cell, x, *arrays, numbers, reverse, keep, out=out)[0]


# --- everything that a layer gives, and all gradients, each as one flat array ---------------------


def _all_reference(x: Array, *arrays: Any, cell: str) -> Array:
    steps = _steps(cell, x, arrays, False)
    ends = [steps[-1].h, *([steps[-1].c] if cell == "lstm" else [])]
    return np.concatenate([v.ravel() for v in (*(s.h for s in steps), *ends)])


def _all_bound(reference: Any, eps: float, x: Array, *arrays: Any, cell: str) -> Any:
    steps = _steps(cell, x, arrays, False)
    ends = [steps[-1].e_h, *([steps[-1].e_c] if cell == "lstm" else [])]
    return 2 * eps * np.concatenate([v.ravel() for v in (*(s.e_h for s in steps), *ends)])


def _all_kernel(x: Array, *arrays: Any, cell: str) -> Array:
    given = _C.rnn_forward(cell, x, *arrays)[:3]
    return np.concatenate([v.ravel() for v in given if v is not None])


def _function(x: Tensor, *tensors: Any, cell: str) -> Tensor:
    w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0 = tensors
    params = [t for t in (w_ih, w_hh, b_ih, b_hh, w_hr) if t is not None]
    states = [h.reshape(1, *h.shape) for h in (h0, c0) if h is not None]
    results = getattr(striate.ops, cell)(
        x, states or None, params, b_ih is not None, 1, 0.0, True, False
    )
    return striate.cat([r.reshape(-1) for r in results])


_ORDER = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")


def _gradients(x: Array, dy: Array, arrays: Any, cell: str, reverse: bool, sizes: Any) -> Any:
    """Every gradient of sum(dy y) + sum(h_n) + sum(c_n) by name, and the largest of the gates."""
    total: dict[str, Any] = {"x": np.zeros(x.shape)}
    largest = 0.0
    for rows, which in _sequences(x, sizes):
        own = _own(arrays, which)
        part, dpart = (v if sizes is None else v[rows][:, None] for v in (x, dy))
        steps = _steps(cell, part, own, reverse)
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
    given = dict(zip(_ORDER, (x, *arrays), strict=True))
    return {k: total[k] for k in _ORDER if given[k] is not None}, largest


def _backward_reference(
    x: Array, dy: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None
) -> Array:
    found, _ = _gradients(x, dy, arrays, cell, reverse, sizes)
    return np.concatenate([v.ravel() for v in found.values()])


def _backward_bound(
    reference: Any, eps: float, x: Array, dy: Array, *arrays: Any, cell: str,
    reverse: bool = False, sizes: Any = None,
) -> Any:  # fmt: skip
    """By the norm: a step adds a product's error to the gates' gradients and to the gates.

    With D the largest of those gradients, each of T steps errs by the terms of its products, and
    that times what multiplies D afterwards is the error of the sums made of them.
    """
    found, d = _gradients(x, dy, arrays, cell, reverse, sizes)
    w_ih, w_hh, *_ = arrays
    steps = x.shape[0] if sizes is None else len(sizes)
    rows = x.size // x.shape[-1]
    terms = len(w_hh) + x.shape[-1] + 2 * w_hh.shape[1] + 16
    d = max(d, float(np.max(np.abs(dy), initial=1.0)))
    reach = {
        "x": np.max(np.abs(w_ih)) * len(w_ih),
        "h0": 1 + np.max(np.abs(w_hh)) * len(w_hh),
        "w_ih": np.max(np.abs(x)) * rows,
        "w_hr": float(rows),
    }
    relative = eps * (2 * steps + 4) * np.sqrt(terms) + eps * rows
    return np.concatenate(
        [np.full(v.size, relative * d * reach.get(k, float(rows))) for k, v in found.items()]
    )


def _backward_kernel(
    x: Array, dy: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None
) -> Array:
    numbers = None if sizes is None else np.array(sizes)
    y, h_n, c_n, kept = _C.rnn_forward(cell, x, *arrays, numbers, reverse, True)
    ones = (np.ones_like(h_n), None if c_n is None else np.ones_like(c_n))
    made = _C.rnn_backward(cell, dy, *ones, x, y, kept, *arrays, numbers, reverse)
    return np.concatenate([v.ravel() for v in made if v is not None])


def _dx_kernel(x: Array, dy: Array, *arrays: Any, out: Any = None, **options: Any) -> Array:
    cell = options["cell"]
    y, _, _, kept = _C.rnn_forward(cell, x, *arrays, None, False, True)
    dx = _C.rnn_backward(
        cell, dy, None, None, x, y, kept, *arrays, dweights=False, dstates=False, out=out
    )[0]
    assert dx is not None
    return dx


# --- samples --------------------------------------------------------------------------------------


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Matrices of weights with rows of length 1, so that gates are neither closed nor chaotic."""
    x = rng.standard_normal(shape)
    return x / np.sqrt(max(shape[1], 1)) if len(shape) == 2 else x


_SIZES = [  # T, N, I, H
    (1, 1, 1, 1), (2, 1, 3, 2), (3, 2, 1, 5), (2, 3, 4, 7), (2, 4, 5, 8), (3, 5, 2, 9),
    (2, 6, 7, 15), (2, 7, 3, 16), (3, 13, 5, 17), (2, 14, 4, 23), (2, 15, 6, 24), (2, 16, 9, 31),
    (3, 17, 8, 32), (2, 28, 5, 33), (2, 29, 4, 40), (7, 2, 33, 47), (2, 1, 17, 65), (9, 3, 2, 3),
]  # fmt: skip
_LARGE = [(3, 40, 20, 70), (130, 3, 3, 5), (6, 70, 3, 90)]  # threads, chunks of steps
_PACKED = [(3, 3, 2), (1,), (4, 1, 1, 1), (17, 15, 2, 1), (2, 2, 2)]


def _shapes(
    cell: str, size: tuple[int, int, int, int], proj: int = 0, bias: bool = True, state: bool = True,
    packed: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    t, n, i, h = size
    gates, p = GATES[cell] * h, proj or h
    x: tuple[int, ...] = (t, n, i)
    if packed is not None:
        x, n = (sum(packed), i), packed[0]
    biases = (gates,) if bias else None
    return (
        x,
        (gates, i),
        (gates, p),
        biases,
        biases,
        (p, h) if proj else None,
        (n, p) if state else None,
        (n, h) if state and cell == "lstm" else None,
    )


def _samples(cell: str, alone: bool = False) -> list[Sample]:
    """`alone`: sequences of equal length from the first step to the last."""
    one: dict[str, Any] = {"cell": cell}
    ways: list[dict[str, Any]] = [one] if alone else [one, {**one, "reverse": True}]
    made = [Sample(_shapes(cell, s), w) for s in _SIZES for w in ways]
    made += [Sample(_shapes(cell, s, bias=False, state=False), ways[-1]) for s in _SIZES[4:12]]
    made += [Sample(_shapes(cell, s, state=False), ways[0]) for s in _SIZES[4:12]]
    if cell == "lstm":
        made += [Sample(_shapes(cell, s, max(1, s[3] // 2)), w) for s in _SIZES[1:] for w in ways]
    if not alone:
        made += [
            Sample(_shapes(cell, (0, 0, 5, h), 0, state, state, packed), {**w, "sizes": packed})
            for packed in _PACKED
            for h, state in ((6, True), (35, False))
            for w in ways
        ]
    return [*made, *(Sample(_shapes(cell, s), w) for s in _LARGE for w in ways)]


def _with_dy(sample: Sample) -> Sample:
    """The sample with a gradient of y behind x."""
    x, *others = sample.shapes
    assert x is not None and others[1] is not None
    return Sample((x, (*x[:-1], others[1][1]), *others), sample.parameters)


def _flops(x: Any, w_ih: Any, w_hh: Any, *_: Any, **__: Any) -> float:
    return 2.0 * float(np.prod(x[:-1])) * w_hh[0] * (w_ih[1] + w_hh[1])


def _cases(cell: str) -> list[Case]:
    forward, backward = (f"{cell}_cell_fwd_",), (f"{cell}_cell_bwd_",)
    return [
        Case(
            name=cell,
            rows=forward,
            function=_function,
            kernel=_all_kernel,
            reference=_all_reference,
            samples=_samples(cell, alone=True),
            bound=_all_bound,
            draw=_draw,
            takes_out=False,
            flops=_flops,
            misuses=_misuses(cell),
        ),
        Case(
            name=f"{cell}_sequence",
            rows=forward,
            function=None,
            kernel=_kernel,
            reference=_reference,
            samples=[
                Sample(s.shapes, {**s.parameters, "keep": bool(i % 2)})
                for i, s in enumerate(_samples(cell))
            ],
            bound=_bound,
            draw=_draw,
        ),
        Case(
            name=f"{cell}_backward",
            rows=backward,
            function=None,
            kernel=_backward_kernel,
            reference=_backward_reference,
            samples=[_with_dy(s) for s in _samples(cell)],
            bound=_backward_bound,
            draw=_draw,
            takes_out=False,
        ),
    ]


# --- misuse ---------------------------------------------------------------------------------------


def _call(cell: str, **changed: Any) -> Any:
    """A correct call of the public function, T, N, I, H = 4, 2, 3, 5, but for what is changed."""
    z = striate.zeros
    g = GATES[cell] * 5
    h = z(1, 2, 5)
    options: dict[str, Any] = {
        "input": z(4, 2, 3),
        "hx": (h, h) if cell == "lstm" else h,
        "params": [z(g, 3), z(g, 5), z(g), z(g)],
        "has_biases": True,
        "num_layers": 1,
        "dropout": 0.0,
        "train": False,
        "bidirectional": False,
    }
    return getattr(striate.ops, cell)(**{**options, **changed})


def _raw(cell: str, **changed: Any) -> Any:
    """The same of the binding."""
    g = GATES[cell] * 5
    options: dict[str, Any] = {
        "x": np.zeros((4, 2, 3)),
        "w_ih": np.zeros((g, 3)),
        "w_hh": np.zeros((g, 5)),
    }
    return _C.rnn_forward(cell, **{**options, **changed})


def _misuses(cell: str) -> list[Misuse]:
    z = striate.zeros
    g = GATES[cell] * 5
    w = [z(g, 3), z(g, 5), z(g), z(g)]
    sizes = {"x": np.zeros((4, 3))}

    def refused(call: Any, *words: str, error: type[Exception] = ValueError, **changed: Any) -> Any:
        return Misuse(lambda: call(cell, **changed), error, (cell, *words))

    wide = striate.zeros(4, 2, 3, dtype=striate.float64)
    return [
        refused(_call, "input", "3 values", "got 4", input=z(4, 2, 4)),
        refused(_call, "input", "(T, N, I)", "(4, 3)", input=z(4, 3)),
        refused(_call, "at least one step", input=z(0, 2, 3)),
        refused(_call, "one sequence", "(4, 0, 3)", input=z(4, 0, 3)),
        refused(_call, "float32", "float64", error=TypeError, input=wide),
        refused(_call, "hx", error=TypeError, hx=(z(1, 2, 5),) * 3),
        refused(_call, "h_0", "(1, 2, 5)", "(1, 3, 5)", hx=_states_of(cell, z(1, 3, 5))),
        refused(_call, "h_0", "(1, 2, 5)", "(2, 5)", hx=_states_of(cell, z(2, 5))),
        refused(_call, "params", "4 weights", "got 3", params=w[:3]),
        refused(_call, "bias_hh", params=[*w[:3], z(g + 1)]),
        refused(_call, "weight_hh", params=[w[0], z(g, 4), *w[2:]]),
        refused(_call, "weight_ih", params=[z(g + 1, 3), *w[1:]]),
        refused(_raw, "w_hh", "gates", w_hh=np.zeros((g - 1, 5)) if g > 5 else np.zeros((0, 5))),
        refused(_raw, "w_ih", f"({g}, 3)", w_ih=np.zeros((g, 4))),
        refused(_raw, "b_hh", "both biases", b_ih=np.zeros(g)),
        refused(_raw, "x", "(T, N, I)", **sizes),
        refused(_raw, "batch_sizes", "1 at step 1", **sizes, batch_sizes=np.array([4, 1])),
        refused(_raw, "batch_sizes", "2 at step 1", **sizes, batch_sizes=np.array([1, 2, 1])),
        refused(_raw, "batch_sizes", "0 at step 2", **sizes, batch_sizes=np.array([2, 2, 0])),
        refused(_raw, "batch_sizes", "sum of 4", "got 3", **sizes, batch_sizes=np.array([2, 1])),
        refused(_raw, "batch_sizes", "2^62"[:0], **sizes, batch_sizes=np.array([2**62] * 4)),
        refused(_raw, "batch_sizes", "one number a step", **sizes, batch_sizes=np.zeros(0, int)),
        refused(_raw, "int64", "int32", error=TypeError, **sizes,
                batch_sizes=np.array([2, 2], np.int32)),
        refused(_raw, "out", "(4, 2, 5)", out=np.zeros((4, 2, 6))),
        refused(_raw, "h0", "(2, 5)", "(3, 5)", h0=np.zeros((3, 5))),
        *(
            [refused(_call, "c_0", "(1, 2, 5)", "(1, 2, 4)", hx=(z(1, 2, 5), z(1, 2, 4)))]
            if cell == "lstm"
            else [
                refused(_raw, "c0", "LSTM", c0=np.zeros((2, 5))),
                refused(_raw, "w_hr", "LSTM", w_hr=np.zeros((2, 5))),
            ]
        ),
    ]  # fmt: skip


def _states_of(cell: str, h: Tensor) -> Any:
    return (h, striate.zeros(1, 2, 5)) if cell == "lstm" else h


CASES = [case for cell in GATES for case in _cases(cell)]
CASES += [
    Case(
        name="lstm_backward_dx",
        rows=("lstm_cell_bwd_",),
        function=None,
        kernel=_dx_kernel,
        reference=lambda x, dy, *arrays, cell: _dx_reference(x, dy, arrays, cell),
        samples=[_with_dy(s) for s in _samples("lstm", alone=True)[::5]],
        bound=lambda reference, eps, x, *rest, **options: _backward_bound(
            reference, eps, x, *rest, **options
        )[: x.size].reshape(x.shape),
        draw=_draw,
    )
]


def _dx_reference(x: Array, dy: Array, arrays: Any, cell: str) -> Array:
    """dx of sum(dy y) alone."""
    steps = _steps(cell, x, arrays, False)
    dh, dc = np.zeros_like(steps[-1].h), np.zeros_like(steps[-1].c)
    dx = np.zeros(x.shape)
    for t in range(len(steps))[::-1]:
        d = steps[t].gradients(dh + dy[t], dc)
        dx[t], dh, dc = d["x"], d["h0"], d["c0"]
    return dx

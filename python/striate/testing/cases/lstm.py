# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM, GRU and the plain RNN, one layer in one direction."""

from __future__ import annotations

from typing import Any

import numpy as np

import striate
from striate import _C
from striate.tensor import Tensor
from striate.testing.cases.case import Array, Case, Misuse, Sample
from striate.testing.cases.recurrence import GATES, gradients_of, results, steps_of

# Called with a tuple of operands, which type checkers can't count.
_rnn_forward: Any = _C.rnn_forward
_rnn_backward: Any = _C.rnn_backward


def _reference(
    x: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None, **_: Any
) -> Array:
    return results(lambda s: s.h, cell, x, arrays, reverse, sizes)


def _bound(
    reference: Any, eps: float, x: Array, *arrays: Any, cell: str, reverse: bool = False,
    sizes: Any = None, **_: Any,
) -> Any:  # fmt: skip
    """Twice the error to first order, for what is of second."""
    return 2 * eps * results(lambda s: s.e_h, cell, x, arrays, reverse, sizes)


def _kernel(
    x: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None, keep: bool = False,
    out: Any = None,
) -> Array:  # fmt: skip
    numbers = None if sizes is None else np.array(sizes)
    y: Array = _rnn_forward(cell, x, *arrays, numbers, reverse, keep, out=out)[0]
    return y


# --- everything that a layer gives, and all gradients, each as one flat array ---------------------


def _all_reference(x: Array, *arrays: Any, cell: str) -> Array:
    steps = steps_of(cell, x, arrays, False)
    ends = [steps[-1].h, *([steps[-1].c] if cell == "lstm" else [])]
    return np.concatenate([v.ravel() for v in (*(s.h for s in steps), *ends)])


def _all_bound(reference: Any, eps: float, x: Array, *arrays: Any, cell: str) -> Any:
    steps = steps_of(cell, x, arrays, False)
    ends = [steps[-1].e_h, *([steps[-1].e_c] if cell == "lstm" else [])]
    return 2 * eps * np.concatenate([v.ravel() for v in (*(s.e_h for s in steps), *ends)])


def _all_kernel(x: Array, *arrays: Any, cell: str) -> Array:
    given = _rnn_forward(cell, x, *arrays)[:3]
    return np.concatenate([v.ravel() for v in given if v is not None])


def _function(x: Tensor, *tensors: Any, cell: str) -> Tensor:
    w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0 = tensors
    params = [t for t in (w_ih, w_hh, b_ih, b_hh, w_hr) if t is not None]
    states = [h.reshape(1, *h.shape) for h in (h0, c0) if h is not None]
    results = getattr(striate.ops, cell)(
        x, states or None, params, b_ih is not None, 1, 0.0, True, False
    )
    return striate.cat([r.reshape(-1) for r in results])


def _backward_reference(
    x: Array, dy: Array, *arrays: Any, cell: str, reverse: bool = False, sizes: Any = None
) -> Array:
    found, _ = gradients_of(x, dy, arrays, cell, reverse, sizes)
    return np.concatenate([v.ravel() for v in found.values()])


def _backward_bound(
    reference: Any, eps: float, x: Array, dy: Array, *arrays: Any, cell: str,
    reverse: bool = False, sizes: Any = None,
) -> Any:  # fmt: skip
    """By the norm: a step adds a product's error to the gates' gradients and to the gates.

    With D the largest of those gradients, each of T steps errs by the terms of its products, and
    that times what multiplies D afterwards is the error of the sums made of them.
    """
    found, d = gradients_of(x, dy, arrays, cell, reverse, sizes)
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
    y, h_n, c_n, kept = _rnn_forward(cell, x, *arrays, numbers, reverse, True)
    ones = (np.ones_like(h_n), None if c_n is None else np.ones_like(c_n))
    made = _rnn_backward(cell, dy, *ones, x, y, kept, *arrays, numbers, reverse)
    return np.concatenate([v.ravel() for v in made if v is not None])


def _dx_kernel(x: Array, dy: Array, *arrays: Any, out: Any = None, **options: Any) -> Array:
    cell = options["cell"]
    y, _, _, kept = _rnn_forward(cell, x, *arrays, None, False, True)
    dx: Array = _rnn_backward(
        cell, dy, None, None, x, y, kept, *arrays, dweights=False, dstates=False, out=out
    )[0]
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
_LARGE = [(3, 40, 20, 70), (6, 70, 3, 90)]  # for several threads
_PACKED = [(3, 3, 2), (1,), (4, 1, 1, 1), (17, 15, 2, 1), (2, 2, 2)]


def _shapes(
    cell: str,
    size: tuple[int, int, int, int],
    proj: int = 0,
    bias: bool = True,
    state: bool = True,
    packed: Any = None,
) -> tuple[Any, ...]:
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
    ways: list[dict[str, Any]] = [one, one] if alone else [one, {**one, "reverse": True}]
    made = [Sample(_shapes(cell, s), ways[i % 2]) for i, s in enumerate(_SIZES)]
    made += [Sample(_shapes(cell, s, bias=False, state=False), ways[1]) for s in _SIZES[4:12:2]]
    made += [Sample(_shapes(cell, s, state=False), ways[0]) for s in _SIZES[5:12:2]]
    if cell == "lstm":
        projected = enumerate(_SIZES[1:])
        made += [Sample(_shapes(cell, s, max(1, s[3] // 2)), ways[i % 2]) for i, s in projected]
    if not alone:
        made += [
            Sample(_shapes(cell, (0, 0, 5, h), 0, state, state, packed), {**w, "sizes": packed})
            for packed in _PACKED
            for h, state, w in ((6, True, ways[0]), (35, False, ways[1]), (9, True, ways[1]))
        ]
    return [*made, *(Sample(_shapes(cell, s), w) for s, w in zip(_LARGE, ways, strict=True))]


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
    return _rnn_forward(cell, **{**options, **changed})


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
        refused(_call, "h_0", "(1, 0, 5)", "(1, 2, 5)", input=z(4, 0, 3)),
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
        refused(_raw, "batch_sizes", "at step 0", **sizes, batch_sizes=np.array([2**62] * 4)),
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


def _few_rows_samples(cell: str) -> list[Sample]:
    """Up to four sequences: of one step, or with sums long enough for weights in place."""
    sizes = [(1, n, 3 + n, h) for n, h in ((1, 5), (2, 8), (3, 15), (4, 17), (1, 33), (4, 1))]
    sizes += [(3, n, 2 * n, 62 + 2 * n) for n in (1, 2, 3, 4)]
    ways: list[dict[str, Any]] = [{"cell": cell}, {"cell": cell, "reverse": True}]
    made = [Sample(_shapes(cell, s), ways[i % 2]) for i, s in enumerate(sizes)]
    made += [Sample(_shapes(cell, (2, 1, 1, 250), bias=False), ways[0])]
    made += [
        Sample(_shapes(cell, (0, 0, 5, 67), packed=p), {**ways[1], "sizes": p}) for p in _PACKED
    ]
    if cell == "lstm":
        made += [Sample(_shapes(cell, (3, 2, 5, 70), 65), ways[0])]
    return made


CASES = [case for cell in GATES for case in _cases(cell)]
CASES += [
    Case(
        name=f"{cell}_few_rows",
        rows=("dot_",),
        function=None,
        kernel=_kernel,
        reference=_reference,
        samples=_few_rows_samples(cell),
        bound=_bound,
        draw=_draw,
    )
    for cell in GATES
]
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
    steps = steps_of(cell, x, arrays, False)
    dh, dc = np.zeros_like(steps[-1].h), np.zeros_like(steps[-1].c)
    dx = np.zeros(x.shape)
    for t in range(len(steps))[::-1]:
        d = steps[t].gradients(dh + dy[t], dc)
        dx[t], dh, dc = d["x"], d["h0"], d["c0"]
    return dx

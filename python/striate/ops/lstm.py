# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM, GRU and the plain RNN, over whole sequences and a step at a time.

A record is one layer, in one direction or both; forward and backward through time are one call of
the bindings each, a direction. The equations are in `csrc/ops/lstm/lstm.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from striate import _C
from striate.arrays import in_c_order
from striate.autograd import Node
from striate.explain import explained
from striate.ops.arithmetic import rounded, same_dtype
from striate.ops.dropout import dropout as drop
from striate.ops.joining import cat
from striate.ops.record import Op, op
from striate.ops.shape import transpose
from striate.precision import narrows
from striate.tensor import Array, Tensor

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _weights(
    weights: Sequence[Array], biased: bool, projected: bool
) -> tuple[Array, Array, Array | None, Array | None, Array | None]:
    """(w_ih, w_hh, b_ih, b_hh, w_hr) of a direction, None for what it lacks."""
    b_ih, b_hh = (weights[2], weights[3]) if biased else (None, None)
    return weights[0], weights[1], b_ih, b_hh, weights[-1] if projected else None


def _layer_forward(
    cell: str,
    ctx: Node,
    x: Array,
    *operands: Array,
    directions: int,
    states: int,
    biased: bool,
    projected: bool,
    batch_sizes: tuple[int, ...] | None,
) -> tuple[Array, ...]:
    """(y, h_n), and c_n of an LSTM; one binding call a direction."""
    x, sizes = in_c_order(x), None if batch_sizes is None else np.array(batch_sizes, np.int64)
    given, weights = operands[:states], operands[states:]
    keep, per = any(ctx.needs), len(weights) // directions
    out = None
    if directions == 2:
        width = weights[per - 1].shape[0] if projected else weights[1].shape[1]
        out = np.empty_like(x, shape=(*x.shape[:-1], 2 * width))
    ends: list[Any] = []
    memories: list[Any] = []
    kept: list[Any] = []
    for d in range(directions):
        own = _weights(weights[d * per : (d + 1) * per], biased, projected)
        h0, c0 = (given[i][d] if i < states else None for i in range(2))
        part = None if out is None else out[..., d * width : (d + 1) * width]
        y, h_n, c_n, saved = _C.rnn_forward(cell, x, *own, h0, c0, sizes, d == 1, keep, out=part)
        ends.append(h_n)
        memories.append(c_n)
        kept.append(saved)
    y = y if out is None else out
    ctx.save(x, y, *operands, kept, (directions, states, biased, projected, sizes))
    stacked = [np.stack(ends), np.stack(memories)] if cell == "lstm" else [np.stack(ends)]
    return (y, *stacked)


def _layer_backward(cell: str, ctx: Node, *grads: Array | None) -> Any:
    """The gradients of all operands; that of x is added up over the directions."""
    x, y, *operands, kept, options = ctx.saved
    directions, states, biased, projected, batch_sizes = options
    given, weights = operands[:states], operands[states:]
    needs, per = ctx.needs, len(weights) // directions
    dy, dh_n, dc_n = (*grads, None)[:3]
    width = y.shape[-1] // directions
    dx = None
    dstates: list[list[Any]] = []
    dweights: list[Any] = []
    for d in range(directions):
        own = _weights(weights[d * per : (d + 1) * per], biased, projected)
        h0, c0 = (given[i][d] if i < states else None for i in range(2))
        part = slice(d * width, (d + 1) * width)
        dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0 = _C.rnn_backward(
            cell,
            None if dy is None else dy[..., part],
            None if dh_n is None else dh_n[d],
            None if dc_n is None else dc_n[d],
            x,
            y[..., part],
            kept[d],
            *own,
            h0,
            c0,
            batch_sizes,
            d == 1,
            dx=needs[0],
            dweights=any(needs[1 + states :]),
            dstates=any(needs[1 : 1 + states]),
            beta=0.0 if dx is None else 1.0,
            out=dx,
        )
        dstates.append([dh0, dc0])
        biases = [db_ih, db_hh] if biased else []
        dweights += [dw_ih, dw_hh, *biases, *([dw_hr] if projected else [])]
    stacked = [
        np.stack([s[i] for s in dstates]) if any(needs[1 : 1 + states]) else None
        for i in range(states)
    ]
    return (dx, *stacked, *dweights)


def _layer_record(cell: str) -> Op:
    """One layer. Operands: x, the initial states given (h0, then c0), the weights by direction."""
    results = "(T, N, D P), (D, N, P)" + (", (D, N, H)" if cell == "lstm" else "")
    record = op(f"(T, N, I), ... -> {results}", name=cell)(partial(_layer_forward, cell))
    record.backward(partial(_layer_backward, cell))
    return record


def _cell_record(cell: str) -> Op:
    """One step. Operands: x, h, c (LSTM), the weights, the biases."""
    states = 2 if cell == "lstm" else 1
    results = "(N, H), (N, H)" if cell == "lstm" else "(N, H)"

    def forward(ctx: Node, x: Array, *operands: Array) -> Any:
        x = in_c_order(x)[None]
        h0, c0 = (*operands[:states], None)[:2]
        own = _weights(operands[states:], len(operands) == states + 4, False)
        y, _, c_n, kept = _C.rnn_forward(cell, x, *own, h0, c0, None, False, any(ctx.needs))
        h = y[0]
        ctx.save(x, h, *operands, kept)
        return (h, c_n) if states == 2 else h

    def backward(ctx: Node, dh: Array | None, dc: Array | None = None) -> Any:
        x, h, *operands, kept = ctx.saved
        h0, c0 = (*operands[:states], None)[:2]
        biased = len(operands) == states + 4
        own = _weights(operands[states:], biased, False)
        dx, dw_ih, dw_hh, db_ih, db_hh, _, dh0, dc0 = _C.rnn_backward(
            cell,
            None if dh is None else dh[None],
            None,
            dc,
            x,
            h[None],
            kept,
            *own,
            h0,
            c0,
            dx=ctx.needs[0],
            dweights=any(ctx.needs[1 + states :]),
            dstates=any(ctx.needs[1 : 1 + states]),
        )
        dx = None if dx is None else dx[0]
        return (dx, *(dh0, dc0)[:states], dw_ih, dw_hh, *((db_ih, db_hh) if biased else ()))

    record = op(f"(N, I), (N, H), ... -> {results}", name=f"{cell}_cell")(forward)
    record.backward(backward)
    return record


_LAYERS = {cell: _layer_record(cell) for cell in GATES}
_CELLS = {cell: _cell_record(cell) for cell in GATES}


# --- checks ---------------------------------------------------------------------------------------


def _check_dtypes(name: str, input: Any, params: Sequence[Any], states: Sequence[Tensor]) -> None:
    """TypeError unless all are tensors of one floating dtype; quick where they are."""
    if isinstance(input, Tensor) and input._array.dtype.kind == "f":
        dtype = input._array.dtype
        if all(isinstance(t, Tensor) and t._array.dtype == dtype for t in (*params, *states)):
            return
    named: dict[str, Any] = {"input": input}
    named |= {f"params[{i}]": p for i, p in enumerate(params)}
    named |= {f"hx[{i}]": h for i, h in enumerate(states)}
    same_dtype(name, named)


def _expect(name: str, argument: str, t: Tensor, shape: tuple[int, ...], why: str = "") -> None:
    if t.shape != shape:
        raise ValueError(f"{name}: {argument}: expected shape {shape}{why}, got {t.shape}")


def _states(name: str, hx: Any, count: int, argument: str = "hx") -> tuple[Tensor, ...]:
    """The initial states as a tuple: (h, c) of an LSTM, (h,) of the others, () for None."""
    if hx is None:
        return ()
    given = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    if len(given) != count or not all(isinstance(h, Tensor) for h in given):
        wanted = "a pair of tensors (h_0, c_0)" if count == 2 else "a tensor h_0"
        kinds = ", ".join(type(h).__name__ for h in given)
        raise TypeError(f"{name}: {argument}: expected {wanted}, got ({kinds})")
    return given


def _check_weights(
    name: str, cell: str, weights: Sequence[Tensor], biased: bool, projected: bool, inputs: int
) -> tuple[int, int]:
    """(H, P) of one direction, whose weights fit each other and `inputs` values a step."""
    w_ih, w_hh = weights[:2]
    if w_hh.ndim != 2 or w_hh.shape[0] == 0 or w_hh.shape[0] % GATES[cell]:
        raise ValueError(
            f"{name}: weight_hh: expected ({GATES[cell]} * hidden, hidden), got {w_hh.shape}"
        )
    gates = w_hh.shape[0]
    hidden = gates // GATES[cell]
    output = hidden
    if projected:
        output = weights[-1].shape[0] if weights[-1].ndim else 0
        _expect(name, "weight_hr", weights[-1], (output, hidden))
    _expect(name, "weight_hh", w_hh, (gates, output))
    if w_ih.ndim != 2 or w_ih.shape[0] != gates:
        raise ValueError(f"{name}: weight_ih: expected ({gates}, input size), got {w_ih.shape}")
    if w_ih.shape[1] != inputs:
        raise ValueError(
            f"{name}: input: expected {w_ih.shape[1]} values a step (the input size), got {inputs}"
        )
    if biased:
        _expect(name, "bias_ih", weights[2], (gates,))
        _expect(name, "bias_hh", weights[3], (gates,))
    return hidden, output


def _weights_per(name: str, cell: str, params: Sequence[Tensor], biased: bool, count: int) -> int:
    """How many weights a direction of a layer has: w_ih, w_hh, the biases, w_hr."""
    least = 4 if biased else 2
    per = len(params) // count
    if len(params) != per * count or per not in (
        (least, least + 1) if cell == "lstm" else (least,)
    ):
        raise ValueError(
            f"{name}: params: expected {least * count} weights for {count} layers and directions "
            f"({'with' if biased else 'without'} biases), got {len(params)}"
        )
    return per


# --- sequences ------------------------------------------------------------------------------------


def _check_steps(cell: str, input: Tensor, rank: int, batch_first: bool) -> None:
    """Raises ValueError unless input has the rank of sequences, and at least one step."""
    if input.ndim != rank:
        expected = "(T, N, I)" if rank == 3 else "packed rows (R, I)"
        expected = "(N, T, I)" if batch_first and rank == 3 else expected
        raise ValueError(f"{cell}: input: expected {expected}, got shape {input.shape}")
    if input.shape[1 if batch_first and rank == 3 else 0] == 0:
        raise ValueError(f"{cell}: input: expected at least one step, got shape {input.shape}")


def _sequence(
    cell: str,
    input: Tensor,
    hx: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    batch_sizes: Any,
) -> tuple[Tensor, ...]:
    directions = 2 if bidirectional else 1
    has_c = cell == "lstm"
    given = _states(cell, hx, 2 if has_c else 1)
    _check_dtypes(cell, input, params, given)
    rank = 3 if batch_sizes is None else 2
    _check_steps(cell, input, rank, batch_first)
    per = _weights_per(cell, cell, params, has_biases, num_layers * directions)
    projected = per > (4 if has_biases else 2)
    x = transpose(input, 0, 1) if batch_first and rank == 3 else input
    sizes = None if batch_sizes is None else np.ascontiguousarray(batch_sizes, np.int64)
    batch = x.shape[1] if sizes is None else int(sizes[0]) if sizes.size else 0
    ends: list[tuple[Tensor, ...]] = []
    for layer in range(num_layers):
        at = layer * directions * per
        weights = params[at : at + directions * per]
        for d in range(directions):
            own = weights[d * per : (d + 1) * per]
            hidden, output = _check_weights(cell, cell, own, has_biases, projected, x.shape[-1])
        if layer == 0:
            for h, n, what in zip(given, (output, hidden), ("h_0", "c_0"), strict=False):
                shape = (num_layers * directions, batch, n)
                _expect(cell, f"hx: {what}", h, shape, " (layers * directions, batch, size)")
        first = layer * directions
        if narrows(x.dtype):  # autocast: the operands of the products
            x, weights = rounded(x), [rounded(w) if w.ndim == 2 else w for w in weights]
        states = [h if num_layers == 1 else h[first : first + directions] for h in given]
        x, *last = _LAYERS[cell](
            x,
            *states,
            *weights,
            directions=directions,
            states=len(states),
            biased=has_biases,
            projected=projected,
            batch_sizes=None if sizes is None else tuple(sizes.tolist()),
        )
        ends.append(tuple(last))
        if dropout > 0 and train and layer + 1 < num_layers:
            x = drop(x, dropout, True)
    joined = ends[0] if num_layers == 1 else tuple(cat(h) for h in zip(*ends, strict=True))
    if batch_first and rank == 3:
        x = transpose(x, 0, 1)
    return (x, *joined)


def _sequence_function(cell: str, doc: str) -> Callable[..., tuple[Tensor, ...]]:
    def function(
        input: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool = False,
        *,
        batch_sizes: Any = None,
    ) -> tuple[Tensor, ...]:
        return _sequence(
            cell,
            input,
            hx,
            params,
            has_biases,
            num_layers,
            dropout,
            train,
            bidirectional,
            batch_first,
            batch_sizes,
        )

    state = "(h_0, c_0)" if cell == "lstm" else "h_0"
    ends = "output, h_n, c_n" if cell == "lstm" else "output, h_n"
    function.__name__ = function.__qualname__ = cell
    function.__doc__ = f"""{doc}

    input (T, N, I), or (N, T, I) with `batch_first` -> ({ends}): output (T, N, D P), h_n
    (L D, N, P){" and c_n (L D, N, H)" if cell == "lstm" else ""} for L layers and D directions.
    `hx` is {state} of those shapes, None for zeros. `params` are, by layer and direction, w_ih
    ({GATES[cell]} H, I), w_hh ({GATES[cell]} H, P), with `has_biases` b_ih and b_hh
    ({GATES[cell]} H,){", and w_hr (P, H) with a projection" if cell == "lstm" else ""}. Dropout is
    applied between layers when `train` is set. With `batch_sizes`, one a step and never growing,
    input and output are packed rows (R, I) and (R, D P), as `nn.utils.rnn.pack_padded_sequence`
    makes them.

    Raises ValueError where shapes do not fit, TypeError where dtypes differ."""
    return explained(function)


lstm = _sequence_function(
    "lstm",
    "Long short-term memory (Hochreiter and Schmidhuber 1997), gates in the order i, f, g, o.",
)
gru = _sequence_function("gru", "Gated recurrent units (Cho et al. 2014), gates r, z, n.")
rnn_tanh = _sequence_function("rnn_tanh", "Elman's network (1990) with tanh.")
rnn_relu = _sequence_function("rnn_relu", "Elman's network (1990) with relu.")


# --- cells ----------------------------------------------------------------------------------------


def _step(
    cell: str,
    input: Tensor,
    hx: Any,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> Any:
    name = f"{cell}_cell"
    given = _states(name, hx, 2 if cell == "lstm" else 1)
    if not given:
        raise TypeError(f"{name}: hx: expected the state before this step, got None")
    if (b_ih is None) != (b_hh is None):
        raise TypeError(f"{name}: b_hh: expected both biases or none, got one")
    biases = () if b_ih is None or b_hh is None else (b_ih, b_hh)
    weights = (w_ih, w_hh, *biases)
    names = ("input", *("hx[0]", "hx[1]")[: len(given)], "w_ih", "w_hh", "b_ih", "b_hh")
    same_dtype(name, dict(zip(names, (input, *given, *weights), strict=False)))
    if input.ndim != 2:
        raise ValueError(f"{name}: input: expected (N, I), got shape {input.shape}")
    hidden, _ = _check_weights(name, cell, weights, bool(biases), False, input.shape[1])
    for h, what in zip(given, ("h", "c"), strict=False):
        _expect(name, f"hx: {what}", h, (input.shape[0], hidden), " (batch, hidden)")
    return _CELLS[cell](input, *given, *weights)


def _cell_function(cell: str) -> Callable[..., Any]:
    def function(
        input: Tensor,
        hx: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        return _step(cell, input, hx, w_ih, w_hh, b_ih, b_hh)

    pair = cell == "lstm"
    function.__name__ = function.__qualname__ = f"{cell}_cell"
    function.__doc__ = f"""One step of `{cell}`: input (N, I), hx {"(h, c)" if pair else "h"} (N, H)
    -> {"(h, c)" if pair else "h"}."""
    return function


lstm_cell = _cell_function("lstm")
gru_cell = _cell_function("gru")
rnn_tanh_cell = _cell_function("rnn_tanh")
rnn_relu_cell = _cell_function("rnn_relu")

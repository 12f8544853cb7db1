# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers and cells: LSTM, GRU and the plain RNN."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from striate import ops
from striate.nn import init
from striate.nn.arguments import choice, flag, integer, number, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from striate.ops.lstm import GATES
from striate.ops.sequence import permuted
from striate.tensor import Tensor

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
]

State = Any  # a tensor, or the pair (h, c) of an LSTM


class _Recurrent(Module):
    """What layers and cells share: sizes, and weights drawn from U(-b, b), b = 1 / sqrt(H)."""

    hidden_size: int

    def _add(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        parameter = Parameter(uninitialised(type(self).__name__, shape, dtype))
        self.register_parameter(name, parameter)

    def reset_parameters(self) -> None:
        """Draws all weights and biases anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class RNNBase(_Recurrent):
    """Base class of LSTM, GRU and RNN; `mode` is "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".

    Parameters by layer k, with suffix `_reverse` for the backward direction: weight_ih_l{k}
    (G H, I, or D P after the first layer), weight_hh_l{k} (G H, P), bias_ih_l{k} and bias_hh_l{k}
    (G H,), weight_hr_l{k} (P, H), for G gates, D directions, P = proj_size or else H.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        choice(name, "mode", mode, ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"))
        self.mode = mode
        self.input_size = integer(name, "input_size", input_size)
        self.hidden_size = integer(name, "hidden_size", hidden_size)
        self.num_layers = integer(name, "num_layers", num_layers)
        self.bias = flag(name, "bias", bias)
        self.batch_first = flag(name, "batch_first", batch_first)
        self.dropout = number(name, "dropout", dropout, 0.0, 1.0)
        self.bidirectional = flag(name, "bidirectional", bidirectional)
        self.proj_size = integer(name, "proj_size", proj_size, least=0)
        if self.proj_size and mode != "LSTM":
            refuse(name, "proj_size", "0: only an LSTM has a projection", proj_size)
        if self.proj_size >= self.hidden_size:
            refuse(name, "proj_size", f"less than hidden_size = {hidden_size}", proj_size)
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                f"{name}: dropout comes between layers, and there is one: dropout={dropout} does "
                "nothing with num_layers=1",
                stacklevel=2,
            )
        self._names: list[str] = []
        self._build(floating(dtype))
        self.reset_parameters()

    def _build(self, dtype: np.dtype[Any]) -> None:
        gates = GATES[self.mode.lower()] * self.hidden_size
        output = self.proj_size or self.hidden_size
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else output * directions
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, width),
                    "weight_hh": (gates, output),
                }
                if self.bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, self.hidden_size)
                for part, shape in shapes.items():
                    name = f"{part}_l{layer}{suffix}"
                    self._add(name, shape, dtype)
                    self._names.append(name)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        flat = [getattr(self, name) for name in self._names]
        per = len(flat) // (self.num_layers * (2 if self.bidirectional else 1))
        return [flat[i : i + per] for i in range(0, len(flat), per)]

    def flatten_parameters(self) -> None:
        """Does nothing: weights are packed once a sequence, wherever they lie."""

    def _run(
        self, input: Tensor, hx: State, batch_first: bool, batch_sizes: Any = None
    ) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = getattr(ops, self.mode.lower())(
            input,
            hx,
            [getattr(self, name) for name in self._names],
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            batch_first,
            batch_sizes=batch_sizes,
        )
        return outputs

    def _state(self, parts: Sequence[Tensor]) -> State:
        return tuple(parts) if self.mode == "LSTM" else parts[0]

    def _parts(self, hx: State) -> tuple[Tensor, ...] | None:
        """The tensors of an initial state, which the operation checks."""
        if hx is None:
            return None
        return tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)

    def _packed(self, input: PackedSequence, hx: State) -> tuple[PackedSequence, State]:
        data, sizes, order, back = input
        given = self._parts(hx)
        if given is not None and order is not None:
            batch = int(sizes._array[0])
            if any(h.ndim != 3 or h.shape[1] != batch for h in given):
                shapes = ", ".join(str(h.shape) for h in given)
                refuse(
                    self.mode.lower(), "hx", f"(layers * directions, {batch}, size)", f"{shapes}"
                )
            given = tuple(permuted(h, order=order._array) for h in given)
        y, *ends = self._run(data, given, False, sizes._array)
        if back is not None:
            ends = [permuted(h, order=back._array) for h in ends]
        return PackedSequence(y, sizes, order, back), self._state(ends)

    def forward(self, input: Any, hx: State = None, lengths: Any = None) -> tuple[Any, State]:
        """(output, h_n), or (output, (h_n, c_n)) of an LSTM.

        input (T, N, I), (N, T, I) with `batch_first`, (T, I) for a single sequence, or a
        `PackedSequence`, which the output is then too. `hx` is h_0, or (h_0, c_0), of shape
        (L D, N, size); zeros without it. `lengths`, one integer a sequence from 1 to T, ends each
        early: its output is 0 from there on, its final state is the one at its end, and the
        backward direction begins there.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                refuse(self.mode.lower(), "lengths", "None with a PackedSequence", "lengths")
            return self._packed(input, hx)
        if lengths is not None:
            return self._padded(input, hx, lengths)
        if isinstance(input, Tensor) and input.ndim == 2:
            return self._single(input, hx)
        y, *ends = self._run(input, hx, self.batch_first)
        return y, self._state(ends)

    def _single(self, input: Tensor, hx: State) -> tuple[Tensor, State]:
        given = self._parts(hx)
        if given is not None:
            if any(h.ndim != 2 for h in given):
                shapes = ", ".join(str(h.shape) for h in given)
                refuse(
                    self.mode.lower(),
                    "hx",
                    "(layers * directions, size), as input (T, I) has no batch",
                    shapes,
                )
            given = tuple(h.unsqueeze(1) for h in given)
        y, *ends = self._run(input.unsqueeze(1), given, False)
        return y.squeeze(1), self._state([h.squeeze(1) for h in ends])

    def _padded(self, input: Tensor, hx: State, lengths: Any) -> tuple[Tensor, State]:
        if not isinstance(input, Tensor) or input.ndim != 3:
            got = f"shape {input.shape}" if isinstance(input, Tensor) else type(input).__name__
            refuse(self.mode.lower(), "input", "rank 3 where lengths are given", got)
        packed = pack_padded_sequence(input, lengths, self.batch_first, enforce_sorted=False)
        y, state = self._packed(packed, hx)
        steps = input.shape[1 if self.batch_first else 0]
        return pad_packed_sequence(y, self.batch_first, total_length=steps)[0], state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        shown = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, usual in shown.items():
            value = getattr(self, name)
            if value != usual:
                text += f", {name}={value}"
        return text


class LSTM(RNNBase):
    """Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997).

    i, f, o = sigmoid and g = tanh of W_i{ifgo} x + b_i{ifgo} + W_h{ifgo} h' + b_h{ifgo};
    c = f c' + i g; h = o tanh(c), or W_hr (o tanh(c)) with `proj_size` (Sak et al. 2014).

    `bidirectional` adds a direction from the end, whose results stand beside the first's;
    `dropout` is applied to what one of several layers gives the next, in training.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            dtype,
        )


class GRU(RNNBase):
    """Gated recurrent units over a sequence (Cho et al. 2014).

    r, z = sigmoid of W_i{rz} x + b_i{rz} + W_h{rz} h' + b_h{rz};
    n = tanh(W_in x + b_in + r (W_hn h' + b_hn)); h = (1 - z) n + z h'.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
        )


class RNN(RNNBase):
    """The plain recurrent network (Elman 1990): h = f(W_ih x + b_ih + W_hh h' + b_hh).

    `nonlinearity` f is "tanh" or "relu".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:
        choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity


class RNNCellBase(_Recurrent):
    """Base class of the cells: one step, weight_ih (G H, I), weight_hh (G H, H) and biases."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None
    cell: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, dtype: Any = None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = integer(name, "input_size", input_size)
        self.hidden_size = integer(name, "hidden_size", hidden_size)
        self.bias = flag(name, "bias", bias)
        gates, wanted = num_chunks * self.hidden_size, floating(dtype)
        self._add("weight_ih", (gates, self.input_size), wanted)
        self._add("weight_hh", (gates, self.hidden_size), wanted)
        for part in ("bias_ih", "bias_hh"):
            if self.bias:
                self._add(part, (gates,), wanted)
            else:
                self.register_parameter(part, None)
        self.reset_parameters()

    def _step(self, input: Tensor, hx: State) -> State:
        """The state after a step on (N, I), or (I,) for a single sequence; zeros before it."""
        if not isinstance(input, Tensor):
            raise TypeError(f"{self.cell}: input: expected a Tensor, got {type(input).__name__}")
        if input.ndim not in (1, 2):
            refuse(self.cell, "input", "(N, I) or (I,)", f"shape {input.shape}")
        single = input.ndim == 1
        x = input.unsqueeze(0) if single else input
        if hx is None:
            zeros = Tensor._wrap(np.zeros((x.shape[0], self.hidden_size), x.dtype))
            hx = (zeros, zeros) if self.cell == "lstm_cell" else zeros
        elif single:
            given = hx if isinstance(hx, (tuple, list)) else (hx,)
            hx = tuple(h.unsqueeze(0) if isinstance(h, Tensor) else h for h in given)
        run = getattr(ops, self.cell)
        out = run(x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if not single:
            return out
        return tuple(h.squeeze(0) for h in out) if isinstance(out, tuple) else out.squeeze(0)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += ", bias=False"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += ", nonlinearity=relu"
        return text


class LSTMCell(RNNCellBase):
    """A step of an `LSTM`: input (N, I), hx (h, c) each (N, H) -> (h, c)."""

    cell = "lstm_cell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = self._step(input, hx)
        return h, c


class GRUCell(RNNCellBase):
    """A step of a `GRU`: input (N, I), hx (N, H) -> h (N, H)."""

    cell = "gru_cell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        out: Tensor = self._step(input, hx)
        return out


class RNNCell(RNNCellBase):
    """A step of an `RNN`: input (N, I), hx (N, H) -> h (N, H)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = None,
    ) -> None:
        self_cell = choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, bias, 1, dtype)
        self.nonlinearity = nonlinearity
        self.cell = f"rnn_{self_cell}_cell"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        out: Tensor = self._step(input, hx)
        return out

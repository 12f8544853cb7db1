# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of recurrent cells, on the CPU (tests/cuda_shim), against float64 NumPy."""

import cuda_on_cpu
import numpy as np
import pytest
from cuda_memory import DTYPES, SIDES, Memory

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
SHAPES = [(1, 1), (3, 5), (2, 33), (5, 130), (7, 64)]  # rows, units
GATES = {"lstm": 4, "gru": 4, "rnn_tanh": 1, "rnn_relu": 1}  # places in a row


def fields(*names):
    """rows, units, gate, then Rows: an address and a stride each."""
    return "rows:l units:l gate:l " + " ".join(f"{n}:p {n}_row:l" for n in names)


FORWARD = fields("gates", "c", "c_kept", "h", "out", "out2")
BACKWARD = fields("gates", "h", "dy", "dh", "dc", "dgates")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(cell, gates, c, h):
    """The gates' values, the new c, the result."""
    if cell == "lstm":
        i, f, o = (sigmoid(gates[k]) for k in (0, 1, 3))
        g = np.tanh(gates[2])
        new = f * c + i * g
        return [i, f, g, o], new, o * np.tanh(new)
    if cell == "gru":
        r, z = sigmoid(gates[0]), sigmoid(gates[1])
        n = np.tanh(gates[2] + r * gates[3])
        return [r, z, n, gates[3]], None, n + z * (h - n)
    return gates, None, np.tanh(gates[0]) if cell == "rnn_tanh" else np.maximum(gates[0], 0)


def backward(cell, values, c, h, dh, dc):
    """The gates' gradients, and what goes on to the step before: by dh and dc."""
    if cell == "lstm":
        i, f, g, o = values
        t = np.tanh(f * c + i * g)
        dc = dc + dh * o * (1 - t * t)
        slopes = [i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)]
        return [d * s for d, s in zip((dc * g, dc * c, dc * i, dh * t), slopes, strict=True)], (
            None,
            dc * f,
        )
    if cell == "gru":
        r, z, n, n_h = values
        dn = dh * (1 - z) * (1 - n * n)
        return [dn * n_h * r * (1 - r), dh * (h - n) * z * (1 - z), dn, dn * r], (dh * z, None)
    return [dh * (1 - h * h) if cell == "rnn_tanh" else dh * (h > 0)], (None, None)


class Cell:
    """Rows of gates with a gap behind each, and states."""

    def __init__(self, cell, dtype, rows, units, trial):
        self.cell, self.dtype = cell, dtype
        self.memory = m = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        self.rows, self.units, self.gap = rows, units, trial % 3
        self.places = GATES[cell] + (cell == "lstm")  # lstm keeps c' behind its gates
        self.wide = self.places * units + self.gap
        self.gates = m.draw(rows, self.wide)
        self.gates *= 3
        self.c, self.h, self.dy, self.dh, self.dc = (m.draw(rows, units) for _ in range(5))

    def split(self, gates, count):
        whole = gates.astype("f8")
        return [whole[:, k * self.units : (k + 1) * self.units] for k in range(count)]

    def launch(self, which, layout, given, made):
        values = {"rows": self.rows, "units": self.units, "gate": self.units}
        for name, array in given.items():
            values[name], values[f"{name}_row"] = array, array.shape[1]
        if which == "fwd" and "c_kept" in given:  # the fifth place of a row of gates
            values["c_kept"] = self.gates.ctypes.data + 4 * self.units * self.gates.itemsize
        name = f"{self.cell}_cell_{which}_{self.dtype}_cuda"
        self.memory.launch("lstm/lstm", name, 2, 256, layout, values, made)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", GATES)
def test_forward(cell, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, (rows, units) in enumerate(SHAPES):
        t = Cell(cell, dtype, rows, units, trial)
        before, count = t.gates.copy(), GATES[cell]
        c, h = t.c.astype("f8"), t.h.astype("f8")
        values, new_c, want = forward(cell, t.split(t.gates, count), c, h)
        out, twice = t.memory.empty(rows, units), t.memory.empty(rows, units + 3)
        keeps = cell != "lstm" or trial % 2
        given = {"gates": t.gates, "c": t.c, "h": t.h, "out": out, "out2": twice}
        if keeps and cell == "lstm":
            given["c_kept"] = t.gates
        t.launch("fwd", FORWARD, given, [t.gates, t.c, out, twice])
        size = 1 + np.abs(c) + np.abs(h)
        assert np.all(np.abs(out - want) <= 12 * eps * size * 3)
        np.testing.assert_array_equal(twice[:, :units], out)
        assert np.isnan(twice[:, units:]).all()
        if cell == "lstm":
            assert np.all(np.abs(t.c - new_c) <= 12 * eps * size)
        if not keeps or cell.startswith("rnn"):
            np.testing.assert_array_equal(t.gates, before)
            continue
        for got, value in zip(t.split(t.gates, count), values, strict=True):
            assert np.all(np.abs(got - value) <= 12 * eps * 8)
        if cell == "lstm":
            np.testing.assert_array_equal(t.gates[:, 4 * units : 5 * units], c)
        np.testing.assert_array_equal(t.gates[:, t.places * units :], before[:, t.places * units :])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", GATES)
def test_backward(cell, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, (rows, units) in enumerate(SHAPES):
        t = Cell(cell, dtype, rows, units, trial)
        count = GATES[cell]
        kept = t.memory.put(np.tanh(t.gates))  # as good as any values of gates
        dgates = t.memory.empty(rows, count * units + 2)
        given = {"gates": kept, "h": t.h, "dh": t.dh, "dc": t.dc, "dgates": dgates}
        c = t.split(kept, 5)[4] if cell == "lstm" else None
        h, dh, dc = (a.astype("f8") for a in (t.h, t.dh, t.dc))
        if trial % 2:
            given["dy"] = t.dy
            dh = dh + t.dy
        values = t.split(kept, count)
        want, (passed, passed_c) = backward(cell, values, c, h, dh, dc)
        t.launch("bwd", BACKWARD, given, [dgates, t.dh, t.dc])
        size = 64 * eps * (1 + np.abs(dh)) * (1 + np.abs(h)) * (1 + np.abs(dc))
        for got, value in zip(t.split(dgates, count), want, strict=True):
            assert np.all(np.abs(got - value) <= size)
        assert np.isnan(dgates[:, count * units :]).all()
        if passed is not None:
            assert np.all(np.abs(t.dh - passed) <= size)
        if passed_c is not None:
            assert np.all(np.abs(t.dc - passed_c) <= size)


def test_saturated_gates_are_finite():
    """Gates of any size give sigmoid's and tanh's limits."""
    t = Cell("lstm", "f32", 2, 4, 0)
    t.gates[0], t.gates[1] = 1e30, -1e30
    c = t.c.copy()
    out = t.memory.empty(2, 4)
    given = {"gates": t.gates, "c": t.c, "h": t.h, "out": out}
    t.launch("fwd", FORWARD, given, [t.c, out])
    np.testing.assert_allclose(t.c[0], c[0] + 1, 1e-6)
    np.testing.assert_array_equal(t.c[1], 0)

# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of resampling, padding, local response norm and PReLU, on the CPU
(tests/cuda_shim), against float64 NumPy."""

import cuda_on_cpu
import numpy as np
import pytest
from cuda_memory import DTYPES, SIDES, Memory
from cuda_on_cpu import Divisor

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")

# --- resampling ----------------------------------------------------------------------------------

AXIS = "begin{0}:p at{0}:p weight{0}:p in{0}:i out{0}:D "
RESAMPLE = "x:p y:p " + "".join(AXIS.format(i) for i in range(3)) + "channels:i packs:D count:i"


def drawn_axis(rng, size, outputs):
    """A matrix with none to four entries a row, as (begin, at, weight) and dense."""
    counts = rng.integers(0, 5, outputs)
    begin = np.concatenate([[0], np.cumsum(counts)])
    at, weight = rng.integers(0, size, begin[-1]), rng.standard_normal(begin[-1])
    dense = np.zeros((outputs, size))
    np.add.at(dense, (np.repeat(np.arange(outputs), counts), at), weight)
    return (begin, at, weight), dense


@pytest.mark.parametrize("dtype", DTYPES)
def test_interpolate(dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    shapes = [
        (1, (1, 1, 1), (1, 1, 1), 1),
        (2, (1, 3, 5), (1, 4, 2), 3),
        (1, (2, 3, 4), (5, 2, 7), 9),
    ]
    for trial, (images, size, made, channels) in enumerate(shapes):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, y = memory.draw(images, *size, channels), memory.empty(images, *made, channels)
        packs = -(-channels * x.itemsize // 16)
        values = {"x": x, "y": y, "channels": channels, "packs": Divisor.of(packs)}
        values["count"] = images * int(np.prod(made)) * packs
        want, bound = x.astype("f8"), np.abs(x.astype("f8"))
        for i in range(3):
            (begin, at, weight), dense = drawn_axis(memory.rng, size[i], made[i])
            values |= {f"begin{i}": memory.put(begin, np.int64), f"in{i}": size[i]}
            values |= {f"at{i}": memory.put(at, np.int64), f"out{i}": Divisor.of(made[i])}
            values[f"weight{i}"] = memory.put(weight, np.float64)
            want = np.moveaxis(np.tensordot(dense, want, (1, i + 1)), 0, i + 1)
            bound = np.moveaxis(np.tensordot(np.abs(dense), bound, (1, i + 1)), 0, i + 1)
        name = f"interpolate_{dtype}_cuda"
        memory.launch("interpolate/interpolate", name, 2, 256, RESAMPLE, values, [y])
        assert np.all(np.abs(y - want) <= 40 * eps * bound)


# --- padding -------------------------------------------------------------------------------------

PAD = "rank:i n:l " + " ".join(
    f"size{i}:l inner{i}:l before{i}:l x_stride{i}:l y_stride{i}:l" for i in range(8)
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad(dtype):
    """Widths of either sign; x and y in any memory order."""
    cases = [
        ((7,), ((2, 3),)),
        ((3, 5), ((0, 0), (-1, 2))),
        ((2, 3, 4), ((1, 0), (-2, 3), (5, -4))),
    ]
    for trial, (shape, widths) in enumerate(cases):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x = memory.draw(*shape[::-1]).T
        made = tuple(n + a + b for n, (a, b) in zip(shape, widths, strict=True))
        y = memory.empty(*made)
        grown = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=0.5)
        cut = [
            slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, grown.shape, strict=True)
        ]
        values = {"rank": len(shape), "n": y.size}
        for i in range(len(shape)):
            values |= {f"size{i}": made[i], f"inner{i}": shape[i], f"before{i}": widths[i][0]}
            values |= {f"x_stride{i}": x.strides[i] // x.itemsize}
            values |= {f"y_stride{i}": y.strides[i] // y.itemsize}
        structure = memory.structure(PAD, values)
        memory.call(
            "layout/pad", f"pad_{dtype}_cuda", 2, 256, (x.T, y, DTYPES[dtype](0.5), structure), [y]
        )
        np.testing.assert_array_equal(y, grown[tuple(cut)])


# --- parametric ReLU -----------------------------------------------------------------------------


def strides(shape, *arrays):
    """Strides<N> of C order's axes, for operands that broadcast to `shape`."""
    rows = [np.broadcast_to(a, shape).strides for a in arrays]
    words = ["rank:i", "n:l", *(f"shape{i}:l" for i in range(8))]
    words += [f"stride{k}_{i}:l" for k in range(len(arrays)) for i in range(8)]
    values = {"rank": len(shape), "n": int(np.prod(shape))}
    values |= {f"shape{i}": n for i, n in enumerate(shape)}
    for k, row in enumerate(rows):
        values |= {f"stride{k}_{i}": s // arrays[k].itemsize for i, s in enumerate(row)}
    return " ".join(words), values


@pytest.mark.parametrize("dtype", DTYPES)
def test_prelu(dtype):
    for trial, (shape, slopes) in enumerate([((1,), (1,)), ((5, 33), (33,)), ((3, 4, 7), (4, 1))]):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, w, dy = memory.draw(*shape), memory.draw(*slopes), memory.draw(*shape)
        x.flat[0] = 0
        y, dx, dw = (memory.empty(*shape) for _ in range(3))
        given = memory.structure(*strides(shape, x, w, y))
        memory.call("prelu/prelu", f"prelu_{dtype}_cuda", 2, 256, (x, w, y, given), [y])
        np.testing.assert_array_equal(y, np.where(x > 0, x, w * x))
        given = memory.structure(*strides(shape, x, w, dy, dx, dw))
        name, made = f"prelu_backward_{dtype}_cuda", (x, w, dy, dx, dw, given)
        memory.call("prelu/prelu", name, 2, 256, made, [dx, dw])
        np.testing.assert_array_equal(dx, np.where(x > 0, dy, w * dy))
        np.testing.assert_array_equal(dw, np.where(x > 0, 0, x * dy))


# --- local response norm -------------------------------------------------------------------------

LRN = "x:p dy:p rows:l channels:i size:i share:t beta:t k:t terms:p y:p"


@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_local_response_norm(dtype, beta):
    eps = np.finfo(DTYPES[dtype]).eps
    share, k = (float(DTYPES[dtype](v)) for v in (0.3, 1.5))
    for trial, (rows, channels, size) in enumerate(
        [(1, 1, 1), (3, 5, 4), (9, 40, 5), (20, 33, 66)]
    ):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, dy = memory.draw(rows, channels), memory.draw(rows, channels)
        c = np.arange(channels)
        off = c[None, :] - c[:, None]  # of j from i
        inside = (off >= -(size // 2)) & (off <= (size - 1) // 2)
        wide, grad = x.astype("f8"), dy.astype("f8")
        s = k + share * wide**2 @ inside.T
        values = {"x": x, "dy": dy, "rows": rows, "channels": channels, "size": size}
        values |= {"share": share, "beta": beta, "k": k}
        y = memory.empty(rows, channels)
        memory.launch("norm/lrn", f"lrn_fwd_{dtype}_cuda", 2, 256, LRN, values | {"y": y}, [y])
        assert np.all(np.abs(y - wide / s**beta) <= (size + 12) * eps * np.abs(wide) / s**beta)
        dx, terms = memory.empty(rows, channels), memory.empty(rows, channels)
        made = values | {"y": dx, "terms": terms}
        memory.launch("norm/lrn", f"lrn_terms_{dtype}_cuda", 2, 256, LRN, made, [dx, terms])
        memory.launch("norm/lrn", f"lrn_bwd_{dtype}_cuda", 2, 256, LRN, made, [dx])
        term = grad * wide * s ** (-beta - 1)
        want = grad * s**-beta - 2 * share * beta * wide * (term @ inside)
        bound = np.abs(grad) * s**-beta + 2 * share * beta * np.abs(wide) * (np.abs(term) @ inside)
        assert np.all(np.abs(dx - want) <= (2 * size + 24) * eps * bound)

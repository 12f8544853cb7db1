# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels that go by integers, and the parts of a vector's norm, on the CPU
(tests/cuda_shim), against float64 NumPy."""

import itertools

import cuda_on_cpu
import numpy as np
import pytest
from cuda_memory import DTYPES, SIDES, Memory
from striate.testing.cases import CASES

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")

# --- indices -------------------------------------------------------------------------------------

CHECK = "index:p count:l below:l ignored:l ignores:i weight:p parts:p"
PART = np.dtype([("place", "i8"), ("value", "i8"), ("weight", "f8")])


def checked(memory, index, below, weight=None, ignored=None, blocks=3):
    parts = memory.put(np.zeros(3 * blocks), np.float64)
    values = {"index": index, "count": len(index), "below": below, "weight": weight, "parts": parts}
    if ignored is not None:
        values |= {"ignored": ignored, "ignores": 1}
    name = f"check_indices_f{8 * memory.kind.itemsize}_cuda"
    memory.launch("indices/indices", name, blocks, 256, CHECK, values, [parts])
    found = parts.view(PART)
    return found[found["place"].argmin()], found["weight"].sum()


@pytest.mark.parametrize("dtype", DTYPES)
def test_check_indices(dtype):
    for trial, n in enumerate((1, 31, 256, 257, 3000)):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        index = memory.put(memory.rng.integers(0, 9, n), np.int64)
        weight = memory.put(memory.rng.random(9))
        first, total = checked(memory, index, 9, weight)
        assert first["place"] == np.iinfo(np.int64).max
        assert abs(total - weight.astype("f8")[index].sum()) <= 1e-12 * n
        index[n // 3 :: 5] = -100
        first, total = checked(memory, index, 9, weight, ignored=-100)
        assert first["place"] == np.iinfo(np.int64).max
        assert abs(total - weight.astype("f8")[index[index >= 0]].sum()) <= 1e-12 * n
        for wrong in (-1, 9, 2**40, -100):
            index[:] = 0
            index[n // 2 :: 2] = wrong
            first, total = checked(memory, index, 9)
            assert first["place"] == n // 2 and first["value"] == wrong
            assert total == (index == 0).sum()
        index[:] = 0
        assert checked(memory, index, 0)[0]["place"] == 0


# --- the largest rows of bags --------------------------------------------------------------------

MAX = "rows:p row:l position:p begin:p groups:l n:l out:p which:p"
MAX_BACKWARD = "dy:p which:p groups:l n:l table_rows:l out:p"


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_max(dtype):
    """The first of equal rows; 0 and -1 of none; a NaN where the first is one."""
    for trial, n in enumerate((1, 5, 33, 70)):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        rows = memory.put(memory.rng.integers(-3, 4, (7, n + trial)))
        rows[2, 0] = np.nan
        position = memory.put([0, 1, 2, 2, 1, 6, 5, 4, 3, 3, 6], np.int64)
        cuts = [0, 2, 2, 4, 10, 11]
        begin, groups = memory.put(cuts, np.int64), len(cuts) - 1
        out, which = memory.empty(groups, n), memory.put(np.zeros((groups, n)), np.int64)
        values = {"rows": rows, "row": n + trial, "position": position, "begin": begin}
        values |= {"groups": groups, "n": n, "out": out, "which": which}
        name, grid = f"embedding_max_{dtype}_cuda", (-(-n // 32), 1)
        memory.launch("embedding/embedding", name, grid, (32, 8), MAX, values, [out, which])
        for g, (low, high) in enumerate(itertools.pairwise(cuts)):
            own = position[low:high]
            if low == high:
                assert not out[g].any() and (which[g] == -1).all()
                continue
            taken = rows[own, :n]
            low_nan = np.where(np.isnan(taken), -np.inf, taken)
            first = np.where(np.isnan(taken[0]), 0, low_nan.argmax(0))
            np.testing.assert_array_equal(which[g], own[first])
            np.testing.assert_array_equal(out[g], np.take_along_axis(taken, first[None], 0)[0])

        dy, dweight = memory.put(memory.rng.integers(-8, 8, (groups, n))), memory.empty(7, n)
        values = {"dy": dy, "which": which, "groups": groups, "n": n, "table_rows": 7}
        values["out"] = dweight
        for ways in (1, 2):
            name, grid = f"embedding_max_bwd_{dtype}_cuda", (-(-n // 32), ways)
            args = (grid, (32, 8), MAX_BACKWARD, values, [dweight])
            memory.launch("embedding/embedding", name, *args)
            want = np.zeros((8, n))  # the last row takes the -1
            np.add.at(want, (which, np.arange(n)), dy)
            np.testing.assert_array_equal(dweight, want[:7])


# --- connectionist temporal classification -------------------------------------------------------

CTC = """log_probs:p steps:l samples:l classes:l blank:l length:p start:p label:p next:p first:p
zero_infinity:i alpha:p rows:p most:l loss:p gradient:p"""


def all_paths(log_probs, labels, blank):
    """log of the sum over all alignments, by trying each: the definition."""
    steps, classes = log_probs.shape
    total = 0.0
    for path in np.ndindex(*[classes] * steps):
        kept = [c for t, c in enumerate(path) if t == 0 or c != path[t - 1]]
        if [c for c in kept if c != blank] == labels:
            total += np.exp(log_probs[np.arange(steps), path].sum())
    return np.log(total) if total else -np.inf


def occupied(log_probs, labels, blank):
    """The derivative of all_paths by each log probability, by differences."""
    slope, step = np.zeros(log_probs.shape), 1e-6
    for at in np.ndindex(*log_probs.shape):
        up, down = log_probs.copy(), log_probs.copy()
        up[at] += step
        down[at] -= step
        slope[at] = (all_paths(up, labels, blank) - all_paths(down, labels, blank)) / (2 * step)
    return slope


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("blank", [0, 2])
def test_ctc(dtype, blank):
    """Against the sum over all alignments; repeats, no labels, no alignment, short inputs."""
    a, b = (c for c in range(3) if c != blank)
    targets = [[a, b], [a, a], [], [b], [a, b, a, b, a, b]]
    steps, classes, samples = 5, 3, len(targets)
    memory = Memory(DTYPES[dtype], blank, SIDES[blank // 2])
    logits = memory.rng.standard_normal((steps, samples, classes))
    log_probs = memory.put(logits - np.log(np.exp(logits).sum(2, keepdims=True)))
    length = memory.put([5, 4, 3, 1, 5], np.int64)
    start = np.concatenate([[0], np.cumsum([len(t) for t in targets])])
    following, first = [], []
    for t in targets:
        ahead = [[k for k in range(i + 1, len(t)) if t[k] == c] for i, c in enumerate(t)]
        following += [k[0] if k else -1 for k in ahead]
        first += [c not in t[:i] for i, c in enumerate(t)]
    most = 2 * max(map(len, targets)) + 1
    values = {"log_probs": log_probs, "steps": steps, "samples": samples, "classes": classes}
    values |= {"blank": blank, "length": length, "start": memory.put(start, np.int64)}
    values |= {"label": memory.put([c for t in targets for c in t], np.int64), "most": most}
    values |= {"next": memory.put(following, np.int64), "first": memory.put(first, np.int64)}
    values |= {"alpha": memory.empty(samples, steps, most), "rows": memory.empty(samples, 3, most)}
    values |= {"zero_infinity": 1}
    loss, gradient = memory.empty(samples), memory.empty(steps, samples, classes)
    values |= {"loss": loss, "gradient": gradient}
    memory.launch("ctc/ctc", f"ctc_{dtype}_cuda", 2, 256, CTC, values, [loss, gradient])
    eps = max(np.finfo(DTYPES[dtype]).eps * 100, 1e-8)  # of the differences, in double
    for n, labels in enumerate(targets):
        own = log_probs[: length[n], n].astype("f8")
        want = all_paths(own, labels, blank)
        if np.isinf(want):
            assert loss[n] == 0 and not gradient[:, n].any()
            continue
        assert abs(loss[n] + want) <= eps * (1 + abs(want))
        slope = np.exp(own) - occupied(own, labels, blank)
        np.testing.assert_allclose(gradient[: length[n], n], slope, 0, eps * 4)
        assert not gradient[length[n] :, n].any()
    assert loss[4] == 0  # six labels in five steps
    values["zero_infinity"] = 0
    memory.launch("ctc/ctc", f"ctc_{dtype}_cuda", 2, 256, CTC, values, [loss])
    assert np.isposinf(loss[4]) and np.isfinite(loss[:4]).all()


# --- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", ["squares", "absolute", "largest"])
def test_vector_norm(what, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    case = next(c for c in CASES if c.name == f"vector_norm_{what}")
    for trial, n in enumerate((1, 3, 31, 256, 1027, 3001)):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x = memory.draw(n)
        for part in (16384, 1024):
            out = memory.empty(-(-n // part))
            given = (x, n, part, out)
            memory.call(
                "vector_norm/vector_norm", f"norm_{what}_{dtype}_cuda", 2, 256, given, [out]
            )
            for p, begin in enumerate(range(0, n, part)):
                want = case.reference(x[begin : begin + part].astype("f8"))
                assert abs(out[p] - want) <= (12 + n / 256) * eps * np.abs(want)
    if what == "largest":
        x[n // 2] = np.nan
        memory.call("vector_norm/vector_norm", f"norm_{what}_{dtype}_cuda", 2, 256, given, [out])
        assert np.isnan(out[n // 2 // 1024])

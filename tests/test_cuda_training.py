# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of losses, embeddings, dropout and optimizers, on the CPU (tests/cuda_shim), against
float64 NumPy; dropout's masks against Philox in NumPy, bit by bit."""

import re

import cuda_on_cpu
import numpy as np
import pytest
from cuda_memory import DTYPES, SIDES, Memory
from cuda_on_cpu import CSRC
from striate import _C
from striate.testing import guarded
from striate.testing.cases import CASES
from striate.testing.cases.dropout import KEY, philox_reference

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
LENGTHS = (1, 3, 4, 5, 31, 256, 1027, 2051)

# --- losses --------------------------------------------------------------------------------------

CROSS_ENTROPY = """x:p x_row:l rows:l classes:l labels:p target:p target_row:l weight:p ignored:l
smoothing:t scale:t factor:t loss:p dx:p dx_row:l"""
ROWS = [(1, 1), (3, 2), (9, 5), (2, 31), (10, 33), (3, 128), (2, 1023), (1, 1024), (2, 3001)]


def cross_entropy(x, a, scale):
    """The losses, the gradient, and the size of what is added up in each."""
    top = x.max(1, keepdims=True)
    x = x - top
    log_sum = np.log(np.exp(x).sum(1, keepdims=True))
    size = (np.abs(a) * (np.abs(x) + np.abs(log_sum))).sum(1)
    p = np.exp(x - log_sum)
    total = a.sum(1, keepdims=True)
    return (a * (log_sum - x)).sum(1), scale * (p * total - a), size, p * np.abs(total) + np.abs(a)


@pytest.mark.parametrize("kind", ["labels", "weighted", "smoothed", "both", "probabilities"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy(dtype, kind):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, (rows, n) in enumerate(ROWS):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        gap = trial % 3
        x = memory.put(memory.rng.standard_normal((rows, n + gap)) * 5 + 100)
        weight = memory.put(memory.rng.random(n) + 0.5) if kind in ("weighted", "both") else None
        smoothing = 0.0 if kind in ("labels", "weighted") else 0.2
        labels = target = None
        if kind == "probabilities":
            target = memory.put(memory.rng.random((rows, n)))
            a = target.astype("f8")
        else:
            labels = memory.put(memory.rng.integers(0, n, rows), np.int64)
            labels[rows // 2 :: 4] = -100
            a = (np.arange(n) == labels[:, None]).astype("f8")
        smoothing = float(DTYPES[dtype](smoothing))
        a = (a * (1 - smoothing) + smoothing / n) * (1 if weight is None else weight.astype("f8"))
        counts = np.ones(rows, bool) if labels is None else labels != -100
        want, want_dx, size, size_dx = cross_entropy(x[:, :n].astype("f8"), a, 0.25)
        values = {"x": x, "x_row": n + gap, "rows": rows, "classes": n, "labels": labels}
        values |= {"target": target, "target_row": n, "weight": weight, "ignored": -100}
        values |= {"smoothing": smoothing, "scale": 0.25, "factor": 0.5, "dx_row": n}
        for method in ("", "_warp") if n <= 1024 else ("",):
            loss, dx = memory.empty(rows), memory.empty(rows, n) if trial % 4 else None
            made = [m for m in (loss, dx) if m is not None]
            name, given = f"cross_entropy_{dtype}_cuda{method}", values | {"loss": loss, "dx": dx}
            memory.launch("loss/loss", name, 2, 256, CROSS_ENTROPY, given, made)
            bound = eps * (16 + np.log2(n + 1) + n / 256) * (size + np.abs(want) + np.abs(a).sum(1))
            assert np.all(np.abs(loss - np.where(counts, 0.5 * want, 0)) <= bound), (rows, n)
            if dx is not None:
                off = np.abs(dx - np.where(counts[:, None], want_dx, 0))
                assert np.all(off <= 0.25 * eps * (24 + n / 256) * (size_dx + 1e-30)), (rows, n)


def test_cross_entropy_of_what_is_no_class_is_nan():
    memory = Memory(np.float32, 0, "end")
    x, labels = memory.draw(4, 10), memory.put([3, -1, 10, 2**40], np.int64)
    loss, dx = memory.empty(4), memory.empty(4, 10)
    values = {"x": x, "x_row": 10, "rows": 4, "classes": 10, "labels": labels, "ignored": -100}
    values |= {"scale": 1.0, "factor": 1.0, "loss": loss, "dx": dx, "dx_row": 10}
    for method in ("", "_warp"):
        name = f"cross_entropy_f32_cuda{method}"
        memory.launch("loss/loss", name, 2, 256, CROSS_ENTROPY, values, [loss, dx])
        assert np.isfinite(loss[0]) and np.isfinite(dx[0]).all()
        assert np.isnan(loss[1:]).all() and np.isnan(dx[1:]).all()


POINTWISE = "x:p target:p n:l part:l parameter:t factor:t scale:t loss:p dx:p sums:p"


def huber(d, p):
    return np.where(np.abs(d) <= p, d * d / 2, p * (np.abs(d) - p / 2)), np.clip(d, -p, p)


POINTWISE_LOSSES = {  # value and slope
    "squared_error": lambda x, t, p: ((x - t) ** 2, 2 * (x - t)),
    "absolute_error": lambda x, t, p: (np.abs(x - t), np.sign(x - t)),
    "huber": lambda x, t, p: huber(x - t, p),
    "binary_logits": lambda x, t, p: (
        np.maximum(x, 0) - t * x + np.log1p(np.exp(-np.abs(x))),
        1 / (1 + np.exp(-x)) - t,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", POINTWISE_LOSSES)
def test_pointwise_loss(loss, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, n in enumerate(LENGTHS):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, target = memory.put(memory.rng.standard_normal(n) * 4), memory.put(memory.rng.random(n))
        x[: n // 4] = target[: n // 4]  # no difference
        wide, wide_target = x.astype("f8"), target.astype("f8")
        value, slope = POINTWISE_LOSSES[loss](wide, wide_target, 0.75)
        size = np.abs(value) + np.abs(wide) + np.abs(wide_target)
        for part in (16384, 64):
            made = [memory.empty(n), memory.empty(n), memory.empty(-(-n // part))]
            values = {"x": x, "target": target, "n": n, "part": part, "parameter": 0.75}
            values |= {"factor": 0.5, "scale": 0.25}
            values |= dict(zip(("loss", "dx", "sums"), made, strict=True))
            memory.launch("loss/loss", f"{loss}_{dtype}_cuda", 2, 256, POINTWISE, values, made)
            assert np.all(np.abs(made[0] - 0.5 * value) <= 4 * eps * size)
            assert np.all(np.abs(made[1] - 0.25 * slope) <= 4 * eps * (np.abs(slope) + size))
            for p, begin in enumerate(range(0, n, part)):
                own = slice(begin, begin + part)
                off = np.abs(made[2][p] - 0.5 * value[own].sum())
                assert off <= (12 + n / 256) * eps * size[own].sum()
        values |= {"loss": None, "dx": None}
        memory.launch("loss/loss", f"{loss}_{dtype}_cuda", 2, 256, POINTWISE, values, made[2:])


# --- embeddings ----------------------------------------------------------------------------------

TAKE = "table:p row:l table_rows:l index:p count:l n:l out:p out_row:l"
GROUPS = """rows:p row:l position:p share:p begin:p to:p scale:p groups:l n:l out:p out_row:l"""


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding(dtype):
    for trial, n in enumerate((1, 4, 5, 33, 130, 300)):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        gap = trial % 3
        table = memory.draw(7, n + gap)
        index = memory.put([3, 0, 6, 3, 7, -1, 2**40, 6, 5], np.int64)
        out = memory.empty(9, n)
        values = {"table": table, "row": n + gap, "table_rows": 7, "index": index, "count": 9}
        values |= {"n": n, "out": out, "out_row": n}
        memory.launch("embedding/embedding", f"embedding_{dtype}_cuda", 1, 256, TAKE, values, [out])
        want = np.full((9, n), np.nan)
        inside = [0, 1, 2, 3, 7, 8]
        want[inside] = table[index[inside], :n]
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("method", ["", "_warp"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_sum(dtype, method):
    """The gradient of a table: positions by a stable sort of the indices; then shares and scales;
    then runs, added up by another launch."""
    eps = np.finfo(DTYPES[dtype]).eps
    name, item = f"embedding_sum_{dtype}_cuda{method}", np.dtype(DTYPES[dtype]).itemsize
    for trial, n in enumerate((1, 5, 33, 130)):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        rows = memory.draw(60, n)
        index = memory.rng.integers(0, 9, 60)
        index[20:50] = 4  # a long group
        order = np.argsort(index, kind="stable")
        named, begin = np.unique(index[order], return_index=True)
        position = memory.put(order, np.int64)
        begin = memory.put([*begin, 60], np.int64)
        to = memory.put(named, np.int64)
        grid = (-(-n * item // 512), 2)

        def launch(out, memory=memory, grid=grid, n=n, **values):
            values |= {"n": n, "row": n, "out": out, "out_row": n}
            memory.launch("embedding/embedding", name, grid, (32, 8), GROUPS, values, [out])

        out = memory.empty(10, n)
        given = {"rows": rows, "position": position}
        launch(out, **given, begin=begin, to=to, groups=len(named))
        want, size = np.zeros((10, n)), np.zeros((10, n))
        np.add.at(want, index, rows.astype("f8"))
        np.add.at(size, index, np.abs(rows))
        assert np.all(np.abs(out - want)[named] <= 40 * eps * size[named])
        assert np.isnan(out[np.setdiff1d(np.arange(10), named)]).all()  # not touched

        share, scale = memory.draw(60), memory.draw(len(named))
        out = memory.empty(len(named), n)
        launch(out, **given, share=share, scale=scale, begin=begin, groups=len(named))
        products = share[:, None].astype("f8") * rows[order]
        for g in range(len(named)):
            own = products[begin[g] : begin[g + 1]]
            bound = 40 * eps * np.abs(scale[g] * own).sum(0)
            assert np.all(np.abs(out[g] - scale[g] * own.sum(0)) <= bound)

        runs = memory.put([*range(0, 60, 7), 60], np.int64)
        parts = memory.empty(len(runs) - 1, n)
        launch(parts, **given, begin=runs, groups=len(runs) - 1)
        total = memory.empty(1, n)
        whole = memory.put([0, len(runs) - 1], np.int64)
        launch(total, rows=parts, begin=whole, groups=1)
        assert np.all(np.abs(total - rows.astype("f8").sum(0)) <= 40 * eps * np.abs(rows).sum(0))


# --- dropout -------------------------------------------------------------------------------------

DROPOUT = """x:p y:p threshold:u scale:t kept:t dropped:t key:U n:l index:U images:l channels:l
pixels:l"""


def test_philox():
    """Published words are in test_dropout.py, for the reference."""
    for n in (1, 4, 7, 64, 1030):
        words = guarded(np.zeros(n, np.uint32), SIDES[n % 2])
        library = cuda_on_cpu.library(CSRC / "ops/dropout/dropout_cuda.cu")
        library.launch("philox_cuda", 1, 256, 5 << 40 | 3, 2**32 - 2, 9, n, words)
        np.testing.assert_array_equal(words, philox_reference(5 << 40 | 3, 2**32 - 2, 9, n))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout(dtype, alpha):
    """The CPU's bits, in C order from any multiple of 4 on and channels last."""
    rule = {"scale": 1.5, "kept": 0.25, "dropped": -2.0} if alpha else {"scale": 1 / 0.6}
    values = {"threshold": round(0.4 * 2**32), "key": KEY} | rule
    for trial, n in enumerate(LENGTHS):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, y = memory.draw(n), memory.empty(n)
        first = 4 * (trial % 3)
        given = values | {"x": x, "y": y, "n": n, "index": first}
        memory.launch("dropout/dropout", f"dropout_{dtype}_cuda", 1, 256, DROPOUT, given, [y])
        np.testing.assert_array_equal(y != (-2.0 if alpha else 0), stays_from(first, n))
        before = np.concatenate([np.zeros(first, x.dtype), x])
        np.testing.assert_array_equal(y, _C.dropout(before, 0.4, KEY, **rule)[first:])
    for images, channels, pixels in ((1, 1, 1), (2, 3, 5), (3, 7, 6), (1, 40, 7), (2, 33, 8)):
        memory = Memory(DTYPES[dtype], channels, SIDES[channels % 2])
        shape = (images, pixels, channels)
        x, y = memory.draw(*shape), memory.empty(*shape)
        given = values | {"x": x, "y": y}
        given |= {"images": images, "channels": channels, "pixels": pixels}
        name = f"dropout_{dtype}_cuda_channels_last"
        memory.launch("dropout/dropout", name, 1, 256, DROPOUT, given, [y])
        logical = np.ascontiguousarray(x.transpose(0, 2, 1))
        stays = stays_from(0, x.size).reshape(logical.shape)
        np.testing.assert_array_equal(y.transpose(0, 2, 1) != (-2.0 if alpha else 0), stays)
        np.testing.assert_array_equal(y.transpose(0, 2, 1), _C.dropout(logical, 0.4, KEY, **rule))


def stays_from(first, n):
    return philox_reference(KEY, first // 4, 0, n) >= round(0.4 * 2**32)


# --- optimizers ----------------------------------------------------------------------------------

FACTORS = """sign weight_decay keep rate rate_grad first first_in second second_in root
eps"""
STEP = "p:p grad:p s0:p s1:p s2:p n:l " + re.sub(r"(\w+)", r"\1:d", FACTORS)
RULES = [c for c in CASES if c.rows and c.rows[0] == f"{c.name}_f" and "rate" in str(c.samples[0])]


def test_all_rules_are_met():
    names = (CSRC / "ops/optimizer/names.inc").read_text().count("\nRULE(")
    assert len(RULES) == names


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", RULES, ids=lambda c: c.name)
def test_optimizer_step(case, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, sample in enumerate(s for s in case.samples if len(s.shapes[0]) == 1):
        (n,), states = sample.shapes[0], len(sample.shapes) - 2
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        drawn = case.draw(memory.rng, (2 + states, n))
        p, grad = memory.put(drawn[0]), memory.put(drawn[1])
        state = [memory.put(np.abs(s)) for s in drawn[2:]]
        wide = [a.astype("f8") for a in (p, grad, *state)]
        options = dict(sample.parameters)
        factors = {
            "sign": -1.0 if options.pop("maximize", False) else 1.0,
            "keep": 1.0,
            "root": 1.0,
        }
        values = {"p": p, "grad": grad, "n": n, **factors, **options}
        values |= {f"s{k}": s for k, s in enumerate(state)}
        name = f"{case.name}_{dtype}_cuda"
        memory.launch("optimizer/optimizer", name, 1, 256, STEP, values, [p, *state])
        want = case.reference(*wide, **sample.parameters)
        bound = case.bound(want, eps, *wide, **sample.parameters)
        got = np.stack([p, *state])
        assert np.all(np.abs(got - want) <= bound), (str(sample), np.abs(got - want).max())


def test_no_decay_keeps_infinities_apart():
    """Without decay an infinite parameter stays what it is, not NaN."""
    memory = Memory(np.float32, 0, "end")
    p, grad = memory.put([np.inf, -np.inf, 1.0]), memory.put([1.0, 2.0, 3.0])
    values = {"p": p, "grad": grad, "n": 3, "sign": 1.0, "keep": 1.0, "rate": 0.5}
    memory.launch("optimizer/optimizer", "sgd_plain_f32_cuda", 1, 256, STEP, values, [p])
    np.testing.assert_array_equal(p, np.array([np.inf, -np.inf, -0.5], np.float32))

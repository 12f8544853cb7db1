# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (tables)
"""Operations on tensors beside PyTorch's: results, dtypes, shapes and gradients, call by call.

One table: a call takes the library (striate or torch) and tensors of random values. Each is made
with every dtype that it names, with and without gradients.
"""

import numpy as np
import pytest
import striate

torch = pytest.importorskip("torch")

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int64", "int32", "int8", "uint8")
ALL = (*NUMBERS, "bool")
SHAPES = [(), (1,), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (0,), (3, 0, 2)]


def drawn(shape, dtype, seed, kind="normal"):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    if dtype not in FLOATS:
        return np.asarray(rng.integers(0 if dtype == "uint8" else -4, 5, shape)).astype(dtype)
    x = rng.standard_normal(shape)
    x = {"normal": x, "unit": np.tanh(x) * 0.9, "positive": np.abs(x) + 0.2,
         "ties": np.round(x), "above 1": np.abs(x) + 1.1}[kind]  # fmt: skip
    return np.asarray(x).astype(dtype)


def flat(result):
    """The tensors of a result, in order."""
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in flat(part)]
    return [result]


def same(got, expected, dtype, where):
    got, expected = flat(got), flat(expected)
    assert len(got) == len(expected), f"{where}: {len(got)} results instead of {len(expected)}"
    for g, e in zip(got, expected, strict=True):
        if not isinstance(e, torch.Tensor):
            assert g == e, where
            continue
        e = e.detach().numpy(force=True)
        assert g.shape == e.shape, f"{where}: shape {g.shape} instead of {e.shape}"
        assert g.dtype == e.dtype, f"{where}: {g.dtype} instead of {e.dtype}"
        loose = "float32" in (dtype, str(e.dtype))
        near = {"rtol": 2e-5, "atol": 2e-6} if loose else {"rtol": 1e-9, "atol": 1e-12}
        np.testing.assert_allclose(g.detach().numpy(), e, **near, err_msg=where)


def compare(call, arrays, where, gradients=True):
    """call(striate, …) and call(torch, …) agree, and so do their gradients."""
    dtype = next((str(a.dtype) for a in arrays if a.dtype.kind == "f"), "int64")
    watched = gradients and any(a.dtype.kind == "f" for a in arrays)
    ours = [striate.tensor(a) for a in arrays]
    theirs = [torch.from_numpy(a.copy()) for a in arrays]
    if watched:
        for side in (ours, theirs):
            for t, a in zip(side, arrays, strict=True):
                if a.dtype.kind == "f":
                    t.requires_grad_()
    got, expected = call(striate, *ours), call(torch, *theirs)
    same(got, expected, dtype, where)
    pairs = [
        (g, e)
        for g, e in zip(flat(got), flat(expected), strict=True)
        if isinstance(e, torch.Tensor) and e.requires_grad
    ]
    if not watched or not pairs:
        return
    for i, (g, e) in enumerate(pairs):
        weight = np.asarray(np.random.default_rng(i).standard_normal(e.shape))
        weight = weight.astype(dtype)
        assert g.requires_grad, where
        last = i == len(pairs) - 1
        g.backward(striate.tensor(weight), retain_graph=not last)
        e.backward(torch.from_numpy(weight), retain_graph=not last)
    for t, u in zip(ours, theirs, strict=True):
        if u.grad is not None:
            assert t.grad is not None, f"{where}: no gradient"
            same(t.grad, u.grad, dtype, f"{where}: gradient")


# --- one operand, any shape ------------------------------------------------------------------------

POINTWISE = {
    "unit": ["asin", "acos", "atanh", "arcsin", "arccos"],
    "positive": ["sqrt", "rsqrt", "log", "reciprocal"],
    "above 1": ["acosh"],
    "normal": ["abs", "absolute", "neg", "negative", "exp", "exp2", "expm1", "square", "sin", "cos",
               "tan", "atan", "sinh", "cosh", "asinh", "sign", "sgn", "floor", "ceil", "round",
               "trunc", "fix", "sigmoid", "tanh", "deg2rad", "rad2deg", "isnan", "isinf",
               "isfinite", "isposinf", "isneginf", "signbit", "logical_not", "ravel", "erf",
               "erfc"],
}  # fmt: skip
NAMES = [(name, kind) for kind, names in POINTWISE.items() for name in names]
FLOATS_ONLY = {"frac", "reciprocal"}


@pytest.mark.parametrize(("name", "kind"), NAMES, ids=[n for n, _ in NAMES])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_pointwise(name, kind, dtype):
    if dtype not in FLOATS and kind != "normal":
        pytest.skip("NaN and infinities of integers differ in nothing that matters")
    for seed, shape in enumerate(SHAPES):
        x = drawn(shape, dtype, seed, kind)
        compare(lambda m, t: getattr(m, name)(t), [x], f"{name} {dtype} {shape}")
        compare(lambda m, t: getattr(t, name)(), [x], f".{name} {dtype} {shape}")


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 1e30, 1e-30])


@pytest.mark.parametrize(
    "name", [n for n, _ in NAMES if n not in ("tan", "sin", "cos")] + ["nan_to_num", "frac"]
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_pointwise_of_special_values(name, dtype):
    x = SPECIAL.astype(dtype)
    got, expected = getattr(striate, name)(striate.tensor(x)), getattr(torch, name)(torch.tensor(x))
    same(got, expected, dtype, name)


# --- two operands, every pair of dtypes ------------------------------------------------------------

TWO = ["add", "sub", "mul", "true_divide", "maximum", "minimum", "atan2", "fmod", "remainder",
       "floor_divide", "fmax", "fmin", "eq", "ne", "lt", "le", "gt", "ge", "greater", "less_equal",
       "logical_and", "logical_or", "logical_xor", "multiply", "subtract", "div"]  # fmt: skip
BROADCASTS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 3), ()),
              ((), ()), ((0, 3), (1, 3))]  # fmt: skip
ZERO_DIVISORS = {"fmod", "remainder", "floor_divide", "div", "true_divide"}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_two_operands(name, first, second):
    if name in ("sub", "subtract") and "bool" in (first, second):
        pytest.skip("refused by both")
    if name in ("fmod", "remainder", "floor_divide", "atan2") and first == second == "bool":
        pytest.skip("refused by one of them")
    for seed, (a, b) in enumerate(BROADCASTS):
        x, y = drawn(a, first, seed), drawn(b, second, seed + 50)
        if name in ZERO_DIVISORS:
            y = np.where(y == 0, np.ones_like(y), y)
        mixed = first != second and {first, second} <= set(FLOATS)
        compare(
            lambda m, t, u: getattr(m, name)(t, u), [x, y], f"{name} {first} {second} {a} {b}",
            gradients=not mixed and name not in ("floor_divide", *["atan2"] * (first != second)),
        )  # fmt: skip


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
                                  "bitwise_right_shift"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
def test_bits(name, dtype):
    x, y = drawn((4, 5), dtype, 0), np.abs(drawn((5,), dtype, 1))
    compare(lambda m, t, u: getattr(m, name)(t, u), [x, y], name)
    compare(lambda m, t: getattr(m, name)(t, 3), [x], name)
    if "shift" in name:
        compare(lambda m, t: getattr(m, name)(t, 100), [x], name)
        compare(lambda m, t: (t << 1) + (t >> 1), [x], name)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_rounded_division(mode, dtype):
    x, y = drawn((40,), dtype, 0) * 3, drawn((40,), dtype, 1)
    y = np.where(y == 0, np.ones_like(y), y)
    compare(lambda m, t, u: m.div(t, u, rounding_mode=mode), [x, y], mode)


# --- everything else, call by call -----------------------------------------------------------------

I = "index"  # noqa: E741  (an operand of indices below 3)
CALLS = {
    # shapes
    "reshape": (lambda m, x: x.reshape(4, -1), [(2, 3, 4)]),
    "squeeze": (lambda m, x: (x.squeeze(), x.squeeze(1), x.squeeze(0), m.squeeze(x, (1, 3))),
                [(2, 1, 3, 1)]),
    "unsqueeze": (lambda m, x: (x.unsqueeze(0), x.unsqueeze(-1)), [(2, 3)]),
    "flatten": (lambda m, x: (x.flatten(), x.flatten(1), m.flatten(x, 0, 1)), [(2, 3, 4)]),
    "flatten 0-d": (lambda m, x: x.flatten(), [()]),
    "unflatten": (lambda m, x: (x.unflatten(1, (2, -1)), m.unflatten(x, -1, (2, 3))), [(2, 6)]),
    "permute": (lambda m, x: (x.permute(2, 0, 1), m.permute(x, (1, 0, 2))), [(2, 3, 4)]),
    "movedim": (lambda m, x: (m.movedim(x, 0, -1), m.movedim(x, (0, 1), (2, 0)), x.moveaxis(2, 0)),
                [(2, 3, 4)]),
    "swapaxes": (lambda m, x: (x.swapaxes(0, 2), m.swapdims(x, -1, 1)), [(2, 3, 4)]),
    "T": (lambda m, x: (x.T, x.mT, x.t(), x.H), [(3, 4)]),
    "expand": (lambda m, x: (x.expand(2, 3, 4), x.expand(-1, 4)), [(3, 1)]),
    "expand_as": (lambda m, x, y: (x.expand_as(y), y.reshape_as(y), y.view_as(y)), [(3, 1), (3, 4)]),
    "broadcast_tensors": (lambda m, x, y: m.broadcast_tensors(x, y), [(3, 1), (4,)]),
    "diagonal": (lambda m, x: (x.diagonal(), x.diagonal(1, 1, 2), m.diagonal(x, -1, 0, 2)),
                 [(3, 4, 5)]),
    "diag": (lambda m, x: (m.diag(x), m.diag(x, 1), m.diag(x, -2)), [(3,)]),
    "diag of a matrix": (lambda m, x: (x.diag(), m.diag(x, 1), m.diag(x, -1)), [(3, 4)]),
    "diag_embed": (lambda m, x: (m.diag_embed(x), m.diag_embed(x, 1, 0, 2)), [(2, 3)]),
    "tril": (lambda m, x: (x.tril(), x.triu(), m.tril(x, 1), m.triu(x, -1)), [(2, 4, 3)]),
    "trace": (lambda m, x: m.trace(x), [(3, 4)]),
    "flip": (lambda m, x: (x.flip(0), m.flip(x, (0, 2)), x.fliplr(), x.flipud()), [(2, 3, 4)]),
    "unfold": (lambda m, x: (x.unfold(0, 3, 2), x.unfold(1, 2, 1)), [(7, 3)]),
    "cat": (lambda m, x, y: (m.cat([x, y], 1), m.concat((x, y), dim=-1)), [(2, 3), (2, 4)]),
    "stack": (lambda m, x, y: (m.stack([x, y]), m.stack([x, y], -1)), [(2, 3), (2, 3)]),
    "hstack": (lambda m, x, y: (m.hstack([x, y]), m.vstack([x, y]), m.dstack([x, y]),
                                m.column_stack([x, y])), [(2, 3), (2, 3)]),
    "hstack of vectors": (lambda m, x, y: (m.hstack([x, y]), m.vstack([x, y]), m.dstack([x, y]),
                                           m.column_stack([x, y])), [(3,), (3,)]),
    "split": (lambda m, x: (x.split(2, 1), m.split(x, [1, 4], 1), x.chunk(2, 1), x.chunk(7, 1)),
              [(2, 5)]),
    "tensor_split": (lambda m, x: (x.tensor_split(3), m.tensor_split(x, (1, 4))), [(7, 2)]),
    "unbind": (lambda m, x: (x.unbind(), m.unbind(x, -1)), [(2, 3)]),
    "repeat": (lambda m, x: (x.repeat(2, 1, 3), x.repeat(1, 2), x.repeat(0, 2)), [(2, 3)]),
    "tile": (lambda m, x: (m.tile(x, (2,)), x.tile(2, 1, 1)), [(2, 3)]),
    "repeat_interleave": (lambda m, x: (x.repeat_interleave(2), m.repeat_interleave(x, 3, 1),
                                        m.repeat_interleave(x, m.tensor([1, 2]), dim=0)), [(2, 3)]),
    "roll": (lambda m, x: (x.roll(1), m.roll(x, -2, 0), m.roll(x, (1, 2), (0, 1))), [(3, 4)]),
    "atleast": (lambda m, x: (m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)), [(3,)]),
    "atleast 0-d": (lambda m, x: (m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)), [()]),
    "meshgrid": (lambda m, x, y: (m.meshgrid(x, y, indexing="ij"), m.meshgrid(x, y, indexing="xy")),
                 [(3,), (4,)]),
    "cartesian_prod": (lambda m, x, y: m.cartesian_prod(x, y), [(3,), (2,)]),
    "combinations": (lambda m, x: (m.combinations(x), m.combinations(x, 3, True)), [(4,)]),
    # indexing
    "getitem": (lambda m, x: (x[1], x[..., 0], x[:, 1:3], x[None, 0], x[[0, 0, 1]], x[-1, -1]),
                [(2, 3)]),
    "select": (lambda m, x: (x.select(0, 1), m.select(x, 1, -1), x.narrow(1, 1, 2)), [(2, 3)]),
    "index_select": (lambda m, x, i: (m.index_select(x, 0, i), x.index_select(-1, i)),
                     [(3, 4, 3), (I, 5)]),
    "gather": (lambda m, x, i: (m.gather(x, 1, i), x.gather(0, i)), [(3, 4), (I, 2, 3)]),
    "take": (lambda m, x, i: m.take(x, i), [(3, 4), (I, 2, 3)]),
    "take_along_dim": (lambda m, x, i: (m.take_along_dim(x, i, 1), m.take_along_dim(x, i)),
                       [(2, 3), (I, 1, 5)]),
    "masked_select": (lambda m, x: (x.masked_select(x > 0), m.masked_select(x, x[0] > 0)), [(3, 4)]),
    "masked_fill": (lambda m, x: (x.masked_fill(x > 0, 2), m.masked_fill(x, x[0] > 0, 3)), [(3, 4)]),
    "masked_scatter": (lambda m, x, y: x.masked_scatter(x > 0, y), [(3, 4), (12,)]),
    "nonzero": (lambda m, x: (x.nonzero(), x.nonzero(as_tuple=True), m.argwhere(x),
                              m.where(x > 0)), [(3, 4)]),
    "where": (lambda m, x, y: (m.where(x > y, x, y), m.where(x > 0, x, 0), x.where(y > 0, y)),
              [(3, 4), (4,)]),
    "scatter": (lambda m, x, i, y: (m.scatter(x, 1, i[:, :1], y), x.scatter(0, i[:1], 1)),
                [(3, 4), (I, 2, 1), (2, 1)]),
    "scatter_add": (lambda m, x, i, y: (m.scatter_add(x, 1, i, y), x.scatter_add(0, i, y)),
                    [(3, 4), (I, 2, 3), (2, 3)]),
    "scatter_reduce": (lambda m, x, i, y: [m.scatter_reduce(x, 1, i, y, r, include_self=s)
                                           for r in ("sum", "mean", "amax", "amin")
                                           for s in (True, False)], [(3, 4), (I, 2, 3), (2, 3)]),
    "index_add": (lambda m, x, i, y: (m.index_add(x, 1, i, y), x.index_add(1, i, y, alpha=2)),
                  [(2, 3), (I, 5), (2, 5)]),
    "index_fill": (lambda m, x, i: (x.index_fill(1, i, 2), m.index_fill(x, 0, i[:1] * 0, 1)),
                   [(2, 3), (I, 5)]),
    "put": (lambda m, x, i, y: (m.put(x, i, y), x.put(i, y, accumulate=True)),
            [(3, 4), (I, 2), (2,)]),
    "keywords": (lambda m, x: (m.flip(x, dims=(0,)), m.permute(x, dims=(1, 0)), m.tile(x, dims=(2,)),
                               m.reshape(x, shape=(-1,)), m.var(x * 1.0, False)), [(3, 4)]),
    "index_copy": (lambda m, x, y: x.index_copy(1, m.tensor([2, 0]), y), [(2, 3), (2, 2)]),
    # products
    "mm": (lambda m, x, y: (m.mm(x, y), x.matmul(y), x @ y), [(3, 4), (4, 5)]),
    "bmm": (lambda m, x, y: (m.bmm(x, y), x.bmm(y)), [(2, 3, 4), (2, 4, 5)]),
    "mv": (lambda m, x, y: (m.mv(x, y), x.mv(y)), [(3, 4), (4,)]),
    "dot": (lambda m, x, y: (m.dot(x, y), x.inner(y), m.outer(x, y[:2]), m.vdot(x, y)), [(4,), (4,)]),
    "inner": (lambda m, x, y: m.inner(x, y), [(2, 3, 4), (5, 4)]),
    "kron": (lambda m, x, y: (m.kron(x, y), m.kron(y, x)), [(2, 3), (4, 2, 2)]),
    "addmm": (lambda m, c, x, y: (m.addmm(c, x, y), c.addmm(x, y, beta=2, alpha=3),
                                  m.addmm(c[0], x, y, beta=0)), [(3, 5), (3, 4), (4, 5)]),
    "baddbmm": (lambda m, c, x, y: (m.baddbmm(c, x, y), m.baddbmm(c[0], x, y, alpha=2, beta=3)),
                [(2, 3, 5), (2, 3, 4), (2, 4, 5)]),
    "addbmm": (lambda m, c, x, y: m.addbmm(c, x, y, alpha=2), [(3, 5), (2, 3, 4), (2, 4, 5)]),
    "addmv": (lambda m, c, x, y: (m.addmv(c, x, y), c.addmv(x, y, alpha=2, beta=3)),
              [(3,), (3, 4), (4,)]),
    "addr": (lambda m, c, x, y: m.addr(c, x, y, alpha=2), [(3, 4), (3,), (4,)]),
    "tensordot": (lambda m, x, y: (m.tensordot(x, y, 1), m.tensordot(x, y, dims=([2, 1], [0, 1]))),
                  [(2, 3, 4), (4, 3, 5)]),
    # blends
    "clamp": (lambda m, x: (x.clamp(-1, 1), x.clamp(min=0), m.clamp(x, max=1), x.clip(1, -1),
                            x.clamp_min(0), x.clamp_max(1)), [(3, 4)]),
    "clamp by tensors": (lambda m, x, y, z: (m.clamp(x, y, z), x.clamp(min=y), x.clamp(max=z)),
                         [(3, 4), (4,), (3, 1)]),
    "addcmul": (lambda m, x, y, z: (m.addcmul(x, y, z), x.addcmul(y, z, value=2)),
                [(3, 4), (4,), (3, 1)]),
    "add alpha": (lambda m, x, y: (m.add(x, y, alpha=2), x.sub(y, alpha=3), m.rsub(x, y)),
                  [(3, 4), (4,)]),
    "operators": (lambda m, x, y: (x + y, x - y, x * y, 2 - x, -x, x % 3, x.detach() // 3, +x, abs(x)),
                  [(3, 4), (4,)]),
    # reductions
    "sum": (lambda m, x: (x.sum(), x.sum(1), m.sum(x, (0, -1), keepdim=True), x.sum(-2)), [(2, 3, 4)]),
    "prod": (lambda m, x: (x.prod(), x.prod(1), m.prod(x, 0, keepdim=True)), [(2, 3)]),
    "amax": (lambda m, x: (x.amax(), x.amax((0, 2)), m.amin(x, 1, keepdim=True)), [(2, 3, 4)]),
    "max": (lambda m, x: (x.max(), x.max(1).values, m.min(x, 0, keepdim=True).values), [(2, 3)]),
    "aminmax": (lambda m, x: (m.aminmax(x), x.aminmax(dim=1)), [(2, 3)]),
    "any": (lambda m, x: (x.any(), x.all(), x.any(0), m.all(x, 1, keepdim=True)), [(2, 3)]),
    "count_nonzero": (lambda m, x: (m.count_nonzero(x), m.count_nonzero(x, 0)), [(2, 3)]),
    "cumsum": (lambda m, x: (x.cumsum(0), m.cumsum(x, -1), x.cumprod(1)), [(3, 4)]),
    "cummax": (lambda m, x: (x.cummax(0), m.cummin(x, 1)), [(6, 7)]),
    "diff": (lambda m, x: (x.diff(), m.diff(x, 2, 0), m.diff(x, prepend=x[:, :1])), [(4, 5)]),
    "reductions 0-d": (lambda m, x: (x.sum(0), x.prod(-1), x.max(0), x.amax(0), x.argmax(0),
                                     x.cumsum(0), x.sort(0), x.any(0), x.median()), [()]),
    # order
    "sort": (lambda m, x: (x.sort(stable=True), m.sort(x, dim=0, descending=True, stable=True), x.msort()), [(4, 6)]),
    "argsort": (lambda m, x: (x.argsort(stable=True), m.argsort(x, dim=0, descending=True, stable=True)), [(4, 6)]),
    "topk": (lambda m, x: (x.topk(2).values, m.topk(x, 3, 0, False).values), [(4, 9)]),
    "kthvalue": (lambda m, x: (x.kthvalue(2).values, m.kthvalue(x, 1, 0, True).values), [(4, 6)]),
    "median": (lambda m, x: (x.median(1).values, m.median(x, 0, True).values), [(4, 5)]),
    "mode": (lambda m, x: (x.mode(1).values, m.mode(x, 0, True).values), [(4, 5)]),
    "unique": (lambda m, x: (x.unique(), m.unique(x, return_inverse=True, return_counts=True),
                             m.unique(x, dim=0), m.unique_consecutive(x)), [(4, 5)]),
    "unique_consecutive": (lambda m, x: m.unique_consecutive(x, return_inverse=True,
                                                             return_counts=True), [(40,)]),
    "isin": (lambda m, x, y: (m.isin(x, y), m.isin(x, y, invert=True)), [(4, 5), (3,)]),
    "searchsorted": (lambda m, x, y: (m.searchsorted(x.sort().values, y, right=True),
                                      m.searchsorted(x.sort().values, y, side="left"),
                                      m.bucketize(y, x[0].sort().values)), [(2, 6), (2, 3)]),
    # bits and flags
    "equal": (lambda m, x, y: (m.equal(x, x), x.equal(y)), [(3,), (3,)]),
}  # fmt: skip
FLOAT_CALLS = {
    "mean": (lambda m, x: (x.mean(), x.mean(1), m.mean(x, (0, 2), keepdim=True)), [(2, 3, 4)]),
    "var": (lambda m, x: (x.var(), x.std(1), m.var(x, (0, 2), unbiased=False),
                          m.std(x, dim=1, correction=0, keepdim=True), x.var(dim=0)), [(3, 4, 5)]),
    "var_mean": (lambda m, x: (m.var_mean(x), m.std_mean(x, 1, keepdim=True)), [(3, 4)]),
    "norm": (lambda m, x: (x.norm(), m.norm(x, dim=1), x.norm(1), m.norm(x, 3, 0, keepdim=True),
                           m.norm(x, float("inf"), 1), m.norm(x, float("-inf")), x.norm(0, 1)),
             [(3, 4)]),
    "linalg": (lambda m, x: (m.linalg.norm(x), m.linalg.norm(x, "fro"), m.linalg.norm(x, 1),
                             m.linalg.norm(x, float("-inf")), m.linalg.vector_norm(x, 3, dim=0),
                             m.linalg.matrix_norm(x, float("inf"), keepdim=True),
                             m.linalg.norm(x, 1, dim=0)), [(3, 4)]),
    "logsumexp": (lambda m, x: (x.logsumexp(1), m.logsumexp(x, (0, 2), keepdim=True)), [(2, 3, 4)]),
    "logcumsumexp": (lambda m, x: (x.logcumsumexp(1), m.logcumsumexp(x, 0)), [(5, 6)]),
    "nansum": (lambda m, x: (m.nansum(x), x.nansum(0), m.nanmean(x, 1, True)), [(3, 4)]),
    "median all": (lambda m, x: (x.median(), x.nanmedian(), m.nanmedian(x, 1)), [(3, 5)]),
    "sorted indices": (lambda m, x: (x.sort(), x.topk(3, 1), x.max(0), x.kthvalue(2, 0),
                                     x.topk(2, 1, False), x.median(1)), [(3, 20)]),
    "quantile": (lambda m, x: (x.quantile(0.3), m.quantile(x, 0.5, 1, keepdim=True),
                               m.quantile(x, m.tensor([0.0, 0.25, 1.0], dtype=x.dtype), 0)),
                 [(5, 4)]),
    "cov": (lambda m, x: (m.cov(x), m.corrcoef(x), m.cov(x[0]), m.cov(x, correction=0)), [(3, 8)]),
    "lerp": (lambda m, x, y, z: (m.lerp(x, y, 0.3), x.lerp(y, z)), [(3, 4), (4,), (3, 1)]),
    "logaddexp": (lambda m, x, y: (m.logaddexp(x, y), x.logaddexp(x)), [(3, 4), (4,)]),
    "xlogy": (lambda m, x, y: m.xlogy(x, y.abs() + 0.1), [(3, 4), (4,)]),
    "copysign": (lambda m, x, y: (m.copysign(x, y), m.copysign(x, -2.0)), [(3, 4), (4,)]),
    "logit": (lambda m, x: (m.logit(x.sigmoid()), m.logit(x, 0.1)), [(3, 4)]),
    "quantile between": (lambda m, x: [m.quantile(x, 0.3, 0, interpolation=w) for w in
                                       ("lower", "higher", "midpoint", "nearest")], [(6, 4)]),
    "hypot": (lambda m, x, y: m.hypot(x, y), [(3, 4), (4,)]),
    "pow": (lambda m, x, y: (x.abs() ** y, m.pow(x, 3), x ** 2, 2.0 ** x), [(3, 4), (4,)]),
    "addcdiv": (lambda m, x, y, z: m.addcdiv(x, y, z, value=2), [(3, 4), (4,), (3, 1)]),
    "histc": (lambda m, x: (m.histc(x, 5), m.histc(x.detach(), 4, -1, 1)), [(50,)]),
    "round": (lambda m, x: m.round(x, decimals=2), [(5, 6)]),
    "nan_to_num": (lambda m, x: m.nan_to_num(x / (x > 0).to(x.dtype), 1.0, 2.0, 3.0), [(5, 6)]),
    "frac": (lambda m, x: x.frac(), [(5, 6)]),
    "isclose": (lambda m, x, y: (m.isclose(x, x + 1e-9), m.allclose(x, x), m.isclose(x, y)),
                [(3,), (3,)]),
}  # fmt: skip
EVERY = {**CALLS, **FLOAT_CALLS}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_call(name, dtype):
    call, shapes = EVERY[name]
    if name in FLOAT_CALLS and dtype not in FLOATS:
        pytest.skip("of floating tensors only")
    arrays = []
    for seed, shape in enumerate(shapes):
        if shape[:1] == (I,):
            arrays.append(np.random.default_rng(seed).integers(0, 2, shape[1:]))
        else:
            arrays.append(drawn(shape, dtype, seed))
    compare(call, arrays, f"{name} {dtype}", gradients=not name.startswith("unique"))


EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("ij->ji", [(2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("ij->", [(2, 3)]), ("ij->j", [(2, 3)]),
    ("i,j->ij", [(2,), (3,)]), ("i,i->i", [(3,), (3,)]), ("i,i", [(3,), (3,)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]), ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
    ("...,...", [(2, 3), (3,)]), ("b...,b...->b", [(2, 3, 4), (2, 3, 4)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("bi,ij,bj->b", [(2, 3), (3, 4), (2, 4)]), ("iij->j", [(3, 3, 2)]), ("iji,jk->ki", [(3, 2, 3), (2, 4)]),
    ("ab,ab,ab->a", [(2, 3), (2, 3), (2, 3)]), ("...i->...", [(2, 3, 4)]), ("i...->...i", [(2, 3, 4)]),
    ("ij,kl->iljk", [(2, 3), (4, 5)]), ("a,b,c->cab", [(2,), (3,), (4,)]), ("ij,jk->ik", [(2, 0), (0, 3)]),
    ("ij,jk->ik", [(0, 2), (2, 3)]), (",ij->ij", [(), (2, 3)]), ("bA,bA->Ab", [(2, 3), (2, 3)]), ("iiii->i", [(2, 2, 2, 2)]),
]  # fmt: skip


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS, ids=[e for e, _ in EQUATIONS])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_einsum(equation, shapes, dtype):
    arrays = [drawn(s, dtype, i) for i, s in enumerate(shapes)]
    compare(lambda m, *x: m.einsum(equation, *x), arrays, equation)

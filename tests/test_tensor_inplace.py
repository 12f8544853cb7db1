# SPDX-License-Identifier: Apache-2.0
"""Operations that write into their tensor: real without gradients, rebinding with, or refused."""

import copy
import operator

import numpy as np
import pytest
import striate
from striate import inplace, no_grad, tensor
from striate.testing import gradcheck

M = np.random.default_rng(0).standard_normal((3, 4))
INDEX = tensor([[0, 2], [1, 0]])
# name: the arguments behind the tensor
CALLS = {
    "abs": (), "addcdiv": (tensor(M), tensor(M) + 5), "addcmul": (tensor(M), tensor(M)),
    "addmm": (tensor(M[:, :2]), tensor(M[:2])), "atan2": (tensor(M) + 3,), "ceil": (),
    "clamp": (-0.5, 0.5), "clip": (0,), "clamp_min": (0.1,), "clamp_max": (0.1,), "cos": (),
    "cumsum": (1,), "cumprod": (0,), "erf": (), "exp": (), "expm1": (), "floor": (), "frac": (),
    "fmod": (0.3,), "index_add": (0, tensor([0, 2]), tensor(M[:2])),
    "index_copy": (0, tensor([0, 2]), tensor(M[:2])), "index_fill": (0, tensor([1]), 3.0),
    "lerp": (tensor(M) * 2, 0.3), "masked_fill": (tensor(M) > 0, 2.0), "nan_to_num": (),
    "neg": (), "pow": (2,), "remainder": (0.3,), "round": (), "relu": (), "sigmoid": (),
    "scatter": (1, INDEX, 2.0), "scatter_add": (1, INDEX, tensor(M[:2, :2])), "sign": (),
    "sin": (), "square": (), "tanh": (), "tril": (), "triu": (1,), "trunc": (), "add": (2.5,),
    "sub": (tensor(M[0]),), "mul": (tensor(M),), "div": (3,), "eq": (0.5,), "gt": (tensor(M[0]),),
    "logical_not": (), "hypot": (tensor(M),), "floor_divide": (0.5,), "index_put": ((0,), 1.0),
    "put": (tensor([0, -1]), tensor(M[0, :2])),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_in_place_is_the_operation_kept(name):
    if not hasattr(striate.Tensor, f"{name}_"):
        pytest.skip(f"no {name}_")
    x = tensor(M)
    expected = getattr(x, name)(*CALLS[name])
    storage, view, version = x.numpy(), x[1:], x._version_counter()
    before = version.value
    assert getattr(x, f"{name}_")(*CALLS[name]) is x
    assert x.numpy() is storage and version.value > before
    np.testing.assert_array_equal(x.numpy(), expected.numpy())
    np.testing.assert_array_equal(view.numpy(), x.numpy()[1:])


DIFFERENTIABLE = [n for n in CALLS if n not in ("eq", "gt", "logical_not", "scatter", "index_put")]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_in_place_on_a_result_has_the_operations_gradient(name):
    if not hasattr(striate.Tensor, f"{name}_"):
        pytest.skip(f"no {name}_")

    def call(x):
        y = x * 1.5 + 0.25
        z = y * y  # what was recorded before stays right
        getattr(y, f"{name}_")(*CALLS[name])
        return y + z

    gradcheck(call, [M * 0.3 if name in ("frac", "round") else M])


@pytest.mark.parametrize("name", CALLS)
def test_leaves_and_views_with_gradients_are_refused(name):
    if not hasattr(striate.Tensor, f"{name}_"):
        pytest.skip(f"no {name}_")
    leaf = tensor(M, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        getattr(leaf, f"{name}_")(*CALLS[name])
    with pytest.raises(RuntimeError, match="view that requires grad"):
        getattr((leaf * 1)[:], f"{name}_")(*CALLS[name])
    np.testing.assert_array_equal(leaf.detach().numpy(), M)
    with no_grad():
        getattr(leaf, f"{name}_")(*CALLS[name])
    assert leaf.requires_grad and leaf.is_leaf


def test_every_in_place_method_is_known():
    """Those of the table are tried above, each with arguments; the rest is like one of them."""
    alike = {"acos", "acosh", "addbmm", "addmv", "addr", "asin", "asinh", "atan", "atanh",
             "baddbmm", "cosh", "exp2", "log", "log1p", "log2", "log10", "reciprocal", "rsqrt",
             "sinh", "sqrt", "tan", "erfc", "erfinv", "ge", "le", "lt", "ne", "logical_and",
             "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not",
             "bitwise_left_shift", "bitwise_right_shift", "subtract", "multiply", "divide",
             "negative", "masked_scatter", "scatter_reduce"}  # fmt: skip
    own = {"copy", "fill", "zero", "fill_diagonal", "uniform", "normal", "log_normal",
           "exponential", "bernoulli", "geometric", "random"}  # fmt: skip
    names = {n[:-1] for n in inplace.METHODS if not n.startswith("__")}
    assert names <= {*CALLS, *alike, *own}


@pytest.mark.parametrize(
    ("operation", "value"),
    [(operator.ifloordiv, 2), (operator.imod, 3), (operator.ipow, 2), (operator.ilshift, 1),
     (operator.irshift, 1), (operator.iand, 6), (operator.ior, 1), (operator.ixor, 3)],
)  # fmt: skip
def test_operators(operation, value):
    x = tensor([5, 6, 7])
    storage, expected = x.numpy(), operation(np.array([5, 6, 7]), value)
    y = operation(x, value)
    assert y is x and x.numpy() is storage
    np.testing.assert_array_equal(x.numpy(), expected)


def test_results_must_fit():
    x = striate.zeros(3)
    for write in (lambda: x.add_(striate.zeros(2, 3)), lambda: x.pow_(striate.ones(2, 3))):
        with pytest.raises(ValueError, match=r"the result's shape \(2, 3\) is not \(3,\)"):
            write()
    with pytest.raises(TypeError, match="sqrt_: a result of float32 can't be kept in int64"):
        striate.ones(2, dtype=striate.int64).sqrt_()


def test_an_operand_that_overlaps_is_read_first():
    x = striate.arange(6).float()
    x[1:].add_(x[:-1])
    assert x.tolist() == [0, 1, 3, 5, 7, 9]
    x.mul_(x)
    assert x.tolist() == [0, 1, 9, 25, 49, 81]


def test_windows_that_overlap_are_read_only():
    x = striate.zeros(6)
    with pytest.raises(ValueError, match="read-only"):
        x.unfold(0, 3, 1).add_(1)
    x.unfold(0, 2, 2).add_(1)
    assert x.tolist() == [1.0] * 6


# --- assignment with gradients --------------------------------------------------------------------

INDICES = {
    "row": 1,
    "slice": (slice(None), slice(1, 3)),
    "backwards": (slice(None, None, -1), 0),
    "list": [2, 0],
    "mask": np.abs(M) > 0.5,
    "pair": ([0, 2], [1, 3]),
    "tensor": tensor([1, 2]),
    "everything": ...,
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_assignment_has_a_gradient(index):
    target = M[index if not isinstance(index, striate.Tensor) else index.numpy()]
    value = np.random.default_rng(1).standard_normal(target.shape)

    def call(x, v):
        y, plain = x * 2, striate.zeros(3, 4, dtype=striate.float64)
        y[index] = v * 3
        plain[index] = v
        return y * y + plain

    gradcheck(call, [M, value])
    gradcheck(call, [M, np.asarray(value.reshape(-1)[0])])


def test_assigned_values_broadcast():
    def call(x, v):
        y = x * 1
        y[:, 1:3] = v
        return y * y

    for shape in ((2,), (1, 2), (3, 1), (1, 1), (1, 3, 2)):
        gradcheck(call, [M, np.random.default_rng(2).standard_normal(shape)])


def test_copy_and_fill_have_gradients():
    def call(x, v):
        y, z = x * 2, x * 3
        y.copy_(v)
        z.fill_(v[0])
        w = x * 1
        w.zero_()
        return y * y + z + w + x

    gradcheck(call, [M, M[0]])
    x = striate.zeros(2)
    y = tensor([1.0, 2.0], requires_grad=True)
    x.copy_(y)
    assert x.requires_grad
    x.sum().backward()
    assert y.grad.tolist() == [1.0, 1.0]


def test_parameters_are_updated_by_data():
    p = striate.nn.Parameter(tensor([1.0, 2.0]))
    storage = p.detach().numpy()
    p.data -= 0.5
    p.data.mul_(2)
    p.data[0] = 7.0
    assert p.tolist() == [7.0, 3.0] and p.detach().numpy() is storage


# --- random ---------------------------------------------------------------------------------------


def test_random_fillers():
    striate.manual_seed(0)
    x = striate.empty(200, 200)
    assert x.uniform_(-1, 3) is x
    assert x.min().item() >= -1 and x.max().item() < 3 and abs(x.mean().item() - 1) < 0.05
    x.normal_(2, 3)
    assert abs(x.mean().item() - 2) < 0.1 and abs(x.std().item() - 3) < 0.1
    x.normal_(mean=0, std=1)
    x.exponential_(2)
    assert x.min().item() >= 0 and abs(x.mean().item() - 0.5) < 0.02
    x.bernoulli_(0.25)
    assert set(x.unique().tolist()) == {0, 1} and abs(x.mean().item() - 0.25) < 0.02
    x.bernoulli_(striate.zeros(200, 200))
    assert x.sum().item() == 0
    x.log_normal_(0, 0.5)
    assert abs(x.log().std().item() - 0.5) < 0.02
    x.geometric_(0.5)
    assert x.min().item() == 1 and abs(x.mean().item() - 2) < 0.05
    whole = striate.empty(1000, dtype=striate.int64)
    assert sorted(whole.random_(3, 6).unique().tolist()) == [3, 4, 5]
    assert whole.random_(2).max().item() == 1
    assert striate.empty(100, dtype=striate.uint8).random_().max().item() > 100
    assert striate.empty(9).random_().max().item() < 2**24 + 1


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.uniform_(1, 0), ValueError, "uniform_: expected from_ <= to, got 1 and 0"),
        (lambda x: x.normal_(0, -1), ValueError, "normal_: std"),
        (lambda x: x.exponential_(0), ValueError, "exponential_: lambd"),
        (lambda x: x.bernoulli_(2), ValueError, "bernoulli_"),
        (lambda x: x.geometric_(0), ValueError, "geometric_: p"),
        (lambda x: x.random_(3, 3), ValueError, "random_: expected from_ < to"),
        (lambda x: x.long().uniform_(), TypeError, "uniform_: expected a floating-point tensor"),
        (lambda x: x.requires_grad_().uniform_(), RuntimeError, "leaf that requires grad"),
        (lambda x: x.uniform_(generator=3), TypeError, "generator: expected a striate.Generator"),
    ],
)
def test_refused_fillers(call, error, words):
    with pytest.raises(error, match=words):
        call(striate.zeros(3))


# --- copies ---------------------------------------------------------------------------------------


def test_a_shallow_copy_shares():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = copy.copy(x)
    assert y is not x and y.requires_grad and y.is_leaf
    assert y.detach().numpy().base is x.detach().numpy().base
    assert np.shares_memory(y.detach().numpy(), x.detach().numpy())
    assert y._version_counter() is x._version_counter()
    z = copy.copy(x * 2)
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    p = copy.copy(striate.nn.Parameter(tensor([1.0])))
    assert type(p) is striate.nn.Parameter

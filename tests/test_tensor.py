# SPDX-License-Identifier: Apache-2.0
"""Tensors without gradients: dtypes, views, in-place writes, conversions, errors."""

import copy
import operator
import pickle

import numpy as np
import pytest
import striate
from striate import Tensor, tensor

# --- what arrays and numbers become ---------------------------------------------------------------


def test_numbers_and_lists():
    assert tensor(1.5).dtype == tensor([1.5]).dtype == tensor([[1, 2.5]]).dtype == striate.float32
    assert tensor(1).dtype == tensor([1, 2]).dtype == striate.int64
    assert tensor(True).dtype == tensor([True]).dtype == striate.bool_
    assert tensor([]).dtype == striate.float32
    assert tensor([tensor(1.0), tensor(2.0)]).tolist() == [1.0, 2.0]
    assert tensor(1, dtype=striate.float64).dtype == striate.float64


def test_arrays_keep_their_dtype_and_are_copied():
    array = np.arange(3.0)
    t = tensor(array)
    array[0] = 9
    assert t.dtype == striate.float64
    assert t.tolist() == [0, 1, 2]
    assert tensor(t).numpy() is not t.numpy()


def test_from_numpy_shares():
    array = np.arange(3.0)
    t = striate.from_numpy(array)
    array[0] = 9
    assert t[0].item() == 9
    assert t.numpy() is array
    with pytest.raises(TypeError, match="NumPy array, got list"):
        striate.from_numpy([1.0])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.ndarray(3, np.float64, np.zeros(40, np.uint8).tobytes(), 1, (12,)),
        np.zeros(9, np.uint8)[1:].view(np.float32),
    ],
    ids=["big-endian", "split", "misaligned"],
)
def test_odd_arrays_become_plain_ones(array):
    t = Tensor(array)
    assert t.numpy().dtype.isnative
    assert t.numpy().flags.aligned
    np.testing.assert_array_equal((t + 1).numpy(), array + 1)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([[1], [2, 3]], ValueError, "rectangular"),
        ("text", TypeError, "expected one of"),
        (None, TypeError, "object"),
        (1j, TypeError, "complex128"),
        ([2**63], TypeError, "uint64"),
        (np.ones(2, np.float16), TypeError, "float16"),
        (object(), TypeError, "object"),
    ],
)
def test_other_data_is_refused(data, error, words):
    with pytest.raises(error, match=words):
        tensor(data)


def test_a_subclass_of_ndarray_becomes_a_plain_array():
    matrix = np.ones((2, 2)).view(type("Special", (np.ndarray,), {}))
    assert type(Tensor(matrix).numpy()) is np.ndarray


@pytest.mark.parametrize("size", [(2.5,), ("2",), (2, None)])
def test_sizes_are_integers(size):
    for make in (striate.zeros, striate.empty, striate.rand):
        with pytest.raises(TypeError, match="expected sizes as integers"):
            make(*size)
    with pytest.raises(TypeError):
        striate.zeros(4).reshape(*size)


@pytest.mark.parametrize(("size", "words"), [((-1,), "0 or more"), ((2**40, 2**40), "address")])
def test_impossible_sizes(size, words):
    for make in (striate.zeros, striate.empty, striate.randn):
        with pytest.raises(ValueError, match=words):
            make(*size)


def test_sizes_as_arguments_or_as_a_tuple():
    assert striate.zeros(2, 3).shape == striate.zeros((2, 3)).shape == (2, 3)
    assert striate.zeros(()).shape == striate.zeros([]).shape == ()
    assert striate.zeros(np.int64(2)).shape == (2,)


# --- beside NumPy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "truediv", "matmul"])
def test_arrays_and_tensors_mix_on_either_side(symbol):
    function = getattr(operator, symbol)
    array, t = np.array([[1.0, 2.0], [3.0, 4.0]]), tensor([[2.0, 1.0], [4.0, 3.0]]).double()
    for got in (function(array, t), function(t, array)):
        assert type(got) is Tensor
    np.testing.assert_allclose(function(array, t).numpy(), function(array, t.numpy()))
    np.testing.assert_allclose(function(t, array).numpy(), function(t.numpy(), array))


def test_numpy_numbers_on_either_side():
    t = tensor([1.0, 2.0])
    for two in (np.float32(2), np.float64(2), np.int64(2)):
        assert type(two * t) is type(t * two) is Tensor
        assert (two * t).tolist() == (t * two).tolist() == [2.0, 4.0]
        assert (two * t).dtype == striate.float32


def test_numpy_functions_refuse_tensors():
    with pytest.raises(TypeError):
        np.add(tensor([1.0]), 1)


def test_comparison_with_none_and_other_things():
    t = tensor([1.0, 2.0])
    assert (t == None) is False  # noqa: E711
    assert (t != None) is True  # noqa: E711
    assert (t == "text") is False
    assert t not in ({}, set())
    with pytest.raises(TypeError):
        operator.lt(t, None)
    with pytest.raises(ValueError, match="comparison =="):
        operator.eq(t, tensor([1.0, 2.0, 3.0]))
    assert (np.array([1.0, 5.0]) == t).tolist() == [True, False]


def test_comparisons_happen_in_the_result_type():
    """A float64 tensor without axes counts as float32 beside a float32 one with axes."""
    assert (tensor([0.1]) == tensor(0.1, striate.float64)).tolist() == [True]
    assert (tensor([0.1]) == 0.1).tolist() == [True]


def test_conversions():
    t = tensor([[1.0, 2.0]])
    np.testing.assert_array_equal(np.asarray(t), [[1.0, 2.0]])
    assert float(tensor(2.5)) == 2.5
    assert int(tensor(2.5)) == 2
    assert [10, 20, 30][tensor(1)] == 20
    assert f"{tensor(2.5):.2f}" == "2.50"
    assert t.tolist() == [[1.0, 2.0]]
    with pytest.raises(TypeError, match="only integer tensors"):
        [1][tensor(0.0)]
    with pytest.raises(ValueError, match=r"one element, got shape \(1, 2\)"):
        t.item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(t)
    assert bool(tensor(1.0)) and not bool(tensor([0]))
    with pytest.raises(TypeError, match="without axes"):
        len(tensor(1.0))
    with pytest.raises(TypeError, match="without axes"):
        iter(tensor(1.0))
    assert [x.item() for x in tensor([1.0, 2.0])] == [1.0, 2.0]


def test_casts():
    t = tensor([1.7, -1.7])
    assert t.long().tolist() == [1, -1]
    assert t.to(striate.float64).dtype == t.double().dtype == striate.float64
    assert t.to(tensor(1)).dtype == striate.int64
    assert t.to("cpu") is t and t.float() is t
    odd = tensor([1e300, float("nan")], striate.float64)
    assert odd.float()[0].item() == float("inf")
    assert odd.long().dtype == striate.int64  # whatever NaN becomes, without a warning
    with pytest.raises(RuntimeError, match="cuda"):
        t.to("cuda:0")
    with pytest.raises(TypeError, match=r"expected one of .*, got float16"):
        t.to(np.float16)


# --- printing, copying ----------------------------------------------------------------------------


def test_deepcopy():
    t = tensor([1.0, 2.0], requires_grad=True)
    (t * t).sum().backward()
    twin, again = copy.deepcopy([t, t])
    assert twin is again
    assert twin.requires_grad and twin.tolist() == t.tolist()
    assert twin.grad.tolist() == [2.0, 4.0]
    assert not np.may_share_memory(twin.detach().numpy(), t.detach().numpy())
    assert not np.may_share_memory(twin.grad.numpy(), t.grad.numpy())
    with pytest.raises(RuntimeError, match="only leaves"):
        copy.deepcopy(t * 2)


def test_pickling_is_refused():
    with pytest.raises(TypeError, match=r"reading a pickle runs code; use striate\.save"):
        pickle.dumps(tensor([1.0]))


def test_tensors_are_hashed_by_identity():
    a, b = tensor([1.0]), tensor([1.0])
    assert len({a, b, a}) == 2


# --- views and in-place writes --------------------------------------------------------------------

VIEWS = {
    "getitem": lambda x: x[1:],
    "reshape": lambda x: x.reshape(3, 2),
    "transpose": lambda x: x.T,
    "unsqueeze": lambda x: x.unsqueeze(0),
    "expand": lambda x: x[:, :1].expand(2, 4),
    "split": lambda x: x.split(1)[0],
    "detach": lambda x: x.detach(),
    "flatten": lambda x: x.flatten(),
    "view of a view": lambda x: x[1:].T[0],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_share_storage_and_version(view):
    x = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    v = view(x)
    assert np.may_share_memory(v.numpy(), x.numpy())
    before = v._version_counter().value
    x += 1
    assert v._version_counter() is x._version_counter()
    assert v._version_counter().value == before + 1
    np.testing.assert_array_equal(v.numpy(), view(x).numpy())


def test_copies_do_not_share():
    x = striate.zeros(2, 3)
    for copied in (x.clone(), x + 0, x[[0, 1]], x[x == 0], x.T.contiguous(), tensor(x)):
        assert not np.may_share_memory(copied.numpy(), x.numpy())
        assert copied._version_counter() is not x._version_counter()


def test_writes_through_a_view_are_seen():
    x = striate.zeros(2, 3)
    x[0].fill_(1)
    x.T[2] = 5
    x[:, 1] += 2
    assert x.tolist() == [[1, 3, 5], [0, 2, 5]]


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda x: x.add_(2), [3, 4]),
        (lambda x: x.add_(tensor([1.0, 2.0]), alpha=10), [11, 22]),
        (lambda x: x.sub_(1), [0, 1]),
        (lambda x: x.sub_(1, alpha=2), [-1, 0]),
        (lambda x: x.mul_(3), [3, 6]),
        (lambda x: x.div_(2), [0.5, 1]),
        (lambda x: x.zero_(), [0, 0]),
        (lambda x: x.fill_(7), [7, 7]),
        (lambda x: x.copy_(tensor([8.0, 9.0])), [8, 9]),
        (lambda x: operator.iadd(x, 1), [2, 3]),
        (lambda x: operator.isub(x, 1), [0, 1]),
        (lambda x: operator.imul(x, x), [1, 4]),
        (lambda x: operator.itruediv(x, x), [1, 1]),
    ],
)
def test_in_place_writes(write, expected):
    x = tensor([1.0, 2.0])
    storage, version = x.numpy(), x._version_counter()
    assert write(x) is x
    assert x.numpy() is storage
    assert version.value == 1
    assert x.tolist() == expected


def test_in_place_keeps_dtype_and_shape():
    x = tensor([1.0, 2.0])
    x += tensor([1.0, 1.0]).double()
    assert x.dtype == striate.float32
    with pytest.raises(ValueError, match=r"\+=: the result's shape \(3, 2\) is not \(2,\)"):
        x += striate.zeros(3, 2)
    whole = tensor([1, 2])
    whole *= 3
    assert whole.tolist() == [3, 6]
    for wrong in (1.5, tensor([0.5, 0.5])):
        with pytest.raises(TypeError, match=r"\+=: a result of float32 can't be kept in int64"):
            whole += wrong
    with pytest.raises(TypeError, match=r"/=: a result of float32 can't be kept in int64"):
        whole /= 2
    flags = tensor([True])
    with pytest.raises(TypeError, match=r"add_: a result of int64 can't be kept in bool"):
        flags.add_(1)


def test_writes_that_overlap_read_first():
    x = striate.arange(6).float()
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    x[1:] += x[:-1]
    assert x.tolist() == [0, 0, 1, 3, 5, 7]


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (lambda x: x.copy_(striate.zeros(5)), ValueError, "copy_"),
        (lambda x: operator.setitem(x, 7, 1), IndexError, "indexed assignment"),
        (lambda x: operator.setitem(x, 0, striate.zeros(4)), ValueError, "indexed assignment"),
        (lambda x: x.expand(4, 2, 3).zero_(), ValueError, "zero_.*read-only"),
        (lambda x: operator.iadd(x, "1"), TypeError, "add: .*str"),
    ],
)
def test_refused_writes(write, error, words):
    x = striate.zeros(2, 3)
    with pytest.raises(error, match=words):
        write(x)
    assert x.tolist() == striate.zeros(2, 3).tolist()


# --- shapes, indices, joins -----------------------------------------------------------------------

INDICES = [
    1, -1, slice(1, 3), slice(None, None, 2), slice(None, None, -1), None, ..., (0, 1),
    (slice(None), 1), (..., 0), (None, 1, ..., None), [0, 2], ([0, 1], [1, 1]), True,
    (slice(None), [2, 0, 2]), np.array([[0, 1], [2, 0]]),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_is_numpys(index):
    array = np.random.default_rng(0).standard_normal((3, 3, 2))
    np.testing.assert_array_equal(Tensor(array)[index].numpy(), array[index])
    assert isinstance(Tensor(array)[index].numpy(), np.ndarray)


def test_indexing_by_tensors():
    x = striate.arange(6).reshape(2, 3)
    assert x[tensor([1, 0])].tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x[x > 2].tolist() == [3, 4, 5]
    assert x[tensor(1), tensor([0, 2])].tolist() == [3, 5]
    x[x > 2] = 0
    assert x.tolist() == [[0, 1, 2], [0, 0, 0]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x[2], IndexError, r"index into shape \(2, 3\)"),
        (lambda x: x[0, 0, 0], IndexError, "too many indices"),
        (lambda x: x[1.5], IndexError, "index into shape"),
        (lambda x: x.reshape(4, 2), ValueError, r"6 elements of shape \(2, 3\) .* \(4, 2\)"),
        (lambda x: x.reshape(-1, -1), ValueError, "reshape"),
        (lambda x: x.permute(0, 0), ValueError, "each of 2 axes once"),
        (lambda x: x.transpose(0, 2), IndexError, "dim: expected -2 to 1, got 2"),
        (lambda x: x.expand(2, 4), ValueError, "can't be repeated"),
        (lambda x: x.flatten(1, 0), ValueError, "behind"),
        (lambda x: x.split(0), ValueError, "1 or more"),
        (lambda x: x.split([1, 2]), ValueError, "do not add up to 2"),
        (lambda x: x.split([3, -1]), ValueError, "0 or more"),
        (lambda x: x.chunk(0), ValueError, "1 or more"),
        (lambda x: striate.cat([]), ValueError, "at least one"),
        (lambda x: striate.cat([x, x.T]), ValueError, r"tensor 1: .*\(2, 3\).*\(3, 2\)"),
        (lambda x: striate.cat([x, x], 2), IndexError, "dim"),
        (lambda x: striate.stack([x, x.T]), ValueError, "one shape"),
        (lambda x: striate.where(x > 0, x, x.T), ValueError, "where"),
        (lambda x: x.sum(2), IndexError, "sum: dim: expected -2 to 1, got 2"),
        (lambda x: x.sum((0, 0)), ValueError, "twice"),
        (lambda x: x.sum("0"), TypeError, "expected integers"),
        (lambda x: x.max((0, 1)), (TypeError, ValueError), "max"),
        (lambda x: striate.zeros(0).max(), ValueError, "no elements"),
        (lambda x: striate.zeros(0, 2).argmax(), ValueError, "no elements"),
        (lambda x: x @ x, ValueError, r"matmul: shapes \(2, 3\) and \(2, 3\)"),
        (lambda x: x @ tensor(1.0), ValueError, "at least one axis"),
        (lambda x: x @ "y", TypeError, "matmul"),
        (lambda x: x + {}, TypeError, "add: .*dict"),
        (lambda x: x + striate.zeros(2, 2), ValueError, r"add.*\(2, 3\).*\(2, 2\)"),
    ],
)
def test_errors_say_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(striate.zeros(2, 3))


@pytest.mark.parametrize("m", [(), (2,), (3, 2), (4, 3, 2)])
@pytest.mark.parametrize("n", [(2,), (2, 5), (4, 2, 5), (1, 2, 5)])
def test_matmul_shapes(m, n):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(m), rng.standard_normal(n)
    if not m:
        with pytest.raises(ValueError, match="at least one axis"):
            Tensor(a) @ Tensor(b)
        return
    got = (Tensor(a) @ Tensor(b)).numpy()
    np.testing.assert_allclose(got, a @ b, rtol=1e-12)
    assert got.shape == (a @ b).shape


def test_integer_matmul_and_sums():
    x = striate.arange(6).reshape(2, 3)
    assert (x @ x.T).tolist() == [[5, 14], [14, 50]]
    assert x.sum().dtype == tensor([True, True]).sum().dtype == striate.int64
    assert tensor([True, True]).sum().item() == 2
    assert x.float().sum(dtype=striate.float64).dtype == striate.float64
    assert x.mean().item() == 2.5


def test_reductions_of_nothing():
    empty = striate.zeros(0, 3)
    assert empty.sum().item() == 0
    assert empty.sum(0).tolist() == [0, 0, 0]
    assert np.isnan(empty.mean().item())
    assert np.all(np.isnan(empty.mean(0).numpy()))
    assert np.isnan(tensor([1.0]).var().item())
    assert tensor([1.0]).var(unbiased=False).item() == 0


def test_extremes_and_nan():
    x = tensor([[1.0, float("nan"), 3.0], [3.0, 2.0, 3.0]])
    assert np.isnan(x.max().item())
    values, indices = x.max(1)
    assert np.isnan(values[0].item()) and indices.tolist() == [1, 0]
    assert x.argmin(1).tolist() == [1, 1]
    assert x.max(1, keepdim=True)[0].shape == (2, 1)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "log1p"])
def test_functions_of_integers_give_floats(name):
    out = getattr(tensor([-1, 0, 2]), name)()
    assert out.dtype == striate.float32
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(np.array([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)


def test_pow():
    x = tensor([-8.0, 0.0, 4.0])
    assert (x**2).tolist() == [64, 0, 16]
    assert np.isnan((x**0.5)[0].item())
    assert (2**x).dtype == striate.float32
    assert (tensor([2, 3]) ** 2).dtype == striate.int64
    assert (x**-1)[1].item() == float("inf")
    with pytest.raises(ValueError, match=r"pow: .*negative integer powers"):
        tensor([2]) ** -1


def test_negative_strides():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = Tensor(array)[::-1, ::-1]
    np.testing.assert_array_equal((x + x).numpy(), 2 * array[::-1, ::-1])
    np.testing.assert_array_equal(x.sum(0).numpy(), array.sum(0)[::-1])
    np.testing.assert_allclose((x @ x.T).numpy(), array[::-1] @ array[::-1].T)


@pytest.mark.parametrize("function", [lambda x: x + 1, lambda x: x.clone(), lambda x: x * x,
                                      lambda x: striate.cat([x, x], 1), striate.zeros_like,
                                      lambda x: x.exp()])  # fmt: skip
def test_images_stay_channels_last(function):
    x = Tensor(np.zeros((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    out = function(x).numpy()
    assert out.transpose(0, 2, 3, 1).flags.c_contiguous


# --- random numbers -------------------------------------------------------------------------------


def test_seeds_repeat():
    striate.manual_seed(3)
    first = [striate.rand(4), striate.randn(2, 2), striate.randint(0, 9, (5,)), striate.randperm(6)]
    state = striate.get_rng_state()
    later = striate.rand(3)
    striate.manual_seed(3)
    again = [striate.rand(4), striate.randn(2, 2), striate.randint(0, 9, (5,)), striate.randperm(6)]
    assert [x.tolist() for x in first] == [x.tolist() for x in again]
    striate.rand(100)
    striate.set_rng_state(state)
    assert striate.rand(3).tolist() == later.tolist()
    for wrong in (-1, 1.5, True, "3"):
        with pytest.raises(ValueError, match="manual_seed: seed"):
            striate.manual_seed(wrong)


@pytest.mark.parametrize("name", ["cumsum", "sort", "topk", "gather", "masked_fill", "index_add",
                                  "quantile", "prod", "tril", "flip", "split", "repeat_interleave",
                                  "norm", "squeeze", "scatter", "unique", "clamp", "argsort",
                                  "nonzero", "roll", "diag", "logsumexp"])  # fmt: skip
def test_what_is_no_tensor_is_refused_by_name(name):
    arguments = {"clamp": (0, 1), "gather": (0, 1), "masked_fill": (0, 1), "index_add": (0, 0, 0),
                 "scatter": (0, 0, 0)}.get(name, (1,))  # fmt: skip
    if name in ("nonzero", "unique", "norm", "squeeze", "prod", "tril", "diag", "argsort", "sort"):
        arguments = ()
    with pytest.raises(TypeError, match=rf"{name}: (input|tensor): expected a Tensor, got list"):
        getattr(striate, name)([1.0, 2.0], *arguments)

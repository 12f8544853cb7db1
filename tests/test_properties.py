# SPDX-License-Identifier: Apache-2.0
"""Random shapes, strides, dtypes and sequences of operations, against NumPy in float64.

The examples follow from a seed that is printed when a test fails; STRIATE_SEED draws others.
"""

import os
import warnings

import numpy as np
import pytest
import striate
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st
from striate import Tensor, nn
from striate.testing import gradcheck

SEED = int(os.environ.get("STRIATE_SEED", "20240229"))


@pytest.fixture(autouse=True)
def _shown():
    print(f"STRIATE_SEED={SEED}")


def property_test(examples):
    """The same examples in every run, whatever the number of processes; none is cut short."""

    def decorate(function):
        wrapped = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )(seed(SEED)(function))
        return wrapped

    return decorate


sizes = st.integers(0, 7)
shapes = st.lists(sizes, min_size=0, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)
floats = st.sampled_from([np.float32, np.float64])


def values(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(-4 if np.dtype(dtype).kind == "i" else 0, 5, shape).astype(dtype)


@st.composite
def views(draw, shape, dtype):
    """An array of this shape with drawn strides: any axis order, steps, backwards, repeated."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    repeated = [n > 0 and draw(st.integers(0, 9)) == 0 for n in shape]
    stored = [
        1 if r else max(n * abs(s), 1) for n, s, r in zip(shape, steps, repeated, strict=True)
    ]
    base = values(draw(seeds), [stored[i] for i in order], dtype)
    array = base.transpose(np.argsort(order).astype(int))
    cut = []
    for n, s, r in zip(shape, steps, repeated, strict=True):
        if r:
            cut.append(slice(None))
        else:
            cut.append(slice(None, n * s, s) if s > 0 else slice(None, None, s))
    array = array[tuple(cut)]
    array = array[tuple(slice(0, n) for n in shape)]
    return np.broadcast_to(array, shape)


@st.composite
def broadcastable(draw, count):
    """Shapes that repeat to a common one."""
    whole = draw(shapes)
    made = []
    for _ in range(count):
        lead = draw(st.integers(0, len(whole)))
        made.append(tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in whole[lead:]))
    return made


def close(got, expected, dtype, scale=64.0):
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    eps = np.finfo(dtype).eps
    largest = np.max(np.abs(expected), initial=1.0)
    got = got.detach().numpy().astype(np.float64)
    assert np.allclose(got, expected, rtol=scale * eps, atol=scale * eps * largest, equal_nan=True)


PAIRS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@property_test(150)
@given(st.data(), broadcastable(2), floats, st.sampled_from(sorted(PAIRS)))
def test_two_operands(data, shapes, dtype, name):
    a, b = (data.draw(views(s, dtype)) for s in shapes)
    got = getattr(striate, name)(Tensor(a), Tensor(b))
    assert got.dtype == dtype
    close(got, PAIRS[name](a.astype(np.float64), b.astype(np.float64)), dtype)


@property_test(120)
@given(st.data(), broadcastable(2), st.sampled_from(sorted(PAIRS)))
def test_mixed_dtypes_agree_with_numpy_in_float64(data, shapes, name):
    kinds = st.sampled_from([np.float32, np.float64, np.int64, np.int8, np.uint8])
    a, b = (data.draw(views(s, data.draw(kinds))) for s in shapes)
    got = getattr(striate, name)(Tensor(a), Tensor(b))
    if got.dtype.kind == "f":
        close(got, PAIRS[name](a.astype(np.float64), b.astype(np.float64)), got.dtype)
    else:  # integers wrap round in their own width
        exact = PAIRS[name](a.astype(np.int64), b.astype(np.int64)).astype(got.dtype)
        assert np.array_equal(got.numpy(), exact)


ALONE = {
    "exp": np.exp,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "abs": np.abs,
    "square": np.square,
    "neg": np.negative,
}


@property_test(100)
@given(st.data(), shapes, floats, st.sampled_from(sorted(ALONE)))
def test_one_operand(data, shape, dtype, name):
    x = data.draw(views(shape, dtype))
    close(getattr(striate, name)(Tensor(x)), ALONE[name](x.astype(np.float64)), dtype)


@property_test(150)
@given(st.data(), shapes, floats, st.sampled_from(["sum", "mean", "amax", "amin", "var"]))
def test_reductions(data, shape, dtype, name):
    x = data.draw(views(shape, dtype))
    axes = [i for i in range(len(shape)) if data.draw(st.booleans())]
    keepdim = data.draw(st.booleans())
    if not axes or (0 in shape and name != "sum"):
        return
    dims = [i - len(shape) if data.draw(st.booleans()) else i for i in axes]
    got = getattr(striate, name)(Tensor(x), dims, keepdim=keepdim)
    options = {"ddof": 1} if name == "var" else {}
    numpy = getattr(np, name)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of too few elements for a variance
        expected = numpy(x.astype(np.float64), tuple(axes), keepdims=keepdim, **options)
    finite = np.where(np.isfinite(expected), expected, np.nan)
    got_array = np.where(np.isfinite(got.numpy()), got.numpy(), np.nan)
    close(Tensor(got_array), finite, dtype)


@property_test(100)
@given(st.data(), sizes, sizes, sizes, st.lists(st.integers(0, 3), max_size=2), floats)
def test_products(data, m, k, n, batch, dtype):
    a = data.draw(views((*batch, m, k), dtype))
    b = data.draw(views((*(batch if data.draw(st.booleans()) else ()), k, n), dtype))
    close(striate.matmul(Tensor(a), Tensor(b)), a.astype(np.float64) @ b.astype(np.float64), dtype)


# --- sequences ------------------------------------------------------------------------------------


@st.composite
def rearranged(draw, tensor, array):
    """One step that only looks at the same elements otherwise, on a tensor and on an array."""
    ndim = array.ndim
    step = draw(st.sampled_from(["permute", "slice", "unsqueeze", "flatten", "expand", "clone"]))
    if step == "permute":
        order = draw(st.permutations(range(ndim)))
        return tensor.permute(*order) if ndim else tensor, array.transpose(order)
    if step == "slice" and ndim:
        cut = []
        for n in array.shape:
            a, b = sorted((draw(st.integers(0, n)), draw(st.integers(0, n))))
            cut.append(slice(a, b, draw(st.sampled_from([1, 2]))))
        return tensor[tuple(cut)], array[tuple(cut)]
    if step == "unsqueeze" and ndim < 6:
        axis = draw(st.integers(0, ndim))
        return tensor.unsqueeze(axis), np.expand_dims(array, axis)
    if step == "flatten" and ndim > 1:
        return tensor.flatten(), array.reshape(-1)
    if step == "expand" and ndim < 6:
        n = draw(st.integers(1, 3))
        shape = (n, *array.shape)
        return tensor.expand(*shape), np.broadcast_to(array, shape)
    return tensor.clone(), array.copy()


@property_test(150)
@given(st.data(), shapes, floats)
def test_sequences_of_views_and_operations(data, shape, dtype):
    array = data.draw(views(shape, dtype))
    tensor, wide = Tensor(array), array.astype(np.float64)
    for _ in range(data.draw(st.integers(1, 6))):
        tensor, wide = data.draw(rearranged(tensor, wide))
        note(f"shape {wide.shape}")
        step = data.draw(st.sampled_from(["add", "mul", "tanh", "sum", "none"]))
        if step == "add":
            tensor, wide = tensor + 0.5, wide + 0.5
        elif step == "mul":
            tensor, wide = tensor * tensor, wide * wide
        elif step == "tanh":
            tensor, wide = striate.tanh(tensor), np.tanh(wide)
        elif step == "sum" and wide.ndim:
            axis = data.draw(st.integers(0, wide.ndim - 1))
            tensor, wide = tensor.sum(axis), wide.sum(axis)
        if wide.size > 2000:
            break
    close(tensor, wide, dtype, scale=512.0)


@property_test(150)
@given(st.data(), shapes)
def test_writes_through_views(data, shape):
    """In place, through a chain of views: the whole storage is what NumPy's is."""
    start = values(data.draw(seeds), shape, np.float64)
    tensor, array = Tensor(start.copy()), start.copy()
    whole, whole_array = tensor, array
    for _ in range(data.draw(st.integers(1, 4))):
        if array.ndim and data.draw(st.booleans()):
            order = data.draw(st.permutations(range(array.ndim)))
            tensor, array = tensor.permute(*order), array.transpose(order)
        elif array.ndim:
            axis = data.draw(st.integers(0, array.ndim - 1))
            first = data.draw(st.integers(0, array.shape[axis]))
            cut = (*[slice(None)] * axis, slice(first, None))
            tensor, array = tensor[cut], array[cut]
        write = data.draw(st.sampled_from(["add_", "mul_", "fill_", "set", "iadd"]))
        if write == "add_":
            tensor.add_(1.5)
            array += 1.5
        elif write == "mul_":
            tensor.mul_(-2.0)
            array *= -2.0
        elif write == "fill_":
            tensor.fill_(3.0)
            array[...] = 3.0
        elif write == "set":
            tensor[...] = 7.0
            array[...] = 7.0
        else:
            tensor += tensor.detach().clone()
            array += array.copy()
    assert np.array_equal(whole.numpy(), whole_array)


# --- gradients ------------------------------------------------------------------------------------


@property_test(100)
@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
def test_gradients_of_random_graphs(data, shape):
    """Results are used more than once, repeated, rearranged and cut."""
    plan = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["add", "mul", "tanh", "sigmoid", "roll", "cut", "sum", "max"]),
                st.integers(0, 20),
                st.integers(0, 20),
            ),
            min_size=1,
            max_size=8,
        )
    )

    def graph(a, b):
        made = [a, b, a * 0.5]
        for step, i, j in plan:
            x, y = made[i % len(made)], made[j % len(made)]
            if step == "add":
                made.append(x + y)
            elif step == "mul":
                made.append(x * y)
            elif step == "tanh":
                made.append(striate.tanh(x))
            elif step == "sigmoid":
                made.append(striate.sigmoid(x))
            elif step == "roll":
                made.append(striate.cat([x[1:], x[:1]], 0))
            elif step == "cut":
                made.append(x + y[:1])
            elif step == "sum":
                made.append(x * y.sum(0, keepdim=True))
            else:
                made.append(striate.maximum(x, y * 0.9 + 0.01))
        return sum((m * (i + 1)).sum() for i, m in enumerate(made))

    a, b = (values(data.draw(seeds), shape, np.float64) for _ in range(2))
    note(f"plan {plan}")
    gradcheck(graph, [a, b], rtol=1e-5, atol=1e-6)


# --- geometry -------------------------------------------------------------------------------------


def convolved(x, w, b, stride, padding, dilation, groups):
    """Convolution by its definition, in float64."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    n, _, h, v = x.shape
    k, c, r, s = w.shape
    p = (h - dilation[0] * (r - 1) - 1) // stride[0] + 1
    q = (v - dilation[1] * (s - 1) - 1) // stride[1] + 1
    y = np.zeros((n, k, p, q))
    for i in range(r):
        for j in range(s):
            top, left = i * dilation[0], j * dilation[1]
            part = x[
                :, :, top : top + p * stride[0] : stride[0], left : left + q * stride[1] : stride[1]
            ]
            for g in range(groups):
                to, of = slice(g * k // groups, (g + 1) * k // groups), slice(g * c, (g + 1) * c)
                y[:, to] += np.einsum("nchw,kc->nkhw", part[:, of, :p, :q], w[to, :, i, j])
    return y + b[:, None, None]


@property_test(120)
@given(st.data(), floats)
def test_convolution_of_any_geometry(data, dtype):
    def draw(least, most):
        return data.draw(st.integers(least, most))

    groups = draw(1, 3)
    c, k = groups * draw(1, 4), groups * draw(1, 5)
    r, s = draw(1, 4), draw(1, 4)
    stride, dilation = (draw(1, 3), draw(1, 3)), (draw(1, 3), draw(1, 3))
    padding = (draw(0, 3), draw(0, 3))
    h = max(dilation[0] * (r - 1) + 1 - 2 * padding[0], 1) + draw(0, 6)
    v = max(dilation[1] * (s - 1) + 1 - 2 * padding[1], 1) + draw(0, 6)
    x = data.draw(views((draw(1, 2), c, h, v), dtype))
    w = data.draw(views((k, c // groups, r, s), dtype))
    b = values(draw(0, 99), (k,), dtype)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    got = nn.functional.conv2d(Tensor(x), Tensor(w), Tensor(b), **options)
    expected = convolved(
        x.astype(np.float64), w.astype(np.float64), b.astype(np.float64), **options
    )
    close(got, expected, dtype, scale=256.0)
    if dtype is np.float64:
        gradcheck(
            lambda x, w, b: nn.functional.conv2d(x, w, b, **options),
            [np.array(x), np.array(w), b],
            rtol=1e-5,
        )


@property_test(120)
@given(st.data(), floats, st.sampled_from(["max", "avg"]))
def test_pooling_of_any_geometry(data, dtype, kind):
    def draw(least, most):
        return data.draw(st.integers(least, most))

    kernel = (draw(1, 4), draw(1, 4))
    stride = (draw(1, 3), draw(1, 3))
    padding = (draw(0, kernel[0] // 2), draw(0, kernel[1] // 2))
    h, v = (max(kernel[i] - 2 * padding[i], 1) + draw(0, 6) for i in range(2))
    x = data.draw(views((draw(1, 2), draw(1, 9), h, v), dtype))
    fill = -np.inf if kind == "max" else 0.0
    wide = np.pad(
        x.astype(np.float64),
        ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2),
        constant_values=fill,
    )
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel, (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    function = nn.functional.max_pool2d if kind == "max" else nn.functional.avg_pool2d
    expected = windows.max((-2, -1)) if kind == "max" else windows.mean((-2, -1))
    close(function(Tensor(x), kernel, stride, padding), expected, dtype)


def test_the_examples_are_drawn_from_the_seed():
    """Two runs see the same, so that processes that share the tests agree."""
    seen = []

    @property_test(5)
    @given(seeds)
    def record(value):
        seen.append(value)

    record()
    first = list(seen)
    seen.clear()
    record()
    assert seen == first and len(set(first)) > 1

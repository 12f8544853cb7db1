# SPDX-License-Identifier: Apache-2.0
"""The tape: what is recorded, what arrives where, and what is refused."""

import gc
import operator
import threading
import weakref

import numpy as np
import pytest
import striate
from striate import Tensor, enable_grad, is_grad_enabled, no_grad, tensor


def leaf(*shape, seed=0, dtype=np.float64):
    values = np.random.default_rng(seed).standard_normal(shape)
    return Tensor(np.asarray(values, dtype), requires_grad=True)


# --- arriving and adding up -----------------------------------------------------------------------


def test_a_tensor_used_twice():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x + x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_diamonds():
    x = tensor([1.0, 2.0], requires_grad=True)
    a = x * 2
    b, c = a + 1, a * a
    d = b * c + a + b + a
    d.sum().backward()
    value = x.detach().numpy()
    # d = (2x + 1) 4x^2 + 2x + 2x + 1 + 2x
    np.testing.assert_allclose(x.grad.numpy(), 24 * value**2 + 8 * value + 6)


def test_gradients_add_up_over_backwards():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    first = x.grad
    (x * 4).sum().backward()
    assert x.grad is first
    assert x.grad.tolist() == [7.0, 7.0]


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda x: x + 0, lambda x: x.reshape(2, 1), lambda x: x.clone(), lambda x: x[:],
     lambda x: x.T, lambda x: striate.cat([x]), lambda x: x.contiguous(), lambda x: x.expand(2)],
)  # fmt: skip
def test_gradients_are_never_the_users_array(function):
    """What is passed to backward is lent, however many operations hand it on unchanged."""
    x = tensor([1.0, 2.0], requires_grad=True)
    y = function(x)
    seed = striate.ones_like(y)
    y.backward(seed)
    assert not np.may_share_memory(x.grad.numpy(), seed.numpy())
    function(x).backward(seed)
    assert x.grad.tolist() == [2.0, 2.0]
    assert np.all(seed.numpy() == 1)


def test_gradients_of_two_leaves_are_not_shared():
    a, b = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    (a + b).sum().backward()
    (a + b).reshape(1).sum().backward()
    assert not np.may_share_memory(a.grad.numpy(), b.grad.numpy())
    a.grad.zero_()
    assert b.grad.tolist() == [2.0]


def test_saved_arrays_survive_accumulation():
    """mul hands out grad * b; accumulating into it must not reach what others were given."""
    x = tensor([3.0], requires_grad=True)
    y = x * 2
    z = y + y  # both edges get the one incoming array
    w = y * 5
    (z + w + z).sum().backward()
    assert x.grad.tolist() == [2 * (2 + 5 + 2)]


def test_gradients_have_the_leafs_strides():
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 2)).transpose(0, 3, 1, 2)
    w = Tensor(weight.astype(np.float32), requires_grad=True)
    for function in (
        lambda: (w * 2).sum(),
        lambda: w.sum(),
        lambda: w.reshape(4, -1).sum(),
        lambda: (w.contiguous() * 2).sum(),
        lambda: w[1:3].sum(),
    ):
        w.grad = None
        function().backward()
        assert w.grad.numpy().strides == w.detach().numpy().strides
        function().backward()
        assert w.grad.numpy().strides == w.detach().numpy().strides


@pytest.mark.parametrize("name", ["maximum", "minimum", "add", "sub", "mul", "div", "pow"])
def test_gradients_without_axes_are_arrays(name):
    a, b = tensor(2.0, requires_grad=True), tensor(3.0, requires_grad=True)
    function = getattr(striate, name)
    (function(a, b) + function(b, a)).backward()
    for t in (a, b):
        assert isinstance(t.grad.numpy(), np.ndarray)
        assert t.grad.shape == () and t.grad.dtype == striate.float32


def test_only_what_asks_gets_gradients():
    a, b = leaf(3), Tensor(np.ones(3))
    c = (a * b).detach()
    out = a * b + c
    out.sum().backward()
    assert b.grad is None and c.grad is None and not c.requires_grad
    assert out.grad is None  # of results, gradients pass through
    assert a.is_leaf and not out.is_leaf and out.grad_fn.op.name == "add"


def test_several_results_of_one_operation():
    x = tensor([[1.0, 5.0], [7.0, 3.0]], requires_grad=True)
    values, indices = x.max(1)
    assert values.requires_grad and not indices.requires_grad
    (values * tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0], [10.0, 0.0]]


def test_gradient_seed():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 3).backward(tensor([1.0, 10.0]))
    assert x.grad.tolist() == [3.0, 30.0]
    with pytest.raises(ValueError, match=r"backward: gradient: expected \(2,\), got \(3,\)"):
        (x * 3).backward(tensor([1.0, 2.0, 3.0]))
    with pytest.raises(RuntimeError, match=r"shape \(2,\) has more than one element"):
        (x * 3).backward()


def test_set_gradients_are_checked():
    x = tensor([1.0, 2.0], requires_grad=True)
    x.grad = tensor([1.0, 1.0])
    (x * 1).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match=r"grad: expected shape \(2,\)"):
        x.grad = tensor([1.0])
    with pytest.raises(TypeError, match="Tensor or None, got list"):
        x.grad = [1.0, 1.0]


# --- going through the graph again ----------------------------------------------------------------


def test_the_second_backward_is_refused():
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward; pass retain_graph=True"):
        loss.backward()


def test_retain_graph():
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).exp().sum()
    loss.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first)


def test_first_order_only():
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"create_graph=True.*first order"):
        (x * x).sum().backward(create_graph=True)


def test_backward_needs_a_history():
    with pytest.raises(RuntimeError, match="does not require grad"):
        tensor([1.0]).sum().backward()
    with no_grad():
        y = tensor([1.0], requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_only_floats_have_gradients():
    with pytest.raises(TypeError, match="floating-point tensors have gradients, got int64"):
        tensor([1], requires_grad=True)
    x = tensor([1.5], requires_grad=True)
    for result in (x.long(), x > 0, x.argmax()):
        assert not result.requires_grad
    with pytest.raises(RuntimeError, match="a result keeps it"):
        (x * 2).requires_grad_(False)


def test_numpy_of_a_watched_tensor_is_refused():
    x = tensor([1.0], requires_grad=True)
    for read in (lambda: x.numpy(), lambda: (x * 2).numpy(), lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match="detach"):
            read()


# --- in place -------------------------------------------------------------------------------------


SAVERS = {
    "mul": lambda x: x * x,
    "div": lambda x: 2.0 / x,
    "exp saves its result": lambda x: x.exp(),
    "matmul": lambda x: x @ x.T,
    "max": lambda x: x.max(),
    "pow": lambda x: x**2,
    "maximum": lambda x: striate.maximum(x, 0.5),
}


@pytest.mark.parametrize("function", SAVERS.values(), ids=SAVERS)
@pytest.mark.parametrize("write", ["directly", "through a view made before", "through detach()"])
def test_what_was_saved_must_not_change(function, write):
    w = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = w * 1  # a result, whose storage the operation saves
    view = x[0] if write == "through a view made before" else x
    y = function(x)
    target = y if function is SAVERS["exp saves its result"] else x
    with no_grad():
        if write == "through detach()":
            target.detach().zero_()
        elif write == "directly" or target is y:
            target.zero_()
        else:
            view.zero_()
    with pytest.raises(RuntimeError, match=r"changed\s+in place afterwards.*clone\(\)"):
        y.sum().backward()


def test_a_parameter_may_change_after_backward():
    w = tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        loss = (w * w).sum()
        loss.backward()
        with no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    np.testing.assert_allclose(w.detach().numpy(), np.array([1.0, 2.0]) * 0.8**3, rtol=1e-6)


def test_writes_to_what_was_not_saved_are_allowed():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = y + 1  # add saves nothing
    with no_grad():
        y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_data_is_a_write_unseen():
    w = tensor([2.0], requires_grad=True)
    y = w * w
    w.data.fill_(5)
    y.backward()
    assert w.grad.tolist() == [10.0]


def test_index_arrays_are_kept_as_they_were():
    x, index = leaf(4), np.array([0, 1])
    y = x[index]
    index[:] = 3
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 0]


IN_PLACE = {
    "+=": lambda t: operator.iadd(t, 1),
    "*=": lambda t: operator.imul(t, 2),
    "add_": lambda t: t.add_(1),
    "zero_": lambda t: t.zero_(),
    "copy_": lambda t: t.copy_(striate.zeros(2)),
    "t[0] =": lambda t: operator.setitem(t, 0, 1.0),
}


@pytest.mark.parametrize("write", IN_PLACE.values(), ids=IN_PLACE)
def test_leaves_and_views_refuse_writes(write):
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"a leaf that requires grad .* use no_grad\(\)"):
        write(x)
    with pytest.raises(RuntimeError, match="a view that requires grad"):
        write((x * 1)[:])
    with pytest.raises(RuntimeError, match="a view that requires grad"):
        write(x.reshape(2))
    assert x.tolist() == [1.0, 2.0]
    with no_grad():
        write(x)


@pytest.mark.parametrize("method", [False, True], ids=["operator", "method"])
def test_results_become_the_new_result(method):
    """y += 1 and y.add_(1) leave what the tape saw of y alone."""
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    square = y * y
    before = y
    if method:
        assert y.mul_(10) is y
    else:
        y *= 10
    assert y is before and y.tolist() == [10.0, 20.0]
    (square + y).sum().backward()
    assert x.grad.tolist() == [12.0, 14.0]


def test_a_sum_without_history_takes_terms_with_one():
    total = striate.zeros(())
    x = tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        total += (x * x).sum()
    again = striate.zeros(2)
    again.add_(x)
    (total + again.sum()).backward()
    assert x.grad.tolist() == [7.0, 13.0]
    part = striate.zeros(3)[1:]
    with pytest.raises(RuntimeError, match="requires no grad, as this one is a view"):
        part += x


def test_in_place_keeps_the_dtype_of_a_result():
    x = tensor([1.0], requires_grad=True)
    y = x * 1
    y += tensor([1.0]).double()
    assert y.dtype == striate.float32
    y.backward()
    assert x.grad.tolist() == [1.0]
    with pytest.raises(ValueError, match="result's shape"):
        y += striate.zeros(3, 1)


def test_written_values_may_have_a_history():
    x, y = tensor([1.0], requires_grad=True), striate.zeros(2)
    y[0] = x[0] * 3
    y.sum().backward()
    assert y.tolist() == [3.0, 0.0] and x.grad.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="requires no grad"):
        striate.zeros(2, 2)[0][0] = x[0]  # into a view, whose base would not know
    z = striate.zeros(2)
    with no_grad():
        z[0] = x[0]
    assert z.tolist() == [1.0, 0.0] and not z.requires_grad


# --- recording or not -----------------------------------------------------------------------------


def test_grad_modes_nest():
    assert is_grad_enabled()
    with no_grad():
        assert not is_grad_enabled()
        with enable_grad():
            assert is_grad_enabled()
            with no_grad():
                assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_one_no_grad_may_be_entered_twice():
    quiet = no_grad()
    with quiet:
        with quiet:
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_no_grad_decorates():
    x = tensor([1.0], requires_grad=True)

    @no_grad()
    def twice(n):
        """Its docstring."""
        return x * 2 if n == 0 else twice(n - 1)

    assert not twice(3).requires_grad
    assert (twice.__name__, twice.__doc__) == ("twice", "Its docstring.")
    assert is_grad_enabled()


def test_no_grad_belongs_to_its_thread():
    seen = []
    with no_grad():
        other = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        other.start()
        other.join()
    assert seen == [True]


def test_threads_sweep_at_once():
    wrong = []

    def work(seed):
        x = leaf(20, 20, seed=seed)
        for _ in range(20):
            x.grad = None
            ((x @ x).exp() * x).sum().backward()
            if seed not in expected:
                expected[seed] = x.grad.numpy().copy()
            elif not np.array_equal(expected[seed], x.grad.numpy()):
                wrong.append(seed)

    expected = {}
    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(expected) == 4


# --- size and lifetime ----------------------------------------------------------------------------


def test_long_chains():
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0 + 0.0
    y.backward()
    assert x.grad.tolist() == [1.0]
    del y  # as deep as it was made
    gc.collect()


def test_a_wide_fan():
    x = tensor([1.0], requires_grad=True)
    sum((x * float(i) for i in range(2000)), start=tensor([0.0])).backward()
    assert x.grad.item() == sum(range(2000))


def test_the_graph_dies_with_its_results():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    node, array = weakref.ref(y), weakref.ref(y._array)
    z = y.exp().sum()
    del y
    assert node() is None
    z.backward()
    gc.disable()
    try:
        del z
        assert array() is None  # without the cycle collector
    finally:
        gc.enable()


def test_backward_frees_what_was_saved():
    x = leaf(10)
    y = x.exp()
    saved = weakref.ref(y._array)
    loss = y.sum()
    del y
    assert saved() is not None
    loss.backward()
    assert saved() is None


def test_a_failed_gradient_leaves_no_lock():
    x = tensor([1.0], requires_grad=True)

    @striate.ops.record.op("(...) -> (...)")
    def broken(ctx, a):
        return a.copy()

    with pytest.raises(RuntimeError, match="backward: broken has no gradient"):
        broken(x).backward()
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]

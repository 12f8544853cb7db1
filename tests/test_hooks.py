# SPDX-License-Identifier: Apache-2.0
"""Hooks on tensors and modules.

Programs are written once and run with torch too: both must see the same, in the same order.
"""

import copy
import gc
import warnings
import weakref

import pytest
import striate
from both import both, leaf, plain
from striate.autograd import tape

# --- tensors --------------------------------------------------------------------------------------


def test_hooks_see_and_change_what_arrives_in_order():
    def program(t):
        seen = []
        x = leaf(t, 1.0, 2.0)
        y = x * x
        y.register_hook(lambda g: seen.append(("y", g.tolist())))
        y.register_hook(lambda g: 3 * g)
        y.register_hook(lambda g: seen.append(("y after", g.tolist())))
        x.register_hook(lambda g: seen.append(("x", g.tolist())))
        x.register_hook(lambda g: g + 1)
        (y * y + x).sum().backward()
        return seen, x.grad

    both(program)


def test_a_leafs_hook_runs_once_on_the_whole_gradient_each_time():
    def program(t):
        seen = []
        x, w = leaf(t, 2.0), leaf(t, 5.0)
        x.register_hook(lambda g: seen.append(g.tolist()))
        y = x * x * w + x + x * w
        y.backward(retain_graph=True)
        y.backward()
        return seen, x.grad, w.grad

    both(program)


def test_a_hook_registered_after_the_forward_counts():
    def program(t):
        seen = []
        x = leaf(t, 2.0)
        y = (x * x).sum()
        x.register_hook(lambda g: seen.append(g.tolist()))
        y.backward()
        return seen

    both(program)


def test_a_leafs_hook_has_its_turn_as_soon_as_its_gradient_is_whole():
    def program(t):
        seen = []
        first, last = leaf(t, 2.0), leaf(t, 3.0)
        last.register_hook(lambda g: seen.append("last"))
        middle = first * first
        middle.register_hook(lambda g: seen.append("middle"))
        first.register_hook(lambda g: seen.append("first"))
        (middle * last + last).backward()
        return seen

    both(program)


def test_post_accumulate_hooks():
    def program(t):
        seen = []
        x = leaf(t, 2.0)
        x.grad = t.tensor([1.0], dtype=t.float64)
        x.register_hook(lambda g: g * 2)
        handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
        (x * x + x).backward()
        handle.remove()
        (x * 2).backward()
        return seen, x.grad

    both(program)


def test_an_optimizer_in_the_hook_leaves_no_gradient():
    x = striate.tensor([2.0], requires_grad=True)

    def step(p):
        p.data -= 0.5 * p.grad
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * x).sum().backward()
    assert x.tolist() == [0.0] and x.grad is None
    handle.remove()


def test_handles_remove_and_leave_with():
    x = striate.tensor([1.0], requires_grad=True)
    y = x * 2
    op = y.grad_fn.op
    seen = []
    first = x.register_hook(lambda g: seen.append("leaf"))
    with y.register_hook(lambda g: seen.append("result")):
        y.backward(retain_graph=True)
    assert seen == ["result", "leaf"] and y.grad_fn.op is op
    first.remove()
    first.remove()
    assert not tape.heeded
    y.backward()
    assert seen == ["result", "leaf"]


def test_hooks_keep_no_leaf_alive():
    x = striate.tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: None)
    assert len(tape.heeded) == 1
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None and not tape.heeded


def test_the_gradient_of_other_users_is_left_alone():
    """What a hook returns goes down its own edge, not to those who share the array."""

    def program(t):
        a, b = leaf(t, 1.0), leaf(t, 1.0)
        y = a * 1
        y.register_hook(lambda g: g * 10)
        (y + b * 1).backward()
        return a.grad, b.grad

    both(program)


def test_retain_grad():
    def program(t):
        x = leaf(t, 3.0)
        y = x * x
        y.retain_grad()
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        assert y.retains_grad and not x.retains_grad
        z = y * 5
        z.backward(retain_graph=True)
        z.backward()
        return y.grad, x.grad

    both(program)


def test_retain_grad_follows_in_place_operations():
    def program(t):
        x = leaf(t, 3.0)
        y = x * 2
        y.retain_grad()
        y.mul_(4)
        assert y.retains_grad
        (y * 5).backward()
        return y.grad, x.grad

    both(program)


def test_a_dead_tensors_gradient_is_not_kept():
    x = striate.tensor([3.0], requires_grad=True)
    y = x * x
    y.retain_grad()
    z = y * 2
    del y
    z.backward()
    assert x.grad.tolist() == [12.0]


def test_hooks_on_one_of_several_results():
    def program(t):
        seen = []
        x = leaf(t, 1.0, 5.0, 2.0)
        top, _ = t.max(x.reshape(3, 1), 0)
        top.register_hook(lambda g: seen.append(g.tolist()))
        top.sum().backward()
        return seen, x.grad

    both(program)


def test_copies_have_no_hooks():
    x = striate.tensor([1.0], requires_grad=True)
    handle = x.register_hook(lambda g: g * 0)
    y = copy.deepcopy(x)
    (y * 3).backward()
    assert y.grad.tolist() == [3.0]
    handle.remove()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.detach().register_hook(print), RuntimeError, "that requires grad"),
        (lambda x: x.register_hook(3), TypeError, "hook: expected a function, got int"),
        (lambda x: x.detach().retain_grad(), RuntimeError, "retain_grad: expected a tensor that"),
        (
            lambda x: (x * 2).register_post_accumulate_grad_hook(print),
            RuntimeError,
            "expected a leaf",
        ),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(striate.tensor([1.0], requires_grad=True))


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (3.0, TypeError, "expected it to return a Tensor or None, got float"),
        (striate.ones(2), ValueError, r"float32 of shape \(1,\), like the gradient, got .*\(2,\)"),
        (striate.ones(1, dtype=striate.float64), ValueError, "expected it to return float32"),
    ],
)
def test_what_a_hook_may_not_return(value, error, words):
    x = striate.tensor([1.0], requires_grad=True)
    with x.register_hook(lambda g: value), pytest.raises(error, match=words):
        (x * 2).backward()


# --- modules --------------------------------------------------------------------------------------


def test_full_backward_hooks():
    def program(t):
        seen = []
        layer = t.nn.Linear(2, 1, dtype=t.float64)
        with t.no_grad():
            layer.weight.fill_(2.0)
            layer.bias.fill_(0.0)
        layer.register_full_backward_pre_hook(lambda m, g: (seen.append(plain(g)), (g[0] * 2,))[1])
        layer.register_full_backward_hook(lambda m, i, o: seen.append((plain(i), plain(o))))
        layer.register_full_backward_hook(lambda m, i, o: None if i[0] is None else (i[0] * 10,))
        x = leaf(t, 1.0, 3.0)
        layer(x * 1).sum().backward()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that no gradient comes out
            layer(t.tensor([1.0, 1.0], dtype=t.float64)).sum().backward()
        return seen, x.grad, layer.weight.grad

    both(program)


def test_full_backward_hooks_of_several_arguments_and_results():
    def program(t):
        class Two(t.nn.Module):
            def forward(self, a, n, b):
                return a * n, b * 3, a.detach()

        seen = []
        module = Two()
        handle = module.register_full_backward_hook(
            lambda m, i, o: seen.append((plain(i), plain(o)))
        )
        a, b = leaf(t, 1.0), leaf(t, 2.0)
        first, second, _ = module(a * 1, 5, b * 1)
        (first + second).backward()
        handle.remove()
        first, second, _ = module(a, 5, b)
        first.backward()
        return seen, a.grad, b.grad

    both(program)


def test_full_backward_hooks_are_idle_without_gradients_and_refuse_nonsense():
    layer = striate.nn.Linear(2, 1)
    called = []
    layer.register_full_backward_hook(lambda m, i, o: called.append(1))
    with striate.no_grad():
        layer(striate.ones(1, 2))
    assert not called
    layer.register_full_backward_hook(lambda m, i, o: (i[0], i[0]))
    y = layer(striate.ones(1, 2))
    with pytest.raises(RuntimeError, match="expected None or 1 gradients, got 2"):
        y.backward()
    layer = striate.nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda m, g: (striate.ones(7),))
    with pytest.raises(ValueError, match=r"gradient 0: expected float32 of shape \(1, 1\), got"):
        layer(striate.ones(1, 2)).backward()

# SPDX-License-Identifier: Apache-2.0
"""Hooks on tensors and modules, gradients of chosen tensors, functions with their own gradient.

Programs are written once and run with torch too: both must see the same, in the same order.
"""

import copy
import gc
import warnings
import weakref

import numpy as np
import pytest
import striate
from striate.autograd import Function, tape


def both(program):
    """The program's result with torch and with striate, tensors as lists."""
    torch = pytest.importorskip("torch")
    assert plain(program(torch)) == plain(program(striate))


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


def leaf(t, *values):
    return t.tensor([*values], dtype=t.float64, requires_grad=True)


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


# --- gradients of chosen tensors ------------------------------------------------------------------


def test_grad_of_leaves_and_results_changes_no_grad():
    def program(t):
        x, w = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
        y = x * w
        z = (y * y).sum() + w.sum()
        found = t.autograd.grad(z, [x, y, w], retain_graph=True)
        assert x.grad is None and w.grad is None and y.grad_fn is not None
        again = t.autograd.grad(z, y)
        return found, again

    both(program)


def test_grad_of_several_outputs_and_weights():
    def program(t):
        x = leaf(t, 1.0, 2.0)
        a, b = x * 2, x * x
        weights = [t.tensor([1.0, 10.0], dtype=t.float64), None]
        return t.autograd.grad([a, b.sum()], [x, a], weights)

    both(program)


def test_grad_with_hooks_and_retained_gradients():
    def program(t):
        x = leaf(t, 1.0, 2.0)
        seen = []
        x.register_hook(lambda g: g * 100)
        x.register_post_accumulate_grad_hook(lambda p: seen.append("never"))
        y = x * x
        y.register_hook(lambda g: g * 10)
        y.retain_grad()
        found = t.autograd.grad((y * 3).sum(), y, retain_graph=True)
        also = t.autograd.grad((y * 3).sum(), x)
        return found, also, seen, y.grad, x.grad is None

    both(program)


def test_gradients_of_a_result_and_of_what_it_was_made_from_are_both_past_their_hooks():
    x = leaf(striate, 1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: g * 10)
    found = striate.autograd.grad((y * 3).sum(), [x, y])
    assert plain(found) == [[60.0, 120.0], [30.0, 30.0]]


def test_grad_sweeps_only_what_lies_between():
    x = striate.tensor([2.0], requires_grad=True)
    y = x * x
    z = y * 3
    seen = []
    y.register_hook(lambda g: seen.append("y"))
    x.register_hook(lambda g: seen.append("x"))
    assert striate.autograd.grad(z, y)[0].tolist() == [3.0]
    assert seen == ["y"]
    y.backward()  # the part behind y is still there
    assert x.grad.tolist() == [4.0]
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        striate.autograd.grad(z, x)


def test_grad_of_an_output_itself():
    def program(t):
        x = leaf(t, 2.0)
        y = x * 3
        return t.autograd.grad([y, x], [y, x], retain_graph=True)

    both(program)


def test_grads_are_the_callers_own():
    x = striate.tensor([1.0, 2.0], requires_grad=True)
    weight = striate.ones(2)
    a, _ = striate.autograd.grad([x + 0, x * 1], [x, x], [weight, weight])
    a.zero_()
    assert weight.tolist() == [1.0, 1.0]
    y = x * 1
    (c,) = striate.autograd.grad(y, x, weight)
    c.zero_()
    assert weight.tolist() == [1.0, 1.0]


def test_unused_inputs():
    def program(t):
        x, other = leaf(t, 2.0), leaf(t, 2.0, 3.0)
        unused = t.autograd.grad(x * 2, [x, other], allow_unused=True)
        zeros = t.autograd.grad(x * 2, [other, x], materialize_grads=True)
        return unused, zeros

    both(program)
    x, other = leaf(striate, 2.0), leaf(striate, 2.0)
    with pytest.raises(RuntimeError, match="inputs: 0: this tensor has no part in the outputs"):
        striate.autograd.grad(x * 2, other)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g, x: g(x.detach(), x), RuntimeError, "does not require grad"),
        (lambda g, x: g(x * 2, x.detach()), RuntimeError, "inputs: 0: expected a tensor that"),
        (lambda g, x: g(x * x, x), RuntimeError, "more than one element"),
        (lambda g, x: g(x * x, x, striate.ones(3)), ValueError, r"expected \(2,\), got \(3,\)"),
        (lambda g, x: g([x * x], x, [None, None]), ValueError, "expected 1, one a tensor, got 2"),
        (lambda g, x: g([], x), TypeError, "outputs: expected a tensor or a list"),
        (lambda g, x: g(x.sum(), 3), TypeError, "inputs: expected a tensor or a list .*got 3"),
        (lambda g, x: g(x.sum(), x, create_graph=True), NotImplementedError, "first order only"),
    ],
)
def test_grad_refuses(call, error, words):
    with pytest.raises(error, match=words):
        call(striate.autograd.grad, striate.tensor([1.0, 2.0], requires_grad=True))


def test_backward_of_several_tensors():
    def program(t):
        x = leaf(t, 1.0, 2.0)
        t.autograd.backward([x * 2, (x * x).sum()], [t.tensor([1.0, 3.0], dtype=t.float64), None])
        x.register_hook(lambda g: g * 0)
        t.autograd.backward((x * x).sum())
        return x.grad

    both(program)


def test_long_chains():
    x = striate.tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: g * 2)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [2.0]


# --- functions ------------------------------------------------------------------------------------


def test_a_function_with_its_own_gradient():
    def program(t):
        class Scaled(t.autograd.Function):
            @staticmethod
            def forward(ctx, x, factor, y):
                ctx.save_for_backward(x, None, y)
                ctx.factor = factor
                assert not (x * y).requires_grad  # runs unrecorded
                return x * y * factor, x + y

            @staticmethod
            def backward(ctx, product, total):
                x, nothing, y = ctx.saved_tensors
                assert nothing is None
                needs.append(list(ctx.needs_input_grad))
                return product * y * ctx.factor + total, None, product * x * ctx.factor + total

        needs = []
        x, y = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
        product, total = Scaled.apply(x, 5, y)
        (product * total).sum().backward()
        only, _ = Scaled.apply(x, 5, y.detach())
        only.sum().backward()
        unrecorded, _ = Scaled.apply(x.detach(), 2, y.detach())
        return x.grad, y.grad, needs, product, unrecorded.requires_grad

    both(program)


def test_setup_context_and_marks():
    def program(t):
        class Top(t.autograd.Function):
            @staticmethod
            def forward(x):
                return x * 2, x > 1, x * 3

            @staticmethod
            def setup_context(ctx, inputs, output):
                ctx.mark_non_differentiable(output[1], output[2])
                ctx.set_materialize_grads(False)
                ctx.save_for_backward(inputs[0])

            @staticmethod
            def backward(ctx, grad, mask, third):
                seen.append((mask is None, third is None))
                return grad * 2

        seen = []
        x = leaf(t, 1.0, 2.0)
        y, mask, third = Top.apply(x)
        y.sum().backward()
        return x.grad, seen, mask, third.requires_grad

    both(program)


def test_an_argument_may_be_returned_as_it_is():
    def program(t):
        class Reverse(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x

            @staticmethod
            def backward(ctx, grad):
                return -grad

        x = leaf(t, 1.0, 2.0)
        (Reverse.apply(x) * 3).sum().backward()
        return x.grad, x.is_leaf

    both(program)


def test_saved_tensors_are_watched_and_freed():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, grad):
            x, _ = ctx.saved_tensors
            return 2 * x * grad

    x = striate.tensor([3.0], requires_grad=True)
    y = Square.apply(x)
    with striate.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="Square needs for its gradient was changed in place"):
        y.backward()
    y = Square.apply(x)
    y.backward()
    with pytest.raises(RuntimeError, match=r"what Square had saved .* was freed"):
        y.backward()
    node = weakref.ref(Square.apply(x).grad_fn)
    assert node() is None  # nothing in a cycle


def test_functions_pass_gradcheck():
    from striate.testing.gradcheck import gradcheck

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x * x * grad

    gradcheck(Cube.apply, [np.random.default_rng(0).standard_normal((3, 4))])


def function(**methods):
    return type("Mine", (Function,), {k: staticmethod(m) for k, m in methods.items() if m})


@pytest.mark.parametrize(
    ("forward", "backward", "error", "words"),
    [
        (lambda c, x: 3.0, None, TypeError, "static method backward"),
        (
            lambda c, x: 3.0,
            lambda c, g: g,
            TypeError,
            "it to return a Tensor.* float at 0",
        ),
        (lambda c, x: x * 1, lambda c, g: (g, g), RuntimeError, "expected 1 gradients.*got 2"),
        (lambda c, x: x * 1, lambda c, g: 3.0, TypeError, "gradient 0: expected a Tensor or None"),
        (
            lambda c, x: x * 1,
            lambda c, g: striate.ones(5),
            ValueError,
            r"gradient 0: expected shape \(2,\), like its argument, got \(5,\)",
        ),
        (
            lambda c, x: c.save_for_backward(3) or x,
            lambda c, g: g,
            TypeError,
            "save_for_backward: expected tensors or None, got int",
        ),
    ],
)
def test_functions_refuse(forward, backward, error, words):
    mine = function(forward=forward, backward=backward)
    with pytest.raises(error, match=words):
        mine.apply(striate.tensor([1.0, 2.0], requires_grad=True)).sum().backward()
    with pytest.raises(TypeError, match=r"expected no instance; call Mine\.apply"):
        mine()

# SPDX-License-Identifier: Apache-2.0
"""Gradients of chosen tensors, and functions with their own gradient.

Programs are written once and run with torch too: both must see the same, in the same order.
"""

import weakref

import numpy as np
import pytest
import striate
from both import both, leaf, plain
from striate.autograd import Function

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

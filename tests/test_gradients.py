# SPDX-License-Identifier: Apache-2.0
"""Gradients of the operations that have no case table of their own."""

import operator

import numpy as np
import pytest
import striate
from striate import Tensor, tensor
from striate.testing import gradcheck


def leaf(*shape, seed=0, dtype=np.float64):
    values = np.random.default_rng(seed).standard_normal(shape)
    return Tensor(np.asarray(values, dtype), requires_grad=True)


# --- gradients of the operations without a case table of their own --------------------------------

ONE = {
    "neg": lambda x: -x,
    "pow 3": lambda x: x**3,
    "number ** x": lambda x: 2.0**x,
    "number - x": lambda x: 3.0 - x,
    "number / x": lambda x: 1.0 / (x + 5.0),
    "exp": lambda x: x.exp(),
    "log": lambda x: (x * x + 1.0).log(),
    "log1p": lambda x: (x * x).log1p(),
    "sqrt": lambda x: (x * x + 1.0).sqrt(),
    "square": lambda x: x.square(),
    "abs": lambda x: x.abs(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "clone": lambda x: x.clone() * x,
    "contiguous": lambda x: x.transpose(0, -1).contiguous() * 2.0,
    "sum": lambda x: x.sum(),
    "sum 0": lambda x: x.sum(0),
    "sum -1 keepdim": lambda x: x * x.sum(-1, keepdim=True),
    "sum (0, 2)": lambda x: x.sum((0, 2)),
    "mean": lambda x: x.mean((1, 2)),
    "var": lambda x: x.var(),
    "var 1": lambda x: x.var(1, unbiased=False),
    "std": lambda x: x.std((0, 1), keepdim=True),
    "max": lambda x: x.max(),
    "min": lambda x: x.min() * x.max(),
    "max 1": lambda x: x.max(1)[0],
    "min -1 keepdim": lambda x: x.min(-1, keepdim=True)[0],
    "amax": lambda x: x.amax((0, 2)),
    "amin": lambda x: x.amin(1, keepdim=True),
    "reshape": lambda x: x.reshape(4, -1) * 2.0,
    "flatten": lambda x: x.flatten(1).exp(),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1).exp(),
    "permute": lambda x: x.permute(2, 0, 1).exp(),
    "T": lambda x: x.T * x.T,
    "expand": lambda x: x[:, :1].expand(2, 5, 4).exp(),
    "x[1]": lambda x: x[1],
    "x[..., 1:3]": lambda x: x[..., 1:3] * x[..., :2],
    "x[::-1]": lambda x: x[::-1] * x,
    "x[None]": lambda x: x[None, :, 0].exp(),
    "x[[0, 0, 1]]": lambda x: x[[0, 0, 1]].exp(),
    "x[i, j]": lambda x: x[tensor([0, 1, 1]), tensor([2, 2, 0])],
    "x[x > 0]": lambda x: x[x > 0].exp(),
    "split": lambda x: striate.split(x, [1, 3], 2)[1] * striate.split(x, 1, 2)[0],
    "chunk": lambda x: x.chunk(2, 2)[1] - x.chunk(2, 2)[0],
    "cat with itself": lambda x: striate.cat([x, x * 2.0, x], 1).exp(),
    "where": lambda x: striate.where(x > 0, x * x, 0.0),
    "cast": lambda x: x.float().double() * x,
}


@pytest.mark.parametrize("function", ONE.values(), ids=ONE)
def test_gradient_of_one(function):
    x = np.random.default_rng(1).standard_normal((2, 3, 4))
    tolerance = {"rtol": 1e-3, "step": 1e-2} if function is ONE["cast"] else {}
    gradcheck(function, [x], **tolerance)
    strided = np.zeros((4, 6, 4))[::2, ::2]
    strided[...] = x
    gradcheck(function, [strided], **tolerance)


TWO = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": lambda a, b: a / (b * b + 1.0),
    "maximum": striate.maximum,
    "minimum": striate.minimum,
    "pow": lambda a, b: (a * a + 1.0) ** b,
    "where": lambda a, b: striate.where(a > 0, a, b),
}
SHAPES = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4, 1, 3), (2, 1)),
          ((1,), (2, 2)), ((0, 3), (1, 3)), ((2, 3, 4, 5), (3, 1, 1))]  # fmt: skip


@pytest.mark.parametrize("function", TWO.values(), ids=TWO)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_gradient_of_two_broadcast(function, shapes):
    rng = np.random.default_rng(2)
    gradcheck(function, [np.asarray(rng.standard_normal(s)) for s in shapes])


@pytest.mark.parametrize("m", [(2,), (3, 2), (4, 3, 2), (1, 3, 2)])
@pytest.mark.parametrize("n", [(2,), (2, 5), (4, 2, 5), (4, 1, 2, 5)])
def test_gradient_of_matmul(m, n):
    rng = np.random.default_rng(3)
    gradcheck(operator.matmul, [rng.standard_normal(m), rng.standard_normal(n)])


def test_cat_and_stack_of_several():
    rng = np.random.default_rng(4)
    parts = [rng.standard_normal((2, n, 3)) for n in (1, 4, 0, 2)]
    gradcheck(lambda *x: striate.cat(x, 1).exp(), parts)
    gradcheck(lambda *x: striate.stack(x, -1).exp(), [rng.standard_normal((2, 3))] * 3)


def test_equal_elements_share_a_maximum():
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([1.0, 1.0], requires_grad=True)
    striate.maximum(x, y).sum().backward()
    assert x.grad.tolist() == [0.5, 1.0] and y.grad.tolist() == [0.5, 0.0]
    z = tensor([3.0, 3.0, 1.0], requires_grad=True)
    z.max().backward()
    assert z.grad.tolist() == [0.5, 0.5, 0.0]
    z.grad = None
    z.max(0)[0].backward()
    assert z.grad.tolist() == [1.0, 0.0, 0.0]


def test_gradients_at_the_edges_warn_of_nothing():
    x = tensor([0.0, float("nan"), -1.0], requires_grad=True)
    for function in (lambda: x**-1, lambda: x**0.5, lambda: x**x, lambda: x.max(), lambda: x.log(),
                     lambda: x.sqrt(), lambda: 1 / x, lambda: x.std()):  # fmt: skip
        function().sum().backward()
    y = tensor([0.0, 2.0], requires_grad=True)
    (y**0).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]


def test_gradients_of_powers_agree_with_torch():
    torch = pytest.importorskip("torch")
    base, exponent = [0.0, 0.0, 0.0, -2.0, -2.0, 3.0, 1.0], [0.0, 2.0, -1.0, 2.0, 0.5, -1.5, 0.0]
    a, b = (tensor(v, requires_grad=True) for v in (base, exponent))
    ta, tb = (torch.tensor(v, requires_grad=True) for v in (base, exponent))
    (a**b).sum().backward()
    (ta**tb).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), ta.grad.numpy(), rtol=1e-6)
    np.testing.assert_allclose(b.grad.numpy(), tb.grad.numpy(), rtol=1e-6)

# SPDX-License-Identifier: Apache-2.0
"""Distributions beside PyTorch's, and their samples beside their moments."""

import numpy as np
import pytest
import striate
from striate import tensor
from striate.distributions import Bernoulli, Categorical, Normal, kl_divergence
from striate.testing import gradcheck

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
P = RNG.uniform(0.05, 0.95, (4, 3))
CLASSES = np.array([0, 1, 2, 2])
CASES = {
    "normal": (lambda m, d, a, b: d.Normal(a, b.exp()), A, B, RNG.standard_normal((4, 3))),
    "normal, broadcast": (lambda m, d, a, b: d.Normal(a[0], b[:, :1].exp()), A, B, A),
    "categorical logits": (lambda m, d, a, b: d.Categorical(logits=a), A, B, CLASSES),
    "categorical probs": (lambda m, d, a, b: d.Categorical(b.exp()), A, B, CLASSES[None]),
    "bernoulli logits": (lambda m, d, a, b: d.Bernoulli(logits=a), A, B, (A > B).astype(float)),
    "bernoulli probs": (lambda m, d, a, b: d.Bernoulli(b.sigmoid()), A, B, (A > B).astype(float)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_like_torch(name):
    torch = pytest.importorskip("torch")
    make, a, b, value = CASES[name]
    ours = [tensor(x, requires_grad=True) for x in (a, b)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    p = make(striate, striate.distributions, *ours)
    q = make(torch, torch.distributions, *theirs)
    assert p.batch_shape == tuple(q.batch_shape) and p.event_shape == tuple(q.event_shape)
    pairs = [(p.log_prob(tensor(value)), q.log_prob(torch.tensor(value))),
             (p.entropy(), q.entropy())]  # fmt: skip
    for field in ("mean", "variance", "stddev", "probs", "logits"):
        if hasattr(q, field):
            got, expected = getattr(p, field), getattr(q, field)
            np.testing.assert_allclose(
                got.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12
            )
    for got, expected in pairs:
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
    for side in zip(*pairs, strict=True):
        (side[0].sum() + side[1].sum()).backward()
    for x, y in zip(ours, theirs, strict=True):
        if y.grad is not None:
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("make", [
    lambda d, a, b: d.Normal(a, b.exp()),
    lambda d, a, b: d.Categorical(logits=a + 0 * b),
    lambda d, a, b: d.Bernoulli(logits=a + 0 * b),
])  # fmt: skip
def test_divergence_is_torchs(make):
    torch = pytest.importorskip("torch")
    ours = [tensor(x, requires_grad=True) for x in (A, B, P, B * 0.5)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (A, B, P, B * 0.5)]
    d, e = striate.distributions, torch.distributions
    got = kl_divergence(make(d, *ours[:2]), make(d, *ours[2:]))
    expected = e.kl_divergence(make(e, *theirs[:2]), make(e, *theirs[2:]))
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-8)
    got.sum().backward()
    expected.sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-7, atol=1e-10)


def test_samples_have_the_moments():
    striate.manual_seed(0)
    for p in (Normal(tensor([1.0, -2.0]), tensor([0.5, 2.0])), Bernoulli(tensor([0.2, 0.9]))):
        x = p.sample((20000,))
        assert x.shape == (20000, 2) and not x.requires_grad
        np.testing.assert_allclose(x.mean(0).numpy(), p.mean.numpy(), atol=0.06)
        np.testing.assert_allclose(x.var(0).numpy(), p.variance.numpy(), rtol=0.06)
    p = Categorical(tensor([[1.0, 3.0, 0.0], [1.0, 1.0, 2.0]]))
    x = p.sample((10000,))
    assert x.shape == (10000, 2) and x.dtype == striate.int64
    for column, share in zip(x.numpy().T, p.probs.numpy(), strict=True):
        np.testing.assert_allclose(np.bincount(column, minlength=3) / 10000, share, atol=0.02)
    assert Categorical(striate.ones(3)).sample().shape == ()
    assert Categorical(striate.ones(2, 3)).sample((4, 5)).shape == (4, 5, 2)
    assert Categorical(striate.ones(2, 3)).mode.tolist() == [0, 0]


def test_normal_samples_carry_gradients():
    loc, scale = tensor(A, requires_grad=True), tensor(np.exp(B), requires_grad=True)
    striate.manual_seed(1)
    x = Normal(loc, scale).rsample((2,))
    x.sum().backward()
    noise = ((x - loc) / scale).detach()
    np.testing.assert_allclose(loc.grad.numpy(), 2.0)
    np.testing.assert_allclose(scale.grad.numpy(), noise.sum(0).numpy(), rtol=1e-9)
    np.testing.assert_allclose(
        Normal(0.0, 1.0).cdf(tensor([0.0, 1.96])).numpy(), [0.5, 0.9750021], rtol=1e-6
    )


def test_gradients():
    value = tensor(np.array([0, 1, 2, 2]))
    gradcheck(lambda a: Categorical(logits=a).log_prob(value), [A])
    gradcheck(lambda a: Categorical(a.exp()).entropy(), [A])
    gradcheck(lambda a, b: kl_divergence(Normal(a, b.exp()), Normal(b, a.exp())), [A, B])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Normal(0.0, -1.0), ValueError, r"Normal: scale: .* above 0, got -1\.0"),
        (lambda: Normal(tensor([float("nan")]), 1.0), ValueError, "Normal: loc: .*got nan"),
        (lambda: Normal("0", 1.0), TypeError, "Normal: loc: .*str"),
        (lambda: Normal(striate.zeros(2), striate.ones(3)), ValueError, "do not broadcast"),
        (lambda: Categorical(), ValueError, "either probs or logits"),
        (lambda: Categorical(striate.ones(2), striate.ones(2)), ValueError, "either"),
        (lambda: Categorical(tensor([-1.0, 2.0])), ValueError, r"probs: .*got -1\.0"),
        (lambda: Categorical(striate.zeros(3)), ValueError, "sum above 0"),
        (lambda: Categorical(tensor(1.0)), ValueError, "last axis"),
        (lambda: Categorical(striate.ones(3)).log_prob(tensor(3)), ValueError, "0 to 2, got 3"),
        (lambda: Categorical(striate.ones(3)).log_prob(1), TypeError, "value: .*int"),
        (lambda: Bernoulli(1.5), ValueError, r"from 0 to 1, got 1\.5"),
        (lambda: Bernoulli(0.5).log_prob(tensor(0.3)), ValueError, "0 or 1, got 0.3"),
        (
            lambda: Normal(striate.zeros(2), 1.0).log_prob(striate.zeros(3)),
            ValueError,
            "broadcasts",
        ),
        (lambda: kl_divergence(Normal(0.0, 1.0), Bernoulli(0.5)), NotImplementedError, "Bernoulli"),
    ],
)
def test_misuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_checks_can_be_left_out():
    assert np.isnan(Normal(0.0, -1.0, validate_args=False).log_prob(tensor(0.0)).item())

# SPDX-License-Identifier: Apache-2.0
"""Losses: special values alike on every ISA, dtypes, memory orders."""

import numpy as np
import pytest
import striate
from striate import _C, Tensor
from striate.nn import functional as F
from test_activation import SPECIAL, assert_alike, on_every_isa

ROWS = {
    "mse_loss": "squared_error",
    "l1_loss": "absolute_error",
    "huber_loss": "huber",
    "binary_cross_entropy_with_logits": "binary_logits",
}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", list(ROWS))
def test_special_values(name, dtype):
    x = SPECIAL.astype(dtype.replace("f32", "f4").replace("f64", "f8"))
    a, b = (np.ascontiguousarray(v).ravel() for v in np.meshgrid(x, x))
    for part in (0, 1):
        assert_alike(
            on_every_isa(
                lambda part=part: getattr(_C, name)(a, b, reduction="none", gradient=True)[part],
                ROWS[name],
                dtype,
            ),
            [a, b],
        )


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("what", ["squares", "absolute", "largest"])
def test_special_norms(what, dtype):
    kind = dtype.replace("f32", "f4").replace("f64", "f8")
    for special in (np.nan, np.inf, -np.inf, -0.0):
        for place in range(0, 70, 3):
            x = np.zeros(70, kind)
            x[place] = special
            results = on_every_isa(
                lambda x=x: [_C.vector_norm(x, what)[()]], f"vector_norm_{what}", dtype
            )
            for isa, (result,) in results.items():
                expected = np.nan if np.isnan(special) else abs(special)
                assert np.array_equal(result, expected, equal_nan=True), f"{isa}, {place}"


PAIRS = [
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div", "poisson_nll_loss",
    "multilabel_soft_margin_loss", "pairwise_distance", "cosine_similarity",
]  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_dtypes_stay(name):
    for first, second, expected in (("f4", "f4", "f4"), ("f8", "f8", "f8"), ("f4", "f8", "f8")):
        rng = np.random.default_rng(0)
        x = Tensor(rng.random((3, 4)).astype(first), requires_grad=True)
        t = Tensor(rng.random((3, 4)).astype(second))
        loss = getattr(F, name)(x, t)
        assert loss.dtype == np.dtype(expected)
        loss.sum().backward()
        assert x.grad.dtype == x.dtype


def test_dtypes_of_the_others():
    x = Tensor(np.random.default_rng(0).random((3, 4), np.float32), requires_grad=True)
    signs, labels = striate.tensor([1, -1, 1]), striate.tensor([0, 3, 1])
    for loss in (
        F.nll_loss(x, labels), F.nll_loss(x, labels, striate.ones(4)),
        F.multi_margin_loss(x, labels, p=2),
        F.multilabel_margin_loss(x, striate.zeros(3, 4).long()),
        F.hinge_embedding_loss(x, striate.ones(3, 4)), F.cosine_embedding_loss(x, x + 1, signs),
        F.margin_ranking_loss(x, x * 2, striate.ones(3, 4)), F.triplet_margin_loss(x, x * 2, x + 1),
        F.contrastive_loss(x, x * 2, striate.tensor([0, 1, 1])), F.gaussian_nll_loss(x, x * 2, 1.0),
        F.poisson_nll_loss(x, x, full=True), striate.cdist(x, x * 2),
        F.ctc_loss(F.log_softmax(x.reshape(3, 1, 4), 2), striate.tensor([[1]]), [3], [1]),
    ):  # fmt: skip
        assert loss.dtype == np.float32
        x.grad = None
        loss.sum().backward()
        assert x.grad.dtype == np.float32
        assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("name", list(ROWS))
def test_memory_orders(name):
    """The same for images in channels-last memory, transposed, strided and mixed operands."""
    rng = np.random.default_rng(0)
    x, t = rng.random((2, 3, 4, 5, 6))
    function = getattr(F, name)
    expected = Tensor(x, requires_grad=True)
    loss = function(expected, Tensor(t), reduction="none")
    loss.sum().backward()

    def last(a):
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    def spread(a):
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]))
        wide[..., ::2] = a
        return wide[..., ::2]

    for first in (last, spread, np.asfortranarray):
        for second in (last, spread, np.ascontiguousarray):
            given = Tensor(first(x), requires_grad=True)
            got = function(given, Tensor(second(t)), reduction="none")
            assert np.array_equal(got.detach().numpy(), loss.detach().numpy())
            got.sum().backward()
            assert np.array_equal(given.grad.numpy(), expected.grad.numpy())
            mean = function(given, Tensor(second(t))).item()
            assert np.isclose(mean, loss.detach().numpy().mean(), rtol=1e-12)

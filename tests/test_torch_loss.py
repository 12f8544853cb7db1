# SPDX-License-Identifier: Apache-2.0
"""Losses and distances are PyTorch's: values and gradients of every reduction, rank and option."""

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops
from striate.testing import gradcheck

torch = pytest.importorskip("torch")
F = torch.nn.functional

TOLERANCE = 1e-9
REDUCTIONS = ["mean", "sum", "none"]


def both(x, grad):
    """An operand for us and for them; integers have no gradient, None stays None."""
    if not isinstance(x, np.ndarray):
        return x, x
    grad = grad and x.dtype.kind == "f"
    return Tensor(x.copy(), requires_grad=grad), torch.tensor(x, requires_grad=grad)


def compare(name, operands, *, constant=(), tolerance=TOLERANCE, **options):
    """F.name on the same operands, and the gradients of all but those at `constant`."""
    pairs = [both(x, i not in constant) for i, x in enumerate(operands)]
    given = {k: both(v, False) for k, v in options.items()}
    mine = getattr(nn.functional, name)(
        *(p[0] for p in pairs), **{k: v[0] for k, v in given.items()}
    )
    theirs = getattr(F, name)(*(p[1] for p in pairs), **{k: v[1] for k, v in given.items()})
    assert mine.shape == tuple(theirs.shape)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance)
    upstream = np.random.default_rng(1).standard_normal(mine.shape)
    if not mine.requires_grad:
        return
    mine.backward(Tensor(upstream))
    theirs.backward(torch.tensor(upstream))
    for a, b in pairs:
        if isinstance(a, Tensor) and a.requires_grad and b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), tolerance, tolerance)


def rng():
    return np.random.default_rng(0)


def normal(*shape):
    return rng().standard_normal(shape) * 2


def signs(*shape):
    return np.sign(np.random.default_rng(7).standard_normal(shape))


SHAPES = [(6,), (5, 4), (2, 3, 4, 5)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestPointwise:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("mse_loss", {}), ("l1_loss", {}),
            ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.4}),
            ("smooth_l1_loss", {"beta": 0}),
            ("huber_loss", {}), ("huber_loss", {"delta": 0.4}),
        ],
        ids=str,
    )  # fmt: skip
    def test_differences(self, name, options, shape, reduction):
        x, t = normal(2, *shape)
        compare(name, [x, t], reduction=reduction, **options)

    def test_binary_cross_entropy(self, shape, reduction):
        x, t, weight = rng().random((3, *shape))
        x.flat[0], x.flat[1] = 0, 1  # where PyTorch divides by 1e-12 in float32
        options = {"constant": (1,), "reduction": reduction, "tolerance": 1e-7}
        compare("binary_cross_entropy", [x, t], **options)
        compare("binary_cross_entropy", [x, t], weight=weight, **options)
        x = np.clip(x, 0.01, 0.99)
        compare("binary_cross_entropy", [x, t], reduction=reduction, weight=weight[-1:])

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("positive", [False, True])
    def test_binary_cross_entropy_with_logits(self, weighted, positive, shape, reduction):
        x, t = normal(*shape) * 10, rng().random(shape)
        options = {"reduction": reduction}
        if weighted:
            options["weight"] = rng().random(shape)
        if positive:
            options["pos_weight"] = rng().random(shape[-1]) * 3
        compare("binary_cross_entropy_with_logits", [x, t], **options)

    def test_hinge_embedding(self, shape, reduction):
        for margin in (1.0, 0.3):
            operands = [normal(*shape), signs(*shape)]
            compare(
                "hinge_embedding_loss", operands, constant=(1,), margin=margin, reduction=reduction
            )

    def test_soft_margin(self, shape, reduction):
        compare(
            "soft_margin_loss", [normal(*shape), signs(*shape)], constant=(1,), reduction=reduction
        )

    def test_margin_ranking(self, shape, reduction):
        a, b = normal(2, *shape)
        for margin in (0.0, 0.7):
            operands = [a, b, signs(*shape)]
            compare(
                "margin_ranking_loss", operands, constant=(2,), margin=margin, reduction=reduction
            )

    def test_poisson(self, shape, reduction):
        x, t = normal(*shape), rng().poisson(3, shape).astype(np.float64)
        for full in (False, True):
            compare("poisson_nll_loss", [x, t], constant=(1,), full=full, reduction=reduction)
            compare(
                "poisson_nll_loss", [np.abs(x), t], constant=(1,), log_input=False, full=full,
                reduction=reduction,
            )  # fmt: skip

    def test_gaussian(self, shape, reduction):
        x, t = normal(2, *shape)
        for var in (
            rng().random(shape), rng().random(shape) * 1e-6, rng().random((*shape[:-1], 1)),
            rng().random(shape[:-1]),
        ):  # fmt: skip
            if reduction == "none" and var.shape != shape and var.ndim < len(shape) == 1:
                continue
            for full in (False, True):
                compare("gaussian_nll_loss", [x, t, var], full=full, reduction=reduction)

    @pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
    def test_kl_div(self, shape, reduction):
        x, t = normal(*shape), rng().random(shape)
        t.flat[0] = 0
        compare("kl_div", [x, t], constant=(1,), reduction=reduction)
        compare("kl_div", [x, np.log(t + 0.1)], log_target=True, reduction=reduction)
        compare("kl_div", [x, t + 0.1], reduction="batchmean")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6,), (5, 7), (4, 3, 5), (2, 6, 3, 4)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_nll(shape, weighted, reduction):
    axis = 0 if len(shape) == 1 else 1
    x = normal(*shape)
    labels = np.asarray(rng().integers(0, shape[axis], shape[:axis] + shape[axis + 1 :]))
    weight = rng().random(shape[axis]) if weighted else None
    for ignored in (-100, 2):
        compare("nll_loss", [x, labels], weight=weight, ignore_index=ignored, reduction=reduction)


def test_nll_with_nothing_to_count():
    x, labels = normal(3, 4), np.full(3, -100)
    mine, theirs = both(x, True)
    ours = nn.functional.nll_loss(mine, Tensor(labels))
    assert np.isnan(ours.item())
    ours.backward()
    F.nll_loss(theirs, torch.tensor(labels)).backward()
    assert np.array_equal(mine.grad.numpy(), theirs.grad.numpy())
    empty = nn.functional.nll_loss(striate.zeros(0, 4), striate.zeros(0).long())
    assert np.isnan(empty.item())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6,), (5, 4)], ids=str)
def test_multi_margin(shape, reduction):
    x = normal(*shape)
    labels = np.asarray(rng().integers(0, shape[-1], shape[:-1]))
    for p in (1, 2):
        for weight in (None, rng().random(shape[-1])):
            compare(
                "multi_margin_loss", [x, labels], p=p, margin=0.7, weight=weight,
                reduction=reduction,
            )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_margin(reduction):
    labels = np.array([[3, 0, -1, 1], [-1, 2, 0, 1], [2, 1, 0, 3], [1, 1, -1, -1]])
    compare("multilabel_margin_loss", [normal(4, 4), labels], reduction=reduction)
    compare("multilabel_margin_loss", [normal(4), labels[0]], reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_soft_margin(reduction):
    x, t = normal(5, 4), (normal(5, 4) > 0).astype(np.float64)
    compare("multilabel_soft_margin_loss", [x, t], constant=(1,), reduction=reduction)
    compare(
        "multilabel_soft_margin_loss", [x, t], constant=(1,), weight=rng().random(4),
        reduction=reduction,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6,), (5, 4)], ids=str)
def test_cosine_embedding(shape, reduction):
    a, b = normal(2, *shape)
    for margin in (0.0, 0.3):
        operands = [a, b, np.asarray(signs(*shape[:-1]))]
        compare(
            "cosine_embedding_loss", operands, constant=(2,), margin=margin, reduction=reduction
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("swap", [False, True])
def test_triplet(p, swap, reduction):
    for shape in ((6,), (5, 4), (2, 3, 4)):
        a, b, c = normal(3, *shape)
        compare("triplet_margin_loss", [a, b, c], p=p, swap=swap, margin=2.0, reduction=reduction)


@pytest.mark.parametrize("swap", [False, True])
def test_triplet_with_distance(swap):
    pairs = [both(x, True) for x in normal(3, 5, 4)]
    results = []
    for f, operands in zip((nn.functional, F), zip(*pairs, strict=True), strict=True):
        loss = f.triplet_margin_with_distance_loss(
            *operands,
            distance_function=lambda x, y, f=f: 1 - f.cosine_similarity(x, y),
            margin=0.5,
            swap=swap,
        )
        loss.backward()
        results.append(loss.item())
    assert np.isclose(*results)
    for a, b in pairs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), TOLERANCE, TOLERANCE)
    compare("triplet_margin_with_distance_loss", list(normal(3, 5, 4)), swap=swap)


# --- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("shapes", [((5, 4), (5, 4)), ((4,), (5, 4)), ((2, 3, 4), (3, 4))], ids=str)
def test_pairwise_distance(p, shapes):
    a, b = normal(*shapes[0]), normal(*shapes[1]) * 0.5 + 0.1
    for keepdim in (False, True):
        compare("pairwise_distance", [a, b], p=p, keepdim=keepdim)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cosine_similarity(dim):
    a, b = normal(2, 5, 4)
    a[2] = 0
    compare("cosine_similarity", [a, b], dim=dim)
    compare("cosine_similarity", [a[:1], b], dim=dim, eps=1e-3)
    # A length below eps counts as eps, whose slope is 0; PyTorch keeps that of the length.
    compare("cosine_similarity", [a, b * 1e-9], dim=dim, constant=(0, 1))


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize(
    "shapes", [((5, 4), (3, 4)), ((2, 5, 4), (2, 3, 4)), ((2, 5, 4), (1, 3, 4)), ((5, 4), (0, 4))],
    ids=str,
)  # fmt: skip
def test_cdist(p, shapes):
    pairs = [both(np.random.default_rng(i).standard_normal(s), True) for i, s in enumerate(shapes)]
    mine = ops.cdist(pairs[0][0], pairs[1][0], p)
    theirs = torch.cdist(pairs[0][1], pairs[1][1], p, "donot_use_mm_for_euclid_dist")
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), TOLERANCE, TOLERANCE)
    upstream = np.random.default_rng(1).standard_normal(mine.shape)
    mine.backward(Tensor(upstream))
    theirs.backward(torch.tensor(upstream))
    for a, b in pairs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), TOLERANCE, TOLERANCE)


# --- modules --------------------------------------------------------------------------------------


def module_operands(name):
    if name in ("NLLLoss", "MultiMarginLoss", "CrossEntropyLoss"):
        return [normal(5, 4), rng().integers(0, 4, 5)]
    if name == "MultiLabelMarginLoss":
        return [normal(2, 4), np.array([[3, 0, -1, 1], [1, -1, 2, 0]])]
    if name == "BCELoss":
        return list(rng().random((2, 5, 4)))
    if name in ("MarginRankingLoss",):
        return [*normal(2, 5), signs(5)]
    if name == "CosineEmbeddingLoss":
        return [*normal(2, 5, 4), signs(5)]
    if name in ("TripletMarginLoss", "TripletMarginWithDistanceLoss"):
        return list(normal(3, 5, 4))
    if name == "GaussianNLLLoss":
        return [*normal(2, 5, 4), rng().random((5, 4))]
    if name in ("HingeEmbeddingLoss", "SoftMarginLoss"):
        return [normal(5, 4), signs(5, 4)]
    if name in ("PairwiseDistance", "CosineSimilarity"):
        return list(normal(2, 5, 4))
    return [normal(5, 4), rng().random((5, 4))]


MODULES = [
    ("L1Loss", {}), ("SmoothL1Loss", {"beta": 0.5}), ("HuberLoss", {"delta": 0.5}),
    ("MSELoss", {"reduction": "sum"}), ("BCELoss", {}), ("BCEWithLogitsLoss", {}),
    ("BCEWithLogitsLoss", {"pos_weight": np.array([1.0, 2, 3, 4])}),
    ("BCELoss", {"weight": np.array([1.0, 2, 3, 4])}),
    ("NLLLoss", {"weight": np.array([1.0, 2, 3, 4]), "ignore_index": 1}),
    ("KLDivLoss", {"reduction": "batchmean"}),
    ("KLDivLoss", {"reduction": "sum", "log_target": True}),
    ("PoissonNLLLoss", {"full": True}), ("GaussianNLLLoss", {"full": True}),
    ("HingeEmbeddingLoss", {"margin": 0.5}), ("SoftMarginLoss", {"reduction": "none"}),
    ("MarginRankingLoss", {"margin": 0.5}), ("MultiMarginLoss", {"p": 2}),
    ("MultiLabelMarginLoss", {}), ("MultiLabelSoftMarginLoss", {}),
    ("CosineEmbeddingLoss", {"margin": 0.1}), ("TripletMarginLoss", {"swap": True}),
    ("TripletMarginWithDistanceLoss", {"margin": 2.0}),
    ("PairwiseDistance", {"p": 1.0}), ("CosineSimilarity", {"dim": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), MODULES, ids=lambda v: str(v)[:40])
def test_module(name, options):
    given = {k: both(v, False) for k, v in options.items()}
    mine = getattr(nn, name)(**{k: v[0] for k, v in given.items()})
    theirs = getattr(torch.nn, name)(**{k: v[1] for k, v in given.items()})
    pairs = [both(x, False) for x in module_operands(name)]
    ours, other = mine(*(p[0] for p in pairs)), theirs(*(p[1] for p in pairs))
    np.testing.assert_allclose(ours.numpy(), other.numpy(), TOLERANCE, TOLERANCE)
    assert set(mine.state_dict()) == set(theirs.state_dict())


def test_contrastive():
    """Against the paper's equation: PyTorch has no such loss."""
    a, b = normal(2, 6, 3)
    y = np.array([0.0, 1, 1, 0, 1, 0])
    d = np.sqrt(((a - b) ** 2).sum(1))
    each = 0.5 * ((1 - y) * d**2 + y * np.maximum(0, 4 - d) ** 2)
    for reduction, expected in (("none", each), ("mean", each.mean()), ("sum", each.sum())):
        loss = nn.ContrastiveLoss(4.0, reduction)(Tensor(a), Tensor(b), Tensor(y))
        np.testing.assert_allclose(loss.numpy(), expected, 1e-12)
    gradcheck(lambda p, q: ops.contrastive_loss(p, q, Tensor(y), 4.0), [a, b])
    same = Tensor(a.copy(), requires_grad=True)
    ops.contrastive_loss(same, Tensor(a), striate.ones(6)).backward()
    assert not same.grad.numpy().any()


def zeros(*shape):
    return striate.zeros(*shape)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: f.binary_cross_entropy(zeros(2) + 1.5, zeros(2)), ValueError, r"1.5 at \(0,\)"),
        (lambda f: f.binary_cross_entropy(zeros(2), zeros(3)), ValueError, "target: .*3,"),
        (
            lambda f: f.binary_cross_entropy_with_logits(zeros(2), zeros(2), zeros(3)),
            ValueError,
            "weight: .*broadcasts to input's",
        ),
        (lambda f: f.hinge_embedding_loss(zeros(2), zeros(2)), ValueError, r"1 or -1, got 0.0 at"),
        (lambda f: f.nll_loss(zeros(2, 3), striate.tensor([0, 3])), IndexError, r"got 3 at index"),
        (lambda f: f.nll_loss(zeros(2, 3), zeros(2)), TypeError, "target: expected integers"),
        (lambda f: f.nll_loss(zeros(2, 3), zeros(3).long()), ValueError, r"shape \(2,\)"),
        (
            lambda f: f.nll_loss(zeros(2, 3), zeros(2).long(), zeros(2)),
            ValueError,
            r"weight: expected shape \(3,\)",
        ),
        (lambda f: f.multi_margin_loss(zeros(1, 3), striate.tensor([-1])), IndexError, "got -1"),
        (lambda f: f.multi_margin_loss(zeros(1, 3), zeros(1).long(), p=3), ValueError, "p: .* 3"),
        (
            lambda f: f.multilabel_margin_loss(zeros(1, 2), striate.tensor([[2, -1]])),
            IndexError,
            "got 2",
        ),
        (
            lambda f: f.cosine_embedding_loss(zeros(2, 3), zeros(2, 3), striate.tensor([1, 2])),
            ValueError,
            "1 or -1, got 2",
        ),
        (
            lambda f: f.contrastive_loss(zeros(2, 3), zeros(2, 3), striate.tensor([1, -1])),
            ValueError,
            "0 or 1, got -1",
        ),
        (
            lambda f: f.triplet_margin_loss(zeros(2), zeros(2), zeros(2), margin=0),
            ValueError,
            "margin: expected a number above 0",
        ),
        (lambda f: f.gaussian_nll_loss(zeros(2), zeros(2), zeros(2) - 1), ValueError, "negative"),
        (lambda f: f.gaussian_nll_loss(zeros(2), zeros(2), zeros(3)), ValueError, "var: expected"),
        (lambda f: f.kl_div(zeros(2), zeros(2), reduction="max"), ValueError, "batchmean"),
        (
            lambda f: f.poisson_nll_loss(zeros(2), 3),
            TypeError,
            "target: expected a Tensor, got int",
        ),
        (lambda f: f.pairwise_distance(zeros(2, 3), zeros(2)), ValueError, "broadcasts with x1's"),
        (lambda f: f.cosine_similarity(zeros(2), zeros(2)), IndexError, "dim"),
        (lambda f: f.cdist(zeros(2, 3), zeros(2, 4)), ValueError, "3 columns as x1, got 4"),
    ],
)
def test_misuse(call, error, words):
    with pytest.raises(error, match=words):
        call(nn.functional)


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "huber_loss", "soft_margin_loss"])
def test_empty(name):
    x = striate.zeros(0, 3, requires_grad=True)
    function = getattr(ops, name)
    assert function(x, striate.zeros(0, 3), reduction="sum").item() == 0
    assert np.isnan(function(x, striate.zeros(0, 3)).item())
    loss = function(x, striate.zeros(0, 3), reduction="none")
    assert loss.shape == (0, 3)
    loss.sum().backward()
    assert x.grad.shape == (0, 3)

# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments of every kind: refused at once, by name, or taken as PyTorch takes them."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
import striate
from striate import _C, nn, ops
from striate.nn import functional as F

# Not of one tensor, or for use inside.
APART = {"cast", "add", "sub", "cartesian_prod", "broadcast_tensors"}


def _of_a_tensor() -> list[Any]:
    """Every public function whose first parameter is one Tensor, with arguments for the others."""
    found = []
    for name in sorted({*ops.__all__, *(n for n in dir(F) if not n.startswith("_"))}):
        function = getattr(ops, name, None) or getattr(F, name)
        parameters = list(inspect.signature(function).parameters.values())
        if name in APART or not parameters or parameters[0].annotation != "Tensor":
            continue
        others = []
        for p in parameters[1:]:
            if p.default is not p.empty or p.kind is not p.POSITIONAL_OR_KEYWORD:
                break
            others.append(striate.ones(2, 2) if "Tensor" in p.annotation else 1)
        if name == "pad":
            others = [(1, 1)]
        found.append(pytest.param(function, parameters[0].name, others, id=name))
    return found


@pytest.mark.parametrize(("function", "argument", "others"), _of_a_tensor())
@pytest.mark.parametrize("wrong", [None, "abc", object()], ids=["None", "str", "object"])
def test_what_is_no_tensor_is_refused_by_name(
    function: Any, argument: str, others: list[Any], wrong: Any
) -> None:
    with pytest.raises(TypeError, match=r"expected (a )?(tuple of )?[Tt]ensor|hx: exp") as error:
        function(wrong, *others)
    assert re.match(r"[a-z_0-9~ ]+: ", str(error.value))


def test_reduction_none_does_not_crash() -> None:
    x, labels = striate.randn(4, 3), striate.tensor([0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"cross_entropy: reduction: expected .* got None"):
        F.cross_entropy(x, labels, reduction=None)  # type: ignore[arg-type]
    a = np.zeros((2, 3), np.float32)
    for call in (
        lambda: _C.cross_entropy(a, np.zeros(2, np.int64), reduction=None),
        lambda: _C.mse_loss(a, a, reduction=None),
        lambda: _C.huber_loss(a, a, 1.0, 1.0, reduction=None),
        lambda: _C.vector_norm(a, None),
    ):
        with pytest.raises(ValueError, match="got None"):
            call()


def test_response_norm_over_more_channels_than_there_are() -> None:
    x = striate.randn(2, 6, 3, 3, requires_grad=True)
    y = F.local_response_norm(x, 2**40, alpha=float(2**40))
    a = x.detach().numpy()
    expected = a / (1 + (a**2).sum(1, keepdims=True)) ** 0.75
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5)
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("function", [striate.mv, striate.matmul], ids=["mv", "matmul"])
def test_a_vector_is_not_stretched_to_a_matrix(function: Any) -> None:
    with pytest.raises(ValueError, match=r"matmul: shapes \(3, 1\) and \(4, 1\) do not fit"):
        function(striate.ones(3, 1), striate.ones(4))


def test_pow_of_mixed_dtypes_is_of_the_promoted_dtype() -> None:
    whole, part = striate.tensor([1, 2, 3]), striate.tensor([0.5, 1.0, 2.0])
    assert (whole**part).dtype == striate.float32
    assert (part**whole).dtype == striate.float32
    with pytest.raises(ValueError, match="pow: "):
        striate.pow(part, striate.ones(2))


@pytest.mark.parametrize(
    "name", ["sum", "mean", "amax", "amin", "var", "std", "nansum", "nanmean", "norm", "all", "any"]
)
def test_no_axes_are_all_axes(name: str) -> None:
    x = striate.randn(3, 4)
    if name in ("all", "any"):
        x = x > 0
    got = x.norm(dim=()) if name == "norm" else getattr(striate, name)(x, dim=())
    assert got.shape == ()
    assert np.allclose(got.numpy(), getattr(striate, name)(x).numpy())


WRONG = {
    "ceil_mode": lambda x: F.max_pool1d(x, 2, ceil_mode="x"),
    "ceil_mode 2d": lambda x: F.avg_pool2d(x.unsqueeze(0), 2, ceil_mode=None),
    "stride": lambda x: F.max_pool1d(x, 2, stride=np.array([1, 2])),
    "value": lambda x: F.pad(x, (1, 1), value="x"),
    "pad": lambda x: F.pad(x, (2**63, 1)),
    "size": lambda x: F.local_response_norm(x, True),
    "momentum": lambda x: F.batch_norm(x, None, None, training=True, momentum="x"),
    "momentum instance": lambda x: F.instance_norm(x, momentum="x"),
    "eps": lambda x: F.batch_norm(x, None, None, training=True, eps=float("nan")),
    "correction": lambda x: x.var(1, correction="x"),
    "k": lambda x: striate.kthvalue(x, None),
    "ord": lambda x: striate.vector_norm(x, "x"),
    "indices_or_sections": lambda x: striate.tensor_split(x, "x"),
    "sections": lambda x: striate.tensor_split(x, 2**31),
    "condition": lambda x: striate.where(None, x, x),
    "input": lambda x: striate.eq(None, x),
    "other": lambda x: striate.lt(x, None),
    "ignore_index": lambda x: F.nll_loss(x, striate.zeros(2, 4).long(), ignore_index=None),
    "ignore_index of cross_entropy": lambda x: F.cross_entropy(
        x, striate.zeros(2, 4).long(), ignore_index=None
    ),
    "blank": lambda x: F.ctc_loss(x, striate.ones(3, 1).long(), (2,) * 3, (1,) * 3, blank=None),
    "indices": lambda x: F.max_unpool1d(x, None, 2),
    "value None": lambda x: x.fill_(None),
    "value None copied": lambda x: x.copy_(None),
    "value None at": lambda x: x.__setitem__(0, None),
    "mean": lambda x: x.normal_("x"),
    "from_": lambda x: x.uniform_(None),
    "count": lambda x: striate.set_num_threads("x"),
    "count huge": lambda x: striate.set_num_threads(2**70),
    "state": lambda x: striate.set_rng_state({}),
    "precision": lambda x: striate.set_printoptions(precision="x"),
    "sample_shape": lambda x: striate.distributions.Normal(0.0, 1.0).sample(3),
    "scale_factor": lambda x: nn.Upsample(scale_factor="x"),
    "shape": lambda x: x.reshape(2.5),
    "shape expanded": lambda x: x.expand("x"),
    "size of unfold": lambda x: x.unfold(1, 1.5, 1),
    "parameters": lambda x: nn.utils.clip_grad_norm_(None, 1.0),
    "sequences": lambda x: nn.utils.rnn.pad_sequence(None),
    "gradient": lambda x: x.requires_grad_().sum().backward("x"),
    "path": lambda x: striate.load(None),
    "path saved": lambda x: striate.save({}, None),
    "beta": lambda x: striate.addmm(x[0, 0, 0], x[0], x[1].T, beta="x"),
    "q": lambda x: striate.quantile(x, "x"),
    "input of BatchNorm": lambda x: nn.BatchNorm1d(3)(None),
    "input of InstanceNorm": lambda x: nn.InstanceNorm1d(3)([1.0]),
}


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_options_are_refused_by_name(argument: str) -> None:
    pattern = rf"{argument.split()[0]}: expected .*got"
    with pytest.raises((TypeError, ValueError), match=pattern):
        WRONG[argument](striate.randn(2, 3, 4))


def test_a_limit_of_infinity_measures_gradients_only() -> None:
    w = nn.Parameter(striate.ones(4))
    w.grad = striate.full((4,), 3.0)
    assert nn.utils.clip_grad_norm_([w], float("inf")).item() == 6.0
    assert w.grad.tolist() == [3.0] * 4


def test_a_tensor_equals_nothing_else() -> None:
    x = striate.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711


def test_modules_name_themselves() -> None:
    with pytest.raises(TypeError, match=r"linear: input: expected a Tensor, got ndarray"):
        nn.Linear(2, 2)(np.ones((1, 2), np.float32))


def test_what_memory_was_wanted_for() -> None:
    tall, wide = striate.ones(2**20, 1), striate.ones(1, 2**24)
    text = r"{}: a result of shape \(1048576, 16777216\): expected 70368744177664 bytes"
    with pytest.raises(MemoryError, match=text.format("gemm")):
        tall @ wide
    with pytest.raises(MemoryError, match=text.format("add")):
        tall + wide
    _C.memory_fail_at(2)  # the first is the result's
    try:
        with pytest.raises(MemoryError, match=r"working space: expected \d+ bytes"):
            striate.ones(300, 300) @ striate.ones(300, 300)
    finally:
        _C.memory_fail_at(0)


@pytest.mark.parametrize("channels", [3, 70])
def test_taps_that_a_window_does_not_have(channels):
    """They add nothing to a maximum's gradient, and nothing outside it."""
    window = (3, 3, 2, 2, 1, 1, 1, 1, False)
    taps = np.tile(np.arange(256, dtype=np.uint8), 9 * channels)[: 2 * 4 * 4 * channels]
    taps = taps.reshape(2, 4, 4, channels)
    dy = np.ones((2, channels, 4, 4), np.float32)
    dx = _C.max_pool2d_backward(dy, taps, (7, 7), window)
    r, s = np.divmod(taps.astype(int), 3)
    n, p, q, c = np.indices(taps.shape)
    h, w = 2 * p - 1 + r, 2 * q - 1 + s
    inside = (taps < 9) & (h >= 0) & (h < 7) & (w >= 0) & (w < 7)
    expected = np.zeros_like(dx)
    np.add.at(expected, (n[inside], c[inside], h[inside], w[inside]), 1)
    np.testing.assert_array_equal(dx, expected)

# SPDX-License-Identifier: Apache-2.0
"""MultiheadAttention against PyTorch's, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import striate
from striate import nn
from striate.nn.flops import flops
from striate.testing import gradcheck

torch = pytest.importorskip("torch")

E, H, L, S, N = 6, 3, 4, 5, 2
MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "causal": {"attn_mask": np.triu(np.ones((L, S), bool), 1)},
    "added": {"attn_mask": np.random.default_rng(1).standard_normal((L, S))},
    "by head": {"attn_mask": np.random.default_rng(2).standard_normal((N * H, L, S)) > 1},
    "padding": {"key_padding_mask": np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool)},
    "both": {
        "key_padding_mask": np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool),
        "attn_mask": np.triu(np.ones((L, S), bool), 2),
    },
}


def layers(**options: Any) -> tuple[Any, Any]:
    """Ours and theirs with the same random numbers."""
    mine = nn.MultiheadAttention(E, H, dtype=striate.float64, **options)
    theirs = torch.nn.MultiheadAttention(E, H, dtype=torch.float64, **options)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, p in mine.named_parameters():
            values = rng.standard_normal(p.shape)
            p.data.copy_(striate.tensor(values))
            theirs.get_parameter(name).copy_(torch.tensor(values))
    assert {n for n, _ in theirs.named_parameters()} == {n for n, _ in mine.named_parameters()}
    return mine, theirs


def inputs(batch_first: bool, batched: bool = True) -> list[Any]:
    rng = np.random.default_rng(3)
    shapes = [(n, E) if not batched else (N, n, E) if batch_first else (n, N, E) for n in (L, S, S)]
    return [rng.standard_normal(s) for s in shapes]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("average", [True, False])
def test_like_torch(mask: str, batch_first: bool, bias: bool, average: bool) -> None:
    mine, theirs = layers(batch_first=batch_first, bias=bias)
    arrays = inputs(batch_first)
    xs = [striate.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, w = mine(
        *xs, average_attn_weights=average, **{k: striate.tensor(v) for k, v in MASKS[mask].items()}
    )
    u, v = theirs(
        *ts, average_attn_weights=average, **{k: torch.tensor(v) for k, v in MASKS[mask].items()}
    )
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-12, atol=1e-12)
    ((y * y).sum() + (w * w).sum()).backward()
    ((u * u).sum() + (v * v).sum()).backward()
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-10, atol=1e-10)
    for name, p in mine.named_parameters():
        other = theirs.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(p.grad.numpy(), other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "options",
    [
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"kdim": 4, "vdim": 7},
        {"add_bias_kv": True, "add_zero_attn": True, "kdim": 4, "bias": False},
    ],
)
def test_more_keys_and_other_sizes(options: dict[str, Any], mask: str) -> None:
    mine, theirs = layers(**options)
    rng = np.random.default_rng(4)
    sizes = (E, options.get("kdim", E), options.get("vdim", E))
    arrays = [rng.standard_normal((n, N, m)) for n, m in zip((L, S, S), sizes, strict=True)]
    masks = MASKS[mask]
    y, w = mine(*map(striate.tensor, arrays), **{k: striate.tensor(v) for k, v in masks.items()})
    u, v = theirs(*map(torch.tensor, arrays), **{k: torch.tensor(v) for k, v in masks.items()})
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-12, atol=1e-12)
    (y * y).sum().backward()
    (u * u).sum().backward()
    for name, p in mine.named_parameters():
        other = theirs.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(p.grad.numpy(), other, rtol=1e-10, atol=1e-10)


def test_without_a_batch_and_without_weights() -> None:
    mine, theirs = layers()
    arrays = inputs(False, batched=False)
    y, w = mine(*map(striate.tensor, arrays))
    u, v = theirs(*map(torch.tensor, arrays))
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert mine(*map(striate.tensor, arrays), need_weights=False)[1] is None


def test_gradients() -> None:
    mine, _ = layers()
    mine.requires_grad_(False)
    mask = striate.tensor(MASKS["causal"]["attn_mask"])
    gradcheck(lambda q, k, v: mine(q, k, v, attn_mask=mask)[0], inputs(False))


def test_dropout_is_for_training() -> None:
    mine, _ = layers(dropout=0.5)
    x = striate.tensor(inputs(False)[0])
    assert (mine(x, x, x)[1].detach().numpy() == 0).any()
    mine.eval()
    assert (mine(x, x, x)[1].detach().numpy() > 0).all()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("num_heads", lambda m, x: nn.MultiheadAttention(6, 4)),
        ("embed_dim", lambda m, x: nn.MultiheadAttention(0, 1)),
        ("dropout", lambda m, x: nn.MultiheadAttention(6, 3, dropout=2.0)),
        ("query", lambda m, x: m(None, x, x)),
        ("query", lambda m, x: m(x[..., :3], x, x)),
        ("key", lambda m, x: m(x, x[:, :1], x[:, :1])),
        ("value", lambda m, x: m(x, x, x[:2])),
        ("attn_mask", lambda m, x: m(x, x, x, attn_mask=striate.zeros(2, 2))),
        ("attn_mask", lambda m, x: m(x, x, x, attn_mask=striate.zeros(L, L).long())),
        ("key_padding_mask", lambda m, x: m(x, x, x, key_padding_mask=striate.zeros(L, N))),
        ("key_padding_mask", lambda m, x: m(x, x, x, key_padding_mask="x")),
    ],
)
def test_wrong_ones_are_refused(argument: str, call: Any) -> None:
    mine, _ = layers()
    with pytest.raises((TypeError, ValueError), match=f"MultiheadAttention: {argument}: expected"):
        call(mine, striate.tensor(inputs(False)[0]))


@pytest.mark.parametrize("batch_first", [False, True])
def test_operations_are_counted(batch_first: bool) -> None:
    mine, _ = layers(batch_first=batch_first)
    given = [striate.tensor(a) for a in inputs(batch_first)]
    linear = (2 * E * E + E) * N * (L + 2 * S)
    assert flops(mine, given, mine(*given)) == linear + N * L * S * (4 * E + 5 * H)

# SPDX-License-Identifier: Apache-2.0
"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from striate import ops
from striate.nn import init
from striate.nn.arguments import flag, integer, number, refuse
from striate.nn.linear import Linear, floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.operand import check_tensor
from striate.tensor import Tensor

__all__ = ["MultiheadAttention"]

_NAME = "MultiheadAttention"


class MultiheadAttention(Module):
    """softmax(Q K^T / sqrt(d) + mask) V in each head, heads joined by a linear layer.

    Q, K and V are `in_proj_weight` (3 E, E) and `in_proj_bias` (3 E,), a third of them each, of
    query, key and value; d = E / num_heads values go to a head, and `out_proj` (E, E) maps the
    heads' results, side by side, to the output (Vaswani et al. 2017, section 3.2.2). Where keys of
    `kdim` or values of `vdim` numbers differ from E, there are `q_proj_weight` (E, E),
    `k_proj_weight` (E, kdim) and `v_proj_weight` (E, vdim) instead. `add_bias_kv` adds a learnt key
    `bias_k` and value `bias_v`, `add_zero_attn` a key and a value of zeros. Weights are drawn by
    xavier_uniform_, the learnt key and value by xavier_normal_, out_proj's as Linear's; biases
    begin as zeros. `dropout` drops attention weights while training.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.embed_dim = integer(_NAME, "embed_dim", embed_dim)
        self.num_heads = integer(_NAME, "num_heads", num_heads)
        if self.embed_dim % self.num_heads:
            refuse(_NAME, "num_heads", f"a divisor of embed_dim={embed_dim}", num_heads)
        self.head_dim = self.embed_dim // self.num_heads
        self.dropout = number(_NAME, "dropout", dropout, 0.0, 1.0)
        self.batch_first = flag(_NAME, "batch_first", batch_first)
        self.add_zero_attn = flag(_NAME, "add_zero_attn", add_zero_attn)
        n, wanted = self.embed_dim, floating(dtype)
        self.kdim = n if kdim is None else integer(_NAME, "kdim", kdim)
        self.vdim = n if vdim is None else integer(_NAME, "vdim", vdim)
        one = self.kdim == self.vdim == n
        shapes = {
            "in_proj_weight": (3 * n, n) if one else None,
            "q_proj_weight": None if one else (n, n),
            "k_proj_weight": None if one else (n, self.kdim),
            "v_proj_weight": None if one else (n, self.vdim),
            "in_proj_bias": (3 * n,) if flag(_NAME, "bias", bias) else None,
            "bias_k": (1, 1, n) if flag(_NAME, "add_bias_kv", add_bias_kv) else None,
            "bias_v": (1, 1, n) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            made = None if shape is None else Parameter(uninitialised(_NAME, shape, wanted))
            self.register_parameter(name, made)
        self.out_proj = Linear(n, n, bias, wanted)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew, and makes the biases zeros."""
        for name, p in self._parameters.items():
            if p is not None and name.endswith("weight"):
                init.xavier_uniform_(p)
            elif p is not None and name in ("bias_k", "bias_v"):
                init.xavier_normal_(p)
        self.out_proj.reset_parameters()
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights) of query (L, N, E), key and value (S, N, E), or (N, L, E) and
        (N, S, E) with `batch_first`, or all without N.

        `key_padding_mask` (N, S) and `attn_mask` (L, S) or (N num_heads, L, S) are True where a key
        is not to be looked at, or numbers that are added. A query that may look at no key gives
        NaN. The weights are (N, L, S), the mean over heads, or (N, num_heads, L, S) without
        `average_attn_weights`, or None without `need_weights`; S counts the added keys.
        """
        batched = self._check(query, key, value)
        q, k, v = (x if batched else ops.unsqueeze(x, 1) for x in (query, key, value))
        if not batched and key_padding_mask is not None:
            key_padding_mask = ops.unsqueeze(key_padding_mask, 0)
        if not (self.batch_first and batched):
            q, k, v = (ops.transpose(x, 0, 1) for x in (q, k, v))
        q, k, v = self._projected(q, k, v)
        count = k.shape[-2]
        k, v = self._with_extra(k, self.bias_k), self._with_extra(v, self.bias_v)
        scores = ops.matmul(q * (1 / math.sqrt(self.head_dim)), ops.transpose(k, -1, -2))
        seen = self._masked(scores[..., :count], key_padding_mask, attn_mask)
        scores = seen if k.shape[-2] == count else ops.cat((seen, scores[..., count:]), -1)
        weights = ops.softmax(scores, -1)
        dropped = ops.dropout(weights, self.dropout, self.training) if self.dropout else weights
        joined = ops.transpose(ops.matmul(dropped, v), 1, 2)  # [N, L, heads, d]
        output = self.out_proj(ops.reshape(joined, (*joined.shape[:2], self.embed_dim)))
        if not batched:
            output, weights = ops.squeeze(output, 0), ops.squeeze(dropped, 0)
        else:
            output = output if self.batch_first else ops.transpose(output, 0, 1)
            weights = dropped
        if not need_weights:
            return output, None
        return output, ops.mean(weights, -3) if average_attn_weights else weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether there is an axis N; ValueError where the three do not fit each other."""
        sizes = (self.embed_dim, self.kdim, self.vdim)
        for argument, x, size in zip(
            ("query", "key", "value"), (query, key, value), sizes, strict=True
        ):
            check_tensor(_NAME, argument, x)
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != size:
                shape = "(N, L, {0})" if self.batch_first else "(L, N, {0})"
                expected = f"{shape} or (L, {{0}}), of as many axes as query".format(size)
                refuse(_NAME, argument, expected, f"shape {x.shape}")
        batch = 0 if self.batch_first else 1
        if query.ndim == 3 and key.shape[batch] != query.shape[batch]:
            refuse(_NAME, "key", f"{query.shape[batch]} sequences like query", key.shape[batch])
        if value.shape[:-1] != key.shape[:-1]:
            expected = f"shape {(*key.shape[:-1], self.vdim)}, as many as keys"
            refuse(_NAME, "value", expected, f"shape {value.shape}")
        return query.ndim == 3

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Q, K and V by heads."""
        n, bias, whole = self.embed_dim, self.in_proj_bias, self.in_proj_weight
        projected = []
        for i, (x, own) in enumerate(((query, "q"), (key, "k"), (value, "v"))):
            part = slice(i * n, (i + 1) * n)
            weight = getattr(self, f"{own}_proj_weight") if whole is None else whole[part]
            y = ops.linear(x, weight, None if bias is None else bias[part])
            projected.append(self._heads(y))
        return projected

    def _with_extra(self, x: Tensor, learnt: Tensor | None) -> Tensor:
        """K or V (N, heads, S, d) with the learnt one and the one of zeros at the end."""
        parts = [x]
        if learnt is not None:
            one = self._heads(learnt)
            parts.append(ops.expand(one, (x.shape[0], *one.shape[1:])))
        if self.add_zero_attn:
            parts.append(Tensor(np.zeros((*x.shape[:2], 1, x.shape[3]), x.dtype)))
        return x if len(parts) == 1 else ops.cat(parts, 2)

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, E) -> (N, heads, L, d)."""
        split = ops.reshape(x, (*x.shape[:2], self.num_heads, self.head_dim))
        return ops.transpose(split, 1, 2)

    def _masked(self, scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        """scores (N, heads, L, S) with what must not be looked at at -inf."""
        n, heads, rows, columns = scores.shape
        if padding is not None:
            check_tensor(_NAME, "key_padding_mask", padding)
            if padding.shape != (n, columns):
                refuse(_NAME, "key_padding_mask", f"shape {(n, columns)}", padding.shape)
            scores = _apply(scores, "key_padding_mask", ops.reshape(padding, (n, 1, 1, columns)))
        if mask is not None:
            check_tensor(_NAME, "attn_mask", mask)
            full = (n * heads, rows, columns)
            if mask.shape not in ((rows, columns), full):
                refuse(_NAME, "attn_mask", f"shape {(rows, columns)} or {full}", mask.shape)
            if mask.ndim == 3:
                mask = ops.reshape(mask, scores.shape)
            scores = _apply(scores, "attn_mask", mask)
        return scores

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"


def _apply(scores: Tensor, argument: str, mask: Tensor) -> Tensor:
    if mask.dtype.kind == "b":
        return ops.masked_fill(scores, mask, -math.inf)
    if mask.dtype != scores.dtype:
        expected = f"bools or {scores.dtype}"
        raise TypeError(f"{_NAME}: {argument}: expected {expected}, got {mask.dtype}")
    return scores + mask

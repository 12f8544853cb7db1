# SPDX-License-Identifier: Apache-2.0
"""How far one distribution is from another (Kullback and Leibler 1951)."""

from __future__ import annotations

from striate import ops
from striate.distributions.discrete import Bernoulli, Categorical
from striate.distributions.distribution import Distribution
from striate.distributions.normal import Normal
from striate.tensor import Tensor


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log p(x) - log q(x) over x drawn from p, for two of one kind.

    Raises NotImplementedError for other pairs.
    """
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = p.scale / q.scale
        off = (p.loc - q.loc) / q.scale
        return 0.5 * (ratio * ratio + off * off - 1) - ratio.log()
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        if p.event_count != q.event_count:
            raise ValueError(
                f"kl_divergence: q: expected {p.event_count} classes like p, got {q.event_count}"
            )
        return (p.probs * (p.logits - q.logits)).sum(-1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        return p.probs * (p.logits - q.logits) + ops.softplus(q.logits) - ops.softplus(p.logits)
    raise NotImplementedError(
        f"kl_divergence: of {type(p).__name__} and {type(q).__name__}: expected two Normal, "
        "Categorical or Bernoulli"
    )

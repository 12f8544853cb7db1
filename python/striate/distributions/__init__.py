# SPDX-License-Identifier: Apache-2.0
"""Probability distributions: samples, log probabilities and entropies, with gradients.

policy = Categorical(logits=network(state))
action = policy.sample()
loss = -policy.log_prob(action) * reward
"""

from striate.distributions.discrete import Bernoulli, Categorical
from striate.distributions.distribution import Distribution
from striate.distributions.divergence import kl_divergence
from striate.distributions.normal import Normal

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "kl_divergence"]

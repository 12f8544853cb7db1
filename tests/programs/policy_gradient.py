# SPDX-License-Identifier: Apache-2.0
"""REINFORCE (Williams 1992) on a walk along a line: reach the right end, not the left one."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical

from programs import data


class Walk:
    """Seven places in a row; a step costs 0.05, the right end gives 1, the left end -1."""

    def reset(self):
        self.place, self.time = 3, 0
        return self.observation()

    def observation(self):
        seen = np.zeros(8)
        seen[self.place] = 1
        seen[7] = self.time / 20
        return seen

    def step(self, action):
        self.place += 1 if action == 1 else -1
        self.time += 1
        done = self.place in (0, 6) or self.time == 20
        reward = -0.05 + (1.0 if self.place == 6 else -1.0 if self.place == 0 else 0.0)
        return self.observation(), reward, done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(8, 32)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.affine1(x))), dim=1)


def select_action(policy, state, chance):
    state = torch.from_numpy(state).to(torch.get_default_dtype()).unsqueeze(0)
    m = Categorical(policy(state))
    action = torch.tensor([int(chance > m.probs[0, 0].item())])
    policy.saved_log_probs.append(m.log_prob(action))
    return action.item()


def finish_episode(policy, optimizer):
    R, returns = 0, []
    for r in policy.rewards[::-1]:
        R = r + 0.99 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    policy_loss = [-p * R for p, R in zip(policy.saved_log_probs, returns, strict=True)]
    optimizer.zero_grad()
    loss = torch.cat(policy_loss).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return loss.item()


def train(steps, start):
    torch.manual_seed(0)
    chances = data.generator(5)
    env, policy = Walk(), Policy()
    start(policy)
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        state, done = env.reset(), False
        while not done:
            action = select_action(policy, state, chances.random())
            state, reward, done = env.step(action)
            policy.rewards.append(reward)
        losses.append(finish_episode(policy, optimizer))
    return losses

# SPDX-License-Identifier: Apache-2.0
"""Fits a line to noisy points by gradient descent."""

import torch
from torch import nn

from programs import data


def train(steps, start):
    torch.manual_seed(0)
    noise = data.generator(1)
    x = torch.linspace(-1, 1, 100).unsqueeze(1)
    y = 3 * x - 0.5 + 0.1 * torch.tensor(noise.standard_normal((100, 1)), dtype=x.dtype)
    model = nn.Linear(1, 1)
    start(model)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    slope, offset = model.weight.item(), model.bias.item()
    assert abs(slope) < 10 and abs(offset) < 10
    return losses

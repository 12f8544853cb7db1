# SPDX-License-Identifier: Apache-2.0
"""Squeezes digits into 16 numbers and draws them again."""

import torch
from torch import nn

from programs import data


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(28 * 28, 128),
            nn.ReLU(True),
            nn.Linear(128, 64),
            nn.ReLU(True),
            nn.Linear(64, 16),
        )
        self.decoder = nn.Sequential(
            nn.Linear(16, 64),
            nn.ReLU(True),
            nn.Linear(64, 128),
            nn.ReLU(True),
            nn.Linear(128, 28 * 28),
            nn.Tanh(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


def train(steps, start):
    torch.manual_seed(0)
    images, _ = data.digits(320)
    images = torch.tensor(images, dtype=torch.get_default_dtype())
    images = (images - 0.5) / 0.5
    model = Autoencoder()
    start(model)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    losses = []
    for step in range(steps):
        batch = images[32 * (step % 10) : 32 * (step % 10) + 32]
        batch = batch.view(batch.size(0), -1)
        loss = criterion(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert model(batch).view(-1, 1, 28, 28).clamp(-1, 1).shape == (32, 1, 28, 28)
    return losses

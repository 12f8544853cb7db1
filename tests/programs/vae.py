# SPDX-License-Identifier: Apache-2.0
"""A variational autoencoder (Kingma and Welling 2014) of digits."""

import torch
from torch import nn
from torch.nn import functional as F

from programs import data


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 200)
        self.fc21 = nn.Linear(200, 10)
        self.fc22 = nn.Linear(200, 10)
        self.fc3 = nn.Linear(10, 200)
        self.fc4 = nn.Linear(200, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar, eps):
        std = torch.exp(0.5 * logvar)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x, eps):
        mu, logvar = self.encode(x.view(-1, 784))
        z = self.reparameterize(mu, logvar, eps)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def train(steps, start):
    torch.manual_seed(0)
    noise = data.generator(2)
    images, _ = data.digits(320)
    images = torch.from_numpy(images).to(torch.get_default_dtype())
    model = VAE()
    start(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(steps):
        batch = images[32 * (step % 10) :][:32]
        eps = torch.from_numpy(noise.standard_normal((32, 10))).to(batch.dtype)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(batch, eps)
        loss = loss_function(recon_batch, batch, mu, logvar)
        loss.backward()
        optimizer.step()
        losses.append(loss.item() / len(batch))
    with torch.no_grad():
        drawn = model.decode(torch.randn(4, 10)).cpu().view(4, 1, 28, 28)
    assert drawn.min() >= 0 and drawn.max() <= 1
    return losses

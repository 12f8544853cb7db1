# SPDX-License-Identifier: Apache-2.0
"""A siamese network with a contrastive loss (Hadsell, Chopra and LeCun 2006)."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from programs import data


class Pairs(Dataset):
    def __init__(self, images, labels):
        self.images = torch.from_numpy(images).to(torch.get_default_dtype())
        self.labels = torch.from_numpy(labels)

    def __len__(self):
        return len(self.images) // 2

    def __getitem__(self, i):
        a, b = 2 * i, 2 * i + 1
        differ = (self.labels[a] != self.labels[b]).to(self.images.dtype)
        return self.images[a], self.images[b], differ


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=5, stride=2, padding=2),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(4),
        )
        self.fc = nn.Sequential(nn.Linear(16 * 4 * 4, 32), nn.LayerNorm(32), nn.Linear(32, 8))

    def forward_once(self, x):
        output = self.cnn(x)
        return self.fc(output.view(output.size()[0], -1))

    def forward(self, input1, input2):
        return self.forward_once(input1), self.forward_once(input2)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2)
        near = (1 - label) * torch.pow(distance, 2)
        far = label * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2)
        return torch.mean(near + far)


def train(steps, start):
    torch.manual_seed(0)
    loader = DataLoader(Pairs(*data.digits(256)), batch_size=32, shuffle=False)
    model = SiameseNetwork()
    start(model)
    criterion = ContrastiveLoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.99, eps=1e-4)
    losses = []
    while len(losses) < steps:
        for first, second, differ in loader:
            output1, output2 = model(first, second)
            loss = criterion(output1, output2, differ)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses[:steps]

# SPDX-License-Identifier: Apache-2.0
"""Segments digits from their background with a U-Net (Ronneberger, Fischer and Brox 2015)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from programs import data


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.InstanceNorm2d(out_channels, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.InstanceNorm2d(out_channels, affine=True),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(in_channels, in_channels // 2, 1),
            )
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diff_y = x2.size()[2] - x1.size()[2]
        diff_x = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diff_x // 2, diff_x - diff_x // 2, diff_y // 2, diff_y - diff_y // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.inc = DoubleConv(n_channels, 8)
        self.down1 = Down(8, 16)
        self.down2 = Down(16, 32)
        self.up1 = Up(32, 16, bilinear=True)
        self.up2 = Up(16, 8, bilinear=False)
        self.outc = nn.Conv2d(8, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x = self.up1(x3, x2)
        return self.outc(self.up2(x, x1))


def dice_loss(logits, target):
    p = torch.softmax(logits, dim=1)[:, 1]
    overlap = (p * target).sum(dim=(1, 2))
    return 1 - ((2 * overlap + 1) / (p.sum((1, 2)) + target.sum((1, 2)) + 1)).mean()


def train(steps, start):
    torch.manual_seed(0)
    noise = data.generator(4)
    images, _ = data.digits(40)
    clean = torch.from_numpy(images).to(torch.get_default_dtype())
    masks = (clean > 0.5).squeeze(1).long()
    speckle = torch.from_numpy(noise.standard_normal(images.shape)).to(clean.dtype)
    noisy = clean + 0.3 * speckle
    model = UNet(1, 2)
    start(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([0.3, 0.7]))
    losses = []
    for step in range(steps):
        i = 4 * (step % 10)
        logits = model(noisy[i : i + 4])
        target = masks[i : i + 4]
        loss = criterion(logits, target) + dice_loss(logits, target.to(logits.dtype))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

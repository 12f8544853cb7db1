# SPDX-License-Identifier: Apache-2.0
"""Whether networks train as well with Winograd's F(4x4) as without it.

Each network trains from the same seeds under set_float32_precision("high"), the default, and
"highest", which keeps to direct sums and F(2x2), and its accuracy on images that it has not seen is
shown for every seed, with mean and standard deviation:

    python benchmarks/precision.py --data DIR --epochs 2 --images 10000

DIR (or STRIATE_DATA) holds mnist/ and cifar10/, as downloaded.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import striate
from striate import data, nn
from striate.nn import functional as F

BATCH, TESTS = 64, 5000


class Images(NamedTuple):
    """Standardised (N, C, H, W) and labels."""

    x: Any
    labels: Any


class Network(NamedTuple):
    data: str
    make: Callable[[], nn.Module]
    rate: float


def _conv(c: int, k: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)]


def lenet() -> nn.Module:
    """LeNet-5 with pairs of 3x3 filters for its 5x5, of 16 and 32 channels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 6 * 6, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def vgg() -> nn.Module:
    """Six convolutions of 32 to 128 channels after Simonyan and Zisserman (2014), for 32 x 32."""
    layers: list[nn.Module] = []
    before = 3
    for width in (32, 64, 128):
        for c in (before, width):
            layers += [*_conv(c, width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))


class Block(nn.Module):
    """relu(x + F(x)); a projection where the shape changes (He et al. 2015, section 4.2)."""

    def __init__(self, c: int, k: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(c, k, stride), nn.ReLU(), *_conv(k, k))
        self.skip = nn.Identity() if stride == 1 and c == k else nn.Conv2d(c, k, 1, stride)

    def forward(self, x: Any) -> Any:
        return F.relu(self.body(x) + self.skip(x))


def resnet20() -> nn.Module:
    """The ResNet-20 of He et al. (2015) for CIFAR-10."""
    blocks: list[nn.Module] = [*_conv(3, 16), nn.ReLU()]
    before = 16
    for width in (16, 32, 64):
        for i in range(3):
            blocks.append(Block(before, width, 2 if i == 0 and width > 16 else 1))
            before = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {
    "lenet": Network("mnist", lenet, 0.02),
    "vgg": Network("cifar10", vgg, 0.05),
    "resnet20": Network("cifar10", resnet20, 0.05),
}


def mnist(root: Path, images: int) -> tuple[Images, Images]:
    train, test = data.mnist(root)
    return _standardised(*train.tensors, slice(images)), _standardised(*test.tensors, slice(TESTS))


def cifar10(root: Path, images: int) -> tuple[Images, Images]:
    """Of its 50,000 training images, the first to train on, the last to be asked about."""
    pixels, labels = _cifar10(root / "cifar10")
    x, y = striate.tensor(pixels), striate.tensor(labels.astype(np.int64))
    train = slice(min(images, len(labels) - TESTS))
    return _standardised(x, y, train), _standardised(x, y, slice(len(labels) - TESTS, None))


def _cifar10(folder: Path) -> tuple[Any, Any]:
    """(N, 3, 32, 32) and labels from the binary version's data_batch_1.bin to 5, or from sheets of
    1,000 images, a row of pixels each, png_batches/*.png, beside cifar10_labels.u8."""
    files = sorted(folder.rglob("data_batch_*.bin"))
    if files:
        records = np.concatenate([np.fromfile(f, np.uint8).reshape(-1, 3073) for f in files])
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
    from PIL import Image

    sheets = sorted((folder / "png_batches").glob("*.png"))[:50]
    if not sheets:
        raise SystemExit(f"precision.py: {folder}: expected data_batch_*.bin or png_batches/*.png")
    pixels = np.concatenate([np.asarray(Image.open(f)).reshape(-1, 32, 32, 3) for f in sheets])
    labels = np.fromfile(folder / "cifar10_labels.u8", np.uint8)[: len(pixels)]
    return pixels.transpose(0, 3, 1, 2), labels


def _standardised(x: Any, labels: Any, part: slice) -> Images:
    x = x[part].float()
    return Images((x - x.mean()) / x.std(), labels[part])


def accuracy(model: nn.Module, images: Images) -> float:
    model.eval()
    right = 0
    with striate.no_grad():
        for i in range(0, len(images.x), 250):
            guess = model(images.x[i : i + 250]).argmax(1)
            right += int((guess == images.labels[i : i + 250]).sum())
    return right / len(images.x)


def train(network: Network, train: Images, test: Images, epochs: int, seed: int) -> float:
    """Accuracy on `test` after so many epochs of SGD with momentum and a falling rate."""
    striate.manual_seed(seed)
    order = np.random.default_rng(seed)
    model = network.make()
    steps = epochs * (len(train.x) // BATCH)
    optimizer = striate.optim.SGD(model.parameters(), network.rate, 0.9, weight_decay=5e-4)
    schedule = striate.optim.lr_scheduler.OneCycleLR(optimizer, network.rate, total_steps=steps + 1)
    for _ in range(epochs):
        model.train()
        shuffled = order.permutation(len(train.x))
        for i in range(0, len(shuffled) - BATCH + 1, BATCH):
            chosen = striate.tensor(shuffled[i : i + BATCH])
            optimizer.zero_grad()
            F.cross_entropy(model(train.x[chosen]), train.labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    return accuracy(model, test)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", default=os.environ.get("STRIATE_DATA"), help="STRIATE_DATA")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="all")
    parser.add_argument("--epochs", type=int, default=2, help="(2)")
    parser.add_argument("--images", type=int, default=50000, help="to train on (all)")
    parser.add_argument("--seeds", type=int, default=3, help="(3)")
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data: expected a folder with mnist/ and cifar10/, or STRIATE_DATA")
    for name in options.network or NETWORKS:
        network = NETWORKS[name]
        read = {"mnist": mnist, "cifar10": cifar10}[network.data]
        sets = read(Path(options.data), options.images)
        for precision in ("high", "highest"):
            striate.set_float32_precision(precision)
            began = time.time()
            found = [
                100 * train(network, *sets, options.epochs, seed) for seed in range(options.seeds)
            ]
            print(
                f"{name:<10}{precision:<9}{'  '.join(f'{a:5.2f}' for a in found)}  %"
                f"   mean {np.mean(found):5.2f}, deviation {np.std(found, ddof=1):4.2f}"
                f"   {(time.time() - began) / options.seeds:.0f} s a seed",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Small classifiers of images: LeNet and the multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

from striate import nn


def lenet(
    input: Sequence[int] = (1, 28, 28),
    classes: int = 10,
    channels: Sequence[int] = (16, 32),
    hidden: Sequence[int] = (120, 84),
) -> nn.Sequential:
    """A net in the manner of LeNet-5: two convolutions with pooling, three linear layers.

    conv, relu, max pool, conv, relu, max pool, linear, relu, linear, relu, linear: (N, *input) to
    scores (N, classes). Images of 16 pixels and more get LeNet-5's 5x5 filters, the first padded by
    2 so that 28x28 counts as its 32x32; smaller ones get 3x3 filters with padding 1. ReLU and
    maximum stand in for the tanh and the trained average of LeCun, Bottou, Bengio and Haffner,
    Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), 1998, section II.B;
    its channels are (6, 16).
    """
    depth, height, width = image_size("lenet", input, least=4)
    check_sizes("lenet", "classes", [classes], 1)
    check_sizes("lenet", "channels", channels, 2)
    check_sizes("lenet", "hidden", hidden, 2)
    large = min(height, width) >= 16
    kernel, pads = (5, (2, 0)) if large else (3, (1, 1))
    layers: list[nn.Module] = []
    for count, pad in zip(channels, pads, strict=True):
        layers += [nn.Conv2d(depth, count, kernel, padding=pad), nn.ReLU(), nn.MaxPool2d(2)]
        depth = count
        height, width = ((n + 2 * pad - kernel + 1) // 2 for n in (height, width))
    layers.append(nn.Flatten())
    layers += _perceptron(depth * height * width, hidden, classes)
    return _initialised(nn.Sequential(*layers))


def mlp(
    input: Sequence[int] = (1, 28, 28), classes: int = 10, hidden: Sequence[int] = (256, 128)
) -> nn.Sequential:
    """A multilayer perceptron with ReLU between its layers: (N, *input) to scores (N, classes)."""
    image = image_size("mlp", input, least=1)
    check_sizes("mlp", "classes", [classes], 1)
    check_sizes("mlp", "hidden", hidden)
    return _initialised(
        nn.Sequential(nn.Flatten(), *_perceptron(math.prod(image), hidden, classes))
    )


def _perceptron(inputs: int, hidden: Sequence[int], classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for count in hidden:
        layers += [nn.Linear(inputs, count), nn.ReLU()]
        inputs = count
    return [*layers, nn.Linear(inputs, classes)]


def _initialised(model: nn.Sequential) -> nn.Sequential:
    """He's variance ahead of each ReLU, LeCun's for the scores; biases 0."""
    weighted = [m for m in model if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in weighted[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.lecun_normal_(weighted[-1].weight)
    for layer in weighted:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


def image_size(name: str, input: Sequence[int], least: int) -> tuple[int, int, int]:
    """(channels, height, width), checked."""
    wanted = f"{name}: input: expected (channels, height, width)"
    if len(input) != 3 or not all(isinstance(n, int) for n in input):
        raise ValueError(f"{wanted}, got {tuple(input)}")
    channels, height, width = input
    if channels < 1 or min(height, width) < least:
        raise ValueError(f"{wanted}, at least (1, {least}, {least}), got {tuple(input)}")
    return channels, height, width


def check_sizes(name: str, argument: str, sizes: Sequence[int], length: int | None = None) -> None:
    right = all(isinstance(n, int) and n > 0 for n in sizes)
    if not right or (length is not None and len(sizes) != length):
        count = f"{length} " if length is not None else ""
        raise ValueError(
            f"{name}: {argument}: expected {count}integers of 1 or more, got {tuple(sizes)}"
        )

# SPDX-License-Identifier: Apache-2.0
"""Layers and networks: modules with parameters. Names and semantics are PyTorch's."""

from striate.nn import functional, init
from striate.nn.activation import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from striate.nn.container import ModuleDict, ModuleList, Sequential
from striate.nn.conv import Conv2d, ConvTranspose2d
from striate.nn.linear import Flatten, Identity, Linear
from striate.nn.loss import CrossEntropyLoss, MSELoss
from striate.nn.module import Module
from striate.nn.norm import BatchNorm1d, BatchNorm2d, LocalResponseNorm
from striate.nn.parameter import Parameter
from striate.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    LPPool2d,
    MaxPool2d,
    MaxUnpool2d,
    SumPool2d,
)
from striate.nn.summary import Summary, summary

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Flatten",
    "Identity",
    "LPPool2d",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "MaxUnpool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SumPool2d",
    "Summary",
    "Tanh",
    "functional",
    "init",
    "summary",
]

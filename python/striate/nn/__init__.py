# SPDX-License-Identifier: Apache-2.0
"""Layers and networks: modules with parameters. Names and semantics are PyTorch's.

A file's `__all__` is what it gives to `striate.nn`.
"""

from striate.nn import functional, init, utils
from striate.nn.activation import *
from striate.nn.attention import *
from striate.nn.container import *
from striate.nn.contrast import *
from striate.nn.conv import *
from striate.nn.distance import *
from striate.nn.dropout import *
from striate.nn.embedding import *
from striate.nn.layer_norm import *
from striate.nn.linear import *
from striate.nn.loss import *
from striate.nn.loss_margin import *
from striate.nn.module import *
from striate.nn.norm import *
from striate.nn.padding import *
from striate.nn.parameter import *
from striate.nn.piecewise import *
from striate.nn.pooling import *
from striate.nn.pooling_nd import *
from striate.nn.rnn import *
from striate.nn.summary import *
from striate.nn.upsampling import *

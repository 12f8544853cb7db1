# SPDX-License-Identifier: Apache-2.0
"""Helpers around networks: clipping of gradients, parameters as one vector, packed sequences.

Names and semantics are PyTorch's.
"""

from striate.nn.utils import rnn
from striate.nn.utils.clip_grad import *
from striate.nn.utils.convert_parameters import *

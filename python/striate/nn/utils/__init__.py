# SPDX-License-Identifier: Apache-2.0
"""Tools around networks. Names and semantics are PyTorch's."""

from striate.nn.utils import rnn

__all__ = ["rnn"]

# SPDX-License-Identifier: Apache-2.0
"""Networks, ready to train."""

from collections.abc import Callable

from striate import nn
from striate.models.recurrent import gru, lstm, rnn
from striate.models.small import lenet, mlp

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet,
    "mlp": mlp,
    "lstm": lstm,
    "gru": gru,
    "rnn": rnn,
}

__all__ = ["MODELS", "gru", "lenet", "lstm", "mlp", "rnn"]

# SPDX-License-Identifier: Apache-2.0
"""Networks, ready to train."""

from striate.models.small import MODELS, lenet, mlp

__all__ = ["MODELS", "lenet", "mlp"]

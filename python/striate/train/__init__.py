# SPDX-License-Identifier: Apache-2.0
"""Training classifiers: the loop, its checkpoints, its pictures, and what `striate train` runs."""

from striate.train.config import Config
from striate.train.evaluate import Evaluation, evaluate
from striate.train.trainer import Trainer

__all__ = ["Config", "Evaluation", "Trainer", "evaluate"]

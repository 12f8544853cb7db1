# SPDX-License-Identifier: Apache-2.0
"""Data: datasets, the thread-based loader, and readers of public formats."""

from striate.data.dataset import (
    Dataset,
    Subset,
    TensorDataset,
    random_split,
    stratified_split,
)
from striate.data.idx import NotFound, read_idx
from striate.data.loader import DataLoader, default_collate
from striate.data.sources import digits, mnist
from striate.data.transforms import Compose, Normalize, RandomAffine

__all__ = [
    "Compose",
    "DataLoader",
    "Dataset",
    "Normalize",
    "NotFound",
    "RandomAffine",
    "Subset",
    "TensorDataset",
    "default_collate",
    "digits",
    "mnist",
    "random_split",
    "read_idx",
    "stratified_split",
]

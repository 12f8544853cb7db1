# SPDX-License-Identifier: Apache-2.0
"""Where PyTorch programs look for data loading: `from striate.utils.data import DataLoader`."""

from striate.utils import data

# SPDX-License-Identifier: Apache-2.0
"""`striate.data` under the name that PyTorch programs import it by."""

from striate.data import *

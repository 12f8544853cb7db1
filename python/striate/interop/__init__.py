# SPDX-License-Identifier: Apache-2.0
"""Ways from and to other frameworks. None of them is imported before it is asked for."""

from striate.interop.torch import from_torch
from striate.interop.traced import TracedModule

__all__ = ["TracedModule", "from_torch"]

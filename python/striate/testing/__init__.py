# SPDX-License-Identifier: Apache-2.0
"""Tools to test operations and networks: the case table, gradient checks, guard pages."""

from striate.testing.gradcheck import gradcheck
from striate.testing.guard import guarded, misaligned, strided

__all__ = ["gradcheck", "guarded", "misaligned", "strided"]

# SPDX-License-Identifier: Apache-2.0
"""Programs that are written once, and must come to the same with torch and with striate."""

import pytest
import striate


def both(program):
    """The program's result with torch and with striate, tensors as lists."""
    torch = pytest.importorskip("torch")
    assert plain(program(torch)) == plain(program(striate))


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


def leaf(t, *values):
    return t.tensor([*values], dtype=t.float64, requires_grad=True)

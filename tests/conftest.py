# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: the random stream begins anew, and the threads are given back."""

import pytest
import striate
from striate import _C


@pytest.fixture(autouse=True)
def _alike_in_any_order():
    before = _C.num_threads()
    striate.manual_seed(0)
    yield
    _C.set_num_threads(before)

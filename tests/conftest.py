# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: how samples are named, and the threads given back."""

import pytest
from striate import _C


@pytest.fixture(autouse=True)
def _threads_restored():
    before = _C.num_threads()
    yield
    _C.set_num_threads(before)

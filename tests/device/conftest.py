# SPDX-License-Identifier: Apache-2.0
"""Tests of tensors on a GPU: they run where there is one, and elsewhere on fakes.

tests/test_cuda_tensors.py starts them in a process whose driver, compiler and CuPy are fakes, with
the kernels compiled as C++. Nothing in them may depend on which it is.
"""

import os
from pathlib import Path

import pytest
import striate
from devices import TOLERANCE
from striate import cupy_arrays

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.cuda)


@pytest.fixture(autouse=True)
def _on_a_gpu():
    lacks = striate.cuda.missing()
    if lacks:
        pytest.skip(f"runs on fakes in test_cuda_tensors.py; here {lacks}")
    if os.environ.get("STRIATE_TEST_NO_POOL"):  # compute-sanitizer sees every array's bounds
        cupy_arrays.cupy().cuda.set_allocator(None)


@pytest.fixture(params=TOLERANCE)
def precision(request):
    before = striate.get_float32_precision()
    striate.set_float32_precision(request.param)
    yield request.param
    striate.set_float32_precision(before)

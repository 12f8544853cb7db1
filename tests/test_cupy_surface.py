# SPDX-License-Identifier: Apache-2.0
"""Whether the fake CuPy lets through no more than the real one has, where that is installed.

CuPy can be imported without a GPU.
"""

import importlib.util
import inspect
from pathlib import Path

import pytest

cupy = pytest.importorskip("cupy")


def surface():
    """The fake's tables. Its folder isn't put on the path: the fake itself lies there."""
    file = Path(__file__).parent / "fake_cupy" / "cupy_surface.py"
    spec = importlib.util.spec_from_file_location("cupy_surface", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_functions_are_there_with_these_parameters():
    known = surface()
    assert [
        name for name in known.UFUNCS if not isinstance(getattr(cupy, name, 0), cupy.ufunc)
    ] == []
    wrong = []
    for name, parameters in known.PARAMETERS.items():
        real = list(inspect.signature(getattr(cupy, name)).parameters)
        if not set(parameters[1:]) <= set(real):  # the first, an array, goes without its name
            wrong.append((name, parameters, real))
    assert wrong == []


def test_what_striate_uses_of_its_own():
    for name in ("Event", "get_elapsed_time", "alloc", "set_allocator", "get_current_stream"):
        assert hasattr(cupy.cuda, name)
    for name in ("data", "get", "set", "fill", "astype", "transpose", "__dlpack__"):
        assert hasattr(cupy.ndarray, name)

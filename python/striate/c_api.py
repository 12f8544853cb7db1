# SPDX-License-Identifier: Apache-2.0
"""Where the C interface lies: the header striate.h, and the library that it declares."""

from __future__ import annotations

from pathlib import Path

from striate import _C

_HOME = Path(_C.__file__).parent  # with an editable install this is not where the Python files are


def get_include() -> str:
    """The folder that holds striate.h."""
    return str(_HOME / "include")


def get_library() -> str:
    """The shared library for C and C++, libstriate.so. It needs no Python."""
    return str(_HOME / "lib" / "libstriate.so")


def get_cmake_dir() -> str:
    """The folder for CMake's find_package(striate): pass it as -Dstriate_DIR=…"""
    return str(_HOME / "cmake")

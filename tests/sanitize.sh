#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernel and core tests under AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder
# of their own: bash tests/sanitize.sh [pytest arguments]
# Needs what `pip install ".[dev]"` brings. Samples are thinned out (STRIATE_TEST_SAMPLES).
set -euo pipefail
cd "$(dirname "$0")/.."

build="$PWD/build/sanitize"
mkdir -p "$build"
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Sanitize -DCMAKE_CXX_FLAGS_SANITIZE=-O1 -DSTRIATE_SANITIZE=address,undefined \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v python)" \
  >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" >"$build.log" 2>&1 ||
  { grep -E 'error|Error' "$build.log" && exit 1; }

# The package with the sanitized extension in it, and nothing else.
package="$build/package/striate"
rm -rf "$package"
mkdir -p "$package"
cp -r python/striate/. "$package/"
find "$package" -name '_C*.so' -delete
cp "$build"/_C*.so "$package/"

runtime() { "${CXX:-g++}" -print-file-name="$1"; }
# Python leaks by design at exit, and its own allocator would hide what is freed too early.
# A huge allocation must fail as it does without the sanitizer.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export PYTHONMALLOC=malloc PYTHONPATH="$build/package" STRIATE_TEST_SAMPLES="${STRIATE_TEST_SAMPLES:-30}"
# An editable install would come first: its finder is taken away.
LD_PRELOAD="$(runtime libasan.so) $(runtime libubsan.so)" python -c '
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
import pytest
from striate import _C
assert "build/sanitize" in _C.__file__, _C.__file__
sys.exit(pytest.main(["-q", "--capture=sys", "-p", "no:cacheprovider", *sys.argv[1:]]))
' "${@:-tests/test_kernels.py}"

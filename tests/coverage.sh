#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lines and branches of csrc that the tests reach, file by file: bash tests/coverage.sh [threshold]
# Fails below the threshold, in per cent of branches (90). Needs `pip install ".[dev]"` and gcovr.
#
# Branches that only an exception takes (the compiler makes one after almost every call), and those
# it marks as unreachable, are left out; everything else counts, failed allocations included.
set -euo pipefail
cd "$(dirname "$0")/.."

threshold="${1:-90}"
build="$PWD/build/coverage"
mkdir -p "$build"
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Coverage -DCMAKE_CXX_FLAGS_COVERAGE="-O1 --coverage -fprofile-update=atomic" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v python)" \
  >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" >"$build.log" 2>&1 ||
  { grep -E 'error|Error' "$build.log" && exit 1; }
find "$build" -name '*.gcda' -delete

package="$build/package/striate"
rm -rf "$package"
mkdir -p "$package"
cp -r python/striate/. "$package/"
find "$package" -name '_C*.so' -delete
cp "$build"/_C*.so "$package/"
export PYTHONPATH="$build/package" STRIATE_TEST_SAMPLES="${STRIATE_TEST_SAMPLES:-40}"

# An editable install would come first: its finder is taken away.
tests() {
  python -c '
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
import pytest
from striate import _C
assert "build/coverage" in _C.__file__, _C.__file__
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
' "$@"
}

status=0
tests tests/test_kernels.py tests/test_ops.py tests/test_core.py \
  tests/test_conv2d.py tests/test_robustness.py -k "not interrupt and not old_cpu and not grow" || status=$?
best="$(python -c 'from striate import _C; print(_C.isa())')"
for isa in scalar avx2; do
  [[ $isa == "$best" ]] || STRIATE_ISA=$isa tests tests/test_ops.py || status=$?
done

gcovr --root . --object-directory "$build" --filter csrc/ --exclude-throw-branches \
  --exclude-unreachable-branches --gcov-ignore-parse-errors --txt-metric branch \
  --fail-under-branch "$threshold" --sort uncovered-number "$build"
exit $status

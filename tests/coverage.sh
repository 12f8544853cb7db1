#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches of csrc that the tests reach, file by file and folder by folder:
#   bash tests/coverage.sh [threshold]
# Fails below the threshold, in per cent (90), and where a test fails. Needs `pip install
# ".[coverage]"`, and about a quarter of an hour on two cores, three minutes of it to build.
#
# A branch counts once, however many kernels a template becomes: it is reached if one of them takes
# it. That each of them is right is what tests/test_kernels.py is for. Nothing is inlined in this
# build, or a branch would count again in every caller. Branches that only an exception takes (the
# compiler makes one after almost every call), and those it marks as unreachable, are left out;
# everything else counts, failed allocations included.
set -euo pipefail
cd "$(dirname "$0")/.."

threshold="${1:-90}"
build="$PWD/build/coverage"
mkdir -p "$build"
flags="-O1 -fno-inline -Dalways_inline= --coverage -fprofile-update=atomic"
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Coverage -DCMAKE_CXX_FLAGS_COVERAGE="$flags" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v python)" \
  >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" >"$build.log" 2>&1 ||
  { grep -E 'error|Error' "$build.log" && exit 1; }
find "$build" -name '*.gcda' -delete

# The package with these libraries in it, before any other, in every process that a test starts: an
# editable install would come first, and its finder is taken away.
root="$build/package"
rm -rf "$root"
mkdir -p "$root/striate"
cp -r python/striate/. "$root/striate/"
find "$root" -name '_C*.so' -delete
cmake --install "$build" --prefix "$root" >/dev/null
cat >"$root/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
PYTHON
export PYTHONPATH="$root" STRIATE_TEST_SAMPLES="${STRIATE_TEST_SAMPLES:-40}"
python -c 'from striate import _C; assert "build/coverage" in _C.__file__, _C.__file__'

tests() { python -m pytest -q -n 2 -p no:cacheprovider "$@"; }
status=0
# Where operands lie changes no branch, but for strides.
tests tests/test_kernels.py -k "not in_place or strided" || status=$?
# Training, the command line, the benchmarks and what is Python alone use nothing else of csrc. What
# is timed (an interrupt) or watches memory does not bear this build.
tests -k "not interrupt and not grow and not too_little" tests/test_c_api*.py \
  tests/test_{activation,autograd,autograd_grad,bindings,bindings_refusals,conv2d,conv3d,core}.py \
  tests/test_{dropout,dtypes,gradients,kernels_api,layers,loss,misuse,nn,ops,optim,paths}.py \
  tests/test_{properties,rnn,robustness,tensor,tensor_inplace,tensor_order}.py || status=$?
best="$(python -c 'from striate import _C; print(_C.isa())')"
for isa in scalar avx2; do
  [[ $isa == "$best" ]] || STRIATE_ISA=$isa tests tests/test_ops.py || status=$?
done

# Every kernel of a template by itself, then the source, and of that each folder.
report="$build/report.json" summary="$build/summary.json"
gcovr --root . --object-directory "$build" --filter csrc/ --exclude-throw-branches \
  --exclude-unreachable-branches --gcov-ignore-parse-errors=suspicious_hits.warn_once_per_file \
  --json "$report" "$build" >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
echo "Each kernel that a template becomes counted by itself:"
gcovr --root . -a "$report" --txt-summary
gcovr --root . -a "$report" --merge-lines --txt-metric branch --sort uncovered-number --txt - \
  --json-summary "$summary" --fail-under-branch "$threshold" || status=$?
python - "$summary" <<'PYTHON'
import collections, json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    files = json.load(file)["files"]
folders = collections.defaultdict(lambda: [0, 0])
for f in files:
    for name in ("/".join(f["filename"].split("/")[:2]), "csrc"):
        folders[name][0] += f["branch_covered"]
        folders[name][1] += f["branch_total"]
for name, (reached, total) in sorted(folders.items()):
    if total:
        print(f"{name:14} {reached:5} of {total:5} branches, {100 * reached / total:5.1f} %")
PYTHON
exit $status

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests under a sanitizer, in a build folder of their own:
#   bash tests/sanitize.sh address [pytest arguments]   AddressSanitizer and UndefinedBehaviorSanitizer
#   bash tests/sanitize.sh thread [pytest arguments]    ThreadSanitizer
# Without further arguments: the kernel tests, with few samples of each row; or threads at once, in
# the pool, the memory pool and the loader. Needs what `pip install ".[dev]"` brings.
set -euo pipefail
cd "$(dirname "$0")/.."

kind="${1:-address}"
shift || true
case "$kind" in
  address) sanitizers=address,undefined runtimes="libasan.so libubsan.so" ;;
  thread) sanitizers=thread runtimes="libtsan.so" ;;
  *) echo "sanitize.sh: expected address or thread, got '$kind'" >&2 && exit 2 ;;
esac

# A compiler prints the bare name of a runtime that it does not have.
preload=""
for runtime in $runtimes; do
  file="$("${CXX:-g++}" -print-file-name="$runtime")"
  [[ -e "$file" ]] || { echo "sanitize.sh: ${CXX:-g++} has no $runtime" >&2 && exit 3; }
  preload="$preload $file"
done

build="$PWD/build/sanitize-$kind"
mkdir -p "$build"
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Sanitize -DCMAKE_CXX_FLAGS_SANITIZE=-O1 -DSTRIATE_SANITIZE=$sanitizers \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v python)" \
  >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build" --target _C --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-2}" >"$build.log" 2>&1 ||
  { grep -E 'error|Error' "$build.log" && exit 1; }

# The package with the sanitized extension in it, and nothing else.
package="$build/package/striate"
rm -rf "$package"
mkdir -p "$package"
cp -r python/striate/. "$package/"
find "$package" -name '_C*.so' -delete
cp "$build"/_C*.so "$package/"

# Python leaks by design at exit, and its own allocator would hide what is freed too early.
# A huge allocation must fail as it does without the sanitizer.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:report_signal_unsafe=0:suppressions=$PWD/tests/tsan.supp:${TSAN_OPTIONS:-}"
# NumPy's own threads are not instrumented: what they share looks like races.
export OPENBLAS_NUM_THREADS=1
export PYTHONMALLOC=malloc PYTHONPATH="$build/package:$PWD/tests" STRIATE_TEST_SAMPLES="${STRIATE_TEST_SAMPLES:-6}"
if [[ $# -eq 0 ]]; then
  if [[ $kind == address ]]; then set -- -n 2 tests/test_kernels.py; else set -- tests/threads.py; fi
fi

# ThreadSanitizer's map of memory leaves no room for the widest randomisation of addresses. Where it
# may not be switched off, ThreadSanitizer says itself whether that matters.
run=""
if [[ $kind == thread ]] && setarch -R true 2>/dev/null; then run="setarch -R"; fi
LD_PRELOAD="${preload# }" $run python -m pytest -q --capture=sys -p no:cacheprovider -p sanitized "$@"

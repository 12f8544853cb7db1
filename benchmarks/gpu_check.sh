#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a machine with a GPU is asked, in stages of less than nine minutes each on 16 cores:
#   bash benchmarks/gpu_check.sh build-test [DIR]   build, doctor, tests on the GPU, tests on the CPU
#   bash benchmarks/gpu_check.sh sanitize [DIR]     the tests on the GPU under compute-sanitizer
#   bash benchmarks/gpu_check.sh bench [DIR]        peaks and rows of the GPU, an ncu report, rows of the CPU
# DIR, else $OUT, else build/gpu-check, gets STAGE.jsonl (a line a step: its state, its seconds, what it
# said last), STAGE.log and what the steps leave. What isn't here (GPU, CuPy, torch, compute-sanitizer,
# ncu) is reported as absent, and the rest goes on. Exit status 1: a step failed, or ran out of time.
#
# Nothing is downloaded. Variables:
#   PYTHON      the interpreter (python3); it needs NumPy and safetensors, pytest and hypothesis for the
#               tests, scikit-build-core, pybind11, CMake for the build, CuPy and NVRTC for the GPU
#   WHEELS      a folder of wheels of what is missing there: all of them are installed first, into SITE
#   SITE        where striate goes (build/gpu-site); later stages use what lies there
#   INSTALLED=1 take the striate that PYTHON imports, and build nothing
#   CPU_TESTS   arguments of pytest for the CPU's tests (tests)
#   BENCH       options of every `striate bench` (--quick)
set -uo pipefail
shopt -s extglob
cd "$(dirname "$0")/.."

stage="${1:-}"
case "$stage" in
  build-test | sanitize | bench) ;;
  *) echo "gpu_check.sh: expected build-test, sanitize or bench, got '$stage'" >&2 && exit 2 ;;
esac
out="${2:-${OUT:-build/gpu-check}}"
mkdir -p "$out" && out="$(cd "$out" && pwd)"
python="${PYTHON:-python3}"
site="${SITE:-$PWD/build/gpu-site}"
json="$out/$stage.jsonl" log="$out/$stage.log"
: >"$json" && : >"$log"
export PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
[[ -n "${INSTALLED:-}" ]] || export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
read -ra cpu_tests <<<"${CPU_TESTS:-tests}"
read -ra options <<<"${BENCH:---quick}"
ends=$((SECONDS + 530)) failed=0
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

report() { # report NAME STATE SECONDS TEXT
  printf '%-28s %-9s %4d s  %s\n' "$@" | tee -a "$log"
  "$python" -c 'import json, sys; n, s, t, x = sys.argv[1:]
print(json.dumps({"step": n, "state": s, "seconds": int(t), "said": x}))' "$@" >>"$json"
}

absent() { report "$1" absent 0 "$2"; } # absent NAME WHY

step() { # step NAME LIMIT COMMAND…
  local name="$1" limit="$2" start=$SECONDS left=$((ends - SECONDS)) status state
  shift 2
  ((limit = limit < left ? limit : left))
  ((limit > 5)) || { report "$name" late 0 "no time left in this stage" && failed=1 && return 1; }
  printf '\n=== %s: %s\n' "$name" "$*" >>"$log"
  timeout --kill-after=10 "$limit" "$@" </dev/null >"$scratch/step" 2>&1
  status=$?
  cat "$scratch/step" >>"$log"
  case $status in
    0) state=ok ;;
    124 | 137) state=late ;;
    *) state=failed ;;
  esac
  report "$name" "$state" $((SECONDS - start)) "$(grep -v '^[[:space:]]*$' "$scratch/step" | tail -1 | cut -c1-300)"
  [[ $state == ok ]] || { failed=1 && return 1; }
}

module() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

tools() { # the versions of what may be absent
  local name
  if command -v nvidia-smi >/dev/null; then
    step nvidia-smi 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  else
    absent nvidia-smi "not on the PATH"
  fi
  for name in torch cupy; do
    module "$name" || { absent "$name" "not installed" && continue; }
    step "$name" 60 "$python" -W ignore -c "import $name; print($name.__version__)"
  done
}

build() {
  local parallel
  parallel="$(nproc)"
  rm -rf "$site" && mkdir -p "$site"
  if [[ -n "${WHEELS:-}" ]]; then
    step wheels 60 "$python" -m pip install -q --no-index --no-deps --target "$site" "$WHEELS"/*.whl || return 1
  fi
  export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$parallel}"
  step build 300 env PATH="$site/bin:$PATH" "$python" -m pip wheel -q --no-index --no-deps \
    --no-build-isolation -Cbuild-dir=build/gpu -w "$scratch" . || return 1
  step install 60 "$python" -m pip install -q --no-index --no-deps --target "$site" "$scratch"/striate-*.whl
}

# What tensors on a GPU lack here; nothing where they can be used.
lacks() { "$python" -W ignore -c 'from striate import cuda; print(cuda.missing())' 2>&1 | tail -1; }

# CuPy and its like may warn, which the tests of the CPU take for errors.
on_gpu=("$python" -m pytest -q -rs -m cuda -W default -p no:cacheprovider)

build_test() {
  [[ -n "${INSTALLED:-}" ]] || build || return
  step doctor 60 "$python" -m striate doctor
  local why
  why="$(lacks)"
  if [[ -n "$why" ]]; then
    absent "tests on the GPU" "$why"
    absent kernels "$why"
    absent "mma tiles" "$why"
  else
    step kernels 150 "$python" benchmarks/compile_kernels.py # or each test waits for its own
    step "mma tiles" 60 "$python" benchmarks/mma_tiles.py "$out/mma_tiles.json"
    step "tests on the GPU" 240 "${on_gpu[@]}" --durations=10 tests/device
  fi
  local workers=()
  module xdist && workers=(-n auto)
  step "tests on the CPU" 400 "$python" -m pytest -q -rs -p no:cacheprovider "${workers[@]}" "${cpu_tests[@]}"
}

sanitize() {
  local why tool
  why="$(lacks)"
  command -v compute-sanitizer >/dev/null || why="${why:-compute-sanitizer is not on the PATH}"
  for tool in memcheck racecheck initcheck; do
    [[ -z "$why" ]] || { absent "$tool" "$why" && continue; }
    # Without CuPy's pool every array has bounds of its own. Calls that the driver refuses are no
    # finding: a launcher asks whether there is one parameter more, tests ask for too much memory.
    step "$tool" 175 env STRIATE_TEST_NO_POOL=1 compute-sanitizer --tool "$tool" --error-exitcode 9 \
      --report-api-errors no --print-limit 20 "${on_gpu[@]}" tests/device/test_!(measuring|cases|commands|training).py
  done
}

counters() { # registers, occupancy, traffic and stalls of our products, by ncu
  command -v ncu >/dev/null || { absent ncu "not on the PATH" && return; }
  step ncu 60 ncu --clock-control none --kernel-name 'regex:_cuda' --launch-count 6 --set full \
    --log-file "$out/ncu.txt" "$python" -c '
import striate
x, y = (striate.randn(4096, 4096, device="cuda") for _ in range(2))
for precision in ("highest", "high", "medium"):
    striate.set_float32_precision(precision)
    (x @ y).relu_()
striate.cuda.synchronize()'
}

measure() {
  local why threads=1 n
  why="$(lacks)"
  if [[ -n "$why" ]]; then
    absent "bench of the GPU" "$why"
    absent "bench of the GPU, TF32" "$why"
    absent "bench of the GPU, bfloat16" "$why"
    absent ncu "$why"
  else
    step "bench of the GPU" 180 "$python" -m striate bench --device cuda "${options[@]}" \
      --no-progress --journal "$scratch/cuda" --json "$out/cuda.json" --html "$out/cuda.html"
    step "bench of the GPU, TF32" 75 "$python" -m striate bench --device cuda --precision medium \
      --family gemm,conv "${options[@]}" --no-progress --journal "$scratch/medium" --json "$out/cuda-medium.json"
    step "bench of the GPU, bfloat16" 75 "$python" -m striate bench --device cuda --precision bfloat16 \
      "${options[@]}" --no-progress --journal "$scratch/bfloat16" --json "$out/cuda-bfloat16.json"
    counters
  fi
  for n in 2 16; do (($(nproc) >= n)) && threads="$threads,$n"; done
  step "bench of the CPU" 230 "$python" -m striate bench --threads "$threads" "${options[@]}" \
    --no-progress --journal "$scratch/cpu" --json "$out/cpu.json" --html "$out/cpu.html"
}

tools
case "$stage" in
  build-test) build_test ;;
  sanitize) sanitize ;;
  bench) measure ;;
esac
printf '%s: %s\n' "$stage" "$json"
exit $failed

# SPDX-License-Identifier: Apache-2.0
"""benchmarks/gpu_check.sh where there is no GPU: what is absent is said, the rest is done."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu_check.sh"
ROW = "gemm/odd-and-tiny/4x4x4"
FEW = f"--match {ROW} --peers none --seconds 0.01"
TOOLS = ("nvidia-smi", "compute-sanitizer", "ncu")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def check(stage, folder, **variables):
    """(exit status, {step: its record}) on a machine without a driver."""
    bare = {"STRIATE_LIBCUDA": str(folder / "none"), "PYTHON": sys.executable, "INSTALLED": "1"}
    path = os.pathsep.join(
        p
        for p in os.environ["PATH"].split(os.pathsep)
        if not any((Path(p) / tool).exists() for tool in TOOLS)
    )
    done = subprocess.run(
        ["bash", SCRIPT, stage, folder],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path, **bare, **variables},
    )
    steps = folder / f"{stage}.jsonl"
    lines = steps.read_text().splitlines() if steps.exists() else []
    return done, {record["step"]: record for record in map(json.loads, lines)}


def states(steps):
    return {name: record["state"] for name, record in steps.items()}


def test_build_test(tmp_path):
    tests = "tests/test_cuda.py -k test_no_such_test_or_missing --co"
    done, steps = check("build-test", tmp_path, CPU_TESTS="tests/test_sizes.py --co")
    assert done.returncode == 0, done.stdout
    assert steps["nvidia-smi"]["state"] == "absent"
    assert steps["tests on the GPU"]["state"] == "absent"
    assert "driver" in steps["tests on the GPU"]["said"]
    assert steps["doctor"]["state"] == steps["tests on the CPU"]["state"] == "ok"
    assert "collected" in steps["tests on the CPU"]["said"]
    assert "=== doctor" in (tmp_path / "build-test.log").read_text()
    assert "tests on the GPU" in done.stdout and "absent" in done.stdout
    done, steps = check("build-test", tmp_path, CPU_TESTS=tests)
    assert done.returncode == 1 and steps["tests on the CPU"]["state"] == "failed"


def test_sanitize(tmp_path):
    done, steps = check("sanitize", tmp_path)
    assert done.returncode == 0
    for tool in ("memcheck", "racecheck", "initcheck"):
        assert steps[tool]["state"] == "absent" and steps[tool]["said"]


def test_bench(tmp_path):
    done, steps = check("bench", tmp_path, BENCH=FEW)
    assert done.returncode == 0, done.stdout
    assert states(steps)["bench of the GPU"] == states(steps)["ncu"] == "absent"
    assert states(steps)["bench of the CPU"] == "ok"
    rows = json.loads((tmp_path / "cpu.json").read_text())["rows"]
    assert {row["name"] for row in rows} == {ROW}


STUBS = {
    "nvidia-smi": "echo Fake, 1",
    "compute-sanitizer": """
for word; do  # passes where the tests that it is given are there
  case "$word" in tests/*) [ -e "$word" ] || exit 3 ;; esac
done
echo "$@"
""",
    "ncu": 'echo "$@"',
}


@pytest.fixture
def with_a_gpu(fake_gpu, tmp_path):
    """Variables of a process with a fake GPU, and with stubs of NVIDIA's tools."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in STUBS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {**fake_gpu, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_sanitize_with_a_gpu(tmp_path, with_a_gpu):
    done, steps = check("sanitize", tmp_path, **with_a_gpu)
    assert done.returncode == 0, done.stdout
    for tool in ("memcheck", "racecheck", "initcheck"):
        assert steps[tool]["state"] == "ok" and f"--tool {tool} " in steps[tool]["said"]
        assert "--report-api-errors no" in steps[tool]["said"]
    log = (tmp_path / "sanitize.log").read_text()
    assert "tests/device/test_gemm.py" in log and "tests/device/test_measuring.py" not in log


def test_build_test_with_a_gpu(tmp_path, with_a_gpu):
    few = {"PYTEST_ADDOPTS": "-k test_refusals", "CPU_TESTS": "tests/device/test_peak.py --co"}
    done, steps = check("build-test", tmp_path, **with_a_gpu, **few)
    assert " passed" in steps["tests on the GPU"]["said"]
    assert steps["nvidia-smi"]["state"] == steps["cupy"]["state"] == "ok"
    assert steps["kernels"]["state"] == "ok"
    assert re.fullmatch(r"(\d+) of \1 files compiled for sm_90a in \d+ s", steps["kernels"]["said"])
    tiles = json.loads((tmp_path / "mma_tiles.json").read_text())["tiles"]
    assert len(tiles) == 9 and all(0 < t["off"] < 2000 for t in tiles)
    assert steps["doctor"]["state"] == "failed"  # this fake has no kernel for the doctor's probe
    assert done.returncode == 1


def test_bench_with_a_gpu(tmp_path, with_a_gpu):
    done, steps = check("bench", tmp_path, BENCH=FEW, **with_a_gpu)
    assert done.returncode == 0, done.stdout + (tmp_path / "bench.log").read_text()[-3000:]
    assert set(states(steps).values()) == {"ok"}
    heads = {}
    for name in ("cuda", "cuda-medium", "cpu"):
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert [row["name"] for row in found["rows"]].count(ROW) == len(found["rows"]) > 0
        heads[name] = found["heads"][0]["machine"]
    assert heads["cuda"]["precision"] == "high" and heads["cuda-medium"]["precision"] == "medium"
    assert "gpu" in heads["cuda"] and "gpu" not in heads["cpu"]
    assert "--launch-count 6" in (tmp_path / "bench.log").read_text()


def test_unknown_stage(tmp_path):
    done, steps = check("all", tmp_path)
    assert done.returncode == 2 and "expected build-test, sanitize or bench" in done.stderr
    assert not steps

# SPDX-License-Identifier: Apache-2.0
"""The tests of tests/device, in processes that believe to have a GPU.

Driver and compiler are fake_cuda.c, CuPy is tests/fake_cupy, and kernels are the .cu files as C++
(cuda_on_cpu.py), launched by the library itself: grids, parameters, memory and streams are its own.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(p.name for p in (HERE / "device").glob("test_*.py"))


@pytest.mark.parametrize("file", FILES)
def test_on_a_fake_gpu(fake_gpu, file):
    run(fake_gpu, file)


def test_sums_in_parts_on_a_larger_gpu(fake_gpu, tmp_path):
    """With as many multiprocessors as an H100's, each pass of a convolution is made in parts."""
    log = tmp_path / "log"
    large = {**fake_gpu, "FAKE_MULTIPROCESSORS": "132", "FAKE_LOG": str(log)}
    run(large, "test_conv.py", "-k", "in_parts")
    launches = re.findall(r"cuLaunchKernel (conv2d\w+) .*grid \d+,(\d+),(\d+) ", log.read_text())
    for kind, groups, more_than in (
        *(("fwd_f32", 1, 1), ("fwd_f32", 2, 1), ("bwd_weight_f32", 1, 1)),
        *(("bwd_data_f32", 1, 6), ("bwd_data_f32", 2, 6)),  # which has six phases with a stride
    ):
        parts = [int(z) for name, y, z in launches if kind in name and int(y) == groups]
        assert max(parts, default=0) > more_than, (kind, groups)
    assert "cuLaunchKernel gemm_parts_f32_cuda" in log.read_text()


def run(environment, file, *options):
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        [*command, *options, str(HERE / "device" / file)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        cwd=HERE.parent,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-3000:]

# SPDX-License-Identifier: Apache-2.0
"""The tests of tests/device, in processes that believe to have a GPU.

Driver and compiler are fake_cuda.c, CuPy is tests/fake_cupy, and kernels are the .cu files as C++
(cuda_on_cpu.py), launched by the library itself: grids, parameters, memory and streams are its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(p.name for p in (HERE / "device").glob("test_*.py"))


@pytest.mark.parametrize("file", FILES)
def test_on_a_fake_gpu(fake_gpu, file):
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        [*command, str(HERE / "device" / file)],
        capture_output=True,
        text=True,
        env=fake_gpu,
        timeout=600,
        cwd=HERE.parent,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-3000:]

# SPDX-License-Identifier: Apache-2.0
"""The tests of tests/device, in processes that believe to have a GPU.

Driver and compiler are fake_cuda.c, CuPy is tests/fake_cupy, and kernels are the .cu files as C++
(cuda_on_cpu.py), launched by the library itself: grids, parameters, memory and streams are its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import cuda_on_cpu
import pytest

HERE = Path(__file__).parent
FILES = sorted(p.name for p in (HERE / "device").glob("test_*.py"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory, fake_library):
    """Variables of a process with a fake GPU."""
    if cuda_on_cpu.COMPILER is None:
        pytest.skip("no C++ compiler here")
    kernels = [str(cuda_on_cpu.library(source).file) for source in cuda_on_cpu.SOURCES]
    path = [str(HERE / "fake_cupy"), str(HERE), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in path if p),
        "STRIATE_LIBCUDA": str(fake_library),
        "STRIATE_NVRTC": str(fake_library),
        "STRIATE_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "FAKE_KERNELS": ":".join(kernels),
        "FAKE_DEVICES": "2",
        "FAKE_LOG": str(tmp_path_factory.mktemp("log") / "calls"),
        "FAKE_MULTIPROCESSORS": "2",  # small grids: threads go round, as they do for large arrays
    }


@pytest.mark.parametrize("file", FILES)
def test_on_a_fake_gpu(machine, file):
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        [*command, str(HERE / "device" / file)],
        capture_output=True,
        text=True,
        env=machine,
        timeout=600,
        cwd=HERE.parent,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-3000:]

# SPDX-License-Identifier: Apache-2.0
"""Processes with a driver and an NVRTC that are fakes (fake_cuda.c), or with none, or the real one.

Variables of the fakes: FAKE_LOG is the file of their calls, a line each with the thread's number;
FAKE_FAIL=name:n:error lets the n-th call of that name fail; FAKE_DEVICES, FAKE_VERSION,
FAKE_CAPABILITY (a list by device), FAKE_PARAMETERS (bytes of each of the kernel's), FAKE_NVRTC (its
version), FAKE_ARCHITECTURES say what they are; FAKE_SUMMAND makes the probe's kernel compute wrong.
FAKE_MULTIPROCESSORS is their number; FAKE_GRAPH_KERNELS is how many a graph says that it has;
FAKE_POOL lets fake_cupy keep memory that was freed, to give it out again;
FAKE_KERNELS lists libraries of kernels (cuda_on_cpu.py), by colons, which launches then run.
"""

import os
import shutil
import subprocess
from pathlib import Path

import cuda_on_cpu
import pytest
import subprocesses

HERE = Path(__file__).parent
SOURCE = Path(__file__).with_name("fake_cuda.c")
# What a machine may have that lets CUDA be found in another way than by striate's own.
SCRUBBED = dict.fromkeys(["PATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES"])
OURS = dict.fromkeys(["STRIATE_LIBCUDA", "STRIATE_NVRTC", "STRIATE_CUDA_SOURCES"])


def compile_fake(folder, *options):
    """A libcuda.so.1 that is also an NVRTC."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = folder / "libcuda.so.1"
    warnings = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
    command = [compiler, "-O1", *warnings, "-fPIC", "-shared", "-pthread", *options]
    subprocess.run([*command, "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Machine:
    """Runs code with a cache folder of its own, and a driver and compiler as told."""

    def __init__(self, folder, driver=None, nvrtc=None):
        self.cache = folder / "cache" / "cuda"
        self.log_file = folder / "calls"
        self.environment = {
            **SCRUBBED,
            **OURS,
            "STRIATE_CACHE_DIR": str(folder / "cache"),
            "FAKE_LOG": str(self.log_file),
        }
        if driver:
            self.environment["STRIATE_LIBCUDA"] = str(driver)
        if nvrtc:
            self.environment["STRIATE_NVRTC"] = str(nvrtc)

    def run(self, code, **variables):
        """What it printed."""
        return subprocesses.succeeds(_HEAD + code, **{**self.environment, **variables})

    def fails(self, code, **variables):
        """The last line of its exception."""
        return subprocesses.fails(_HEAD + code, **{**self.environment, **variables})

    def calls(self, name=""):
        """(thread, call) of each, or of those that begin so, since the last time."""
        lines = self.log_file.read_text().splitlines() if self.log_file.exists() else []
        self.log_file.unlink(missing_ok=True)
        pairs = [line.split(" ", 1) for line in lines]
        return [(thread, call) for thread, call in pairs if call.startswith(name)]


_HEAD = """
import os, threading
from striate import _C, cuda, doctor_cuda

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def probe(device=0):
    found = _C.cuda_probe(device)
    assert found["right"]
    return found["architecture"]

"""


@pytest.fixture(scope="session")
def fake_library(tmp_path_factory):
    """The fake's file."""
    return compile_fake(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def fake(tmp_path, fake_library):
    """A machine with the fake driver and the fake NVRTC."""
    return Machine(tmp_path, fake_library, fake_library)


@pytest.fixture
def bare(tmp_path):
    """A machine with neither; whatever this one has."""
    return Machine(tmp_path, tmp_path / "none" / "libcuda.so.1", tmp_path / "none" / "libnvrtc.so")


@pytest.fixture
def real(tmp_path):
    """A machine without a driver and with the NVRTC that is installed here."""
    machine = Machine(tmp_path, tmp_path / "none" / "libcuda.so.1")
    why = machine.run("print(_C.cuda_compiler()['why_not'])")
    if why:
        pytest.skip(why)
    return machine


@pytest.fixture(scope="session")
def fake_gpu(tmp_path_factory, fake_library):
    """Variables of a process that believes to have a GPU: kernels are C++, CuPy is fake_cupy."""
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

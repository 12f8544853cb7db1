# SPDX-License-Identifier: Apache-2.0
"""Every CUDA kernel compiles for real GPUs, by NVRTC and without one, and keeps its registers.

NVRTC is that of the package nvidia-cuda-nvrtc-cu12, or of CUDA 13, where installed.
"""

import ctypes
import functools
import re
import sys
from pathlib import Path

import cuda_on_cpu
import pytest

# Bytes of a thread that may go to memory. Loops of products use all registers that two blocks a
# multiprocessor leave them, and put a word or two away outside the loop; exp of a double puts some
# away around the branch that few arguments take. Sums of a product, if spilled, would be far more.
MOST_SPILLED = 32
OPTIONS = [
    *("--std=c++17", "--device-as-default-execution-space", "--fmad=false", "--ftz=true"),
    *(f"--include-path={cuda_on_cpu.CSRC}", "--ptxas-options=-v"),
]


@functools.cache
def nvrtc():
    """The library, or None."""
    for folder in map(Path, sys.path):
        for path in sorted(folder.glob("nvidia/*/lib/libnvrtc.so.1?")):
            return ctypes.CDLL(str(path))
    return None


def text_of(program, size, read):
    count = ctypes.c_size_t()
    size(program, ctypes.byref(count))
    text = ctypes.create_string_buffer(count.value)
    read(program, text)
    return text.value.decode()


@functools.cache
def compiled(source, chip):
    """What the compiler said of each kernel: {name: (stack, spilled, registers)}."""
    lib, program = nvrtc(), ctypes.c_void_p()
    name = source.name.encode()
    lib.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), name, 0, None, None)
    options = [f"--gpu-architecture={chip}", *OPTIONS]
    array = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    status = lib.nvrtcCompileProgram(program, len(options), array)
    log = text_of(program, lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog)
    lib.nvrtcDestroyProgram(ctypes.byref(program))
    assert status == 0, log[:3000]
    assert "warning" not in log, log[:3000]
    facts = re.findall(
        r"entry function '(\w+)' for '\w+'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
        r".*?Used (\d+) registers",
        log,
        re.S,
    )
    return {name: (int(stack), int(spilled), int(used)) for name, stack, spilled, used in facts}


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("source", cuda_on_cpu.SOURCES, ids=lambda s: s.stem)
def test_compiles_for(source, chip):
    if nvrtc() is None:
        pytest.skip("needs nvidia-cuda-nvrtc-cu12")
    facts = compiled(source, chip)
    if cuda_on_cpu.COMPILER:
        assert sorted(facts) == sorted(cuda_on_cpu.kernel_names(source))
    assert facts and max(registers for *_, registers in facts.values()) <= 255
    over = {n: f for n, f in facts.items() if max(f[:2]) > MOST_SPILLED}
    assert not over, "{name: (stack, spilled, registers)}"

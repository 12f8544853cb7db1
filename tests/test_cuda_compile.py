# SPDX-License-Identifier: Apache-2.0
"""The device code that is installed, compiled by the NVRTC that is installed here, if one is.

No GPU is needed, and no toolkit: PATH, CUDA_HOME and CUDA_PATH are unset.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import cuda_on_cpu
import pytest
from striate import _C

SOURCES = Path(_C.cuda_source_folder())
FILES = sorted(str(f.relative_to(SOURCES)) for f in SOURCES.rglob("*.cu"))
PROBE = "cuda/probe/probe_cuda.cu"
CHIPS = ["sm_80", "sm_90a"]
# Bytes of a thread that may go to memory. Loops of products use all registers that two blocks a
# multiprocessor leave them, and put a word or two away outside the loop; exp of a double puts some
# away around the branch that few arguments take. Sums of a product, if spilled, would be far more.
MOST_SPILLED = 32
FACTS = re.compile(
    r"entry function '(\w+)' for '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
    r".*?Used (\d+) registers",
    re.S,
)


def test_device_code_is_installed():
    """Each .cu file of the source tree and all that it includes; install again where this fails."""
    tree = Path(__file__).parent.parent / "csrc"
    ahead, found = {str(f.relative_to(tree)) for f in tree.rglob("*.cu")}, set()
    assert PROBE in ahead
    while ahead:
        file = ahead.pop()
        text = (tree / file).read_text()
        assert (SOURCES / file).read_text() == text, file
        found.add(file)
        ahead |= set(re.findall(r'^ *# *include *"([^"]+)"', text, re.M)) - found
    assert {str(f.relative_to(SOURCES)) for f in SOURCES.rglob("*") if f.is_file()} >= found


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("file", FILES)
def test_it_compiles(real, file, chip):
    built = eval(real.run(f"print(_C.cuda_compile({file!r}, {chip!r}))"))
    assert built["cubin"].startswith(b"\x7fELF") and not built["cached"]
    assert "warning" not in built["log"], built["log"][:3000]
    facts = FACTS.findall(built["log"])
    assert facts and {architecture for _, architecture, *_ in facts} == {chip}
    if cuda_on_cpu.COMPILER:
        names = cuda_on_cpu.kernel_names(cuda_on_cpu.CSRC / file)
        assert sorted(name for name, *_ in facts) == sorted(names)
    for name, _, stack, spilled, registers in facts:
        assert name.encode() in built["cubin"]
        assert max(int(stack), int(spilled)) <= MOST_SPILLED and int(registers) <= 255, name


@pytest.mark.parametrize("chip", CHIPS)
def test_the_second_process_reads_what_the_first_compiled(real, chip):
    code = f"print(_C.cuda_compile('{PROBE}', '{chip}'))"
    first, second = eval(real.run(code)), eval(real.run(code))
    assert (first["cached"], second["cached"]) == (False, True)
    assert (first["cubin"], first["log"]) == (second["cubin"], second["log"])


def test_a_damaged_file_is_compiled_again(real):
    code = f"print(_C.cuda_compile('{PROBE}', 'sm_80')['cached'])"
    real.run(code)
    (file,) = real.cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:2000] + b"?" + whole[2001:])
    assert [real.run(code), real.run(code)] == ["False", "True"]


def test_processes_at_once(real):
    code = (
        "import sys; from striate import _C; sys.stdin.read()\n"
        f"b = _C.cuda_compile('{PROBE}', 'sm_80'); print(len(b['cubin']))"
    )
    environment = {n: v for n, v in os.environ.items() if n not in real.environment}
    environment |= {n: v for n, v in real.environment.items() if v is not None}
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True)
        for _ in range(4)
    ]
    for process in running:
        process.stdin.close()  # all of them go
        process.stdin = None
    sizes = [process.communicate(timeout=120)[0] for process in running]
    assert len(set(sizes)) == 1 and int(sizes[0]) > 1000
    assert len(list(real.cache.iterdir())) == 1  # and no file half written
    assert real.run(f"print(_C.cuda_compile('{PROBE}', 'sm_80')['cached'])") == "True"


def test_threads_at_once(real):
    out = real.run(f"""
sizes = []
work = lambda: sizes.append(len(_C.cuda_compile("{PROBE}", "sm_80")["cubin"]))
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(sizes), len(set(sizes)))
""")
    assert out == "4 1"


KERNEL = """#include "cuda/device/part.cuh"
#ifdef NOT_HERE
#include "cuda/device/other.cuh"
#endif
extern "C" __global__ void k(float* x) { x[threadIdx.x] = part(x[threadIdx.x]); }
"""


@pytest.mark.parametrize(
    ("kernel", "header", "words"),
    [
        (KERNEL, "inline float part(float x) { return 2 * x; }", None),
        (KERNEL, "inline float part(float x) {\n  return y;\n}", "part.cuh(2): error"),
        (KERNEL + "int wrong = ;\n", "float part(float x);", "ops/k/k_cuda.cu(6): error"),
        (KERNEL.replace("NOT_HERE", "__CUDACC__"), "", "other.cuh"),
    ],
)
def test_errors_say_where(real, tmp_path, kernel, header, words):
    for name, text in (("ops/k/k_cuda.cu", kernel), ("cuda/device/part.cuh", header)):
        file = tmp_path / "sources" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    code = "print(attempt(_C.cuda_compile, 'ops/k/k_cuda.cu', 'sm_80'))"
    out = real.run(code, STRIATE_CUDA_SOURCES=str(tmp_path / "sources"))
    if words is None:
        assert out.startswith("{'cubin': b'\\x7fELF")
        return
    head = r"RuntimeError: cuda: ops/k/k_cuda.cu does not compile \(NVRTC 1\d\.\d+, "
    assert re.match(head + "--gpu-architecture=sm_80.: NVRTC_ERROR_COMPILATION\n", out)
    assert words in out


def test_an_architecture_that_is_none(real):
    assert "sm_20" in real.run(f"print(attempt(_C.cuda_compile, '{PROBE}', 'sm_20'))")


def test_a_file_that_is_not_there(real):
    last = real.fails("_C.cuda_compile('ops/none_cuda.cu', 'sm_80')")
    assert "ops/none_cuda.cu can't be read; the installation of striate is not whole" in last

# SPDX-License-Identifier: Apache-2.0
"""How the driver is used, told by one that keeps every call and fails where it is told to.

None of this has seen a GPU: what a real driver does otherwise than the fake, these tests can't say.
"""

import ctypes
import re
import shutil

import pytest
from cuda_fake import compile_fake

N, BLOCKS = 1000003, 3907  # of the probe, in blocks of 256


def test_a_launch(fake):
    assert fake.run("print(probe())") == "sm_90a"
    calls = [call for _, call in fake.calls()]
    launch = f"cuLaunchKernel probe_f32_cuda device 0 grid {BLOCKS},1,1 block 256,1,1 shared 65536 "
    launches = [c for c in calls if c.startswith("cuLaunch")]
    assert len(launches) == 2
    for call in launches:
        assert re.fullmatch(re.escape(launch) + f"stream 0x[0-9a-f]+ a 3 n {N}", call)
    assert calls[0] == "cuInit 0" and "cuFuncSetAttribute 8 65536" in calls
    for made, dropped in (
        ("cuMemAlloc", "cuMemFree"),
        ("cuStreamCreate", "cuStreamDestroy"),
        ("cuEventCreate", "cuEventDestroy"),
    ):
        counts = [sum(c.startswith(word) for c in calls) for word in (made, dropped)]
        assert counts[0] == counts[1] > 0
    options = {c.partition(" ")[2] for c in calls if c.startswith("option ")}
    assert {"--gpu-architecture=sm_90a", "--fmad=false", "--ftz=true"} <= options


def test_the_fake_refuses_launches_that_a_driver_would(fake_library):
    """Beyond a grid's limits, or with more shared memory than was asked for: so a launcher that
    forgets either fails wherever it is tested."""
    driver = ctypes.CDLL(str(fake_library))
    context, module, kernel = (ctypes.c_void_p() for _ in range(3))
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 100)
    driver.cuCtxSetCurrent(context)
    driver.cuModuleLoadData(ctypes.byref(module), b"FAKE")
    driver.cuModuleGetFunction(ctypes.byref(kernel), module, b"probe_f32_cuda")
    nothing = ctypes.c_ulonglong()
    operands = (ctypes.c_void_p * 4)(*[ctypes.addressof(nothing)] * 4)

    def launch(grid=(1, 1, 1), block=(256, 1, 1), shared=0):
        return driver.cuLaunchKernel(kernel, *grid, *block, shared, None, operands, None)

    most = 65535
    assert launch() == launch((1 << 20, most, most)) == launch(shared=48 << 10) == 0
    assert launch((1, most + 1, 1)) == launch((1, 1, most + 1)) == launch(block=(32, 33, 1)) == 1
    assert launch(shared=60 << 10) == 1
    assert driver.cuFuncSetAttribute(kernel, 8, 100 << 10) == 1
    assert driver.cuFuncSetAttribute(kernel, 8, 60 << 10) == 0
    assert launch(shared=60 << 10) == 0 and launch(shared=61 << 10) == 1


def test_a_kernel_is_loaded_once_a_device(fake):
    fake.run("for i in 0, 1, 0, 1, 0: probe(i)", FAKE_DEVICES="2")
    calls = [call for _, call in fake.calls()]
    for name in ("cuModuleLoadData", "cuDevicePrimaryCtxRetain"):
        assert [c for c in calls if c.startswith(name)] == [f"{name} 0", f"{name} 1"]
    launches = [c for c in calls if c.startswith("cuLaunchKernel")]
    assert [re.search(r"device (\d)", c)[1] for c in launches] == list("0011001100")


def test_each_thread_gets_the_context(fake):
    fake.run("""
probe()
threads = [threading.Thread(target=probe) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
""")
    calls = fake.calls()
    threads = {thread for thread, call in calls if call.startswith("cuLaunchKernel")}
    assert len(threads) == 4
    for thread in threads:
        assert [c for t, c in calls if t == thread and c.startswith("cuCtxSet")] == [
            "cuCtxSetCurrent 0"
        ]
    assert sum(c.startswith("cuDevicePrimaryCtxRetain") for _, c in calls) == 1
    assert sum(c.startswith("cuModuleLoadData") for _, c in calls) == 1


def test_the_context_of_another_library_is_put_back(fake):
    out = fake.run(
        """
import ctypes
driver = ctypes.CDLL(os.environ["STRIATE_LIBCUDA"])
theirs, now = ctypes.c_void_p(), ctypes.c_void_p()
_C.cuda_driver()
driver.cuDevicePrimaryCtxRetain(ctypes.byref(theirs), 101)
driver.cuCtxSetCurrent(theirs)
probe(0)
driver.cuCtxGetCurrent(ctypes.byref(now))
print(now.value == theirs.value, cuda.current_device())
""",
        FAKE_DEVICES="2",
    )
    assert out == "True 1"


def test_an_error_names_kernel_and_shapes(fake):
    last = fake.fails("probe()", FAKE_FAIL="cuLaunchKernel:1:1")
    assert last == (
        f"RuntimeError: cuda: probe_f32_cuda: x ({N},), grid ({BLOCKS}, 1, 1), block (256, 1, 1), "
        "65536 bytes of shared memory, device 0: CUDA_ERROR_INVALID_VALUE (1)"
    )


def test_out_of_memory_leaves_the_process_usable(fake):
    out = fake.run("print(attempt(probe)); print(probe())", FAKE_FAIL="cuMemAlloc_v2:2:2")
    error, after = out.splitlines()
    assert error == (
        "MemoryError: cuda: 4000012 bytes for the probe's result (3 MiB of the device's 81920 MiB "
        "are free): CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
    )
    assert after == "sm_90a"
    calls = [call for _, call in fake.calls("cuMem")]
    frees = sum(c.startswith("cuMemFree") for c in calls)
    assert frees == sum(c.startswith("cuMemAlloc") for c in calls) - 1 == 3


def test_any_call_may_fail_and_the_next_probe_works(fake):
    fake.run("_C.cuda_devices(); probe(); cuda.synchronize()")
    names = {call.split()[0] for _, call in fake.calls("cu")} - {"cuInit"}
    quiet = {n for n in names if re.search("Destroy|Free", n)}  # nobody is there to be told
    assert len(names - quiet) > 20
    for name in sorted(names - quiet):
        out = fake.run(
            "f = lambda: (_C.cuda_devices(), probe(), cuda.synchronize(), cuda.current_device())\n"
            "print(attempt(f)); f(); print('and then well')",
            FAKE_FAIL=f"{name}:1:999",
        )
        error, after = out.splitlines()
        assert error.startswith("RuntimeError: cuda: "), name
        assert error.endswith("CUDA_ERROR_UNKNOWN (999): unknown error"), name
        assert after == "and then well"


def test_a_lost_context_names_the_last_kernel(fake):
    last = fake.fails("probe()", FAKE_FAIL="cuStreamSynchronize:1:700")
    assert "waiting for a stream: CUDA_ERROR_ILLEGAL_ADDRESS (700)" in last
    assert "launched last by this thread is probe_f32_cuda" in last
    assert last.endswith("this process can't use the GPU any more")
    last = fake.fails("cuda.synchronize()", FAKE_FAIL="cuCtxSynchronize:1:719")
    assert "waiting for device 0: unknown error (719); " in last and "none of striate's" in last


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ("8,8,4,4", "probe_f32_cuda: parameter 3 has 4 bytes in cuda/probe/probe_cuda.cu, its "),
        ("8,8,4", "probe_f32_cuda: parameter 3 has 0 bytes"),
        ("8,8,4,8,8", "its launcher passes 4 parameters, and cuda/probe/probe_cuda.cu has more"),
    ],
)
def test_a_launcher_of_other_parameters(fake, sizes, words):
    assert words in fake.fails("probe()", FAKE_PARAMETERS=sizes)
    assert not fake.calls("cuLaunchKernel")


def test_drivers_before_12_4_can_not_tell_the_parameters(fake, tmp_path):
    old = compile_fake(tmp_path, "-DBEFORE_12_4")
    assert fake.run("print(probe())", STRIATE_LIBCUDA=str(old), FAKE_VERSION="12000") == "sm_90a"


WHY = "print(_C.cuda_driver()['why_not']); print(cuda.device_count()); print(attempt(probe))"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"FAKE_VERSION": "11080"}, "is of CUDA 11.8; CUDA 12.0 (driver 525) or later is needed"),
        ({"FAKE_FAIL": "cuInit:1:100"}, "finds no GPU (CUDA_VISIBLE_DEVICES may hide it)"),
        ({"FAKE_FAIL": "cuInit:1:999"}, "can't start: CUDA_ERROR_UNKNOWN (999): unknown error"),
        ({"STRIATE_LIBCUDA": "/none/libcuda.so.1"}, "found (there is no /none/libcuda.so.1)"),
        ({"STRIATE_LIBCUDA": __file__}, "invalid ELF header"),
    ],
)
def test_drivers_that_can_not_be_used(fake, variables, words):
    why, count, error = fake.run(WHY, **variables).splitlines()
    assert words in why and "NVIDIA driver" in why
    assert count == "0" and error == f"RuntimeError: cuda: {why}"


def test_a_driver_that_lacks_a_function(fake, tmp_path):
    library = compile_fake(tmp_path, "-DLACKS_CONTEXTS")
    why = fake.run(WHY, STRIATE_LIBCUDA=str(library)).splitlines()[0]
    assert why.startswith("the NVIDIA driver lacks cuCtxSetCurrent; CUDA 12.0")


def test_devices_that_are_not_there_or_too_old(fake):
    assert fake.fails("probe(2)", FAKE_DEVICES="2") == (
        "ValueError: cuda: device: expected 0 to 1, got 2"
    )
    for index in -1, 64, 2**31 - 1:
        assert "expected 0 to 0" in fake.fails(f"probe({index})")
    last = fake.fails("probe(1)", FAKE_DEVICES="2", FAKE_CAPABILITY="90,75")
    assert last == (
        "RuntimeError: cuda: device 1 (Fake 1) is of compute capability 7.5; "
        "8.0 or higher is needed"
    )


@pytest.mark.parametrize(
    ("capability", "compiled"),
    [("80", "sm_80"), ("86", "sm_86"), ("87", "sm_86"), ("90", "sm_90a"), ("103", "sm_100")],
)
def test_what_is_compiled_for_a_chip(fake, capability, compiled):
    assert fake.run("print(probe())", FAKE_CAPABILITY=capability) == compiled
    assert fake.calls(f"option --gpu-architecture={compiled}")


def test_a_chip_that_nvrtc_does_not_know(fake):
    last = fake.fails("probe()", FAKE_CAPABILITY="120")
    assert "NVRTC of CUDA 12.4 does not know compute capability 12.0; a newer one" in last


@pytest.mark.parametrize(("version", "major"), [("12040", 12), ("13000", 13), ("14000", 13)])
def test_the_compiler_is_one_whose_code_the_driver_takes(
    fake, fake_library, tmp_path, version, major
):
    """Both lie in packages as NVIDIA lays them."""
    for place in "cu13/lib/libnvrtc.so.13", "cuda_nvrtc/lib/libnvrtc.so.12":
        file = tmp_path / "packages" / "nvidia" / place
        file.parent.mkdir(parents=True)
        shutil.copy(fake_library, file)
    out = fake.run(
        "print(_C.cuda_compiler()['path'])",
        STRIATE_NVRTC=None,
        PYTHONPATH=str(tmp_path / "packages"),
        FAKE_VERSION=version,
        FAKE_NVRTC=f"{major}.0",
    )
    assert out.startswith(f"{tmp_path}/packages/nvidia/cu") and out.endswith(f".so.{major}")


def test_a_child_of_fork_is_told(fake):
    out = fake.run("""
import sys
probe()
sys.stdout.flush()
if os.fork() == 0:
    print(attempt(probe), flush=True)
    os._exit(0)
os.wait()
print(probe())
""")
    child, parent = out.splitlines()
    assert "was forked" in child and "'spawn'" in child and parent == "sm_90a"


def test_a_fork_before_cuda_is_used_is_none(fake):
    out = fake.run("""
import sys
if os.fork() == 0:
    print(probe(), flush=True)
    os._exit(0)
os.wait()
""")
    assert out == "sm_90a"

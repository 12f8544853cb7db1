# SPDX-License-Identifier: Apache-2.0
"""What Python says of CUDA: striate.cuda, refusals, `striate doctor`, and silence at import."""

import subprocess
import sys
from pathlib import Path

import pytest
from cuda_fake import Machine

INSTEAD = "; or use 'cpu'"
FAKE_CUPY = str(Path(__file__).with_name("fake_cupy"))
TO_CUDA = "import striate; print(attempt(lambda: striate.zeros(2).to('cuda')))"


@pytest.fixture
def cupy(tmp_path):
    """A folder in which a package CuPy seems to be installed."""
    record = tmp_path / "packages" / "cupy_cuda12x-14.2.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: cupy-cuda12x\nVersion: 14.2.0\n")
    return str(record.parent)


def test_nothing_loads_at_import(fake):
    """Nor when networks train; the first question loads the driver."""
    out = fake.run("""
import sys, striate
def loaded():
    with open("/proc/self/maps") as maps:
        text = maps.read()
    found = [word for word in ("libcuda", "nvrtc", "libcudart") if word in text]
    return found + [m for m in sys.modules if m.startswith(("cupy", "nvidia", "cuda"))]
striate.nn.Linear(2, 2)(striate.ones(1, 2)).sum().backward()
print(loaded())
cuda.device_count()
print(loaded())
""")
    assert out.splitlines() == ["[]", "['libcuda']"]
    assert fake.calls()[0][1] == "cuInit 0"


def test_questions_without_a_driver(bare):
    out = bare.run("""
print(cuda.is_available(), cuda.device_count())
for call in cuda.current_device, cuda.get_device_name, cuda.synchronize:
    print(attempt(call))
""")
    first, *errors = out.splitlines()
    assert first == "False 0"
    for name, error in zip(
        ("current_device", "get_device_name", "synchronize"), errors, strict=True
    ):
        assert error.startswith(f"RuntimeError: {name}: no NVIDIA driver was found (there is no /")


def test_questions_with_two_devices(fake):
    out = fake.run(
        """
print(cuda.is_available(), cuda.device_count(), cuda.current_device())
print(cuda.get_device_name(), cuda.get_device_name(1), cuda.get_device_name("cuda:1"))
print(cuda.get_device_capability("cuda"), cuda.get_device_capability(1))
cuda.synchronize()
cuda.synchronize("cuda:1")
for wrong in 2, -1, "cuda:2", "cpu", 1.5, True:
    print(attempt(cuda.get_device_name, wrong))
""",
        FAKE_DEVICES="2",
        FAKE_CAPABILITY="90,75",
    ).splitlines()
    assert out[:3] == ["False 2 0", "Fake 0 Fake 1 Fake 1", "(9, 0) (7, 5)"]
    begin = "get_device_name: device: expected"
    assert out[3:] == [
        f"ValueError: {begin} 0 to 1, got 2",
        f"ValueError: {begin} 0 to 1, got -1",
        f"ValueError: {begin} 0 to 1, got 2",
        f"ValueError: {begin} one such as 'cuda:0', got 'cpu'",
        f"TypeError: {begin} a name, a number or None, got 1.5",
        f"TypeError: {begin} a name, a number or None, got True",
    ]
    assert [call for _, call in fake.calls("cuCtxSync")] == [
        f"cuCtxSynchronize {i}" for i in (0, 1)
    ]


def test_a_refusal_without_a_driver(bare):
    out = bare.run(TO_CUDA)
    assert out.startswith(
        "RuntimeError: to: device 'cuda': no NVIDIA driver was found (there is no"
    )
    assert out.endswith(f"; install NVIDIA's driver{INSTEAD}") and "\n" not in out


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"FAKE_FAIL": "cuInit:1:100"}, "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may"),
        ({"FAKE_DEVICES": "0"}, "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may"),
        ({"FAKE_VERSION": "11080"}, "of CUDA 11.8; CUDA 12.0 (driver 525) or later is needed"),
        ({"FAKE_CAPABILITY": "75"}, "Fake 0 is of compute capability 7.5; 8.0 or higher"),
        ({"STRIATE_NVRTC": "/none"}, "no NVRTC was found (there is no /none); pip install"),
        ({"FAKE_NVRTC": "13.0"}, "NVRTC is of CUDA 13.0, the driver of CUDA 12.4, which does not"),
        ({"FAKE_NVRTC": "11.8"}, "NVRTC is of CUDA 11.8; 12.0 or later is needed; pip install"),
        ({}, 'CuPy is missing; pip install "striate[cuda12]" brings it'),
        ({"FAKE_VERSION": "13000"}, 'CuPy is missing; pip install "striate[cuda13]" brings it'),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_missing(fake, variables, words):
    out = fake.run(TO_CUDA, **variables)
    assert out.startswith("RuntimeError: to: device 'cuda': ") and words in out
    assert out.endswith(INSTEAD) and "\n" not in out


def test_a_refusal_where_cupy_is_broken(fake, cupy):
    out = fake.run(TO_CUDA, PYTHONPATH=cupy)
    why = "CuPy 14.2.0 can't be imported (ModuleNotFoundError: No module named 'cupy')"
    assert out == f"RuntimeError: to: device 'cuda': {why}{INSTEAD}"
    assert fake.run("print(cuda.is_available())", PYTHONPATH=cupy) == "False"


def test_no_refusal_where_nothing_is_missing(fake):
    out = fake.run("print(cuda.is_available())\n" + TO_CUDA, PYTHONPATH=FAKE_CUPY)
    assert out.splitlines() == ["True", "tensor([0., 0.], device='cuda:0')"]


def test_every_way_to_ask_is_refused_alike(fake, cupy):
    out = fake.run(
        """
import striate
x = striate.zeros(2)
for call in (
    lambda: x.cuda(), lambda: x.to(device="cuda:0"), lambda: striate.nn.Linear(1, 1).to("cuda"),
    lambda: striate.tensor([1.0], device="cuda"), lambda: striate.rand(2, device="cuda"),
    lambda: striate.nn.Linear(1, 1).cuda(),
):
    print(attempt(call))
print(attempt(x.to, "cuda:1"))
print(attempt(striate.autocast, "cuda"))
print(attempt(striate.Generator, "cuda"))
""",
        PYTHONPATH=cupy,
    )
    *lines, number, autocast, generator = out.splitlines()
    lines.append(autocast)
    assert len(lines) == 7 and all(line.endswith(INSTEAD) for line in lines)
    assert "to: device 'cuda:1': there are GPUs 0 to 0 here" in number
    assert generator.endswith("not supported on a GPU yet; use 'cpu'")


FINDINGS = """
lines, wrong = doctor_cuda.findings()
for good, line in lines: print("ok" if good else "note", line)
for line in wrong: print("wrong", line)
"""


def test_doctor_where_there_is_nothing(bare):
    lines = bare.run(FINDINGS).splitlines()
    assert all(line.startswith("note") for line in lines if "kept in" not in line)
    for words in ("install NVIDIA's driver", "no NVRTC", "CuPy is missing"):
        assert any(words in line for line in lines), words


def test_doctor_where_all_is_well(fake):
    lines = fake.run(FINDINGS, PYTHONPATH=FAKE_CUPY, FAKE_DEVICES="2").splitlines()
    library = fake.environment["STRIATE_LIBCUDA"]
    assert lines[0] == f"ok NVIDIA driver of CUDA 12.4 ({library})"
    for i in 0, 1:
        device = f"ok GPU {i}: Fake {i}, compute capability 9.0, 132 multiprocessors, 80.0 GiB; "
        assert lines[1 + i].startswith(device + "a kernel for sm_90a computes right (0.")
        assert lines[1 + i].endswith(" s at first, then 8 us)")
    assert lines[3] == f"ok NVRTC of CUDA 12.4 ({library}) compiles for sm_80 and sm_90a"
    assert lines[4] == "ok CuPy 13.6.0 computes right"
    assert lines[5].startswith(f"ok compiled kernels are kept in {fake.cache} (2 of them, 0.0 MiB)")
    assert lines[6:] == []


def test_doctor_where_cupy_is_broken(fake, cupy):
    lines = fake.run(FINDINGS, PYTHONPATH=cupy).splitlines()
    assert "note CuPy 14.2.0 does not compute" in lines
    assert lines[-1] == "wrong CuPy 14.2.0: ModuleNotFoundError: No module named 'cupy'"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("raise RuntimeError('no libnvrtc')", "wrong CuPy 13.6.0: RuntimeError: no libnvrtc"),
        ("return numpy.zeros(n)", "wrong CuPy 13.6.0: it computes wrong"),
    ],
)
def test_doctor_where_cupy_does_not_compute(fake, made, words):
    broken = f"import cupy, numpy\ndef arange(n): {made}\ncupy.arange = arange\n"
    assert words in fake.run(broken + FINDINGS, PYTHONPATH=FAKE_CUPY).splitlines()


def test_doctor_where_there_is_cupy_and_no_gpu(bare, cupy):
    assert "ok CuPy 14.2.0" in bare.run(FINDINGS, PYTHONPATH=cupy).splitlines()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"FAKE_SUMMAND": "2"}, "wrong GPU 0: Fake 0: a kernel computes wrong"),
        ({"FAKE_FAIL": "cuMemAlloc_v2:1:2"}, "wrong GPU 0: Fake 0: cuda: 4000012 bytes for"),
        ({"FAKE_FAIL": "cuLaunchKernel:1:1"}, "wrong GPU 0: Fake 0: cuda: probe_f32_cuda: x"),
        ({"FAKE_FAIL": "nvrtcCompileProgram:1:6"}, "wrong cuda: cuda/probe/probe_cuda.cu does not"),
        ({"FAKE_CAPABILITY": "75"}, "note GPU 0: Fake 0, compute capability 7.5, 132"),
        ({"STRIATE_NVRTC": "/none"}, "kernels can't run: no NVRTC was found"),
    ],
)
def test_doctor_where_something_is_wrong(fake, variables, words):
    assert words in fake.run(FINDINGS, **variables)


def test_doctor_where_kernels_can_not_be_kept(fake):
    fake.cache.mkdir(parents=True)
    fake.cache.chmod(0o755)
    assert "note compiled kernels are not kept: " in fake.run(FINDINGS)


@pytest.mark.parametrize(("summand", "status"), [("1", 0), ("2", 1)])
def test_doctors_exit_status(fake, summand, status):
    environment = {n: v for n, v in fake.environment.items() if v is not None}
    done = subprocess.run(
        [sys.executable, "-m", "striate", "doctor"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, "FAKE_SUMMAND": summand},
    )
    assert done.returncode == status and done.stderr == ""
    assert ("the GPU's side is wrong" in done.stdout) == bool(status)


@pytest.mark.cuda
def test_a_kernel_runs_on_the_gpu_that_is_here(tmp_path):
    machine = Machine(tmp_path)
    lacks = machine.run("print(_C.cuda_driver()['why_not'] or _C.cuda_compiler()['why_not'])")
    if lacks:
        pytest.skip(lacks)
    assert "computes right" in machine.run(FINDINGS)

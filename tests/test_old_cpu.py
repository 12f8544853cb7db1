# SPDX-License-Identifier: Apache-2.0
"""The library on a processor without AVX, emulated by qemu-user (Debian: qemu-user)."""

import os
import platform
import shutil
import subprocess
import sys
import textwrap

import pytest

QEMU = shutil.which("qemu-x86_64")
CODE = """
    import numpy as np, striate
    from striate import _C, nn, optim
    assert _C.isa() == "scalar", _C.isa()
    lacks = {f"the CPU lacks {isa}" for isa in ("avx2", "avx512", "avx512bf16")}
    assert set(_C.isas().values()) == {"", *lacks}
    striate.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(36, 3))
    optimizer = optim.SGD(model.parameters(), 0.1)
    x, y = striate.randn(4, 1, 8, 8), striate.randint(0, 3, (4,))
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    a = np.random.default_rng(0).standard_normal((40, 50))
    assert np.allclose(_C.gemm(a, a.T.copy()), a @ a.T)
    print(losses[0] > losses[-1], striate.get_num_threads())
"""


def emulated(cpu, code):
    return subprocess.run(
        [QEMU, "-cpu", cpu, sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        # OpenBLAS, which NumPy brings, looks at the machine below the emulator.
        env={**os.environ, "OPENBLAS_CORETYPE": "Nehalem"},
    )


@pytest.mark.skipif(QEMU is None, reason="needs qemu-x86_64 (Debian: apt install qemu-user)")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates x86-64 on x86-64")
def test_a_processor_without_avx():
    """Nehalem (2008): SSE4.2 and POPCNT, the oldest that NumPy's own wheels accept."""
    bare = emulated("Nehalem", "import numpy; print(numpy.ones(3).sum())")
    if bare.returncode != 0:
        pytest.skip(f"NumPy itself does not run there: {bare.stderr.strip()[-200:]}")
    done = emulated("Nehalem", CODE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "True"

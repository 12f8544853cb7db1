# SPDX-License-Identifier: Apache-2.0
"""What `striate doctor` says of GPUs: driver, devices, compiler, CuPy, cache.

On each GPU a small kernel is compiled, launched and its result compared, over the way that all
kernels take (csrc/cuda/probe). CuPy, which compiles its own, is asked for a sum.
"""

from __future__ import annotations

from striate import _C, cuda, cupy_arrays

_PROBE = "cuda/probe/probe_cuda.cu"
_CHIPS = ("sm_80", "sm_90a")


def findings() -> tuple[list[tuple[bool, str]], list[str]]:
    """Lines, each with whether all is well; and what is wrong."""
    lines = [_driver()]
    compiler, wrong = _compiler()
    for index in range(cuda.device_count()):
        line, fault = _device(index)
        lines.append(line)
        wrong += fault
    cupy, fault = _cupy()
    lines += [compiler, cupy, _cache()]
    return lines, wrong + fault


def _driver() -> tuple[bool, str]:
    driver = _C.cuda_driver()
    if driver["why_not"]:
        return False, cuda.missing()
    return True, f"NVIDIA driver of CUDA {driver['version']} ({driver['path']})"


def _device(index: int) -> tuple[tuple[bool, str], list[str]]:
    found = _C.cuda_devices()[index]
    major, minor = found["capability"]
    name = f"GPU {index}: {found['name']}"
    line = (
        f"{name}, compute capability {major}.{minor}, {found['multiprocessors']} multiprocessors, "
        f"{found['memory'] / 2**30:.1f} GiB"
    )
    lacks = found["why_not"] or _C.cuda_compiler()["why_not"]
    if lacks:
        return (False, f"{line}; kernels can't run: {lacks}"), []
    try:
        probe = _C.cuda_probe(index)
    except (RuntimeError, MemoryError) as error:
        return (False, f"{line}; a kernel does not run"), [f"{name}: {error}"]
    if not probe["right"]:
        return (False, f"{line}; a kernel computes WRONG"), [f"{name}: a kernel computes wrong"]
    times = f"{probe['first_seconds']:.2f} s at first, then {probe['kernel_seconds'] * 1e6:.0f} us"
    return (True, f"{line}; a kernel for {probe['architecture']} computes right ({times})"), []


def _compiler() -> tuple[tuple[bool, str], list[str]]:
    nvrtc = _C.cuda_compiler()
    if nvrtc["why_not"]:
        return (False, nvrtc["why_not"]), []
    line = f"NVRTC of CUDA {nvrtc['version']} ({nvrtc['path']})"
    try:
        for chip in _CHIPS:
            _C.cuda_compile(_PROBE, chip)
    except RuntimeError as error:
        return (False, f"{line} does not compile"), [str(error)]
    return (True, f"{line} compiles for {' and '.join(_CHIPS)}"), []


def _cupy() -> tuple[tuple[bool, str], list[str]]:
    found = cuda.cupy_version()
    if not found:
        return (False, f"CuPy is missing; {cuda.extra()} brings it"), []
    if cuda.device_count() == 0:
        return (True, f"CuPy {found}"), []
    try:
        numbers = cupy_arrays.cupy().arange(5)
        right = int((numbers * numbers).sum()) == 30
    except Exception as error:  # whatever an installation may be broken by
        said = f"CuPy {found}: {type(error).__name__}: {error}"
        return (False, f"CuPy {found} does not compute"), [said]
    if not right:
        return (False, f"CuPy {found} computes WRONG"), [f"CuPy {found}: it computes wrong"]
    return (True, f"CuPy {found} computes right"), []


def _cache() -> tuple[bool, str]:
    cache = _C.cuda_cache()
    if cache["why_not"]:
        return False, f"compiled kernels are not kept: {cache['why_not']}"
    size = f"{cache['files']} of them, {cache['bytes'] / 2**20:.1f} MiB"
    return True, f"compiled kernels are kept in {cache['folder']} ({size})"

# SPDX-License-Identifier: Apache-2.0
"""What programs ask before they use a GPU, and about it.

NVIDIA's driver is loaded when the first of these functions is called, and not before.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from striate import _C
from striate.device import device as _device

__all__ = [
    "current_device",
    "device_count",
    "get_device_capability",
    "get_device_name",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]

_CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


def is_available() -> bool:
    """Whether tensors can be on a GPU: driver, GPU, NVRTC and CuPy are there.

    CuPy is imported where the others are there. `striate doctor` says what is missing, and whether
    kernels run.
    """
    return missing() == ""


def device_count() -> int:
    """How many GPUs the driver lets this process see; 0 where there is no driver."""
    return len(_C.cuda_devices())


def current_device() -> int:
    """The number of the GPU whose context is this thread's; 0 if it has none."""
    _expect_driver("current_device")
    return _C.cuda_current_device()


def get_device_name(device: Any = None) -> str:
    """A GPU's name: of `device` ("cuda:1", or its number), else of the current one."""
    return _C.cuda_devices()[_index("get_device_name", device)]["name"]


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """A GPU's compute capability, (9, 0) for Hopper."""
    return _C.cuda_devices()[_index("get_device_capability", device)]["capability"]


def synchronize(device: Any = None) -> None:
    """Waits until a GPU has done all that it was given."""
    _C.cuda_synchronize(_index("synchronize", device))


def manual_seed(seed: int) -> None:
    """Nothing: random numbers are made on the CPU, `striate.manual_seed` starts them anew."""


def manual_seed_all(seed: int) -> None:
    """Nothing: random numbers are made on the CPU, `striate.manual_seed` starts them anew."""


def _expect_driver(name: str) -> None:
    why = _C.cuda_driver()["why_not"]
    if why:
        raise RuntimeError(f"{name}: {why}")


def _index(name: str, device: Any) -> int:
    """The number that `device` names, of a GPU that is there."""
    _expect_driver(name)
    if device is None:
        return _C.cuda_current_device()
    if isinstance(device, str):
        named = _device(device)
        if named.type != "cuda":
            raise ValueError(f"{name}: device: expected one such as 'cuda:0', got {device!r}")
        index = _C.cuda_current_device() if named.index is None else named.index
    elif isinstance(device, int) and not isinstance(device, bool):
        index = device
    else:
        raise TypeError(f"{name}: device: expected a name, a number or None, got {device!r}")
    count = device_count()
    if not 0 <= index < count:
        raise ValueError(f"{name}: device: expected 0 to {count - 1}, got {index}")
    return index


def cupy_version() -> str:
    """The installed CuPy's, "" if there is none. It is not imported."""
    for package in _CUPY:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def extra() -> str:
    """The command that installs what this driver's GPU needs."""
    major = (_C.cuda_driver()["version"] or "12").partition(".")[0]
    return f'pip install "striate[cuda{13 if int(major) >= 13 else 12}]"'


def missing(index: int | None = None) -> str:
    """What this machine lacks for GPU number `index`, and what to do; "" if nothing."""
    driver, devices = _C.cuda_driver(), _C.cuda_devices()
    if driver["why_not"]:
        return driver["why_not"] + ("" if driver["path"] else "; install NVIDIA's driver")
    if not devices:
        return "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)"
    if (index or 0) >= len(devices):
        return f"there are GPUs 0 to {len(devices) - 1} here"
    chosen = devices[index or 0]
    if chosen["why_not"]:
        return f"{chosen['name']} is of {chosen['why_not']}"
    if _C.cuda_compiler()["why_not"]:
        return _C.cuda_compiler()["why_not"]
    if not cupy_version():
        return f"CuPy is missing; {extra()} brings it"
    from striate import cupy_arrays

    try:
        cupy_arrays.cupy()
    except Exception as error:  # whatever an installation may be broken by
        return f"CuPy {cupy_version()} can't be imported ({type(error).__name__}: {error})"
    return ""

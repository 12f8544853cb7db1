# SPDX-License-Identifier: Apache-2.0
"""Compiles every kernel for the first GPU, file beside file, into the cache that launches look in.

    python benchmarks/compile_kernels.py

A launch compiles its file when it comes; one after the other that takes minutes.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from striate import _C

ONE = "import sys; from striate import _C; _C.cuda_compile(*sys.argv[1:])"


def compile_one(file: str, architecture: str) -> str:
    """What went wrong, "" if nothing."""
    command = [sys.executable, "-c", ONE, file, architecture]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip()


def main() -> int:
    folder, begin = Path(_C.cuda_source_folder()), time.monotonic()
    files = sorted(str(f.relative_to(folder)) for f in folder.rglob("*.cu"))
    architecture = _C.cuda_architecture(0)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        said = [s for s in pool.map(lambda file: compile_one(file, architecture), files) if s]
    print(*said, sep="\n")
    done, seconds = len(files) - len(said), time.monotonic() - begin
    print(f"{done} of {len(files)} files compiled for {architecture} in {seconds:.0f} s")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())

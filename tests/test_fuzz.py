# SPDX-License-Identifier: Apache-2.0
"""What reads files, on the seeds of the fuzzers and their findings; ten seconds of fuzzing."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
NAMES = sorted(p.stem.removeprefix("fuzz_") for p in FUZZ.glob("fuzz_*.py"))


def fuzzer(name, monkeypatch):
    if name == "images":
        pytest.importorskip("PIL", reason="images need pillow")
    monkeypatch.syspath_prepend(str(FUZZ))
    return importlib.import_module("harness"), importlib.import_module(f"fuzz_{name}")


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name, monkeypatch):
    harness, module = fuzzer(name, monkeypatch)
    file, read = harness.File(), []
    for path in sorted((FUZZ / "corpus" / name).iterdir()):
        data = path.read_bytes()
        made = module.SHAPES[data[0] % len(module.SHAPES)](data[1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read.append(harness.reads(module.read, file.holding(made)))
    assert any(read), "no seed is a good file"


@pytest.mark.parametrize("name", NAMES)
def test_a_little_fuzzing(name, tmp_path):
    """2.5 seconds each; `python tests/fuzz/fuzz_idx.py -max_total_time=300` for more."""
    pytest.importorskip("atheris", reason='needs pip install ".[fuzz]"')
    command = [sys.executable, FUZZ / f"fuzz_{name}.py", "-max_total_time=2", "-seed=1"]
    done = subprocess.run(
        [*command, tmp_path, FUZZ / "corpus" / name],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr

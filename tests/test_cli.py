# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, and how it refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest
from striate import _C, cli, doctor, report
from striate.testing.cases import CASES


def striate(*words, **variables):
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "striate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **variables},
    )


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command in this process: (status, stdout, stderr)."""
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)

    def call(*words):
        status = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def refused(result, *words):
    """Exit status 2, one or two lines, no traceback, nothing on stdout; the words are there."""
    status, out, err = result
    assert (status, out) == (2, ""), f"{status} {out} {err}"
    assert err.startswith("striate: error: ") and err.count("\n") <= 2 and "Traceback" not in err
    for word in words:
        assert word in err, f"{word!r} is not in {err!r}"


def test_installed_command():
    done = subprocess.run(["striate", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("striate 0.")


def test_help_teaches(run, capsys):
    status, out, _ = run()
    assert status == 0 and all(name in out for name in cli.COMMANDS)
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as left:
            cli.main([name, "--help"])
        assert left.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) > 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kernel", ["unknown command 'kernel'", "did you mean kernels?"]),
        ("banana", ["unknown command 'banana'", "commands: ", "doctor"]),
        ("info more", ["unknown argument 'more'"]),
        ("kernels --oop gemm", ["unknown option '--oop'; did you mean --op?"]),
        ("kernels --op", ["--op: expected one argument"]),
        ("kernels --op nothing", ["--op: expected one of", "gemm", "got 'nothing'"]),
        ("kernels --isa sse9", ["--isa: expected one of", "avx2", "got 'sse9'"]),
        ("--nonsense", ["unknown option '--nonsense'"]),
    ],
)
def test_usage_errors(run, line, words):
    refused(run(*line.split()), *words)


def test_isa_nonsense():
    done = striate("info", STRIATE_ISA="mmx")
    refused((done.returncode, done.stdout, done.stderr), "STRIATE_ISA", "avx512", "'mmx'")


def test_debug_shows_the_traceback():
    done = striate("kernels", "--op", "x", STRIATE_DEBUG="1")
    assert "Traceback" in done.stderr


def test_closed_pipe():
    line = f"{sys.executable} -m striate kernels | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("op ") and done.stderr == ""


def test_info(run):
    status, out, _ = run("info")
    assert status == 0
    for word in ("version", "cpu", "isa", _C.isa(), "threads", "memory", "tqdm"):
        assert word in out


def test_info_names_missing_packages(run, monkeypatch):
    monkeypatch.setattr(report, "installed", lambda package: "")
    assert 'missing; pip install "striate[train]"' in run("info")[1]


def test_kernels_lists_every_row(run):
    status, out, _ = run("kernels")
    lines = {line.split()[2]: line for line in out.splitlines() if len(line.split()) >= 6}
    assert status == 0
    for row in _C.rows():
        assert (row["why_not"] or "yes") in lines[row["name"]]
    assert f"{len(_C.rows())} rows" in out


def test_kernels_filters(run):
    rows = [r for r in _C.rows() if r["op"] == "gemm" and r["isa"] == "scalar"]
    _, out, _ = run("kernels", "--op", "gemm", "--isa", "scalar")
    assert len(out.strip().splitlines()) == len(rows) + 3
    assert f"{len(rows)} of {len(_C.rows())} rows" in out


def test_kernels_says_why_not():
    done = striate("kernels", "--isa", "avx512", STRIATE_ISA="scalar")
    assert "yes" not in done.stdout and ", 0 can run here; scalar in use" in done.stdout


def test_doctor(run):
    status, out, err = run("doctor")
    assert status == 0, out
    assert "all kernels that can run here compute right" in out and err == ""
    assert all(op in out for op in {r["op"] for r in _C.rows()})


def test_doctor_finds_a_wrong_kernel(run, monkeypatch):
    case = next(c for c in CASES if c.name == "matmul")

    def wrong(a, b, out=None):
        return np.nextafter(_C.gemm(a, b), np.inf) + np.float32(1e-3)

    broken = type(case)(**{**vars(case), "kernel": wrong})
    monkeypatch.setattr("striate.testing.cases.CASES", [broken])
    status, out, _ = run("doctor")
    assert status == 1 and "gemm         WRONG" in out and "off by 0.001" in out


def test_doctor_notes(monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda package: "")
    assert all(not good and "pip install" in line for good, line in doctor.packages())
    _C.set_num_threads(doctor.usable_cpus() + 1)
    assert any(not good and "STRIATE_NUM_THREADS" in line for good, line in doctor.machine())

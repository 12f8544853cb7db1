# SPDX-License-Identifier: Apache-2.0
"""`striate bench --device` as far as it goes without a GPU; tests/device/test_measuring.py is
for the rest."""

from types import SimpleNamespace

import numpy as np
import pytest
import striate
from striate import cli
from striate.bench import journal, machine


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "cuda"], "--device cuda: no GPU today\n  striate doctor says"),
        (["--device", "cuda", "--threads", "2"], "--device cuda goes without --kernel and"),
        (["--device", "cuda", "--peers", "numpy"], "no peer 'numpy'"),
        (["--precision", "medium"], "--precision goes with --device cuda"),
        (["--device", "gpu"], "expected cpu or cuda"),
    ],
)
def test_misuse_of_devices(words, message, monkeypatch, capsys):
    why = "" if "numpy" in words else "no GPU today"
    monkeypatch.setattr(striate.cuda, "missing", lambda: why)
    assert cli.main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


def test_problems_of_a_gpu_can_be_listed_without_one(capsys):
    assert cli.main(["bench", "--device", "cuda", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "conv " in listed and "overhead" not in listed


def test_journals_of_a_gpu_are_its_own(tmp_path):
    path = tmp_path / "rows.jsonl"
    here = machine.describe()
    there = {**here, "gpu": "H200", "precision": "high"}
    head = {"machine": there}
    with pytest.raises(ValueError, match="was measured with gpu H200, here it is None"):
        journal.check(path, [head], here)
    with pytest.raises(ValueError, match="precision high, here it is medium"):
        journal.check(path, [head], {**there, "precision": "medium"})
    journal.check(path, [head], there)


def test_torch_gets_bfloat16_by_its_bits():
    """As from a CuPy that can't hand it over: the same numbers, and results read as float32."""
    torch, ml_dtypes = pytest.importorskip("torch"), pytest.importorskip("ml_dtypes")
    from striate.bench.peers.torch import PEER

    x = np.array([1.5, -2.0, 0.1], np.float32).astype(ml_dtypes.bfloat16)
    peer = PEER.__new__(PEER)
    peer.t = torch
    held = SimpleNamespace(dtype=x.dtype, view=lambda dtype: torch.from_numpy(x.view(dtype)))
    given = peer._tensor(held)
    assert given.dtype == torch.bfloat16
    got = peer._array(given)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, x.astype(np.float32))


def test_bfloat16_leaves_what_has_it(capsys):
    words = ["bench", "--device", "cuda", "--precision", "bfloat16", "--list"]
    assert cli.main(words) == 0
    listed = capsys.readouterr().out
    assert "gemm " in listed and "conv " in listed and "norm" not in listed
    assert cli.main([*words, "--family", "norm"]) == 2
    assert "no problem fits" in capsys.readouterr().err

# SPDX-License-Identifier: Apache-2.0
"""`striate bench --device cuda`: rows, what is skipped and why, precision, journals."""

import json

import numpy as np
import pytest
import striate
from striate import _C, cli
from striate.bench import families, gpu, problem, worker
from striate.bench.ours import OURS
from striate.bench.task import Unfit

PROBLEMS = {p.name: p for p in problem.read()}
TINY = "gemm/odd-and-tiny/4x4x4"


@pytest.fixture
def bench(monkeypatch):
    """A bench on the GPU that spends little time."""
    monkeypatch.setattr(gpu.GpuMeter, "_rate", lambda self, run: run(2) * 1e6)
    before = _C.float32_precision()

    def make(precision="high", peers=()):
        orders = worker.Orders(
            [], "", seconds=0.002, device="cuda", precision=precision, peers=list(peers)
        )
        return worker._on_gpu(orders, {})[0]

    yield make
    _C.set_float32_precision(before)


def smallest(family):
    """The cheapest problem of each operation of a family."""
    found = {}
    for one in PROBLEMS.values():
        if one.family == family and families.available(one) and sum(families.cost(one)) < 3e6:
            kind = (one.pass_, one.sizes.get("function"), one.sizes.get("kind"))
            found[kind] = min(found.get(kind, one), one, key=lambda p: sum(families.cost(p)))
    return list(found.values())


def test_a_row(bench):
    row = bench(peers=["cupy"]).row(PROBLEMS[TINY])
    assert row["rivals"].keys() == {OURS, "cupy"}
    for rival in row["rivals"].values():
        assert rival["error"] <= 1 and rival["median"] > 0 and rival["count"] >= 3
    assert row["level"] == "DRAM" and row["floor"] > 0 and row["peak"] > 0


@pytest.mark.parametrize(
    "family", ["activation", "softmax", "norm", "pool", "layout", "conv", "lstm"]
)
def test_rows_are_right_or_say_what_is_missing(bench, family):
    made = bench()
    measured = 0
    for one in smallest(family)[:12]:
        try:
            row = made.row(one)
        except Unfit as reason:
            assert "TypeError: " in str(reason)
        else:
            assert "failed" not in row["rivals"][OURS], row
            measured += 1
    assert measured or family not in ("activation", "softmax")
    assert made.wrong == set()


def test_precision_bounds_the_error_and_the_peak(bench):
    one = PROBLEMS["gemm/square/64x64x64"]
    exact = bench("highest")
    assert exact.meter.peak() == exact.meter.unit("fma")
    rough = bench("medium")
    assert rough.meter.peak() == max(map(rough.meter.unit, ("fma", "tf32")))
    error = {}
    for precision in ("highest", "medium"):
        made = bench(precision)
        error[precision] = made.row(one)["rivals"][OURS]["error"]
    host = families.task(one)
    looser = gpu.on_gpu(host).spots().bound / host.spots().bound
    np.testing.assert_allclose(looser, gpu.LOOSER["medium"])
    assert error["medium"] <= 1 and error["highest"] <= 1
    assert error["medium"] * gpu.LOOSER["medium"] > 100 * error["highest"]  # it was TF32


def test_rows_of_bfloat16(bench):
    """Operands and results are bfloat16, as are the peers'; right is within half a digit of it."""
    pytest.importorskip("ml_dtypes")
    made = bench("bfloat16", peers=["cupy"])
    assert made.meter.peak() == made.meter.unit("bf16")
    conv = {p.pass_: p for p in smallest("conv")}
    for one in (PROBLEMS[TINY], PROBLEMS["gemm/square/64x64x64"], *conv.values()):
        host = families.task(one)
        task = made.place(families.task(one))
        for name, array in task.arrays.items():
            assert array.dtype == "bfloat16" and array.strides == tuple(
                s // 2 for s in host[name].strides
            )
        assert task.out.dtype == "bfloat16" and task.bytes == host.bytes / 2
        row = made.row(one)
        assert row["rivals"].keys() == {OURS} and row["rivals"][OURS]["error"] <= 1, row
    exact = bench("high").row(PROBLEMS["gemm/square/64x64x64"])["rivals"][OURS]["error"]
    rounded = made.row(PROBLEMS["gemm/square/64x64x64"])["rivals"][OURS]["error"]
    assert 0.1 < rounded <= 1 and exact <= 1


def test_what_is_wrong_is_not_timed(bench, monkeypatch):
    made = bench()
    monkeypatch.setattr(_C, "gemm", lambda a, *rest: rest[-1])  # NaN, as it was
    row = made.row(PROBLEMS[TINY])
    assert "wrong" in row["rivals"][OURS]["failed"] and "median" not in row["rivals"][OURS]


def test_a_kernel_that_fails_is_told_of(bench, monkeypatch):
    def gemm(*_):
        raise RuntimeError("cuda: gemm: CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(_C, "gemm", gemm)
    row = bench().row(PROBLEMS[TINY])
    assert "ILLEGAL_ADDRESS" in row["rivals"][OURS]["failed"]


def test_operands_keep_their_memory_order(bench):
    one = next(p for p in smallest("conv") if p.pass_ == "fwd")
    host = families.task(one)
    task = gpu.on_gpu(host)
    for name, array in task.arrays.items():
        assert array.strides == host[name].strides
        np.testing.assert_array_equal(array.get(), host[name])
    assert task.out.shape == host.out.shape


def test_peers():
    """PyTorch too, where it has CUDA; of the CPU's peers none."""
    found, said = worker.find(["torch", "cupy"], 1, "cuda")
    assert said.keys() == {"torch", "cupy"} and said["cupy"]["version"]
    if "torch" not in [peer.name for peer in found]:
        assert said["torch"]["absent"] in ("it has no CUDA, or finds no GPU", "not installed")


def test_the_command(tmp_path, capfd):
    path, log = tmp_path / "rows.json", tmp_path / "rows.jsonl"
    words = ["bench", "--device", "cuda", "--match", TINY, "--json", path, "--journal", log]
    words += ["--html", tmp_path / "page.html", "--seconds", 0.002]
    assert cli.main([*map(str, words)]) == 0
    found = json.loads(path.read_text())
    (head,), (row,) = found["heads"], found["rows"]
    assert head["machine"]["gpu"] == striate.cuda.get_device_name()
    assert head["machine"]["precision"] == "high" and head["peers"]["cupy"]["version"]
    assert set(head["units"]) == {"fma", "tf32", "bf16", "f16"} and row["ratio"]
    assert head["machine"]["gpu"] in (tmp_path / "page.html").read_text()
    assert head["machine"]["gpu"] in capfd.readouterr().out
    other = ["bench", "--match", TINY, "--journal", str(log)]
    assert cli.main(other) == 2  # the journal of a GPU
    assert "was measured with gpu" in capfd.readouterr().err

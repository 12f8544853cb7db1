# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite's problems, their references, and who computes them."""

import math
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from benching import PROBLEMS, ROOT, TINY, bench, cheapest, tiny
from striate import _C
from striate.bench import (
    environment,
    families,
    peers,
    problem,
    worker,
)
from striate.bench.ours import Ours
from striate.bench.peers import peer
from striate.bench.peers.numpy import CORES
from striate.bench.peers.peer import Absent, Peer, package
from striate.bench.task import some

# --- problems -------------------------------------------------------------------------------------


def test_problems_are_named_once():
    names = [p.name for p in PROBLEMS]
    assert len(set(names)) == len(names) > 1000
    assert list(dict.fromkeys(p.family for p in PROBLEMS)) == list(problem.FAMILIES)
    assert {p.family for p in PROBLEMS if p.quick} == set(problem.FAMILIES)


def test_deepbench_is_complete():
    def count(family, network):
        return sum(p.family == family and p.network == f"deepbench-{network}" for p in PROBLEMS)

    sets = ("train", "server", "device")
    assert [count("gemm", s) for s in sets] == [160, 75, 13]
    assert [count("conv", s) for s in sets] == [3 * 90, 103, 15]
    assert [count("lstm", s) for s in sets] == [53, 69, 3]


def test_operations_are_those_of_the_lists():
    by_name = {p.name: families.cost(p)[0] / 1e9 for p in PROBLEMS}
    assert by_name["gemm/deepbench-train/5124x9124x1760-NN"] == pytest.approx(164.6, abs=0.05)
    assert by_name["conv/alexnet/conv2/fwd"] == pytest.approx(57.3, abs=0.05)
    name = "conv/deepbench-server/1x1x161x700-32-5x20-s2-p0/fwd"
    assert by_name[name] == pytest.approx(0.1724, abs=1e-4)
    vgg = sum(by_name[f"conv/vgg-a/conv{i}/fwd"] for i in range(1, 9))
    assert vgg == pytest.approx(958.1, abs=0.1)


def test_select():
    chosen = problem.select(PROBLEMS, ["pool"], "max", quick=True)
    assert chosen and all(p.family == "pool" and "max" in p.name and p.quick for p in chosen)


@pytest.mark.parametrize("of", [1, 3, 8])
def test_shards_are_a_partition_of_like_parts(of):
    costs = [1.0 + i % 7 for i in range(100)]
    parts = [problem.shard(PROBLEMS[:100], costs, i + 1, of) for i in range(of)]
    assert sorted(p.name for part in parts for p in part) == sorted(p.name for p in PROBLEMS[:100])
    cost = {p.name: c for p, c in zip(PROBLEMS, costs, strict=False)}
    loads = [sum(cost[p.name] for p in part) for part in parts]
    assert max(loads) - min(loads) <= 7


def test_shards_do_not_overlap_beyond_their_number():
    with pytest.raises(ValueError, match="2/1"):
        problem.shard(PROBLEMS[:3], [1, 1, 1], 2, 1)


def test_a_quick_layer_that_does_not_exist_is_an_error():
    text = 'family = "gemm"\n[[set]]\nnetwork = "n"\nfields = ["layer"]\nquick = ["b"]\n'
    with pytest.raises(ValueError, match="no layer b"):
        problem._expand(text + 'layers = [["a"]]\n', "x.toml")


# --- tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", cheapest(), ids=lambda p: p.name)
def test_ours_is_right_and_a_wrong_result_is_seen(one):
    task = families.task(one)
    spots = task.spots()
    (rival,) = Ours(1).rivals(task)
    got = np.array(rival.array(rival.call()))
    assert got.shape == task.shape
    assert spots.error(got) <= 1
    wrong = got.copy()
    wrong[spots.index] += 0.05 * (1 + np.abs(wrong[spots.index]))
    assert spots.error(wrong) > 1
    assert spots.error(np.full_like(got, np.nan)) == math.inf
    assert task.flops + task.bytes > 0 or one.family == "overhead"


def test_tasks_serve_rows_that_exist():
    names = [r["name"] for r in _C.rows()]
    for one in PROBLEMS:
        if families.available(one) and one.family != "overhead" and one.quick:
            assert any(n.startswith(families.rows(one)) for n in names), one.name


def test_operands_are_the_same_in_every_run():
    one = next(p for p in PROBLEMS if p.name == TINY)
    assert np.array_equal(families.task(one)["a"], families.task(one)["a"])


def test_column_order_is_the_transposed_product():
    one = next(p for p in PROBLEMS if p.name == "gemm/deepbench-train/512x16x512-NT")
    task = families.task(one)
    assert task.shape == (16, 512) and task.options == {}
    assert task["a"].strides[0] == 4 and task["b"].flags.c_contiguous  # B^T is read turned


def test_some_holds_first_and_last():
    rng = np.random.default_rng(0)
    assert list(some(rng, 3, 5)) == [0, 1, 2]
    chosen = some(rng, 100, 7)
    assert len(chosen) == 7 == len(set(chosen)) and chosen[0] == 0 and chosen[-1] == 99


# --- peers ----------------------------------------------------------------------------------------


def test_every_peer_says_what_it_is():
    names = [p.name for p in peers.classes()]
    assert names == list(peers.ORDER)
    ops = {families.task(p).op for p in cheapest()}
    for one in peers.classes():
        assert issubclass(one, Peer) and one.columns[0].startswith(one.name)
        assert ops & set(dir(one)), f"{one.name} computes nothing of the suite"


def test_a_missing_package_is_an_absent_peer():
    with pytest.raises(Absent, match="not installed"):
        package("no_such_library_anywhere")


def test_absent_peers_are_named_with_the_reason(monkeypatch):
    class Gone(Peer):
        name, columns = "gone", ("gone",)

        def __init__(self, threads):
            raise Absent("not installed")

    monkeypatch.setattr(worker, "classes", lambda device: [Gone])
    found, said = worker.find(["gone"], 1)
    assert found == [] and said == {"gone": {"columns": ["gone"], "absent": "not installed"}}
    assert worker.find([], 1)[1]["gone"]["absent"] == "not asked for"


AGREE = """
import sys
from striate.bench import families, problem
from striate.bench.peers import Absent, classes
(peer,) = [p for p in classes() if p.name == sys.argv[1]]
try:
    one = peer(1)
except Absent as reason:
    sys.exit(f"absent: {reason}")
known = {p.name: p for p in problem.read()}
for name in sys.argv[2:]:
    task = families.task(known[name])
    spots = task.spots()
    for rival in one.rivals(task):
        error = spots.error(rival.array(rival.call()))
        print("right" if error <= 1 and rival.column in peer.columns else "WRONG", name, error)
"""


@pytest.mark.parametrize("name", [p.name for p in peers.classes("cpu")])
def test_peers_agree_with_the_references(name):
    """In a process of its own: JAX, once loaded, warns of every fork."""
    command = [sys.executable, "-c", AGREE, name, *(p.name for p in cheapest())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode == 1 and (last := done.stderr.strip().split("\n")[-1])[:8] == "absent: ":
        pytest.skip(f"{name} is {last}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("right ") > 3 and "WRONG" not in done.stdout, done.stdout


PAGE = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")


def test_the_documented_peer_works(monkeypatch):
    """The example of docs/benchmarks.md, over a library that is NumPy."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    library = types.SimpleNamespace(
        __version__="1.0", instruction_set=lambda: "all", set_threads=lambda n: None,
        asarray=np.asarray, matmul=np.matmul,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mylib", library)
    space = {}
    exec(example, space)
    row = bench(space["PEER"](1)).row(tiny())
    assert row["rivals"]["mylib"]["median"] > 0
    assert space["PEER"].environment("avx2", 1) == {"MYLIB_MAX_ISA": "avx2"}


def test_the_documented_problem_is_one():
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (one,) = problem._expand('family = "gemm"\n' + example, "docs")
    assert one.quick and one.name == "gemm/square/64x64x64"


def test_the_documented_counts_are_those_of_the_lists():
    rows = re.findall(r"^\| (\w+) \| (\d+) \|", PAGE, re.M)
    assert {f: int(n) for f, n in rows} == {
        f: sum(p.family == f for p in PROBLEMS) for f in problem.FAMILIES
    }


def test_caps_reach_every_peer():
    found = environment.variables("avx2", 2, peers.classes())
    assert found["OPENBLAS_CORETYPE"] in CORES["avx2"]
    assert found["MKL_ENABLE_INSTRUCTIONS"] == found["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert found["ATEN_CPU_CAPABILITY"] == "avx2" and "max_isa=AVX2" in found["XLA_FLAGS"]
    for name in ("STRIATE", "OMP", "OPENBLAS", "MKL"):
        assert found[f"{name}_NUM_THREADS"] == "2"
    assert found["NPROC"] == "2"


def test_what_nothing_caps_is_left_out_under_a_cap(monkeypatch):
    monkeypatch.setattr(peer._C, "isas", lambda: {"avx2": "", "avx512": "no such CPU"})
    peer.only_uncapped()
    monkeypatch.setattr(peer._C, "isas", lambda: {"avx2": "", "avx512": "STRIATE_ISA=avx2"})
    with pytest.raises(Absent, match="nothing caps this"):
        peer.only_uncapped()


def test_nothing_is_capped_without_a_cap(monkeypatch):
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    monkeypatch.delenv("MKL_ENABLE_INSTRUCTIONS", raising=False)
    found = environment.merged("avx512", 1, peers.classes())
    assert "MKL_ENABLE_INSTRUCTIONS" not in found and "OPENBLAS_L2_SIZE" not in found

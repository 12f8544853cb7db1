# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite: problems, checks, timing, journal, summary and page, on tiny problems."""

import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as xml
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from striate import _C, cli
from striate.bench import (
    charts,
    clock,
    compare,
    environment,
    families,
    guard,
    journal,
    kernel,
    machine,
    meter,
    page,
    peers,
    problem,
    results,
    summary,
    terminal,
    worker,
)
from striate.bench.ours import OURS, Ours
from striate.bench.peers import peer
from striate.bench.peers.numpy import CORES
from striate.bench.peers.peer import Absent, Peer, Rival, package
from striate.bench.task import Spots, Task, Unfit, some

PROBLEMS = problem.read()
TINY = "gemm/odd-and-tiny/4x4x4"


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


def small(one):
    flops, moved = families.cost(one)
    return flops < 2e8 and moved < 2e7 and not one.network.startswith("deepbench")


def cheapest():
    """The smallest problem of each kind that a family distinguishes."""
    kinds = {}
    for one in filter(families.available, PROBLEMS):
        z = one.sizes
        kind = (one.family, one.pass_, z.get("kind"), z.get("function"), z.get("cell"),
                z.get("trans"), "gap" in z, "batch" in z, z.get("groups", 1) > 1)  # fmt: skip
        if small(one) and z.get("kind") != "import":
            kinds.setdefault(kind, []).append(one)
    return [min(group, key=lambda p: sum(families.cost(p))) for group in kinds.values()]


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

    monkeypatch.setattr(worker, "classes", lambda: [Gone])
    found, said = worker.find(["gone"], 1)
    assert found == [] and said == {"gone": {"columns": ["gone"], "absent": "not installed"}}
    assert worker.find([], 1)[1]["gone"]["absent"] == "not asked for"


@pytest.mark.parametrize("name", ["torch", "numpy", "onednn", "onnxruntime", "jax"])
def test_peers_agree_with_the_references(name):
    (found,) = [p for p in peers.classes() if p.name == name]
    try:
        one = found(1)
    except Absent as reason:
        pytest.skip(f"{name}: {reason}")
    checked = 0
    for p in cheapest():
        task = families.task(p)
        spots = task.spots()
        for rival in one.rivals(task):
            assert rival.column in found.columns
            assert spots.error(rival.array(rival.call())) <= 1, (p.name, rival.column)
            checked += 1
    assert checked > 3


ROOT = Path(__file__).parent.parent
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


# --- timing ---------------------------------------------------------------------------------------


class FakeClock:
    """Time that passes only by sleeping and by calls."""

    def __init__(self):
        self.time, self.slept = 0.0, 0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        self.slept += 1


def rival(fake, name, seconds, log):
    def call():
        fake.time += seconds
        log.append(name)

    return Rival(name, call)


def test_rivals_take_turns():
    fake, log = FakeClock(), []
    times = clock.turns([rival(fake, "a", 0.001, log), rival(fake, "b", 0.002, log)], 0.1, fake)
    assert {round(t, 9) for t in times[0]} == {0.001} and {round(t, 9) for t in times[1]} == {0.002}
    changes = sum(x != y for x, y in itertools.pairwise(log))
    assert changes >= 2 * clock.LEAST and fake.slept >= 2 * clock.LEAST
    assert 0.15 < fake.time < 0.5


def test_short_calls_are_timed_many_at_a_time():
    fake, log = FakeClock(), []
    (times,) = clock.turns([rival(fake, "a", 1e-6, log)], 0.01, fake)
    assert len(log) > 50 * len(times) and times[0] == pytest.approx(1e-6)


def test_slow_calls_are_few():
    fake, log = FakeClock(), []
    (times,) = clock.turns([rival(fake, "a", 2.0, log)], 0.1, fake)
    assert len(times) == clock.LEAST and len(log) == clock.LEAST + 1


def test_cold_runs_follow_a_flush():
    fake, log = FakeClock(), []
    both = [rival(fake, "a", 1.0, log), rival(fake, "b", 1.0, log)]
    times = clock.cold(both, lambda: log.append("flush"), 3, fake)
    assert log == ["flush", "a", "flush", "b"] * 3
    assert np.allclose(times, 1) and np.shape(times) == (2, 3)


def test_summary_of_times():
    s = clock.summary([5.0, 1.0, 2.0, 3.0, 4.0])
    assert s == {"median": 3.0, "min": 1.0, "q1": 2.0, "q3": 4.0, "count": 5}


def test_rivals_run_inside_their_context():
    entered = []

    class Around:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *_):
            entered.append(-1)

    seen = set()
    fake = FakeClock()

    def call():
        fake.time += 0.01
        seen.add(sum(entered))

    clock.turns([Rival("a", call, around=Around)], 0.05, fake)
    assert seen == {1} and sum(entered) == 0


def test_meters_measure_something():
    m = meter.Meter(1)
    assert m.peak() > 1e8
    assert m.copy("L1") > 1e8 and m.known("L1") > 0
    assert meter.copy_bytes("DRAM", 1) > meter.copy_bytes("L3", 1) > meter.copy_bytes("L1", 1)


def test_levels_by_footprint():
    sizes = machine.caches()
    assert machine.level(100) == "L1" and machine.level(sizes["L1"] + 1) == "L2"
    assert machine.level(sizes["L2"] + 1) == "L3" and machine.level(sizes["L3"] + 1) == "DRAM"
    assert machine.level(sizes["L1"] + 1, threads=2) == "L1"


@pytest.mark.parametrize(
    ("busy", "load", "peaks", "words"),
    [
        (1.0, 0.5, (100.0, 100.0), []),
        (3.0, 0.5, (100.0, 100.0), ["others used 2.00 cores"]),
        (1.0, 4.0, (100.0, 100.0), ["load average 4.0"]),
        (1.0, 0.5, (100.0, 60.0), ["60% of the best"]),
    ],
)
def test_a_loaded_machine_is_flagged(busy, load, peaks, words):
    used, own, now = iter([10.0, 10.0 + busy]), iter([5.0, 6.0]), iter([0.0, 1.0])
    g = guard.Guard(1, lambda: next(used), lambda: next(own), lambda: next(now),
                    lambda: (load, 0.0, 0.0))  # fmt: skip
    g.begin()
    seen, flags = g.end(peaks)
    assert len(flags) == len(words) and all(w in f for w, f in zip(words, flags, strict=True))
    assert seen["load"] == load


def test_the_guard_reads_this_machine():
    g = guard.Guard(1)
    g.begin()
    seen, _ = g.end((1.0, 1.0))
    assert seen["load"] >= 0 and seen.get("others", 0.0) >= 0


# --- the journal ----------------------------------------------------------------------------------

HEAD = {"format": 1, "machine": {"cpu": "c", "isa": "avx2", "build": "b"}}


def test_a_journal_remembers(tmp_path):
    path = tmp_path / "new" / "j.jsonl"
    writer = journal.Writer(path)
    writer.write("head", HEAD)
    writer.write("row", {"name": "x", "threads": 1, "value": 1})
    writer.write("row", {"name": "x", "threads": 1, "value": 2})
    writer.write("row", {"name": "x", "threads": 2, "value": 3})
    writer.close()
    heads, rows = journal.read(path)
    assert len(heads) == 1 and [r["value"] for r in rows] == [2, 3]


def test_a_line_cut_short_is_dropped_and_written_anew(tmp_path):
    path = tmp_path / "j.jsonl"
    writer = journal.Writer(path)
    writer.write("row", {"name": "x", "threads": 1})
    writer.close()
    path.write_bytes(path.read_bytes() + b'{"kind": "row", "name": "y", "thr')
    assert [r["name"] for r in journal.read(path)[1]] == ["x"]
    writer = journal.Writer(path)
    writer.write("row", {"name": "z", "threads": 1})
    writer.close()
    assert [r["name"] for r in journal.read(path)[1]] == ["x", "z"]


@pytest.mark.parametrize("line", ["nonsense", "[1]", "{}", '{"kind": "head", "format": 9}'])
def test_what_is_no_journal_is_refused(tmp_path, line):
    path = tmp_path / "j.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"j\.jsonl"):
        journal.read(path)


@pytest.mark.parametrize("key", journal.SAME)
def test_a_journal_of_another_machine_is_refused(tmp_path, key):
    other = {**HEAD["machine"], key: "other"}
    with pytest.raises(ValueError, match=f"{key} .*--journal"):
        journal.check(tmp_path / "j", [HEAD], other)
    journal.check(tmp_path / "j", [HEAD], HEAD["machine"])


# --- the worker -----------------------------------------------------------------------------------


class Wrong(Peer):
    """A peer whose results are off, and very fast."""

    name, columns = "wrong", ("wrong",)

    def gemm(self, task):
        zeros = np.zeros(task.shape, np.float32)
        yield Rival("wrong", lambda: zeros)


class Broken(Peer):
    name, columns = "broken", ("broken",)

    def gemm(self, task):
        raise RuntimeError("no such thing")


class Slow(Peer):
    """NumPy, ten times."""

    name, columns = "slow", ("slow",)

    def gemm(self, task):
        yield Rival("slow", lambda: sum(np.matmul(task["a"], task["b"]) for _ in range(10)) / 10)


def bench(*contenders, **options):
    orders = worker.Orders([], "", seconds=0.005, cold_runs=1, **options)
    return worker.Bench(
        orders, [Ours(1), *contenders], meter.Meter(1), guard.Guard(1), seconds=0.005
    )


def tiny():
    return next(p for p in PROBLEMS if p.name == TINY)


def test_a_row_is_measured():
    row = bench(Slow(1)).row(tiny())
    mine = row["rivals"][OURS]
    assert mine["min"] <= mine["q1"] <= mine["median"] <= mine["q3"] and mine["first"] > 0
    assert mine["error"] <= 1 and mine["cold"]["count"] == 1
    assert row["floor"] > 0 and row["peak"] > 0 and row["level"] == "L1"
    assert summary.best_peer(row) == "slow" and summary.ratio(row, "slow") > 1
    json.dumps(row, allow_nan=False)


def test_wrong_and_broken_peers_are_not_timed():
    row = bench(Wrong(1), Broken(1)).row(tiny())
    assert "wrong: " in row["rivals"]["wrong"]["failed"]
    assert row["rivals"]["broken"]["failed"] == "RuntimeError: no such thing"
    assert summary.best_peer(row) is None and not summary.is_loss(row)


def test_large_problems_are_sampled_once(monkeypatch):
    calls = []

    class Counted(Peer):
        name, columns = "counted", ("counted",)

        def gemm(self, task):
            yield Rival("counted", lambda: calls.append(1) or np.matmul(task["a"], task["b"]))

    monkeypatch.setattr(worker, "SAMPLED_ONCE", 1.0)
    monkeypatch.setattr(summary, "behind", lambda row: False)
    row = bench(Counted(1)).row(tiny())
    assert len(calls) == 1 and row["rivals"]["counted"]["count"] == 1


def test_a_loss_is_measured_twice():
    class Fast(Peer):
        name, columns = "fast", ("fast",)

        def gemm(self, task):
            done = np.matmul(task["a"], task["b"])
            yield Rival("fast", lambda: done)

    row = bench(Fast(1)).row(tiny())
    assert row["rivals"]["fast"]["again"]["median"] > 0 and summary.is_loss(row)


def test_what_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(worker, "available_memory", lambda: 10)
    with pytest.raises(Unfit, match="GiB"):
        bench().row(tiny())


def orders_of(path, *names, **options):
    return worker.Orders(list(names), str(path), seconds=0.005, cold_runs=0, **options)


def test_a_run_goes_on_where_it_stopped(tmp_path):
    names = [TINY, "gemm/odd-and-tiny/2x2x2", "gemm/odd-and-tiny/1x1x1"]
    path, out = tmp_path / "j.jsonl", io.StringIO()
    screen = terminal.Screen(False, out)
    assert worker.run(orders_of(path, *names[:1]), screen) == 0
    assert worker.run(orders_of(path, *names), screen) == 0
    assert "1 in the journal already" in out.getvalue() and "2 rows to measure" in out.getvalue()
    heads, rows = journal.read(path)
    assert len(heads) == 2 and [r["name"] for r in rows] == names


def test_time_that_is_up_is_said(tmp_path):
    out = io.StringIO()
    worker.run(orders_of(tmp_path / "j", TINY, until=1.0), terminal.Screen(False, out))
    assert "time is up: 1 rows left out" in out.getvalue()


def test_our_own_wrong_result_is_counted(tmp_path, monkeypatch):
    def gemm(self, task):
        yield Rival(OURS, lambda: np.zeros(task.shape, np.float32))

    monkeypatch.setattr(Ours, "gemm", gemm)
    path, out = tmp_path / "j", io.StringIO()
    assert worker.run(orders_of(path, TINY), terminal.Screen(False, out)) == 1
    assert "times the error allowed" in out.getvalue()
    assert "failed" in terminal.report(journal.read(path)[1])


# --- kernels by name ------------------------------------------------------------------------------


def rows_here(*beginnings):
    return [r["name"] for r in _C.rows() if not r["why_not"] and r["name"].startswith(beginnings)]


@pytest.mark.parametrize(
    "name", ["gemm_f32_scalar_4x4", "gemm_f64_scalar_4x4", "conv2d_fwd_f32_gemm"]
)
def test_family_problems_serve_a_kernel(name):
    contenders, m = kernel.contenders(name, 1)
    one = worker.Bench(
        orders_of("", kernel=name), contenders, m, guard.Guard(1), name, seconds=0.005
    )
    jobs = dict(kernel.jobs(name, one))
    family = name.split("_")[0].removesuffix("2d")
    assert jobs and all(label.startswith((family, "gemm", "conv")) for label in jobs)
    label = min((n for n in jobs if n in {p.name: p for p in PROBLEMS}),
                key=lambda n: sum(families.cost({p.name: p for p in PROBLEMS}[n])))  # fmt: skip
    row = jobs[label]()
    assert row["ours"] == name and set(row["rivals"]) == {name, kernel.CHOSEN}
    assert summary.ratio(row, kernel.CHOSEN) > 0


def test_every_row_has_something_to_measure():
    class Nothing:
        pass

    bare = []
    for r in _C.rows():
        if not r["why_not"] and r["op"] != "peak" and not kernel.jobs(r["name"], Nothing()):
            bare.append(r["name"])
    assert not bare


@pytest.mark.parametrize(
    "name", rows_here("add_f32", "reduce_", "sum_f64_scalar", "peak_fma_f32")[:4]
)
def test_cases_serve_the_others(name):
    contenders, m = kernel.contenders(name, 1)
    one = worker.Bench(
        orders_of("", kernel=name), contenders, m, guard.Guard(1), name, seconds=0.005
    )
    label, job = kernel.jobs(name, one)[0]
    row = job()
    assert label.startswith("case/") and "median" in row["rivals"][name]


def test_unknown_kernels_are_refused():
    with pytest.raises(ValueError, match="did you mean gemm_f32_scalar_4x4"):
        kernel.find("gemm_f32_scalar_4x5")


# --- summaries ------------------------------------------------------------------------------------


def made(name="gemm/a/b", mine=1.0, its=2.0, threads=1, again=None, **more):
    def timing(t):
        return {"median": t, "min": t, "q1": t * 0.99, "q3": t * 1.01, "count": 9, "first": t}

    rivals = {OURS: timing(mine), "torch": timing(its), "numpy": timing(10.0)}
    if again:
        rivals[OURS]["again"], rivals["torch"]["again"] = timing(again[0]), timing(again[1])
    return {
        "name": name, "family": name.split("/")[0], "threads": threads, "flops": 1e9, "bytes": 1e6,
        "ours": OURS, "floor": 0.5, "bound": "multiply-adds", "peak": 2e9, "copy": 1e9,
        "rivals": rivals, "flags": [], "seconds": 1.0, "sizes": {}, "level": "L2", **more,
    }  # fmt: skip


def test_ratio_share_and_rate():
    row = made()
    assert summary.best_peer(row) == "torch" and summary.ratio(row, "torch") == 2
    assert summary.share(row) == 0.5 and summary.rate(row) == (1.0, "GF/s")
    assert summary.rate({**row, "flops": 0.0}) == (0.001, "GB/s")
    assert summary.rate({**row, "flops": 0.0, "bytes": 0.0})[1] == "us"


@pytest.mark.parametrize(
    ("mine", "its", "again", "loss"),
    [
        (1.0, 0.5, (1.0, 0.5), True),
        (1.0, 0.5, (1.0, 1.0), False),  # not confirmed
        (1.0, 0.975, (1.0, 0.9), False),  # within 3 %
        (1.0, 0.96, (1.0, 0.96), True),
        (1.0, 1.2, None, False),
    ],
)
def test_losses_as_defined(mine, its, again, loss):
    assert summary.is_loss(made(mine=mine, its=its, again=again)) is loss


def test_overlapping_quartiles_are_no_loss():
    row = made(mine=1.0, its=0.9, again=(1.0, 0.9))
    row["rivals"]["torch"]["q3"] = 1.1
    assert not summary.is_loss(row)


def test_families_have_geomeans_and_all_losses():
    rows = [made("gemm/a/1", 1, 4), made("gemm/a/2", 1, 1), made("pool/a/1", 2, 1, again=(2, 1)),
            made("gemm/a/1", 1, 9, threads=2)]  # fmt: skip
    found = summary.by_family(rows)
    assert [(f["family"], f["threads"]) for f in found] == [("gemm", 1), ("pool", 1), ("gemm", 2)]
    assert found[0]["geomean"] == pytest.approx(2) and found[2]["geomean"] == pytest.approx(9)
    assert [x["name"] for f in found for x in f["losses"]] == ["pool/a/1"]
    assert found[0]["peers"]["numpy"]["geomean"] == pytest.approx(10)


# --- what is shown --------------------------------------------------------------------------------


def full(rows, **machine_):
    about = {
        "cpu": "A <CPU> & co", "cores": 2, "isa": "avx512", "caches": machine.caches(),
        "striate": "0.1", "numpy": "2", "python": "3.11", "system": "Linux", "build": "b",
        **machine_,
    }  # fmt: skip
    head = {
        "format": 1, "machine": about, "threads": 1, "time": "2030-01-01T00:00:00", "peak": 250e9,
        "copy": {"L1": 300e9, "L2": 200e9, "L3": 100e9, "DRAM": 60e9}, "load": 0.1,
        "peers": {
            "torch": {"columns": ["torch"], "version": "9", "path": "AVX512"},
            "jax": {"columns": ["jax"], "absent": "not installed"},
        },
    }  # fmt: skip
    return results.gather([head, {**head, "threads": 2}], rows)


SKIPPED = {"name": "gemm/huge/1", "threads": 1, "skipped": "too <large>"}


def several():
    gb = {"flops": 0.0, "bytes": 1e7}
    return [
        *(made(f"gemm/net/layer{i}", 1.0 + i % 5, 2.0) for i in range(80)),
        made("conv/a/lost", 2.0, 1.0, again=(2.0, 1.0)),
        made("conv/a/won", 1.0, 3.0, flags=["load average 9.0"]),
        *(made(f"pool/a/{i}", 0.001, 0.002 * (i + 1), **gb) for i in range(5)),
        made("overhead/calls/add", 1e-6, 2e-6, flops=0.0, bytes=0.0, floor=None, bound=None),
        SKIPPED,
    ]


class Checker(HTMLParser):
    """Tags closed in order; nothing fetched from anywhere."""

    VOID = ("meta", "i", "line", "rect", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_stands_alone():
    text = page.render(full(several()))
    checker = Checker()
    checker.feed(text)
    assert checker.open == [] and all(link.startswith("#") for link in checker.links)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "A &lt;CPU&gt; &amp; co" in text and "<CPU>" not in text
    assert "prefers-color-scheme: dark" in text and "viewport" in text
    for words in ("conv/a/lost", "load average 9.0", "not installed", "too &lt;large&gt;"):
        assert words in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        numbers = [v for e in xml.fromstring(svg).iter() for v in e.attrib.values()]
        assert not [v for v in numbers if v in ("nan", "inf", "-inf")]


def test_charts_mark_every_row():
    rows = [r for r in several() if r["name"].startswith("gemm/net")]
    assert charts.bars(rows, charts.WIDE).count("<rect") == len(rows)
    few = rows[:7]
    assert charts.bars(few, charts.NARROW).count("<rect") == 7
    assert "net/layer3" in charts.bars(few, charts.NARROW)
    head = full(rows)["heads"][0]
    assert charts.roofline(few, head, charts.WIDE).count("<circle") == 14
    pools = [r for r in several() if r["name"].startswith("pool")]
    assert charts.bandwidth(pools, head, charts.WIDE).count("<circle") == 10


def test_a_page_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no row"):
        page.render(full([SKIPPED]))


def test_the_terminal_report_lists_all_losses():
    text = terminal.report(full(several())["rows"])
    assert "loss: conv/a/lost (1T): 0.50x of torch" in text
    assert "skipped: gemm/huge/1: too <large>" in text
    assert terminal.report([]) == "no rows were measured"


def test_terminal_lines():
    out = io.StringIO()
    screen = terminal.Screen(False, out)
    screen.begin(full([])["heads"][0], 3, 0)
    for row in (made(), made("conv/a/lost", 2.0, 1.0), SKIPPED):
        screen.row(row)
    text = out.getvalue()
    assert "absent: not installed" in text and "LOSS" in text and "2.00x" in text
    assert "\033" not in text and "too <large>" in text


def test_results_are_written_and_read_back(tmp_path):
    found = full(several())
    path = tmp_path / "deep" / "r.json"
    results.write(path, results.to_json(found))
    again = results.load(path)
    assert again == json.loads(json.dumps(results._rounded(found)))
    assert again["families"][0]["geomean"] == pytest.approx(found["families"][0]["geomean"], 1e-4)
    assert results.to_json(again) == path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["r.json"]
    both = results.merge([results.load(path), full([made("lstm/a/b")])])
    assert len(both["rows"]) == len(found["rows"]) + 1


def test_the_readmes_section_is_made_from_results(tmp_path):
    """benchmarks/readme.py, on a README of two lines."""
    file, readme = tmp_path / "r.json", tmp_path / "README.md"
    results.write(file, results.to_json(full(several())))

    def call(*words):
        line = [sys.executable, str(ROOT / "benchmarks/readme.py"), *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True)

    readme.write_text("before\n<!-- speed: begin -->\nold\n<!-- speed: end -->\nafter\n")
    assert call("--check", "--readme", readme, file).returncode == 1
    assert call("--readme", readme, file).returncode == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| gemm | 1 | 80 |" in text and "A <CPU> & co" in text and "torch 9" in text
    assert call("--check", "--readme", readme, file).returncode == 0
    readme.write_text("no marks\n")
    done = call("--readme", readme, file)
    assert done.returncode == 2 and "speed: begin" in done.stderr


def test_compare_tells_changes_from_noise():
    a = full([made("gemm/a/1", 1.0), made("gemm/a/2", 1.0), made("gemm/a/3", 1.0), made("x/y/z")])
    b = full([made("gemm/a/1", 0.5), made("gemm/a/2", 1.01), made("gemm/a/3", 1.5)], numpy="3")
    text = compare.report(a, b)
    assert "faster: 1" in text and "2.00x  gemm/a/1" in text
    assert "slower: 1" in text and "0.67x  gemm/a/3" in text
    assert "as before, within the quartiles or 3%: 1" in text
    assert "differs: numpy: 2 | 3" in text and "only in A: 1 rows" in text
    with pytest.raises(ValueError, match="no row in common"):
        compare.report(full([made("x/y/z")]), b)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder: (status, stdout, stderr)."""
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = cli.main(["bench", *map(str, words)])
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--family gem", ["--family", "gemm", "'gem'"]),
        ("--shard 9/8", ["--shard", "1 <= I <= N", "'9/8'"]),
        ("--shard x", ["--shard", "I/N"]),
        ("--threads 0", ["--threads", "'0'"]),
        ("--threads 1,two", ["--threads"]),
        ("--seconds -1", ["--seconds", "above 0"]),
        ("--cold -1", ["--cold"]),
        ("--peers tensorflow", ["--peers", "'tensorflow'"]),
        ("--peers torhc", ["did you mean torch"]),
        ("--match nothing-like-this", ["no problem fits", "--list"]),
        ("--kernel gemm_f32_avx2_6x17", ["--kernel", "no row", "did you mean"]),
        ("--kernel gemm_f32_scalar_4x4 --shard 1/2", ["--kernel goes without"]),
        ("compare a.json", ["compare: expected two files"]),
        ("compare a.json b.json", ["a.json", "no such file"]),
        ("report", ["report: expected"]),
        ("banana", ["unknown argument 'banana'"]),
        ("--html . --quick", ["expected a file"]),
    ],
)
def test_what_is_wrong_is_said(run, line, words):
    status, out, err = run(*line.split())
    assert status == 2 and out == "" and err.startswith("striate: error: ")
    assert err.count("\n") <= 2
    for word in words:
        assert word in err, err


def test_files_that_are_no_results(run, tmp_path):
    for text in ("{}", "[]", "{", ""):
        (tmp_path / "a.json").write_text(text)
        status, _, err = run("compare", "a.json", "a.json")
        assert status == 2 and err.startswith("striate: error: ") and "Traceback" not in err


def test_the_list_states_times(run):
    status, out, _ = run("--list")
    assert status == 0 and all(name in out for name in problem.FAMILIES if name != "lstm")
    assert re.search(r"all +\d+ +[\d.]+ (h|min)", out)
    _, out, _ = run("--list", "--match", "resnet50", "--family", "conv")
    assert "conv/resnet50/res2-3x3/fwd" in out


def test_quick_is_planned_within_its_time(run):
    _, out, _ = run("--list", "--quick")
    assert re.search(r"all +\d+ +([12] min|\d+ s)", out), out


def test_the_whole_way(tmp_path):
    """Measured, written, resumed, reported, compared: as users do it."""

    def call(*words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "striate", "bench", *words], cwd=tmp_path, text=True,
            capture_output=True, timeout=300, env={**os.environ, "STRIATE_ISA": "scalar"},
        )  # fmt: skip
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout

    line = ["--match", "odd-and-tiny/4x4", "--peers", "numpy", "--seconds", "0.01", "--cold", "1"]
    out = call(*line, "--json", "a.json", "--html", "a.html", "--threads", "1,2")
    assert "absent: not asked for" in out and "numpy" in out and "journal: striate-bench" in out
    found = json.loads((tmp_path / "a.json").read_text())
    assert [(r["name"], r["threads"]) for r in found["rows"]] == [(TINY, 1), (TINY, 2)]
    assert found["heads"][0]["machine"]["isa"] == "scalar"
    assert "<svg" in (tmp_path / "a.html").read_text()
    assert "0 rows to measure, 1 in the journal already" in call(*line)
    out = call("report", "striate-bench.jsonl", "--html", "b.html")
    assert "gemm" in out and (tmp_path / "b.html").exists()
    assert "as before" in call("compare", "a.json", "striate-bench.jsonl")


def test_spots_allow_nothing_of_another_shape():
    spots = Spots((slice(None),), np.zeros(3), 1.0)
    assert spots.error(np.zeros(4)) == math.inf
    assert Task("x", {}, (), lambda: spots).spots().error(np.zeros(3)) == 0

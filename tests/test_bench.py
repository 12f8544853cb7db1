# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite: timing, load, journal, worker, kernels by name, on tiny problems."""

import io
import itertools
import json

import numpy as np
import pytest
from benching import PROBLEMS, TINY, bench, orders_of, tiny
from striate import _C
from striate.bench import (
    clock,
    families,
    guard,
    journal,
    kernel,
    machine,
    meter,
    plan,
    summary,
    terminal,
    worker,
)
from striate.bench.ours import OURS, Ours
from striate.bench.peers.peer import Peer, Rival
from striate.bench.task import Unfit

# --- timing ---------------------------------------------------------------------------------------


class FakeClock(clock.Clock):
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
    assert 0.1 < fake.time < 0.5


def test_short_calls_are_timed_many_at_a_time():
    fake, log = FakeClock(), []
    (times,) = clock.turns([rival(fake, "a", 1e-6, log)], 0.01, fake)
    assert len(log) > 50 * len(times) and times[0] == pytest.approx(1e-6)


def test_slow_calls_are_few():
    fake, log = FakeClock(), []
    (times,) = clock.turns([rival(fake, "a", 2.0, log)], 0.1, fake)
    assert len(times) == 1 and len(log) == 1  # its first call came before
    fake, log = FakeClock(), []
    (times,) = clock.turns([rival(fake, "a", 0.5, log)], 0.1, fake)
    assert len(times) == clock.LEAST == len(log)


def test_who_is_far_behind_is_timed_little():
    fake, log = FakeClock(), []
    paces = {"a": 0.001, "b": 0.0011, "c": 0.0013, "d": 0.01}
    times = clock.turns([rival(fake, n, t, log) for n, t in paces.items()], 0.4, fake)
    a, b, c, d = map(len, times)
    assert a >= c > d >= 1 and b >= c


def test_steady_rivals_stop_early():
    fake, log = FakeClock(), []
    clock.turns([rival(fake, "a", 0.001, log), rival(fake, "b", 0.001, log)], 10.0, fake)
    assert fake.time < 0.7 * 2 * 10.0


def test_cold_runs_follow_a_flush():
    fake, log = FakeClock(), []
    both = [rival(fake, "a", 1.0, log), rival(fake, "b", 1.0, log)]
    times = clock.cold(both, lambda: log.append("flush"), 3, clock=fake)
    assert log == ["flush", "a", "flush", "b"] * 3
    assert np.allclose(times, 1) and np.shape(times) == (2, 3)
    times = clock.cold(both, lambda: None, 7, 0.5, fake)
    assert np.shape(times) == (2, 2)  # where rounds are long


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


def test_parts_stand_for_problems_that_take_seconds():
    one = next(p for p in PROBLEMS if "gru-t1500-b32-h1536" in p.name)
    less, cut = families.part(one, 1e10)
    assert cut == {"t": [less.sizes["t"], 1500]} and less.name == one.name
    assert 4 <= less.sizes["t"] < 20
    one = next(p for p in PROBLEMS if p.name == "gemm/deepbench-train/5124x9124x2560-NN")
    less, cut = families.part(one, 1e10)
    assert cut == {"m": [1281, 5124], "n": [1141, 9124]} and families.cost(less)[0] <= 1e10
    one = next(p for p in PROBLEMS if p.name == "conv/vgg-a/conv4/bwd_data")
    less, cut = families.part(one, 1e10)
    assert cut == {"n": [4, 64]}
    assert families.part(tiny(), 1e10) == (tiny(), {})


def test_a_row_says_what_part_it_measured(monkeypatch):
    one = next(p for p in PROBLEMS if p.name == "lstm/deepbench-server/gru-t1-b1-h512/fwd")
    assert "part" not in bench().row(one)
    monkeypatch.setattr(plan, "PART", 1e7)
    one = next(p for p in PROBLEMS if p.name == "lstm/deepbench-server/lstm-t150-b1-h256/fwd")
    row = bench().row(one)
    assert row["part"]["t"][1] == 150 == row["sizes"]["t"] and row["flops"] < families.cost(one)[0]
    assert "part" not in bench(whole=True).row(one)


def test_large_problems_are_sampled_once(monkeypatch):
    calls = []

    class Counted(Peer):
        name, columns = "counted", ("counted",)

        def gemm(self, task):
            yield Rival("counted", lambda: calls.append(1) or np.matmul(task["a"], task["b"]))

    monkeypatch.setattr(plan, "SAMPLED_ONCE", 1.0)
    monkeypatch.setattr(summary, "behind", lambda row: False)
    row = bench(Counted(1), whole=True).row(tiny())
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


def test_flagged_rows_are_measured_once_more(tmp_path, monkeypatch):
    steady = iter([1.0, 0.5, 0.9])  # the second row is flagged, and then quieter

    def end(self, peaks):
        value = next(steady)
        return {"load": 0.0, "steady": value}, ["not quiet"] if value < 0.8 else []

    monkeypatch.setattr(guard.Guard, "end", end)
    monkeypatch.setattr(worker, "AGAIN", 1e9)
    path, out = tmp_path / "j", io.StringIO()
    names = ["gemm/odd-and-tiny/2x2x2", TINY]
    worker.run(orders_of(path, *names), terminal.Screen(False, out))
    assert "1 of 1 flagged rows were quieter" in out.getvalue()
    _, rows = journal.read(path)
    assert [r["name"] for r in rows] == names and not any(r["flags"] for r in rows)
    assert len(path.read_text().splitlines()) == 4


def test_a_quick_run_shares_out_its_time():
    jobs = [(0.5, 0.5)] * 10
    assert plan.share(20, jobs, 1.0) == 1
    assert plan.share(7.5, jobs, 1.0) == pytest.approx(0.5)
    assert plan.share(15, jobs, 2.0) == pytest.approx(0.5)
    assert plan.share(1, jobs, 1.0) == plan.LEAST


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
    "name",
    [*rows_here("add_f32", "reduce_", "sum_f64_scalar", "peak_fma_f32")[:4], "gemm_bf16_widen"],
)
def test_cases_serve_the_others(name):
    if "bf16" in name:
        pytest.importorskip("ml_dtypes")
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

# SPDX-License-Identifier: Apache-2.0
"""What lies below the operations: kernel tables, ISA, threads, operands, import."""

import json
import threading

import numpy as np
import pytest
from striate import _C
from subprocesses import fails, succeeds

# --- tables ---------------------------------------------------------------------------------------


def disagreeing_sums():
    """A vector whose sum rounds otherwise in scalar and in vector code, and the two sums."""
    for seed in range(100):
        x = np.random.default_rng(seed).standard_normal(1001).astype(np.float32)
        with _C.pin_rows(["sum_row_f32_scalar"]):
            scalar = float(_C.sum(x, (0,)))
        if float(_C.sum(x, (0,))) != scalar:
            return x, scalar
    raise AssertionError("no vector tells the rows of sum apart")


def best_row(name):
    """The row of the best instruction set that has one and is in use."""
    order = list(_C.isas())
    rows = [r for r in _C.rows() if r["name"] == f"{name}_{r['isa']}" and not r["why_not"]]
    return max(rows, key=lambda r: order.index(r["isa"]))["name"]


vector_isa = pytest.mark.skipif(_C.isa() == "scalar", reason="only scalar kernels here")


@vector_isa
def test_pinned_rows_are_used():
    x, scalar = disagreeing_sums()
    best = float(_C.sum(x, (0,)))
    with _C.pin_rows(["sum_row_f32_scalar"]):
        assert float(_C.sum(x, (0,))) == scalar
    assert float(_C.sum(x, (0,))) == best


@vector_isa
def test_the_inner_pin_wins_and_the_outer_comes_back():
    x, scalar = disagreeing_sums()
    best = float(_C.sum(x, (0,)))
    with _C.pin_rows([best_row("sum_row_f32")]):
        with _C.pin_rows(["sum_row_f32_scalar"]):
            assert float(_C.sum(x, (0,))) == scalar
            with _C.pin_rows(["add_f32_scalar"]):  # of another table: the outer pin still holds
                assert float(_C.sum(x, (0,))) == scalar
        assert float(_C.sum(x, (0,))) == best


@vector_isa
def test_pins_belong_to_their_thread():
    x, scalar = disagreeing_sums()
    seen = []
    with _C.pin_rows(["sum_row_f32_scalar"]):
        other = threading.Thread(target=lambda: seen.append(float(_C.sum(x, (0,)))))
        other.start()
        other.join()
    assert seen[0] != scalar


def test_an_exception_ends_the_pin():
    x = np.ones(4, np.float32)
    with pytest.raises(ZeroDivisionError), _C.pin_rows(["sum_row_f32_scalar"]):
        raise ZeroDivisionError
    assert float(_C.sum(x, (0,))) == 4


def test_a_pin_is_entered_once():
    pin = _C.pin_rows(["sum_row_f32_scalar"])
    with pin, pytest.raises(RuntimeError, match="entered already"), pin:
        pass
    with pin:  # after its end it may be used again
        pass


def test_unknown_rows_are_refused():
    with (
        pytest.raises(ValueError, match="'gemm_f32_nonsense'; `striate kernels` lists"),
        _C.pin_rows(["sum_row_f32_scalar", "gemm_f32_nonsense"]),
    ):
        pass


def test_rows_that_can_not_run_are_refused():
    code = """
        from striate import _C
        with _C.pin_rows(["add_f32_scalar", "add_f32_avx2"]): pass
    """
    why = _C.isas()["avx2"] or "STRIATE_ISA=scalar"
    message = fails(code, STRIATE_ISA="scalar")
    assert message == f"ValueError: add_f32_avx2 can't run here: {why}"


def test_every_row_says_whether_it_can_run():
    for row in _C.rows():
        assert set(row) == {"op", "kind", "name", "dtype", "isa", "why_not"}
        assert row["kind"] in ("kernel", "method")
        assert row["dtype"] in ("float32", "float64", "bfloat16")
        assert row["why_not"] == _C.isas()[row["isa"]]


# --- ISA ------------------------------------------------------------------------------------------

SUM = "import numpy as np; from striate import _C; print(_C.sum(np.ones(9, 'f'), (0,)))"


@pytest.mark.parametrize("call", ["_C.isa()", "_C.rows()", "_C.add(np.ones(2), np.ones(2))"])
def test_nonsense_isa_is_refused(call):
    code = f"import numpy as np; from striate import _C; {call}"
    message = fails(code, STRIATE_ISA="banana")
    assert (
        message
        == "ValueError: STRIATE_ISA: expected scalar, avx2, avx512 or avx512bf16, got 'banana'"
    )


@pytest.mark.parametrize("isa", list(_C.isas()))
def test_isa_is_a_cap(isa):
    if _C.isas()[isa].startswith("the CPU lacks"):
        assert "has no " + isa in fails(SUM, STRIATE_ISA=isa)
        return
    code = (
        "import json; from striate import _C; print(json.dumps([_C.isa(), _C.isas(), _C.rows()]))"
    )
    used, isas, rows = json.loads(succeeds(code, STRIATE_ISA=isa))
    assert used == isa
    order = list(isas)
    for name, why in isas.items():
        if order.index(name) <= order.index(isa):
            assert why == ""
        else:
            assert why in (f"STRIATE_ISA={isa}", f"the CPU lacks {name}")
    assert all(r["why_not"] == isas[r["isa"]] for r in rows)
    assert succeeds(SUM, STRIATE_ISA=isa) == "9.0"


def test_an_empty_isa_is_no_cap():
    code = "from striate import _C; print(_C.isa())"
    assert succeeds(code, STRIATE_ISA="") == succeeds(code, STRIATE_ISA=None)


# --- threads --------------------------------------------------------------------------------------

THREADS = "import striate; print(striate.get_num_threads())"


@pytest.mark.parametrize(
    ("ours", "openmp", "count"),
    [("3", None, 3), (None, "2", 2), ("5", "2", 5), (None, "7,2", 7), ("", "4", 4)],
)
def test_environment_sets_the_threads(ours, openmp, count):
    assert succeeds(THREADS, STRIATE_NUM_THREADS=ours, OMP_NUM_THREADS=openmp) == str(count)


@pytest.mark.parametrize("value", ["0", "-1", "many", "2.5", "1025", "99999999999999999999"])
def test_nonsense_thread_counts(value):
    """Ours is refused; another library's is not ours to judge."""
    message = fails(THREADS, STRIATE_NUM_THREADS=value)
    assert message == f"ValueError: STRIATE_NUM_THREADS: expected 1 to 1024, got '{value}'"
    default = succeeds(THREADS, STRIATE_NUM_THREADS=None, OMP_NUM_THREADS=None)
    assert succeeds(THREADS, STRIATE_NUM_THREADS=None, OMP_NUM_THREADS=value) == default


def test_affinity_limits_the_threads():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + THREADS
    assert succeeds(code, STRIATE_NUM_THREADS=None, OMP_NUM_THREADS=None) == "1"


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_set_num_threads_refuses(count):
    with pytest.raises(
        ValueError, match=f"set_num_threads: count: expected 1 to 1024, got {count}"
    ):
        _C.set_num_threads(count)


@pytest.mark.parametrize("count", ["2", 2.5, None])
def test_set_num_threads_wants_a_number(count):
    with pytest.raises(TypeError):
        _C.set_num_threads(count)


def test_more_threads_than_cpus():
    a = np.random.default_rng(0).standard_normal((300, 300))
    _C.set_num_threads(1)
    alone = _C.gemm(a, a)
    _C.set_num_threads(64)
    assert np.array_equal(_C.gemm(a, a), alone)


def test_where_no_more_threads_are_to_be_had():
    """The limit leaves no room for 60 stacks: those that there are do all the work."""
    code = """
        import resource
        import numpy as np
        from striate import _C
        a = np.random.default_rng(0).standard_normal((300, 300))
        _C.set_num_threads(1)
        alone, out = _C.gemm(a, a), np.empty_like(a)
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20),) * 2)
        _C.set_num_threads(61)
        for _ in range(3):
            assert np.array_equal(_C.gemm(a, a, out=out), alone)
        with open("/proc/self/status") as status:
            print(next(int(line.split()[1]) for line in status if line.startswith("Threads:")))
    """
    assert int(succeeds(code).splitlines()[-1]) < 60


def test_python_threads_may_call_at_once():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((180, 180)).astype(np.float32) for _ in range(2))
    _C.set_num_threads(2)
    product, total = _C.gemm(a, b), _C.sum(a, (0, 1))
    wrong = []

    def work():
        for _ in range(60):
            if not np.array_equal(_C.gemm(a, b), product) or _C.sum(a, (0, 1)) != total:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_denormals_are_flushed_inside_and_kept_outside():
    tiny = np.full(5, np.finfo(np.float32).tiny, np.float32)
    assert np.all(_C.mul(tiny, 0.5) == 0)
    assert np.all(tiny * np.float32(0.5) != 0)  # NumPy's arithmetic on this thread is as before


FORK = """
    import os, sys, threading, time
    import numpy as np
    from striate import _C
    _C.set_num_threads(3)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((300, 300)).astype(np.float32)
    expected = _C.gemm(a, a), _C.sum(a, (0, 1))

    def child_agrees():
        pid = os.fork()
        if pid == 0:
            same = np.array_equal(_C.gemm(a, a), expected[0]) and _C.sum(a, (0, 1)) == expected[1]
            os._exit(0 if same else 3)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.001)
        os.kill(pid, 9)
        sys.exit("a child hangs")
"""


def test_children_of_a_fork_compute_the_same():
    succeeds(FORK + "    assert all(child_agrees() for _ in range(60))")


def test_fork_while_another_thread_computes():
    code = """
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            assert np.array_equal(_C.gemm(a, a), expected[0])
    threads = [threading.Thread(target=busy) for _ in range(2)]
    for t in threads: t.start()
    good = [child_agrees() for _ in range(40)]
    stop.set()
    for t in threads: t.join()
    assert all(good)
    """
    succeeds(FORK + code)


def test_a_child_may_fork_too():
    code = """
    pid = os.fork()
    if pid == 0:
        os._exit(0 if child_agrees() else 4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    succeeds(FORK + code)


def test_multiprocessing_by_fork():
    code = """
    import multiprocessing
    def total(seed):
        x = np.random.default_rng(seed).standard_normal(70000)
        return float(_C.sum(x, (0,)))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        got = pool.map_async(total, range(12)).get(timeout=60)
    assert got == [total(s) for s in range(12)]
    """
    succeeds(FORK + code)


def test_the_process_may_end_in_the_middle_of_work():
    code = """
    def busy():
        while True:
            _C.gemm(a, a)
    for _ in range(3): threading.Thread(target=busy, daemon=True).start()
    time.sleep(0.2)
    """
    for _ in range(5):
        succeeds(FORK + code, timeout=60)


# --- operands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operand", "error", "words"),
    [
        ([1.0], TypeError, "add: a: expected a NumPy array, got list"),
        (np.ones(2, np.float16), TypeError, "add: a: expected float32 or float64, got float16"),
        (np.ones(2, np.int64), TypeError, "add: a: expected float32 or float64, got int64"),
        (np.ones(2, ">f4"), TypeError, "add: a: expected float32 or float64, got >f4"),
        (np.ones((1,) * 9, np.float32), ValueError, "add: a: expected at most 8 axes, got 9"),
        (np.ones(9, np.uint8)[1:].view(np.float32), ValueError, "add: a: expected an aligned"),
        (np.ma.ones(2, np.float32), TypeError, "add: a: expected a NumPy array, got MaskedArray"),
        (None, TypeError, "add: a: expected a NumPy array, got NoneType"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, np.ndarray) else None,
)
def test_other_operands_are_refused(operand, error, words):
    with pytest.raises(error) as caught:
        _C.add(operand, np.ones(2, np.float32))
    assert str(caught.value).startswith(words)


def test_strides_that_split_items_are_refused():
    record = np.zeros(4, np.dtype({"names": ["x"], "formats": ["<f8"], "itemsize": 12}))
    x = np.ndarray(4, np.float64, record, strides=(12,))
    with pytest.raises(ValueError, match=r"strides|aligned"):
        _C.add(x, np.ones(4))


def test_read_only_results_are_refused():
    out = np.zeros(3)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writable array, got a read-only one"):
        _C.add(np.ones(3), np.ones(3), out=out)


# --- import ---------------------------------------------------------------------------------------


def test_import_brings_nothing_heavy():
    code = "import sys, striate; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = set(succeeds(code).split())
    heavy = {"torch", "matplotlib", "sklearn", "scipy", "PIL", "tqdm", "pandas", "jax", "cupy"}
    assert not loaded & (heavy | {"safetensors", "onnxruntime", "multiprocessing", "asyncio"})


def test_import_starts_no_thread():
    code = "import os, striate; print(len(os.listdir('/proc/self/task')))"
    bare = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    assert succeeds(code) == succeeds(bare)

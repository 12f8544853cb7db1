# SPDX-License-Identifier: Apache-2.0
"""Hostile surroundings: no memory, forks, many threads, interrupts, an early end."""

import gc
import math
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import striate
from striate import _C, Tensor, nn, optim
from striate.data import DataLoader, TensorDataset
from striate.testing.cases import CASES
from subprocesses import python, succeeds

# --- no memory ------------------------------------------------------------------------------------


def size(sample):
    return sum(math.prod(s) for s in sample.shapes if s is not None)


def largest(case):
    """The sample that asks for most memory, of those that take no time."""
    return max(case.samples, key=lambda s: (size(s) < 1 << 20) * size(s))


def ran(case, sample, arrays):
    """The results of the binding, of the public function, and its gradients."""
    results = [case.kernel(*arrays, **sample.parameters)]
    if case.function is None:
        return [np.asarray(r) for r in results]
    tensors = [a if a is None else Tensor(a, requires_grad=case.gradient) for a in arrays]
    out = case.function(*tensors, **sample.parameters)
    outs = out if isinstance(out, tuple) else (out,)
    if case.gradient:
        floating = [o for o in outs if o.requires_grad]
        for i, o in enumerate(floating):
            o.backward(striate.ones_like(o.detach()), retain_graph=i < len(floating) - 1)
    results += [o.detach().numpy() for o in outs]
    results += [t.grad.numpy() for t in tensors if t is not None and t.grad is not None]
    return [np.asarray(r) for r in results]


@pytest.fixture
def quick_collection():
    """What is there already is out of the collector's sight: it goes through the rest alone."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_no_allocation_may_fail_in_silence(case, threads):
    """Each one in turn: MemoryError, nothing kept, and the next call is right."""
    _C.set_num_threads(threads)
    sample = largest(case)
    arrays = case.arrays(sample, np.float32)
    expected = ran(case, sample, arrays)
    gc.collect()
    held = _C.memory_stats()["in_use"]
    n = 0
    while n < 20_000:
        n += 1 + n // 24  # all of the first ones
        _C.memory_fail_at(n)
        try:
            results = ran(case, sample, arrays)
        except MemoryError:
            results = None
        failed = _C.memory_fail_at(0) == 0
        assert failed == (results is None), f"allocation {n} failed, and nobody noticed"
        if results is not None:
            for e, r in zip(expected, results, strict=True):
                assert np.array_equal(e, r, equal_nan=True)
            if n == 1:
                pytest.skip("its samples ask nothing of the pool")
            return
        gc.collect()
        assert _C.memory_stats()["in_use"] == held, f"allocation {n}: memory is lost"
    raise AssertionError("more than 20000 allocations")


def test_a_failed_training_step_can_be_repeated():
    def make():
        striate.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(864, 10)
        )
        x, y = striate.randn(16, 1, 28, 28), striate.randint(0, 10, (16,))
        return model, optim.SGD(model.parameters(), 0.1, momentum=0.9), x, y

    def step(model, optimizer, x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    calm = make()
    losses = [step(*calm) for _ in range(3)]
    model, *others = make()
    failures = 0
    for expected in losses:
        for n in range(1, 1000):
            # What fails before the optimizer's step has changed nothing but gradients.
            _C.memory_fail_at(n)
            try:
                got = step(model, *others)
            except MemoryError:
                failures += 1
                continue
            finally:
                _C.memory_fail_at(0)
            assert got == expected
            break
    assert failures > 10


def test_python_objects_may_fail_too():
    """Every allocation of Python's own, inside the bindings."""
    testcapi = pytest.importorskip("_testcapi", reason="this Python has no allocation hooks")
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    x = rng.standard_normal((2, 3, 9, 9)).astype(np.float32)
    w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    calls = [
        lambda: _C.add(a, b),
        lambda: _C.gemm(a, b),
        lambda: _C.sum(a, (0,)),
        lambda: _C.conv2d(x, w, **options),
        lambda: _C.max_pool2d_taps(x, (2, 2, 2, 2, 0, 0, 1, 1, 0))[0],
        lambda: _C.softmax(a, 1),
    ]
    for call in calls:
        try:
            expected = call()
        except (TypeError, ValueError):
            continue
        held = _C.memory_stats()["in_use"]
        for n in range(200):
            testcapi.set_nomemory(n, n + 1)
            try:
                got = call()
            except MemoryError:
                got = None
            finally:
                testcapi.remove_mem_hooks()
            if got is not None and n > 60:
                break
        assert np.array_equal(call(), expected)
        del got
        assert _C.memory_stats()["in_use"] == held


STARVED = """
    import resource
    import numpy as np, striate
    from striate import nn, optim
    striate.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(),
                          nn.Linear(32 * 28 * 28, 10))
    optimizer = optim.SGD(model.parameters(), 0.01)
    x, y = striate.randn(64, 3, 32, 32), striate.randint(0, 10, (64,))
    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()
    def used():
        return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    striate._C.gemm(np.zeros((300, 300)), np.zeros((300, 300)))  # the threads are there
    base, hard = used(), resource.getrlimit(resource.RLIMIT_AS)[1]
    failures = 0
    for megabytes in range(2, 150, 6):
        striate._C.memory_trim()
        resource.setrlimit(resource.RLIMIT_AS, (base + (megabytes << 20), hard))
        try:
            step()
        except MemoryError:
            failures += 1
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    optimizer.zero_grad()
    assert failures > 3, failures
    assert np.isfinite(step())
    print(failures)
"""


def test_training_with_too_little_memory():
    """The address space is limited at many places: MemoryError, and training goes on after it."""
    succeeds(STARVED, STRIATE_NUM_THREADS="2")


# --- flat memory ----------------------------------------------------------------------------------

FLAT = """
    import gc, resource, sys
    import striate
    from striate import nn, optim
    striate.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(100, 10))
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x, y = striate.randn(8, 1, 12, 12), striate.randint(0, 10, (8,))
    def resident():
        pages = int(open("/proc/self/statm").read().split()[1])
        return pages * resource.getpagesize() / 1024
    marks = []
    for i in range({steps} + 1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if i % ({steps} // 10) == 0:
            marks.append((resident(), len(gc.get_objects())))
    print("RSS in KiB, every {steps} // 10 steps:", *[int(m) for m, _ in marks])
    print(marks[2][0], marks[-1][0], marks[2][1], marks[-1][1])
"""


@pytest.mark.parametrize("steps", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_training_does_not_grow(steps):
    out = succeeds(FLAT.format(steps=steps), timeout=3600)
    print(out)
    early, late, objects, objects_late = map(float, out.splitlines()[-1].split())
    assert late - early < 512, f"{late - early} KiB more after {steps} steps"
    assert objects_late - objects < 100


# --- forks and threads ----------------------------------------------------------------------------

FORKED = """
    import multiprocessing, os
    import numpy as np, striate
    from striate import nn, optim
    def trained(seed):
        striate.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 8))
        optimizer = optim.SGD(model.parameters(), 0.1)
        x, y = striate.randn(256, 64), striate.randint(0, 8, (256,))
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.item()
"""


def test_children_train_as_their_parent_does():
    code = """
    striate.set_num_threads(2)
    expected = [trained(s) for s in range(4)]  # the pool runs before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        got = pool.map_async(trained, range(4)).get(timeout=60)
    assert got == expected
    assert [trained(s) for s in range(4)] == expected
    """
    succeeds(FORKED + code)


def test_spawned_processes():
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FORKED) + "print(trained(1))"],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        out, _ = child.communicate(timeout=60)
    namespace = {}
    exec(textwrap.dedent(FORKED), namespace)
    assert float(out) == namespace["trained"](1)


def test_many_threads_train_at_once():
    """Each with its own network: the results are those of one after the other."""
    namespace = {}
    exec(textwrap.dedent(FORKED).replace("striate.manual_seed(seed)", ""), namespace)

    def data(seed):
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(s).astype(np.float32) for s in ((128, 32), (32, 64), (64, 8))]

    def trained(seed):
        x, a, b = (Tensor(v, requires_grad=i > 0) for i, v in enumerate(data(seed)))
        for _ in range(8):
            a.grad = b.grad = None
            hidden = (x @ a).relu() if seed % 2 else nn.functional.gelu(x @ a)
            loss = (hidden @ b).log_softmax(1)[:, 0].mean()
            loss.backward()
            with striate.no_grad():
                a -= a.grad * 0.1
                b -= b.grad * 0.1
        return a.detach().numpy(), b.detach().numpy(), loss.item()

    _C.set_num_threads(2)
    expected = [trained(s) for s in range(8)]
    got = [None] * 8

    def work(i):
        got[i] = trained(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for e, g in zip(expected, got, strict=True):
        assert np.array_equal(e[0], g[0]) and np.array_equal(e[1], g[1]) and e[2] == g[2]


ENDING = """
    import threading, time
    import numpy as np, striate
    from striate import nn, optim
    from striate.data import DataLoader, TensorDataset
    striate.set_num_threads(2)
    def train():
        model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 8))
        optimizer = optim.SGD(model.parameters(), 0.1)
        data = TensorDataset(np.zeros((4096, 64), np.float32), np.zeros(4096, np.int64))
        while True:
            for x, y in DataLoader(data, 256, shuffle=True, num_workers=2):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
    for _ in range(3):
        threading.Thread(target=train, daemon=True).start()
    time.sleep({delay})
"""


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.31])
def test_the_process_may_end_while_threads_train(delay):
    """Also while a loader's threads read ahead."""
    done = python(ENDING.format(delay=delay), timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr


# --- interrupts -----------------------------------------------------------------------------------

LONG = {
    "gemm": "a = striate.ones(6000, 6000); b = a @ a",
    "conv": """
        x = striate.ones(16, 64, 224, 224); w = striate.ones(256, 64, 7, 7)
        nn.functional.conv2d(x, w)""",
    "pool": """
        x = striate.ones(1, 16, 1200, 1200)
        nn.functional.avg_pool2d(x, 151, 1)""",
    "training": """
        model = nn.Linear(64, 64); optimizer = optim.SGD(model.parameters(), 0.1)
        x = striate.ones(64, 64)
        while True:
            optimizer.zero_grad(); model(x).sum().backward(); optimizer.step()""",
    "loader": """
        data = TensorDataset(np.zeros((512, 8), np.float32))
        while True:
            for batch in DataLoader(data, 4, num_workers=2): pass""",
}


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("work", list(LONG))
def test_an_interrupt_is_obeyed_within_a_second(work, threads):
    code = textwrap.dedent("""
        import time
        import numpy as np, striate
        from striate import nn, optim
        from striate.data import DataLoader, TensorDataset
        striate.set_num_threads({threads})
        def work():
        {work}
        try:
            print("ready", flush=True)
            work()
            print("it ended by itself")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        assert (striate.ones(300, 300) @ striate.ones(300, 300))[0, 0].item() == 300
        print("usable")
    """).format(threads=threads, work=textwrap.indent(textwrap.dedent(LONG[work]), "    "))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        time.sleep(0.8)
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        line = child.stdout.readline()
        took = time.monotonic() - start
        out, err = child.stdout.read(), child.stderr.read()
    assert line == "interrupted\n", f"{line}{out}\n{err}"
    assert took < 1.0, f"it took {took:.2f} s"
    assert (out, child.returncode) == ("usable\n", 0), err


# --- iterators closed early -----------------------------------------------------------------------


def test_a_loader_left_early_stops_its_threads():
    before = threading.active_count()
    data = TensorDataset(np.zeros((1000, 4), np.float32))
    for _ in range(20):
        batches = iter(DataLoader(data, 4, num_workers=3))
        next(batches)
        batches.close()
        batches.close()
    for x, *_ in DataLoader(data, 4, num_workers=3):
        del x
        break
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_loader_dropped_in_an_exception_stops_its_threads():
    before = threading.active_count()
    data = TensorDataset(np.zeros((1000, 4), np.float32))
    with pytest.raises(ZeroDivisionError):
        for _ in DataLoader(data, 4, num_workers=3):
            raise ZeroDivisionError
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_tensor_changed_while_it_is_iterated():
    x = striate.arange(4)
    rows = iter(x)
    next(rows)
    x += 1
    assert [r.item() for r in rows] == [2, 3, 4]

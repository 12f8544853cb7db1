# SPDX-License-Identifier: Apache-2.0
"""Threads at once in everything that they share, for ThreadSanitizer: bash tests/sanitize.sh thread

Small and many: it is the order of events that is tested here, results are tested elsewhere.
"""

import threading

import numpy as np
import striate
from striate import _C, nn, optim
from striate.data import DataLoader, TensorDataset


def at_once(*functions):
    """Runs the functions at the same moment; raises the first exception of any."""
    start = threading.Barrier(len(functions))
    errors = []

    def run(function):
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def repeat(times, function):
    def run():
        for _ in range(times):
            function()

    return run


def test_the_first_calls_of_a_process():
    """Tables, ISA, pools and counts are made at first use: by all at once."""
    x = np.ones((200, 200), np.float32)
    at_once(
        lambda: _C.gemm(x, x),
        lambda: _C.add(x, x),
        lambda: _C.sum(x, (0,)),
        lambda: _C.rows(),
        lambda: _C.relu(x),
        lambda: _C.memory_stats(),
    )


def test_regions_from_many_threads():
    """One caller has the pool, the others run alone; the number of threads changes meanwhile."""
    _C.set_num_threads(3)
    x = np.random.default_rng(0).standard_normal((160, 160)).astype(np.float32)
    wide = np.ones((300, 1000), np.float32)

    def resize():
        for count in (1, 4, 2, 3) * 5:
            _C.set_num_threads(count)

    at_once(
        repeat(12, lambda: _C.gemm(x, x)),
        repeat(12, lambda: _C.gemm(x, x)),
        repeat(12, lambda: _C.sum(wide, (0, 1))),
        repeat(12, lambda: _C.add(wide, 1.0)),
        resize,
    )


def test_regions_one_after_the_other():
    """Workers asleep, awake and spinning."""
    _C.set_num_threads(4)
    x = np.ones((120, 120), np.float32)
    pause = threading.Event()
    for wait in (0, 0, 0, 1e-5, 1e-4, 0.01) * 8:
        _C.gemm(x, x)
        if wait:
            pause.wait(wait)


def test_errors_in_regions():
    """Workspaces that fail, on workers too."""
    _C.set_num_threads(3)
    x, w = (
        np.ones(shape, np.float32).transpose(0, 3, 1, 2)
        for shape in ((2, 40, 40, 64), (32, 3, 3, 64))
    )
    options = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    for n in range(1, 12):
        _C.memory_fail_at(n)
        try:
            _C.conv2d(x, w, **options)
        except MemoryError:
            pass
        finally:
            _C.memory_fail_at(0)


def test_blocks_that_change_threads():
    """Results are made by one thread and dropped by another; statistics and cap meanwhile."""
    shelf = []
    x = np.ones(5000, np.float32)

    def drop():
        for _ in range(200):
            if shelf:
                shelf.pop()

    def watch():
        for i in range(50):
            _C.memory_stats()
            _C.memory_reset_peak()
            _C.memory_set_cap((i % 3) << 16)
            _C.memory_trim()

    at_once(repeat(100, lambda: shelf.append(_C.add(x, 1.0))), drop, drop, watch)
    _C.memory_set_cap(1 << 30)


def test_pins_on_every_thread():
    x = np.ones(2000, np.float32)
    rows = [r["name"] for r in _C.rows() if r["name"].startswith("add_f32") and not r["why_not"]]

    def pinned(row):
        with _C.pin_rows([row]):
            _C.add(x, x)

    at_once(*(repeat(40, lambda row=row: pinned(row)) for row in rows * 2))


def test_loader_and_training():
    """The loader's threads convert batches while the caller trains on kernels' threads."""
    _C.set_num_threads(2)
    rng = np.random.default_rng(0)
    data = TensorDataset(
        rng.standard_normal((96, 1, 16, 16)).astype(np.float32), rng.integers(0, 4, 96)
    )
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(392, 4)
    )
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def brighter(batch, generator):
        x, y = batch
        return x * 1.5 + 0.1, y

    for epoch in range(2):
        for i, (x, y) in enumerate(
            DataLoader(data, 16, shuffle=True, num_workers=3, transform=brighter, seed=1)
        ):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            if epoch == 1 and i == 2:
                break  # with batches still being loaded


def test_networks_on_many_threads():
    def train():
        model = nn.Linear(40, 40)
        for _ in range(5):
            model(striate.ones(70, 40)).sum().backward()

    at_once(train, train, train)

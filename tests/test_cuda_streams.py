# SPDX-License-Identifier: Apache-2.0
"""A backward on another stream than its forward: events before and after it.

The fake driver's log tells the order in which launches, records and waits were queued.
"""

import pytest
import subprocesses

HEAD = """
import os
import threading

import cupy
import numpy as np
import striate
from cupy import cuda
from striate import nn

LOG = open(os.environ["FAKE_LOG"])
NAMES = {"(nil)": "null"}

def stream(name, **options):
    made = cuda.Stream(**options)
    NAMES[hex(made.ptr)] = name
    return made

def queued():
    '''What came to streams since the last time: launch, record or wait, and where.'''
    found, events = [], {}
    for line in LOG.readlines():
        call = line.split()[1:]
        if call[0] == "cuLaunchKernel":
            step = "launch " + NAMES[call[call.index("stream") + 1]]
            if found[-1:] != [step]:
                found.append(step)
        if call[0] == "cuEventRecord":
            events[call[4]] = NAMES[call[2]]
        if call[0] == "cuStreamWaitEvent":
            found.append(f"{NAMES[call[2]]} waits for {events[call[4]]}")
    return ", ".join(found)

def loss_of(x):
    return (x * x).exp().sum()

def made(**options):
    return striate.full((4, 5), 0.5, requires_grad=True, **{"device": "cuda", **options})

def right(x):
    np.testing.assert_allclose(x.grad.cpu().numpy(), np.exp(0.25), 1e-6)
"""


@pytest.fixture
def on_gpu(fake_gpu, tmp_path):
    """Runs code on the fake GPU, with a log of its own."""

    def run(code, **variables):
        (tmp_path / "log").write_text("")
        environment = {**fake_gpu, "FAKE_LOG": str(tmp_path / "log"), **variables}
        return subprocesses.succeeds(HEAD + code, **environment).splitlines()

    return run


def test_on_one_stream_nothing_is_waited_for(on_gpu):
    out = on_gpu("""
x, a = made(), stream("a")
queued()
loss_of(x).backward()
print(queued())
right(x)
with a:
    y = made()
    x.grad = None
""")
    assert out == ["launch null"]


def test_the_forward_is_waited_for_and_waits(on_gpu):
    """What backward reads is there, and what it frees is not written to before it has ended."""
    out = on_gpu("""
a, b = stream("a"), stream("b", non_blocking=True)
with a:
    x = made()
    queued()
    loss = loss_of(x)
with b:
    loss.backward()
print(queued())
right(x)
with a:
    loss_of(x)
print(queued())
""")
    assert out == ["launch a, b waits for a, launch b, a waits for b", "launch a"]


def test_branches_on_two_streams(on_gpu):
    out = on_gpu("""
a, b = stream("a"), stream("b")
x = made()
with a:
    first = loss_of(x)
with b:
    second = loss_of(x * 1.0)
queued()
(first + second).backward()
print(queued())
np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * np.exp(0.25), 1e-6)
""")
    assert out == [
        "launch null, null waits for a, null waits for b, launch null, a waits for null, "
        "b waits for null"
    ]


def test_grad_and_several_outputs(on_gpu):
    out = on_gpu("""
a, b = stream("a"), stream("b")
with a:
    x = made()
    losses = [loss_of(x), loss_of(x)]
queued()
with b:
    found, = striate.autograd.grad(losses, [x])
print(queued())
np.testing.assert_allclose(found.cpu().numpy(), 2 * np.exp(0.25), 1e-6)
""")
    assert out == ["b waits for a, launch b, a waits for b"]


def test_a_forward_of_cupys_functions_alone(on_gpu):
    """Indexing is CuPy's: no launch of ours tells the stream."""
    out = on_gpu("""
a = stream("a")
x = made()
queued()
with a:
    row = x[1]
row.backward(striate.ones(5, device="cuda"))
print(queued())
assert x.grad.sum().item() == 5
""")
    assert out[0].startswith("null waits for a") and out[0].endswith("a waits for null")


def test_an_error_in_backward_leaves_the_streams_in_order(on_gpu):
    out = on_gpu("""
a, b = stream("a"), stream("b")
with a:
    x = made()
    loss = loss_of(x)
    with striate.no_grad():
        x += 1.0
queued()
with b:
    try:
        loss.backward()
    except RuntimeError as error:
        print(error)
print(queued())
""")
    assert "changed in place" in out[0]
    assert out[1].startswith("b waits for a") and out[1].endswith("a waits for b")


def test_the_other_streams_of_a_thread_are_its_own(on_gpu):
    """Two threads train, each on its stream: neither waits for the other."""
    out = on_gpu("""
a, b = stream("a"), stream("b")
turns = [threading.Event() for _ in range(3)]

def first():
    with a:
        x = made()
        loss = loss_of(x)
        turns[0].set(), turns[1].wait()
        loss.backward()
        right(x)
        turns[2].set()

def second():
    turns[0].wait()
    with b:
        x = made()
        loss = loss_of(x)
        turns[1].set(), turns[2].wait()
        loss.backward()
        right(x)

threads = [threading.Thread(target=f) for f in (first, second)]
for t in threads: t.start()
for t in threads: t.join()
print("waits" in queued())
""")
    assert out == ["False"]


def test_two_gpus(on_gpu):
    """Each GPU's streams among themselves, with its events."""
    out = on_gpu("""
with cuda.Device(1):
    a, b = stream("a"), stream("b")
    with a:
        x = made(device="cuda:1")
        loss = loss_of(x)
z = made(device="cuda:0")
other = loss_of(z)
queued()
with cuda.Device(1), b:
    loss.backward()
print(queued())
right(x)
assert cuda.Device().id == 0
""")
    assert out == ["b waits for a, launch b, a waits for b"]


def test_a_stream_that_is_captured_stays_alone(on_gpu):
    out = on_gpu("""
a = stream("a", non_blocking=True)
held, alloc = [], cuda.alloc
cuda.alloc = lambda size: held.append(alloc(size)) or held[-1]
x = made()
loss_of(x).backward()
queued()
with a:
    loss_of(x).backward()  # waits for the null stream
    x.grad.zero_()
    queued()
    a.begin_capture()
    loss_of(x).backward()
    a.end_capture()
    print(queued())
""")
    assert out == ["launch a"]


def test_only_so_many_streams_are_remembered(on_gpu):
    out = on_gpu("""
x = made()
streams = [stream(str(i)) for i in range(20)]
for s in streams:
    with s:
        loss = loss_of(x)
queued()
loss.backward()
said = queued()
print(said.count("null waits for"), said.count("waits for null"))
print(*(f"null waits for {i}," in said for i in (3, 4, 19)))
""")
    assert out == ["16 16", "False True True"]


def test_a_thread_without_work_on_a_gpu_asks_nothing(on_gpu):
    out = on_gpu("""
from striate.autograd import streams
x = striate.ones(3, requires_grad=True)
streams.ordered = None  # would be called
(x * x).sum().backward()
print(x.grad.tolist(), streams.noted.streams)
""")
    assert out == ["[2.0, 2.0, 2.0] {}"]

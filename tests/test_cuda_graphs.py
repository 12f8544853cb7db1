# SPDX-License-Identifier: Apache-2.0
"""Sequences that come again as one launch: CUDA graphs, on a driver that is a fake.

It holds a captured stream's kernels and runs them when the graph is launched, and refuses what the
real one refuses meanwhile. Its log tells what was launched; results are held against NumPy. Memory
comes from a pool as CuPy's does, so addresses come again.
"""

import re

import pytest
import subprocesses

# A layer of rnn_tanh, the results of its equations in float64, and what the driver was asked for.
HEAD = """
import os
import threading

import cupy
import numpy as np
import striate
from striate import nn

RNG = np.random.default_rng(2)
striate.manual_seed(1)
LOG = open(os.environ["FAKE_LOG"])

def calls():
    return [line.split(" ", 1)[1].strip() for line in LOG.readlines()]

def counts():
    names = [call.split()[0] for call in calls()]
    plain = sum(n == "cuLaunchKernel" for n in names)
    return plain, names.count("cuStreamBeginCapture_v2"), names.count("cuGraphLaunch")

def filled(x):
    host = RNG.standard_normal(x.shape).astype("f4")
    x._array.set(host)
    return host.astype("f8")

def want(layer, x):
    w, u, b, c = (p.detach().cpu().numpy().astype("f8") for p in layer.parameters())
    h, found = np.zeros((x.shape[1], len(u))), []
    for step in x:
        h = np.tanh(step @ w.T + b + h @ u.T + c)
        found.append(h)
    return np.stack(found)

def layer(inputs=3, hidden=5, **options):
    return nn.RNN(inputs, hidden, **options).to("cuda")

def check(model, x, call=None):
    host = filled(x)
    with striate.no_grad():
        y, h = (call or model)(x)
    expected = want(model, host)
    np.testing.assert_allclose(y.cpu().numpy(), expected, 2e-5, 2e-6)
    np.testing.assert_allclose(h.cpu().numpy()[0], expected[-1], 2e-5, 2e-6)
"""


@pytest.fixture
def on_gpu(fake_gpu, tmp_path):
    """Runs code on the fake GPU, with a log of its own."""

    def run(code, **variables):
        (tmp_path / "log").write_text("")
        environment = {**fake_gpu, "FAKE_LOG": str(tmp_path / "log"), "FAKE_POOL": "1", **variables}
        return subprocesses.succeeds(HEAD + code, 300, **environment)

    return run


def test_plain_then_captured_then_one_launch(on_gpu):
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
for i in range(4):
    check(model, x)
    said = calls()
    names = [c.split()[0] for c in said]
    print(*[n for n in names if "Graph" in n or "Captur" in n])
    print(sum(c.startswith("cuLaunchKernel") for c in said), sum("captured" in c for c in said))
    print(*[c for c in said if c.startswith(("cuGraphLaunch", "cuStreamBegin"))], sep=", ")
""")
    lines = [out.splitlines()[i : i + 3] for i in range(0, 12, 3)]
    names = [line[0].split() for line in lines]
    assert names[0] == ["cuStreamIsCapturing"]
    assert names[1] == [
        "cuStreamIsCapturing",
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphGetNodes",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
        "cuGraphLaunch",
    ]
    assert names[2] == names[3] == ["cuStreamIsCapturing", "cuGraphLaunch"]
    kernels = [tuple(map(int, line[1].split())) for line in lines]
    all_of_it = kernels[1][1]
    assert all_of_it > 2 * 6  # two a step, and those over all rows
    assert kernels[0][1] == kernels[2][1] == 0
    assert kernels[1][0] == kernels[0][0]  # in the second call none is launched but into the graph
    assert kernels[2][0] == kernels[3][0] == kernels[0][0] - all_of_it
    launch = f"cuGraphLaunch {all_of_it} kernels stream (nil)"
    assert lines[1][2] == f"cuStreamBeginCapture_v2 1, {launch}"
    assert lines[2][2] == lines[3][2] == launch


def test_on_the_current_stream(on_gpu):
    out = on_gpu("""
stream = cupy.cuda.Stream()
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
with stream:
    for i in range(3):
        check(model, x)
print(hex(stream.ptr))
print(*{c.split()[-1] for c in calls() if c.startswith("cuGraphLaunch")})
""")
    pointer, used = out.splitlines()
    assert used == pointer


def test_forward_and_backward_of_a_training_loop(on_gpu):
    """The gradients of a loop by graphs, against those of the CPU device."""
    out = on_gpu("""
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    there = kind(3, 5, num_layers=2, bidirectional=True).to("cuda")
    here = kind(3, 5, num_layers=2, bidirectional=True)
    here.load_state_dict({k: v.cpu() for k, v in there.state_dict().items()})
    x, dy = striate.zeros(5, 2, 3, device="cuda"), striate.zeros(5, 2, 10, device="cuda")
    for i in range(6):
        host, slope = filled(x), filled(dy)
        for model, given, back in (
            (there, x, dy),
            (here, striate.tensor(host.astype("f4")), striate.tensor(slope.astype("f4"))),
        ):
            model.zero_grad()
            y = model(given)[0]
            y.backward(back)
        for a, b in zip(there.parameters(), here.parameters(), strict=True):
            got = a.grad.cpu().numpy()
            np.testing.assert_allclose(got, b.grad.numpy(), 2e-4, 2e-5)
        del y
    print(*counts())
""")
    for line in out.splitlines():
        plain, captures, launches = map(int, line.split())
        assert plain > 0 and captures >= 4 and launches > captures  # some addresses came again


def test_a_key_holds_all_that_matters(on_gpu):
    """Calls that differ in one thing come in turn: each has its own graph, or none."""
    out = on_gpu("""
a, b = layer(), layer()
relu = layer(nonlinearity="relu")
relu.load_state_dict(a.state_dict())
x, z = striate.zeros(6, 2, 3, device="cuda"), striate.zeros(6, 2, 3, device="cuda")
longer = striate.zeros(7, 2, 3, device="cuda")
state = striate.ones(1, 2, 5, device="cuda")
for i in range(4):
    for x_now in (x, z, longer):
        check(a, x_now), check(b, x_now)
    x._array.set(np.abs(RNG.standard_normal((6, 2, 3))).astype("f4"))
    with striate.no_grad():
        flat = a(x)[0].cpu().numpy(), relu(x)[0].cpu().numpy(), a(x, state)[0].cpu().numpy()
    host = x.cpu().numpy().astype("f8")
    np.testing.assert_allclose(flat[0], want(a, host), 2e-5, 2e-6)
    assert flat[1].min() == 0 or flat[1].max() > 1
    assert np.abs(flat[2] - flat[0]).max() > 1e-2
print(*counts())
""")
    plain, captures, launches = map(int, out.split())
    assert plain and captures == 8 and launches > captures


def test_a_key_holds_the_precision(on_gpu):
    """It chooses the kernels of the products."""
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
for i in range(3):
    for precision in ("highest", "high"):
        striate.set_float32_precision(precision)
        check(model, x)
        said = [c for c in calls() if "captured" in c and "gemm" in c]
        print(precision, len(said), *(sum(m in c for c in said) for m in ("simt", "3xtf32")))
""")
    counts = [list(map(int, line.split()[1:])) for line in out.splitlines()]
    products = counts[2][0]
    assert products >= 7  # of x, and one a step
    assert counts[2:4] == [[products, products, 0], [products, 0, products]]
    assert counts[:2] == counts[4:] == [[0, 0, 0]] * 2


def test_a_key_holds_the_lengths(on_gpu):
    """As many steps and rows, at the same addresses."""
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 3, 3, device="cuda")
here = nn.RNN(3, 5)
here.load_state_dict({k: v.cpu() for k, v in model.state_dict().items()})
with striate.no_grad():
    for i in range(4):
        for lengths in ([6, 4, 2], [6, 3, 3]):
            host = striate.tensor(filled(x).astype("f4"))
            got, want = (m(t, lengths=lengths)[0] for m, t in ((model, x), (here, host)))
            np.testing.assert_allclose(got.cpu().numpy(), want.numpy(), 2e-5, 2e-6)
print(*counts()[1:])
""")
    assert out == "2 6"


def test_short_sequences_are_launched_plainly(on_gpu):
    out = on_gpu("""
model, x = layer(), striate.zeros(3, 2, 3, device="cuda")
for i in range(4):
    check(model, x)
print(*counts())
""")
    assert out.split()[1:] == ["0", "0"]


def test_while_the_caller_captures(on_gpu):
    """The launches join the caller's graph, whose memory the caller keeps."""
    out = on_gpu("""
held, alloc = [], cupy.cuda.alloc
cupy.cuda.alloc = lambda size: held.append(alloc(size)) or held[-1]
stream = cupy.cuda.Stream(non_blocking=True)
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
with stream, striate.no_grad():
    for i in range(3):
        check(model, x)
    calls()
    stream.begin_capture()
    y, h = model(x)
    graph = stream.end_capture()
    print(*counts()[1:])
    for i in range(2):
        host = filled(x)
        graph.launch()
        np.testing.assert_allclose(y.cpu().numpy(), want(model, host), 2e-5, 2e-6)
""")
    assert out == "1 0"  # the caller's


FAILING = [
    "cuStreamBeginCapture_v2:1:900",
    "cuStreamEndCapture:1:901",
    "cuGraphGetNodes:1:1",
    "cuGraphInstantiateWithFlags:1:2",
    "cuStreamIsCapturing:3:906",
]


@pytest.mark.parametrize("failing", FAILING)
def test_where_no_graph_can_be_made(on_gpu, failing):
    out = on_gpu(
        """
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
for i in range(4):
    check(model, x)
print(*counts()[1:])
""",
        FAKE_FAIL=failing,
    )
    captures, launches = map(int, out.split())
    if "IsCapturing" in failing:  # that call alone is plain
        assert launches == 2
    else:
        assert (captures, launches) == (1, 0)  # not tried again


def test_no_stream_to_capture(on_gpu):
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
check(model, x)
os.environ["FAKE_FAIL"] = "cuStreamCreate:1:2"
for i in range(3):
    check(model, x)
print(*counts()[1:])
""")
    assert out == "0 0"


def test_a_launch_that_fails_while_captured(on_gpu):
    """The capture is given up, and the plain launch tells or succeeds."""
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
check(model, x)
calls()
os.environ["FAKE_FAIL"] = "cuLaunchKernel:4:1"
for i in range(2):
    check(model, x)
said = calls()
print(sum(c.startswith("cuGraphDestroy") for c in said), *counts()[1:])
print(sum(c.startswith("cuStreamDestroy") for c in said))
""")
    assert out.split() == ["1", "0", "0", "1"]


def test_an_error_names_the_graph(on_gpu):
    out = on_gpu("""
model, x = layer(), striate.zeros(6, 2, 3, device="cuda")
for i in range(2):
    check(model, x)
os.environ["FAKE_FAIL"] = "cuGraphLaunch:1:700"
try:
    check(model, x)
except RuntimeError as error:
    print(error)
""")
    assert re.match(
        r"cuda: rnn_forward: a graph of \d+ kernels, device 0: CUDA_ERROR_ILLEGAL_ADDRESS", out
    )


def test_the_oldest_keys_go(on_gpu):
    """A graph stays while 127 other keys come, and goes with the next one."""
    out = on_gpu("""
model, x = layer(1, 1), striate.zeros(4, 1, 1, device="cuda")
others = [striate.zeros(4, 1, 1, device="cuda") for _ in range(255)]

def come(some):
    with striate.no_grad():
        for other in some:
            model(other)
    destroyed = sum(c.startswith("cuGraphExecDestroy") for c in calls())
    check(model, x)
    print(destroyed, *counts()[1:])

check(model, x), check(model, x)
come(others[:127]), come(others[127:])
""")
    assert out.splitlines() == ["0 0 1", "1 0 0"]


def test_no_more_kernels_than_there_is_room_for(on_gpu):
    out = on_gpu(
        """
model, x, z = layer(), *(striate.zeros(6, 2, 3, device="cuda") for _ in range(2))
for i in range(4):
    check(model, x), check(model, z)
print(*counts()[1:])
""",
        FAKE_GRAPH_KERNELS="5000",
    )
    assert out == "2 3"  # the second is captured, and found not to fit


def test_threads_and_devices(on_gpu):
    out = on_gpu("""
failed = []

def work(device):
    try:
        with cupy.cuda.Device(device), cupy.cuda.Stream(non_blocking=True):
            model = nn.RNN(3, 5).to(f"cuda:{device}")
            x = striate.zeros(6, 2, 3, device=f"cuda:{device}")
            for i in range(5):
                check(model, x)
    except BaseException as error:
        failed.append(repr(error))

threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(*failed, *counts()[1:])
""")
    captures, launches = map(int, out.split())
    assert launches >= captures >= 4  # addresses change hands between threads

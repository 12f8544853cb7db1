# SPDX-License-Identifier: Apache-2.0
"""Speed and memory beside their targets, on this machine: python benchmarks/targets.py

Peaks are measured beside the rows, rivals are interleaved with our runs in one process, times are
medians (and quartiles, in the JSON). PyTorch is compared with where it is installed. Nothing else
should run meanwhile. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

import numpy as np
import striate
from striate import _C, nn, optim
from striate.bench import clock
from striate.bench.meter import Meter
from striate.bench.peers import Rival
from striate.models import lenet

try:
    import torch
except ImportError:
    torch = None

ROWS: list[dict] = []


def row(group, name, threads, value, unit, target, met, **more):
    """One line of the table, and of the JSON."""
    ROWS.append(
        {
            "group": group, "name": name, "threads": threads, "value": value, "unit": unit,
            "target": target, "met": bool(met), **more,
        }
    )  # fmt: skip
    peer = f"  torch {more['torch']:.3g} {unit}" if more.get("torch") else ""
    share = f"  {more['share']:.0%} of peak {more['peak']:.0f}" if "share" in more else ""
    mark = "met " if met else "MISS"
    print(
        f"{mark} {group:9} {name:34} {threads}T {value:8.3g} {unit:5} target {target}{share}{peer}"
    )


def set_threads(count):
    """Ours and theirs."""
    striate.set_num_threads(count)
    if torch:
        torch.set_num_threads(count)


def rivals(*functions, seconds=0.75):
    """Median seconds of each function, with the quartiles, run in turns."""
    times = clock.turns([Rival("", f) for f in functions], seconds)
    found = map(clock.summary, times)
    return [(t["median"], t["q1"], t["q3"]) for t in found]


def peak():
    """The multiply-add rate of the threads in use, GF/s."""
    return Meter(_C.num_threads()).peak() / 1e9


def against_peak(group, name, threads, flops, ours, theirs, target):
    """A row in GF/s, beside the larger of the peaks before and after."""
    before = peak()
    timed = rivals(*[f for f in (ours, theirs) if f])
    top = max(before, peak())
    rate = flops / timed[0][0] / 1e9
    more = {"peak": top, "share": rate / top, "quartiles": [flops / t / 1e9 for t in timed[0][1:]]}
    if theirs:
        more["torch"] = flops / timed[1][0] / 1e9
    row(group, name, threads, rate, "GF/s", f">= {target:.0%}", rate / top >= target, **more)


def gemm(threads):
    for n in (512, 1024, 2048):
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
        c = np.empty((n, n), np.float32)
        theirs = None
        if torch:
            ta, tb, tc = (torch.from_numpy(x) for x in (a, b, np.empty_like(c)))

            def theirs(ta=ta, tb=tb, tc=tc):
                torch.mm(ta, tb, out=tc)

        def ours(a=a, b=b, c=c):
            _C.gemm(a, b, out=c)

        against_peak("gemm", f"{n} x {n} x {n}", threads, 2 * n**3, ours, theirs, 0.90)


LAYERS = [  # N, C, H = W, K: 3x3, stride 1, padding 1
    (4, 64, 224, 64), (4, 128, 112, 128), (4, 256, 56, 256), (4, 512, 28, 512), (4, 512, 14, 512),
    (8, 64, 56, 64), (8, 256, 14, 256), (8, 512, 7, 512),
]  # fmt: skip


def images(rng, *shape):
    n, c, h, w = shape
    return rng.standard_normal((n, h, w, c)).astype(np.float32).transpose(0, 3, 1, 2)


OPTIONS = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def conv(threads):
    for layer in LAYERS:
        conv_layer(threads, *layer)


def conv_layer(threads, n, c, h, k):
    rng = np.random.default_rng(0)
    x, w, dy = images(rng, n, c, h, h), images(rng, k, c, 3, 3), images(rng, n, k, h, h)
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    passes = {
        "fwd": lambda: _C.conv2d(x, w, out=y, **OPTIONS),
        "bwd_data": lambda: _C.conv2d_bwd_data(dy, w, size=(h, h), out=dx, **OPTIONS),
        "bwd_weight": lambda: _C.conv2d_bwd_weight(x, dy, size=(3, 3), out=dw, **OPTIONS),
    }
    theirs = dict.fromkeys(passes)
    if torch:
        tx, tw, tdy = (torch.from_numpy(a) for a in (x, w, dy))

        def backward(mask):
            torch.ops.aten.convolution_backward(
                tdy, tx, tw, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask
            )

        theirs = {
            "fwd": lambda: torch.nn.functional.conv2d(tx, tw, padding=1),
            "bwd_data": lambda: backward([True, False, False]),
            "bwd_weight": lambda: backward([False, True, False]),
        }
    flops = 2 * n * k * h * h * c * 9
    for name, ours in passes.items():
        label = f"{n}x{c}x{h}x{h}, {k} {name}"
        against_peak("conv 3x3", label, threads, flops, ours, theirs[name], 0.80)


def per_call(function, number=20000):
    """Seconds a call: the best of many short runs, as timeit advises for short calls."""
    return min(timeit.repeat(function, number=number, repeat=25)) / number


def overhead(threads):
    a = striate.Tensor(np.ones((4, 4), np.float32))
    w = striate.Tensor(np.ones((4, 4), np.float32), requires_grad=True)

    def case():
        w.grad = None
        (a @ w).relu().sum().backward()

    peers = [None] * 3
    if torch:
        ta, tw = torch.ones(4, 4), torch.ones(4, 4, requires_grad=True)

        def their_case():
            tw.grad = None
            (ta @ tw).relu().sum().backward()

        peers = [lambda: ta + ta, lambda: ta + tw, their_case]
    cases = [
        ("a + b at 4x4", lambda: a + a, 0.6),
        ("a + b at 4x4, with gradient", lambda: a + w, 0.8),
        ("matmul, relu, sum, backward at 4x4", case, 8.0),
    ]
    for (name, ours, target), theirs in zip(cases, peers, strict=True):
        value = per_call(ours, 2000 if target > 1 else 20000) * 1e6
        more = {"torch": per_call(theirs, 2000) * 1e6} if theirs else {}
        row("overhead", name, threads, value, "us", f"<= {target}", value <= target, **more)


def run_python(code, *arguments, env=None):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=True, env=env,
    )  # fmt: skip
    return done.stdout


def import_time():
    """With compiled modules, as an installed package has them, wherever this environment is."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    times = {"numpy": [], "striate": []}
    with tempfile.TemporaryDirectory() as compiled:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(21):
            for module, taken in times.items():
                taken.append(float(run_python(code.format(module), env=env)))
    numpy, ours = (statistics.median(t[1:]) for t in times.values())
    extra = ours - numpy
    row(
        "import", "striate, over numpy's", 1, extra * 1e3, "ms", "<= 60", extra <= 0.06,
        numpy=numpy, striate=ours,
    )  # fmt: skip


def torch_lenet(channels_last):
    """The twin of striate.models.lenet."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(800, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU(),
        torch.nn.Linear(84, 10),
    )  # fmt: skip
    return net.to(memory_format=torch.channels_last) if channels_last else net


def striate_step(batch=64):
    rng = np.random.default_rng(0)
    x = striate.Tensor(rng.standard_normal((batch, 1, 28, 28)).astype(np.float32))
    y = striate.Tensor(rng.integers(0, 10, batch))
    net = lenet()
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def torch_step(channels_last=True, batch=64):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((batch, 1, 28, 28)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 10, batch))
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    net = torch_lenet(channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def training(threads):
    steps = [striate_step()] + ([torch_step(False), torch_step(True)] if torch else [])
    timed = [t[0] * 1e3 for t in rivals(*steps, seconds=1.5)]
    if not torch:
        row("training", "LeNet step, batch 64", threads, timed[0], "ms", "2x torch's speed", False)
        return
    best = min(timed[1:])
    row(
        "training", "LeNet step, batch 64", threads, timed[0], "ms", "2x torch's speed",
        best / timed[0] >= 2, torch=best, ratio=best / timed[0],
    )  # fmt: skip


MEMORY = """
import sys
sys.path.insert(0, sys.argv[2])
def status(key):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key))
import targets
step = targets.striate_step if sys.argv[1] == "striate" else targets.torch_step
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")  # the peak starts from here
base = status("VmRSS")
run = step(batch=512)
for _ in range(20):
    run()
print(status("VmHWM") - base)
"""


def memory():
    here = str(Path(__file__).parent)
    ours = float(run_python(MEMORY, "striate", here)) / 2**20
    theirs = float(run_python(MEMORY, "torch", here)) / 2**20 if torch else None
    more = {"torch": theirs} if theirs else {}
    row(
        "memory", "LeNet training, batch 512, peak", 2, ours, "MiB", "<= torch's",
        theirs is not None and ours <= theirs, **more,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print(f"{_C.cpu_name()}, {_C.isa()}, striate {striate.__version__}", end="")
    print(f", torch {torch.__version__}" if torch else ", no torch here: nothing to compare with")
    for threads in arguments.threads:
        set_threads(threads)
        for measure in (gemm, conv, training):
            measure(threads)
    set_threads(1)
    overhead(1)
    import_time()
    set_threads(max(arguments.threads))
    memory()
    print(f"{sum(r['met'] for r in ROWS)} of {len(ROWS)} targets met")
    if arguments.json:
        machine = {"cpu": _C.cpu_name(), "isa": _C.isa(), "python": platform.python_version()}
        versions = {"striate": striate.__version__, "numpy": np.__version__}
        if torch:
            versions["torch"] = torch.__version__
        record = {"machine": machine, "versions": versions, "rows": ROWS}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

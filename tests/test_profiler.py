# SPDX-License-Identifier: Apache-2.0
"""The profiler and the search for NaN: what they say, and that nothing of them stays behind."""

import json
import threading

import pytest
import striate
from striate import cli, nn, profiler
from striate.autograd import Function, detect_anomaly, observe, set_detect_anomaly, tape
from striate.nn import functional as F
from striate.ops.record import Op
from striate.optim.optimizer import Optimizer


def watched():
    """The methods that observers replace."""
    return (
        Op.__call__,
        Op.of_one,
        Op.of_two,
        nn.Module.__call__,
        Optimizer.step,
        striate.Tensor.backward,
    )


@pytest.fixture(autouse=True)
def _nothing_stays():
    before = watched()
    yield
    assert watched() == before and not tape.heeded and not observe._observers
    with profiler.profile() as prof:
        pass
    assert prof.events == []


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x):
        return self.rest(self.first(x)) + 1


def step(model, optimizer=None):
    loss = F.mse_loss(model(striate.ones(5, 3)), striate.zeros(5, 2))
    loss.backward()
    if optimizer is not None:
        optimizer.step()
    return loss


# --- the profiler ---------------------------------------------------------------------------------


def test_every_operation_forward_and_backward_with_its_module():
    model = Net()
    with profiler.profile(record_shapes=True) as prof:
        step(model, striate.optim.SGD(model.parameters(), lr=0.1))
    seen = [(e.name, e.kind, e.module) for e in prof.events]
    assert seen == [
        ("linear", "forward", "first (Linear)"),
        ("first (Linear)", "module", "first (Linear)"),
        ("tanh", "forward", "rest.0 (Tanh)"),
        ("rest.0 (Tanh)", "module", "rest.0 (Tanh)"),
        ("linear", "forward", "rest.1 (Linear)"),
        ("rest.1 (Linear)", "module", "rest.1 (Linear)"),
        ("rest (Sequential)", "module", "rest (Sequential)"),
        ("add", "forward", "Net"),
        ("Net", "module", "Net"),
        ("mse_loss", "forward", ""),
        ("mse_loss", "backward", ""),
        ("add", "backward", "Net"),
        ("linear", "backward", "rest.1 (Linear)"),
        ("tanh", "backward", "rest.0 (Tanh)"),
        ("linear", "backward", "first (Linear)"),
        ("backward", "sweep", ""),
        ("SGD.step", "step", ""),
    ]
    assert prof.events[0].shapes == ((5, 3), (4, 3), (4,))


def test_gradients_and_results_are_the_same_as_without():
    model = Net()
    expected = step(model).item()
    grads = [p.grad.tolist() for p in model.parameters()]
    model.zero_grad()
    with profiler.profile(), detect_anomaly():
        assert step(model).item() == expected
    assert [p.grad.tolist() for p in model.parameters()] == grads


def test_what_needs_no_gradient_is_seen_too():
    x = striate.ones(3)
    with profiler.profile() as prof, striate.no_grad():
        x + x, x * 2, 3 - x, x.exp(), x @ x
    assert [e.name for e in prof.events if e.kind == "forward"][:4] == ["add", "mul", "sub", "exp"]


def test_times_add_up():
    model = Net()
    with profiler.profile() as prof:
        for _ in range(3):
            step(model)
    events = {e.name: e for e in prof.events if e.kind == "module"}
    net, rest = events["Net"], events["rest (Sequential)"]
    children = events["first (Linear)"].duration + rest.duration
    assert 0 < net.own < net.own_module <= net.duration - children
    assert sum(e.own for e in prof.events) * 1e-9 < prof.seconds
    assert all(0 <= e.own <= e.duration and e.start >= 0 for e in prof.events)
    rows = {row.name: row for row in prof.rows()}
    assert rows["linear"].calls == 6 and rows["linear (backward)"].calls == 6
    assert rows["linear"].average == rows["linear"].total / 6
    assert rows["backward"].total > rows["backward"].self_time
    by_module = {row.name: row for row in prof.rows(by="module")}
    assert by_module["first (Linear)"].calls == 3 and by_module["first (Linear)"].backward > 0
    assert [r.self_time for r in prof.rows()] == sorted(r.self_time for r in prof.rows())[::-1]
    assert [r.name for r in prof.rows(sort_by="name")] == sorted(rows)


def test_tables():
    with profiler.profile(record_shapes=True, profile_memory=True) as prof:
        x = striate.ones(64, 64)
        y = x @ x
    assert y.shape == (64, 64)
    assert prof.rows()[0].memory >= 64 * 64 * 4
    text = prof.table(by="op and shape")
    head, rule, line, total = text.splitlines()
    assert head.split()[-3:] == ["Average", "Memory", "Shapes"]
    assert set(rule) == {"-"} and "(64, 64) (64, 64)" in line and "100.0%" in line
    assert "in what is listed" in total
    model = Net()
    with profiler.profile() as prof:
        step(model)
    text = prof.table(sort_by="calls", row_limit=2)
    assert "… and " in text and text.splitlines()[2].startswith("linear")
    assert "first (Linear)" in prof.table(by="module")


def test_chrome_trace(tmp_path):
    model = Net()
    prof = profiler.profile(record_shapes=True, profile_memory=True)
    with prof, profiler.record_function("a step"):
        step(model)
    path = tmp_path / "trace.json"
    prof.export_chrome_trace(path)
    trace = json.loads(path.read_text())
    spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(spans) == len(prof.events)
    assert {e["cat"] for e in spans} == {"forward", "backward", "module", "sweep", "range"}
    assert all({"name", "ts", "dur", "pid", "tid", "args"} <= set(e) for e in spans)
    names = {(e["name"], e["args"].get("name")) for e in trace["traceEvents"] if e["ph"] == "M"}
    assert ("process_name", "striate") in names and ("thread_name", "MainThread") in names
    spans.sort(key=lambda e: (e["ts"], -e["dur"]))
    open_ends = []  # spans of one thread nest: none crosses the end of the one around it
    for e in spans:
        end = e["ts"] + e["dur"]
        while open_ends and open_ends[-1] <= e["ts"]:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1] + 1e-6
        open_ends.append(end)
    (outer,) = [e for e in spans if e["name"] == "a step"]
    assert outer["dur"] >= max(e["dur"] for e in spans)


def test_threads_have_lines_of_their_own():
    model = Net()
    with profiler.profile() as prof:
        threads = [threading.Thread(target=step, args=(model,), name=f"t{i}") for i in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len({e.thread for e in prof.events}) == 3
    assert sum(e.name == "Net" for e in prof.events) == 3
    assert set(prof._threads.values()) == {"t0", "t1", "t2"}


def test_errors_pass_and_leave_the_stack_clean():
    model = Net()
    with profiler.profile() as prof:
        with pytest.raises(ValueError, match="first"):
            model(striate.ones(5, 7))
        with pytest.raises(TypeError):
            striate.add(striate.ones(2), object())
        step(model)
    assert not prof._local.open and not prof._modules.modules
    assert [e.name for e in prof.events][:2] == ["linear", "first (Linear)"]


def test_custom_functions_and_what_is_in_them():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            return x + x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = striate.tensor([1.0], requires_grad=True)
    with profiler.profile() as prof:
        Double.apply(x).backward()
    names = [(e.name, e.kind) for e in prof.events]
    assert names[:2] == [("add", "forward"), ("Double", "forward")]
    assert ("Double", "backward") in names
    assert x.grad.tolist() == [2.0]


def test_events_beyond_the_most_are_counted():
    with profiler.profile(max_events=2) as prof:
        for _ in range(5):
            striate.ones(2) + 1
    assert len(prof.events) == 2 and prof.dropped == 3
    assert "3 events beyond max_events=2 left out" in prof.table()


def test_profiles_do_not_nest_and_are_used_once():
    with profiler.profile() as prof:
        with pytest.raises(RuntimeError, match="profiles do not nest"), profiler.profile():
            pass
        striate.ones(2) + 1
    assert len(prof.events) == 1
    with pytest.raises(RuntimeError, match="used already"), prof:
        pass
    with profiler.record_function("off"):
        pass


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: profiler.profile(record_shapes=1), TypeError, "record_shapes: expected a bool"),
        (lambda: profiler.profile(max_events=0), ValueError, "max_events: expected an integer of"),
        (lambda: profiler.record_function(3), TypeError, "name: expected a string, got 3"),
        (lambda: profiler.profile().rows(by="x"), ValueError, "by: expected one of 'op'"),
        (lambda: profiler.profile().table("size"), ValueError, "sort_by: expected one of"),
        (lambda: profiler.profile().rows(by="op and shape"), ValueError, "record_shapes=True"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- the search for NaN ---------------------------------------------------------------------------


def broken_net():
    model = Net()
    with striate.no_grad():
        model.rest[1].weight.fill_(float("nan"))
    return model


def test_the_first_nan_of_the_forward_is_named():
    class Logarithm(nn.Module):
        def forward(self, x):
            return (x - 1).log() * 0 + x

    model = nn.Sequential(nn.Identity(), nn.ModuleList([Logarithm()])[0])
    with detect_anomaly(), pytest.raises(RuntimeError) as caught:
        model(striate.tensor([0.5, 1.0, 2.0]))
    text = str(caught.value)
    assert "log made NaN of operands without (1 of 3 elements, first at index (0,)" in text
    assert "in module 1 (Logarithm); it was called here:" in text
    assert "return (x - 1).log() * 0 + x" in text and "striate/ops" not in text


def test_infinities_count_unless_asked_not_to():
    x = striate.tensor([0.0, 1.0])
    with detect_anomaly(), pytest.raises(RuntimeError, match="log made inf"):
        x.log()
    with detect_anomaly(check_inf=False):
        x.log()
    with detect_anomaly(check_nan=False):
        (x - 1).sqrt()


def test_what_came_in_broken_is_not_the_operations_fault():
    model = broken_net()
    with detect_anomaly():
        striate.tensor([float("inf")]) * 2
        model(striate.ones(1, 3))  # the weights hold it already
        with pytest.raises(RuntimeError, match="mul made NaN"):
            striate.tensor([float("inf")]) * 0


def test_the_first_nan_of_the_backward_is_named_with_its_forward():
    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.root = Root()

        def forward(self, x):
            return (self.root(x) * 0).sum()

    x = striate.tensor([0.0, 4.0], requires_grad=True)
    with detect_anomaly():
        y = Whole()(x)
        with pytest.raises(RuntimeError) as caught:
            y.backward()
    text = str(caught.value)
    assert "backward: the gradient of sqrt for operand 0 is NaN (1 of 2 elements" in text
    assert "in module root (Root)" in text and "return x.sqrt()" in text
    y = Whole()(x)
    with detect_anomaly(), pytest.raises(RuntimeError, match="outside detect_anomaly"):
        y.backward()


def test_it_can_be_switched_and_nested():
    x = striate.tensor([-1.0])
    assert not striate.autograd.is_anomaly_enabled()
    set_detect_anomaly(True)
    set_detect_anomaly(True, check_inf=False)
    with pytest.raises(RuntimeError, match="sqrt made NaN"):
        x.sqrt()
    with detect_anomaly():
        pass
    assert striate.autograd.is_anomaly_enabled()
    set_detect_anomaly(False)
    set_detect_anomaly(False)
    assert not striate.autograd.is_anomaly_enabled()
    x.sqrt()
    with pytest.raises(TypeError, match="mode: expected a bool"):
        set_detect_anomaly(1)
    with pytest.raises(TypeError, match="check_nan: expected a bool"):
        detect_anomaly(3)


def test_training_goes_on_under_it():
    model = Net()
    optimizer = striate.optim.SGD(model.parameters(), lr=0.1)
    with detect_anomaly():
        losses = [step(model, optimizer).item() for _ in range(5)]
    assert losses[-1] < losses[0]


def test_the_command_line_profiles_a_run_and_trains_the_same(tmp_path, capsys):
    weights = []
    for name, more in (("plain", []), ("profiled", ["--profile"])):
        words = [
            "train",
            "--model",
            "mlp",
            "--epochs",
            "1",
            "--out",
            str(tmp_path),
            "--no-progress",
        ]
        assert cli.main([*words, "--name", name, *more]) == 0
        weights.append(striate.load(tmp_path / name / "model.safetensors"))
    out = capsys.readouterr().out
    assert "profile of 20 steps" in out and "linear (backward)" in out and "SGD.step" in out
    trace = json.loads((tmp_path / "profiled" / "trace.json").read_text())["traceEvents"]
    assert sum(e["name"] == "SGD.step" for e in trace) == 20
    assert not (tmp_path / "plain" / "trace.json").exists()
    for name, value in weights[0].items():
        assert value.tolist() == weights[1][name].tolist()

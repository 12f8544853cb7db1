# SPDX-License-Identifier: Apache-2.0
"""Optimizers: PyTorch's numbers, groups, state, errors."""

import numpy as np
import pytest
import striate
from striate import _C, nn, optim
from striate.optim import SGD, Optimizer

OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.1, "nesterov": True, "maximize": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_pytorchs(options, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(s).astype(dtype) for s in [(3, 4, 2, 2), (37,), ()]]
    ours = [nn.Parameter(a.copy()) for a in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in start]
    mine = SGD(ours, lr=0.1, **options)
    peer = torch.optim.SGD(theirs, lr=0.1, **options)
    for step in range(5):
        for p, q in zip(ours, theirs, strict=True):
            grad = rng.standard_normal(p.shape).astype(dtype)
            p.grad, q.grad = striate.from_numpy(np.asarray(grad)), torch.from_numpy(grad.copy())
        if step == 3:
            mine.param_groups[0]["lr"] = peer.param_groups[0]["lr"] = 0.02
        mine.step()
        peer.step()
    eps = np.finfo(dtype).eps
    for p, q in zip(ours, theirs, strict=True):
        expected = q.detach().numpy()
        assert np.abs(p.detach().numpy() - expected).max() <= 40 * eps * (
            1 + np.abs(expected).max()
        )


def test_buffers_lie_as_the_parameter_does():
    p = nn.Parameter(striate.randn(2, 5, 6, 3).permute(0, 3, 1, 2))
    q = nn.Parameter(p.detach().contiguous().clone())
    a, b = SGD([p], lr=0.1, momentum=0.9), SGD([q], lr=0.1, momentum=0.9)
    for _ in range(3):
        grad = striate.randn(2, 3, 5, 6)
        p.grad, q.grad = grad, grad
        a.step()
        b.step()
    assert a.state[p]["momentum_buffer"]._array.strides == p._array.strides
    assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_groups():
    a, b, c = (nn.Parameter(striate.ones(2)) for _ in range(3))
    optimizer = SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "momentum": 0.9})
    for p in (a, b, c):
        p.grad = striate.ones(2)
    optimizer.step()
    assert [p.detach().numpy()[0] for p in (a, b, c)] == [np.float32(0.9), 0.5, np.float32(0.9)]
    assert list(optimizer.state) == [c]
    optimizer.zero_grad(set_to_none=False)
    assert not a.grad.numpy().any()
    optimizer.zero_grad()
    assert a.grad is None
    before = a.detach().clone()
    optimizer.step()
    assert np.array_equal(a.detach().numpy(), before.numpy())
    assert "Parameter Group 2" in repr(optimizer) and "momentum: 0.9" in repr(optimizer)


def test_closure():
    p = nn.Parameter(striate.ones(2))
    optimizer = SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with striate.no_grad():
        assert optimizer.step(closure).item() == 2.0
    assert np.allclose(p.detach().numpy(), 0.8)


def test_a_step_counts_as_a_write():
    p = nn.Parameter(striate.ones(2))
    loss = (p * p).sum()
    p.grad = striate.ones(2)
    SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def trained(layer, optimizer, steps, seed):
    striate.manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        (layer(striate.randn(5, 4)) * 1.0).sum().backward()
        optimizer.step()


def test_state_dict_continues_bit_for_bit():
    one = nn.Linear(4, 3)
    two = nn.Linear(4, 3)
    first = SGD(one.parameters(), lr=0.1, momentum=0.9)
    trained(one, first, 3, seed=1)
    two.load_state_dict(one.state_dict())
    second = SGD(two.parameters(), lr=7.0)
    state = first.state_dict()
    assert state["param_groups"][0]["params"] == [0, 1] and set(state["state"]) == {0, 1}
    second.load_state_dict(state)
    assert second.param_groups[0]["lr"] == 0.1
    trained(one, first, 3, seed=2)
    trained(two, second, 3, seed=2)
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_state_of_other_parameters_is_refused():
    a, b = nn.Linear(4, 3), nn.Linear(3, 4)
    first = SGD(a.parameters(), lr=0.1, momentum=0.9)
    trained(a, first, 1, seed=0)
    second = SGD(b.parameters(), lr=0.3)
    with pytest.raises(
        ValueError, match=r"state 0: momentum_buffer: expected \(4, 3\), got \(3, 4"
    ):
        second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.3 and not second.state
    with pytest.raises(ValueError, match=r"expected groups of \[1\] parameters, got \[2\]"):
        SGD([a.weight], lr=0.1).load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="expected a dict of 'state' and 'param_groups'"):
        second.load_state_dict({"state": {}})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: SGD([]), ValueError, "SGD: params: expected at least one parameter"),
        (lambda p: SGD(p), TypeError, "SGD: params: expected an iterable"),
        (lambda p: SGD([p, p]), ValueError, "parameter 1 is in the groups already"),
        (lambda p: SGD([p * 2]), ValueError, "expected floating leaves, got the result of an oper"),
        (lambda p: SGD([3]), TypeError, "expected tensors, got int at 0"),
        (lambda p: SGD([{"params": [p], "beta": 1}]), ValueError, r"options lr.*got \['beta'\]"),
        (lambda p: SGD([{"lr": 1}]), TypeError, "expected a dict with 'params'"),
        (lambda p: SGD([p], lr="0.1"), ValueError, "SGD: lr: expected a finite number"),
        (lambda p: SGD([p], lr=True), ValueError, "SGD: lr"),
        (lambda p: SGD([p], dampening=float("inf")), ValueError, "SGD: dampening"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(nn.Parameter(striate.ones(2)))


def test_a_rate_gone_wrong_is_caught_at_the_step():
    p = nn.Parameter(striate.ones(2))
    optimizer = SGD([p], lr=0.1)
    p.grad = striate.ones(2)
    optimizer.param_groups[0]["lr"] = float("nan")
    with pytest.raises(
        ValueError, match="SGD: lr: expected a finite number of at least 0, got nan"
    ):
        optimizer.step()
    assert p.detach().numpy().tolist() == [1, 1]


def test_subclasses_must_update():
    p = nn.Parameter(striate.ones(2))
    p.grad = striate.ones(2)
    with pytest.raises(NotImplementedError, match=r"Optimizer defines no update"):
        Optimizer([p], {}).step()


ADAPTIVE = ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop"]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_optimizers_check_their_options(name):
    make = getattr(optim, name)
    options = make([striate.zeros(1, requires_grad=True)]).defaults
    for option, value in options.items():
        if option == "betas":
            for bad in ((0.9,), 0.9, (1.0, 0.9), (0.9, -0.1), (0.9, float("nan"))):
                with pytest.raises(ValueError, match=rf"{name}: betas.*expected.*got"):
                    make([striate.zeros(1, requires_grad=True)], betas=bad)
        elif isinstance(value, float):
            for bad in (-1.0, float("nan"), float("inf"), "1"):
                with pytest.raises(ValueError, match=rf"{name}: {option}: expected .*, got"):
                    make([striate.zeros(1, requires_grad=True)], **{option: bad})


@pytest.mark.parametrize("name", ["SGD", *ADAPTIVE])
def test_empty_parameters_and_those_without_gradient(name):
    empty = striate.zeros(0, 3, requires_grad=True)
    still = striate.ones(3, requires_grad=True)
    optimizer = getattr(optim, name)([empty, still])
    empty.grad = striate.zeros(0, 3)
    optimizer.step()
    assert still not in optimizer.state
    assert still.detach().numpy().tolist() == [1, 1, 1]


def test_state_is_made_when_an_option_asks_for_it():
    """amsgrad and momentum may be switched on between steps."""
    p = striate.ones(3, requires_grad=True)
    for optimizer, option, value, key in (
        (optim.Adam([p]), "amsgrad", True, "max_exp_avg_sq"),
        (optim.RMSprop([p]), "momentum", 0.9, "momentum_buffer"),
        (optim.RMSprop([p]), "centered", True, "grad_avg"),
    ):
        for _ in range(2):
            p.grad = striate.ones(3)
            optimizer.step()
            optimizer.param_groups[0][option] = value
        assert key in optimizer.state[p]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_steps_do_not_depend_on_threads(threads):
    results = []
    for count in (1, threads):
        _C.set_num_threads(count)
        p = striate.tensor(np.linspace(-1, 1, 100_003, dtype=np.float32), requires_grad=True)
        optimizer = optim.Adam([p], lr=0.1)
        for i in range(3):
            p.grad = striate.tensor(np.cos(np.arange(100_003, dtype=np.float32) * (i + 1)))
            striate.nn.utils.clip_grad_norm_([p], 10.0)
            optimizer.step()
        results.append(p.detach().numpy())
    assert np.array_equal(*results)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s, o: s.StepLR(o, 0), ValueError, "StepLR: step_size: expected 1 or more, got 0"),
        (lambda s, o: s.StepLR("x", 3), TypeError, "StepLR: optimizer: expected an Optimizer"),
        (lambda s, o: s.LambdaLR(o, 0.5), TypeError, "LambdaLR: lr_lambda: expected a function"),
        (lambda s, o: s.LambdaLR(o, [abs, abs]), ValueError, "LambdaLR: lr_lambda: .* 1 groups"),
        (lambda s, o: s.ConstantLR(o, 1.5), ValueError, "ConstantLR: factor: .* from|above 0 to 1"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "LinearLR: start_factor: .* above 0 to 1"),
        (lambda s, o: s.CosineAnnealingLR(o, 1.5), TypeError, "T_max: expected an integer"),
        (lambda s, o: s.CyclicLR(o, 0.1, 1.0), ValueError, "CyclicLR: cycle_momentum: .*Adagrad"),
        (
            lambda s, o: s.CyclicLR(o, 0.1, 1.0, mode="square", cycle_momentum=False),
            ValueError,
            "CyclicLR: mode: expected one of 'triangular'",
        ),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "OneCycleLR: total_steps: .* epochs"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor: .* below 1"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "schedulers: expected at least one"),
        (
            lambda s, o: s.SequentialLR(o, [s.ExponentialLR(o, 0.9)], [3]),
            ValueError,
            "milestones: expected 0",
        ),
        (
            lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
            ValueError,
            "ChainedScheduler: schedulers.0.: expected one that steps without",
        ),
        (
            lambda s, o: s.StepLR(o, 3).load_state_dict(s.ExponentialLR(o, 0.9).state_dict()),
            ValueError,
            "StepLR.load_state_dict: expected .*step_size.*got .*gamma",
        ),
        (lambda s, o: s.StepLR(o, 3, last_epoch=5), KeyError, "group 0 has no 'initial_lr'"),
    ],
)
def test_misused_schedules(call, error, words):
    optimizer = optim.Adagrad([striate.zeros(1, requires_grad=True)])
    with pytest.raises(error, match=words):
        call(optim.lr_scheduler, optimizer)


def test_one_cycle_ends():
    optimizer = optim.SGD([striate.zeros(1, requires_grad=True)], momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="total_steps=3 steps, got 4"):
        schedule.step()

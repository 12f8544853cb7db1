# SPDX-License-Identifier: Apache-2.0
"""Optimizers and schedules take the steps that PyTorch's take."""

import re
import warnings

import numpy as np
import pytest
import striate
from striate import Tensor, optim
from striate.optim import lr_scheduler as ours_schedules

torch = pytest.importorskip("torch")

SHAPES = [(), (7,), (5, 4), (6, 3, 3, 3)]
STEPS = 20


def pairs_of_parameters(dtype=np.float64, seed=0):
    """The same parameters for both, convolution weights in channels-last memory."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    mine = []
    for a in arrays:
        own = a.copy()
        if a.ndim == 4:
            own = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        mine.append(Tensor(own, requires_grad=True))
    return mine, [torch.tensor(a, requires_grad=True) for a in arrays]


def step_both(mine, other, ours, theirs, rng):
    for a, b in zip(mine, other, strict=True):
        grad = np.asarray(rng.standard_normal(a.shape)).astype(a.dtype)
        a.grad, b.grad = Tensor(grad.copy()), torch.tensor(grad)
    ours.step()
    theirs.step()


def assert_alike(mine, other, tolerance):
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance
        )


def decays(*options):
    """Each set of options as it is, with weight decay, and climbing."""
    return [
        {**o, **more} for o in options for more in ({}, {"weight_decay": 0.05}, {"maximize": True})
    ]


DECOUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": True}
GRID = {
    "SGD": decays(
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    "Adam": [
        *decays({}, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3}, {"amsgrad": True}),
        {"betas": (0.0, 0.9)},
        DECOUPLED,
    ],
    "AdamW": decays({}, {"lr": 0.1, "betas": (0.5, 0.8)}, {"amsgrad": True}),
    "NAdam": [*decays({}, {"lr": 0.1, "momentum_decay": 0.1}), DECOUPLED],
    "RAdam": [*decays({}, {"lr": 0.1, "betas": (0.5, 0.8)}), DECOUPLED],
    "Adamax": decays({}, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3}),
    "Adagrad": decays(
        {}, {"lr": 0.1, "lr_decay": 0.1}, {"initial_accumulator_value": 0.5, "eps": 1e-3}
    ),
    "Adadelta": decays({}, {"lr": 0.5, "rho": 0.6, "eps": 1e-3}),
    "RMSprop": decays(
        {}, {"alpha": 0.8, "eps": 1e-3}, {"momentum": 0.9}, {"centered": True},
        {"centered": True, "momentum": 0.5},
    ),
}  # fmt: skip
CASES = [(name, options) for name, grid in GRID.items() for options in grid]


def pair(name, options, dtype=np.float64):
    mine, other = pairs_of_parameters(dtype)
    return (
        mine,
        other,
        getattr(optim, name)(mine, **options),
        getattr(torch.optim, name)(other, foreach=False, **options),
    )


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_steps(name, options):
    mine, other, ours, theirs = pair(name, options)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        step_both(mine, other, ours, theirs, rng)
    # PyTorch keeps NAdam's product of momenta in float32, and computes with it.
    assert_alike(mine, other, 1e-6 if name == "NAdam" else 1e-9)


@pytest.mark.parametrize("name", list(GRID))
def test_steps_in_float32(name):
    mine, other, ours, theirs = pair(name, GRID[name][0], np.float32)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        step_both(mine, other, ours, theirs, rng)
    assert_alike(mine, other, 2e-5)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_state_dict_is_pytorchs(name, options):
    """The same keys, shapes and values, and either goes on from the other's."""
    mine, other, ours, theirs = pair(name, options)
    rng = np.random.default_rng(1)
    for _ in range(3):
        step_both(mine, other, ours, theirs, rng)
    left, right = ours.state_dict(), theirs.state_dict()
    assert set(left["state"]) == set(right["state"])
    for n, state in right["state"].items():
        assert set(left["state"][n]) == {k for k, v in state.items() if v is not None}
        for key, value in left["state"][n].items():
            expected = state[key].numpy()
            assert value.shape == expected.shape
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6, atol=1e-12)

    mine2, other2, ours2, theirs2 = pair(name, options)
    for a, b in zip(mine2, mine, strict=True):
        a.data = b.detach().clone()
    for a, b in zip(other2, other, strict=True):
        a.data = b.detach().clone()
    converted = {
        n: {k: None if v is None else Tensor(v.numpy().copy()) for k, v in s.items()}
        for n, s in right["state"].items()
    }
    groups = [{k: v for k, v in g.items() if k != "foreach"} for g in right["param_groups"]]
    ours2.load_state_dict({"state": converted, "param_groups": groups})
    theirs2.load_state_dict(right)
    rng = np.random.default_rng(2)
    for _ in range(3):
        step_both(mine2, other2, ours2, theirs2, rng)
    assert_alike(mine2, other2, 1e-6)


@pytest.mark.parametrize("name", list(GRID))
def test_state_takes_the_memory_order_of_its_parameter(name):
    mine, other, ours, theirs = pair(name, GRID[name][-1])
    step_both(mine, other, ours, theirs, np.random.default_rng(0))
    for p, state in ours.state.items():
        for key, value in state.items():
            if key not in ("step", "mu_product"):
                assert value._array.strides == p._array.strides, key


@pytest.mark.parametrize("name", list(GRID))
def test_parameter_groups(name):
    mine, other = pairs_of_parameters()
    ours = getattr(optim, name)([{"params": mine[:2]}, {"params": mine[2:], "lr": 0.5}], lr=0.01)
    theirs = getattr(torch.optim, name)(
        [{"params": other[:2]}, {"params": other[2:], "lr": 0.5}], lr=0.01
    )
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        step_both(mine, other, ours, theirs, rng)
    assert_alike(mine, other, 1e-6)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_defaults_are_pytorchs(name, options):
    ours = getattr(optim, name)([striate.zeros(1, requires_grad=True)])
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)])
    for key, value in ours.defaults.items():
        assert theirs.defaults[key] == value, key
    left_out = set(theirs.defaults) - set(ours.defaults)
    assert left_out <= {"foreach", "fused", "capturable", "differentiable"}


# --- schedules ------------------------------------------------------------------------------------


def halve(step):
    return 0.5 ** (step // 10)


def shrink(step):
    return 1 - 1 / (step + 20)


SCHEDULES = [
    ("LambdaLR", {"lr_lambda": halve}),
    ("LambdaLR", {"lr_lambda": [halve, shrink]}),
    ("MultiplicativeLR", {"lr_lambda": shrink}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 3, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [5, 30, 8, 8], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.2, "total_iters": 13}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.9, "end_factor": 0.1, "total_iters": 20}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 30, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.001}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 6}),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 6, "step_size_down": 9,
         "mode": "triangular2"},
    ),
    (
        "CyclicLR",
        {"base_lr": [0.01, 0.02], "max_lr": 0.5, "step_size_up": 5, "mode": "exp_range",
         "gamma": 0.99, "base_momentum": 0.5},
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 5, "scale_fn": shrink,
         "scale_mode": "iterations", "cycle_momentum": False},
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 100}),
    ("OneCycleLR", {"max_lr": [0.5, 0.2], "epochs": 10, "steps_per_epoch": 12}),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 100, "pct_start": 0.4, "anneal_strategy": "linear",
         "three_phase": True, "div_factor": 10.0, "cycle_momentum": False},
    ),
]  # fmt: skip


def two_optimizers(kind="SGD"):
    """Ours and theirs, each of two groups."""
    options = {"momentum": 0.9} if kind == "SGD" else {}
    both = []
    for library, modules in ((striate, optim), (torch, torch.optim)):
        ps = [library.zeros(2, requires_grad=True) for _ in range(2)]
        groups = [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.05}]
        both.append(getattr(modules, kind)(groups, lr=0.1, **options))
    return both


def rates(optimizer):
    """What a schedule may move: rate and momentum of every group."""
    return [
        (g["lr"], g.get("momentum", 0.0), g.get("betas", (0.0, 0.0))[0])
        for g in optimizer.param_groups
    ]


def walk(ours, theirs, mine, other, steps):
    for step in range(steps):
        np.testing.assert_allclose(rates(ours), rates(theirs), 1e-12, 1e-15, err_msg=str(step))
        np.testing.assert_allclose(mine.get_last_lr(), other.get_last_lr(), 1e-12, 1e-15)
        theirs.step()
        mine.step()
        other.step()


def without_address(value):
    """A test's id: functions print where they lie, which differs between processes."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=without_address)
def test_schedule(name, options, kind):
    ours, theirs = two_optimizers(kind)
    mine = getattr(ours_schedules, name)(ours, **options)
    other = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    walk(ours, theirs, mine, other, 99)


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=without_address)
def test_schedule_goes_on(name, options, tmp_path):
    """A schedule that is loaded, through a file, goes on where the saved one was."""
    straight, _ = two_optimizers()
    schedule = getattr(ours_schedules, name)(straight, **options)
    expected = []
    for _ in range(60):
        schedule.step()
        expected.append(rates(straight))

    first, _ = two_optimizers()
    schedule = getattr(ours_schedules, name)(first, **options)
    for _ in range(25):
        schedule.step()
    state = {"schedule": schedule.state_dict(), "optimizer": first.state_dict()}
    striate.save(state, tmp_path / "state")
    state = striate.load(tmp_path / "state")

    second, _ = two_optimizers()
    schedule = getattr(ours_schedules, name)(second, **options)
    second.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    for i in range(25, 60):
        schedule.step()
        assert rates(second) == expected[i], i


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("more", [{}, {"cooldown": 3, "min_lr": [0.001, 0.01]}], ids=str)
def test_plateau(mode, threshold_mode, more):
    ours, theirs = two_optimizers()
    options = {"mode": mode, "threshold_mode": threshold_mode, "patience": 2, "factor": 0.5,
               "threshold": 0.05, **more}  # fmt: skip
    mine = ours_schedules.ReduceLROnPlateau(ours, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for i, figure in enumerate(np.random.default_rng(3).random(80) + np.linspace(2, 1, 80)):
        mine.step(striate.tensor(figure))
        other.step(float(np.float32(figure)))
        assert rates(ours) == rates(theirs), i
    copy = ours_schedules.ReduceLROnPlateau(ours, **options)
    copy.load_state_dict(mine.state_dict())
    assert vars(copy) == vars(mine)


def combined(schedules, optimizer, kind):
    warm = schedules.LinearLR(optimizer, start_factor=0.1, total_iters=10)
    cosine = schedules.CosineAnnealingLR(optimizer, T_max=40)
    steps = schedules.StepLR(optimizer, 6, 0.8)
    if kind == "sequence":
        return schedules.SequentialLR(optimizer, [warm, cosine, steps], milestones=[10, 50])
    if kind == "restarts":
        restarts = schedules.CosineAnnealingWarmRestarts(optimizer, 5, 2)
        return schedules.SequentialLR(optimizer, [restarts, steps, warm], [20, 40])
    if kind == "chain":
        return schedules.ChainedScheduler([warm, steps])
    decay = schedules.ExponentialLR(optimizer, 0.99)
    constant = schedules.ConstantLR(optimizer, 0.5, 7)
    return schedules.SequentialLR(
        optimizer, [warm, schedules.ChainedScheduler([decay, constant])], milestones=[200]
    )


@pytest.mark.parametrize("kind", ["sequence", "restarts", "chain", "nested"])
def test_combined(kind):
    ours, theirs = two_optimizers()
    mine = combined(ours_schedules, ours, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch steps its schedules before its optimizer
        other = combined(torch.optim.lr_scheduler, theirs, kind)
        walk(ours, theirs, mine, other, 120)
    again, _ = two_optimizers()
    copy = combined(ours_schedules, again, kind)
    again.load_state_dict(ours.state_dict())
    copy.load_state_dict(mine.state_dict())
    for _ in range(20):
        mine.step()
        copy.step()
        assert rates(again) == rates(ours)


def test_schedule_begun_in_the_middle():
    for name, options in SCHEDULES:
        if name in ("OneCycleLR", "CyclicLR"):
            continue
        ours, theirs = two_optimizers()
        for optimizer in (ours, theirs):
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        mine = getattr(ours_schedules, name)(ours, last_epoch=11, **options)
        other = getattr(torch.optim.lr_scheduler, name)(theirs, last_epoch=11, **options)
        walk(ours, theirs, mine, other, 15)


# --- gradients within limits ----------------------------------------------------------------------


def with_gradients(scale=1.0):
    mine, other = pairs_of_parameters()
    rng = np.random.default_rng(5)
    for a, b in zip(mine[1:], other[1:], strict=True):  # the first one has no gradient
        grad = rng.standard_normal(a.shape) * scale
        a.grad, b.grad = Tensor(grad.copy()), torch.tensor(grad)
    return mine, other


def assert_gradients_alike(mine, other):
    for a, b in zip(mine[1:], other[1:], strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-12)
    assert mine[0].grad is None


@pytest.mark.parametrize("max_norm", [0.5, 3, 1e6, 0])
@pytest.mark.parametrize("norm_type", [2, 1, 3.5, np.inf, -np.inf, 0])
def test_clip_grad_norm(max_norm, norm_type):
    mine, other = with_gradients()
    ours = striate.nn.utils.clip_grad_norm_(mine, max_norm, norm_type)
    theirs = torch.nn.utils.clip_grad_norm_(other, max_norm, norm_type)
    np.testing.assert_allclose(ours.item(), theirs.item(), 1e-12)
    assert ours.shape == tuple(theirs.shape)
    assert_gradients_alike(mine, other)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_clip_grad_norm_not_finite(bad):
    mine, other = with_gradients()
    mine[1].grad.numpy()[0], other[1].grad[0] = bad, bad
    for norm_type in (1, 2, np.inf):
        with pytest.raises(RuntimeError, match="not scaled"):
            striate.nn.utils.clip_grad_norm_(mine, 1.0, norm_type, error_if_nonfinite=True)
    ours = striate.nn.utils.clip_grad_norm_(mine, 1.0)
    theirs = torch.nn.utils.clip_grad_norm_(other, 1.0)
    assert str(ours.item()) == str(theirs.item())
    assert_gradients_alike(mine, other)


def test_clip_grad_value():
    mine, other = with_gradients(2.0)
    striate.nn.utils.clip_grad_value_(mine, 0.7)
    torch.nn.utils.clip_grad_value_(other, 0.7)
    assert_gradients_alike(mine, other)
    striate.nn.utils.clip_grad_value_(mine[1], 0.1)
    assert np.abs(mine[1].grad.numpy()).max() == 0.1


def test_total_norm():
    mine, other = with_gradients()
    ours = striate.nn.utils.get_total_norm([p.grad for p in mine[1:]])
    theirs = torch.nn.utils.get_total_norm([p.grad for p in other[1:]])
    np.testing.assert_allclose(ours.item(), theirs.item(), 1e-12)
    assert striate.nn.utils.get_total_norm([]).item() == 0
    striate.nn.utils.clip_grads_with_norm_(mine, 0.3, ours)
    torch.nn.utils.clip_grads_with_norm_(other, 0.3, theirs)
    assert_gradients_alike(mine, other)


def test_vectors_of_parameters():
    mine, other = pairs_of_parameters()
    ours = striate.nn.utils.parameters_to_vector(mine)
    theirs = torch.nn.utils.parameters_to_vector(other)
    assert np.array_equal(ours.detach().numpy(), theirs.detach().numpy())
    (ours * striate.arange(ours.numel())).sum().backward()
    (theirs * torch.arange(theirs.numel())).sum().backward()
    for a, b in zip(mine, other, strict=True):
        assert np.array_equal(a.grad.numpy(), b.grad.numpy())
    striate.nn.utils.vector_to_parameters(ours.detach() * 2, mine)
    torch.nn.utils.vector_to_parameters(theirs.detach() * 2, other)
    assert_alike(mine, other, 0)

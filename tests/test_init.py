# SPDX-License-Identifier: Apache-2.0
"""Initialisers: seeded, of the variance that their papers state."""

import numpy as np
import pytest
import striate
from striate import nn


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_the_seed_decides():
    def made(seed):
        striate.manual_seed(seed)
        return nn.Linear(30, 20)

    assert same(made(1).weight, made(1).weight) and not same(made(1).weight, made(2).weight)
    bound = 1 / np.sqrt(30)
    for p in made(3).parameters():
        assert np.abs(p.detach().numpy()).max() <= bound


def test_memory_order_does_not_change_the_numbers():
    striate.manual_seed(0)
    c = nn.init.normal_(striate.zeros(3, 4, 5, 6))
    striate.manual_seed(0)
    f = nn.init.normal_(striate.zeros(3, 5, 6, 4).permute(0, 3, 1, 2))
    assert same(c, f)


@pytest.mark.parametrize(
    ("name", "variance", "uniform"),
    [
        ("xavier_uniform_", 2 / (200 + 400), True),
        ("xavier_normal_", 2 / (200 + 400), False),
        ("kaiming_uniform_", 2 / 200, True),
        ("kaiming_normal_", 2 / 200, False),
        ("lecun_uniform_", 1 / 200, True),
        ("lecun_normal_", 1 / 200, False),
    ],
)
def test_variances(name, variance, uniform):
    striate.manual_seed(0)
    w = getattr(nn.init, name)(striate.zeros(40, 20, 2, 5).double()).numpy()
    assert abs(w.mean()) < 5 * np.sqrt(variance / w.size)
    assert abs(w.var() / variance - 1) < 0.1
    assert (np.abs(w).max() <= np.sqrt(3 * variance)) == uniform


def test_init_options():
    t = striate.zeros(400, 100)
    nn.init.kaiming_normal_(t, a=1.0, mode="fan_out", nonlinearity="leaky_relu")
    assert abs(t.numpy().var() * 400 - 1) < 0.1
    nn.init.trunc_normal_(t, mean=1.0, std=0.5, a=0.5, b=2.0)
    assert t.numpy().min() >= 0.5 and t.numpy().max() <= 2.0
    nn.init.uniform_(t, -3, -2)
    assert t.numpy().min() >= -3 and t.numpy().max() <= -2
    assert nn.init.constant_(t, 5).numpy().min() == 5
    assert nn.init.ones_(t).numpy().min() == 1 and not nn.init.zeros_(t).numpy().any()
    assert nn.init.calculate_gain("tanh") == 5 / 3
    assert nn.init.calculate_gain("leaky_relu", 1.0) == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.init.xavier_uniform_(striate.zeros(3)), "xavier_uniform_: tensor: expected at"),
        (lambda: nn.init.uniform_(striate.zeros(3), 2, 1), "uniform_: b: expected at least a = 2"),
        (lambda: nn.init.normal_(striate.zeros(3), 0, -1), "normal_: std: expected a finite"),
        (lambda: nn.init.calculate_gain("swish"), "nonlinearity: expected one of 'linear'"),
        (lambda: nn.init.kaiming_normal_(striate.zeros(2, 2), mode="fan"), "mode: expected one of"),
        (lambda: nn.init.trunc_normal_(striate.zeros(3), a=50, b=51), "an interval near 0"),
        (lambda: nn.Linear(0, 3), "Linear: in_features: expected 1 or more, got 0"),
    ],
)
def test_refused(call, words):
    with pytest.raises(ValueError, match="^.*" + words):
        call()

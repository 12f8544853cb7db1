# SPDX-License-Identifier: Apache-2.0
"""Sequential, ModuleList, ModuleDict; and activations computed in the layer before them."""

from collections import OrderedDict

import numpy as np
import pytest
import striate
from striate import nn


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.Identity(), nn.Linear(3, 1)
    net = nn.Sequential(OrderedDict(first=a, second=b))
    assert list(net.state_dict()) == ["first.weight", "first.bias"] and net.second is b
    net = nn.Sequential(a, b, c)
    assert len(net) == 3 and list(net) == [a, b, c] and net[-1] is c and net[1] is b
    assert isinstance(net[:2], nn.Sequential) and list(net[:2]) == [a, b]
    assert [n for n, _ in net[1:].named_children()] == ["1", "2"]
    assert list(net.append(b).extend([b]).insert(0, b)) == [b, a, b, c, b, b]
    assert net.pop(0) is b
    del net[3:]
    assert list(net) == [a, b, c]
    net[1] = c
    assert list(net) == [a, c, c]
    del net[1]
    assert [n for n, _ in net.named_children()] == ["0", "1"]
    for i in (2, -3):
        with pytest.raises(IndexError, match=f"index {i} is out of range: 2 modules"):
            net[i]
    with pytest.raises(TypeError, match="Sequential: 1: expected a Module, got int"):
        nn.Sequential(a, 3)
    with pytest.raises(TypeError, match="index: expected an integer or a slice, got str"):
        net["0"]


def test_module_list_and_dict():
    a, b = nn.Linear(2, 3), nn.Linear(3, 1)
    many = nn.ModuleList([a]).append(b)
    assert list(many[:1]) == [a] and many[1] is b and len(many) == 2
    assert list(many.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    del many[0]
    assert list(many) == [b] and list(many.state_dict()) == ["0.weight", "0.bias"]
    named = nn.ModuleDict({"x": a})
    named["y"] = b
    assert list(named) == ["x", "y"] and "x" in named and named.pop("x") is a
    assert list(named.items()) == [("y", b)] and list(named.values()) == [b]
    named.update([("z", a)])
    assert list(named.keys()) == ["y", "z"]
    named.clear()
    assert len(named) == 0
    with pytest.raises(KeyError, match="forward"):
        named["forward"] = a
    with pytest.raises(KeyError):
        del named["q"]


# --- fusing ---------------------------------------------------------------------------------------


def one_by_one(net, x):
    for layer in net:
        x = layer(x)
    return x


def gradients(net, call, x):
    net.zero_grad()
    x = striate.tensor(x).requires_grad_()
    (call(x) * 1.5).sum().backward()
    return [x.grad.numpy()] + [p.grad.numpy() for p in net.parameters()]


ACTIVATIONS = [  # and what an epilogue that records a gradient calls them
    (nn.ReLU(), "relu"),
    (nn.LeakyReLU(0.2), "leaky_relu"),
    (nn.LeakyReLU(0.0), "leaky_relu"),
    (nn.LeakyReLU(-0.2), None),
    (nn.ELU(0.7), "elu"),
    (nn.ELU(-0.7), None),
    (nn.Sigmoid(), "sigmoid"),
    (nn.Tanh(), "tanh"),
    (nn.Softplus(), "softplus"),
    (nn.Softplus(2.0), "softplus"),
    (nn.Softplus(1.0, 3.0), None),
    (nn.GELU(), None),
    (nn.GELU("tanh"), None),
    (nn.SiLU(), None),
    (nn.ReLU6(), "hardtanh"),
    (nn.Hardtanh(-0.5, 0.25), "hardtanh"),
    (nn.Hardsigmoid(), "hardsigmoid"),
    (nn.Hardswish(), None),
    (nn.Hardshrink(), None),
    (nn.Softshrink(), None),
    (nn.Threshold(0.1, -1.0), None),
    (nn.Step(), None),
    (nn.SELU(), "selu"),
    (nn.CELU(0.5), "celu"),
    (nn.CELU(-0.5), None),
    (nn.Mish(), None),
    (nn.LogSigmoid(), "logsigmoid"),
    (nn.Softsign(), None),
    (nn.Tanhshrink(), None),
]


@pytest.mark.parametrize("activation", [a for a, _ in ACTIVATIONS], ids=repr)
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_fusing_changes_nothing(activation, kind):
    striate.manual_seed(0)
    if kind == "linear":
        net = nn.Sequential(nn.Linear(6, 40), activation, nn.Linear(40, 3), activation)
        x = striate.randn(5, 6)
    else:
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8, bias=False)
        net = nn.Sequential(layers[0], activation, layers[1], activation)
        x = striate.randn(2, 3, 6, 5)
    with striate.no_grad():
        assert same(net(x), one_by_one(net, x))
    fused = gradients(net, net, x)
    plain = gradients(net, lambda x: one_by_one(net, x), x)
    for a, b in zip(fused, plain, strict=True):
        assert np.array_equal(a, b)


def test_what_is_fused():
    calls = []
    layer = nn.Linear(2, 2)
    forward = layer.forward
    layer.forward = lambda x, **options: calls.append(options) or forward(x, **options)
    x = striate.ones(1, 2)
    for activation, _ in ACTIVATIONS:
        nn.Sequential(layer, activation)(x)
    assert [options.get("activation") for options in calls] == [name for _, name in ACTIVATIONS]
    calls.clear()
    with striate.no_grad():
        nn.Sequential(layer, nn.SiLU())(x)
        nn.Sequential(layer, nn.GELU())(x)
    assert [options["activation"] for options in calls] == ["silu", "gelu"]


def test_fusing_respects_hooks_and_subclasses():
    class Twice(nn.ReLU):
        def forward(self, input):
            return super().forward(input) * 2

    x = striate.randn(4, 3)
    for layer, follower in [(nn.Linear(3, 4), nn.ReLU()), (nn.Linear(3, 4), Twice())]:
        net = nn.Sequential(layer, follower)
        assert same(net(x), follower(layer(x)))
        seen = []
        for part in net:
            with part.register_forward_hook(lambda m, a, o, seen=seen: seen.append((m, a[0], o))):
                net(x)
            assert seen[-1][0] is part and same(seen[-1][2], part(seen[-1][1]))
    with pytest.raises(ValueError, match=r"^0 \(Linear\): linear: input"):
        net(striate.ones(4, 2))

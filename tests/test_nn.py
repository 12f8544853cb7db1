# SPDX-License-Identifier: Apache-2.0
"""Modules: parts, walking, state, hooks, printing."""

import copy
import pickle

import numpy as np
import pytest
import striate
from striate import Tensor, nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 6), nn.Identity(), nn.Linear(6, 5))
        self.scale = nn.Parameter(striate.ones(5))
        self.register_buffer("count", striate.zeros(()))
        self.register_buffer("scratch", striate.zeros(2), persistent=False)
        self.head = nn.Linear(5, 3, bias=False)

    def forward(self, x):
        return self.head(self.features(x) * self.scale)


NAMES = [
    "scale",
    "count",
    "features.0.weight",
    "features.0.bias",
    "features.2.weight",
    "features.2.bias",
    "head.weight",
]


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_names_and_order():
    net = Net()
    assert list(net.state_dict()) == NAMES
    assert [n for n, _ in net.named_parameters()] == [n for n in NAMES if n != "count"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_children()] == ["features", "head"]
    paths = ["", "features", "features.0", "features.1", "features.2", "head"]
    assert [n for n, _ in net.named_modules()] == paths
    assert net.get_submodule("features.2") is net.features[2]
    assert net.get_parameter("features.2.bias") is net.features[2].bias
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"
    with pytest.raises(AttributeError, match="no submodule '7'"):
        net.get_submodule("features.7")
    with pytest.raises(AttributeError, match="no parameter 'gain'"):
        net.get_parameter("head.gain")


def test_shared_parts_are_listed_once_and_saved_twice():
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert list(net.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert [n for n, _ in net.named_children()] == ["a"]


def test_attributes_change_kind():
    m = nn.Module()
    m.x = 3
    m.x = nn.Parameter(striate.ones(2))
    assert list(dict(m.named_parameters())) == ["x"]
    m.x = nn.Identity()
    assert not list(m.parameters()) and list(dict(m.named_children())) == ["x"]
    del m.x
    assert not list(m.children()) and not hasattr(m, "x")
    m.p = nn.Parameter(striate.ones(2))
    m.p = None
    assert m.p is None and not list(m.parameters()) and not m.state_dict()
    m.register_parameter("q", None)
    m.q = nn.Parameter(striate.ones(1))
    assert [n for n, _ in m.named_parameters()] == ["q"]


def test_attribute_errors():
    m = Net()
    with pytest.raises(
        TypeError, match=r"Net\.scale: expected a Parameter or None, got Tensor; wr"
    ):
        m.scale = striate.ones(5)
    with pytest.raises(TypeError, match=r"Net\.count: expected a Tensor or None, got int"):
        m.count = 3
    with pytest.raises(TypeError, match=r"Net\.head: expected a Module or None, got str"):
        m.head = "x"
    with pytest.raises(KeyError, match="no dot"):
        m.add_module("a.b", nn.Identity())
    with pytest.raises(KeyError, match="attribute 'forward' already"):
        m.register_buffer("forward", None)
    with pytest.raises(TypeError, match="register_parameter: w: expected a Parameter"):
        m.register_parameter("w", striate.ones(1))

    class Late(nn.Module):
        def __init__(self):
            self.a = nn.Identity()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\) before assigning 'a'"):
        Late()
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        nn.Module()(1)


def test_state_dict_round_trip_keeps_memory_order():
    a, b = Net(), Net()
    state = a.state_dict()
    assert not any(t.requires_grad for t in state.values())
    assert np.shares_memory(state["scale"].numpy(), a.scale.detach().numpy())
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    b.head.weight._array = np.asfortranarray(b.head.weight._array)
    keys = b.load_state_dict(state)
    assert keys == ([], []) and keys.missing_keys == []
    assert b.head.weight._array.flags.f_contiguous
    x = striate.randn(2, 4)
    assert np.allclose(a(x).detach().numpy(), b(x).detach().numpy(), rtol=1e-6)


def test_load_state_dict_lists_all_that_is_wrong_and_writes_nothing():
    net = Net()
    state = {k: striate.zeros(*v.shape) for k, v in net.state_dict().items()}
    state["head.weight"] = striate.zeros(3, 4)
    state["scale"] = striate.zeros(7)
    del state["features.0.bias"], state["count"]
    state["extra"] = striate.zeros(1)
    before = net.features[0].weight.detach().clone()
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    for words in (
        "does not fit Net",
        "missing: count, features.0.bias",
        "unexpected: extra",
        "scale: expected (5,), got (7,); head.weight: expected (3, 5), got (3, 4)",
    ):
        assert words in str(caught.value)
    assert same(net.features[0].weight, before)
    with pytest.raises(ValueError, match="shapes that differ"):
        net.load_state_dict(state, strict=False)
    del state["head.weight"], state["scale"]
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale", "count", "features.0.bias", "head.weight"]
    assert keys.unexpected_keys == ["extra"]
    assert not net.features[0].weight.detach().numpy().any()
    with pytest.raises(TypeError, match="expected a dict, got list"):
        net.load_state_dict([1])


def test_loading_counts_as_a_write():
    layer = nn.Linear(2, 2)
    loss = layer(striate.ones(1, 2).requires_grad_()).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_train_eval_apply_and_grad_switches():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    with pytest.raises(ValueError, match="mode: expected a bool, got 1"):
        net.train(1)
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Identity", "Linear", "Sequential", "Linear", "Net"]
    net(striate.ones(1, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(striate.ones(1, 4)).requires_grad


def test_dtypes():
    net = Net()
    net.register_buffer("number", striate.zeros(1, dtype=striate.int64))
    net(striate.ones(1, 4)).sum().backward()
    assert net.double() is net
    assert {p.dtype for p in net.parameters()} == {striate.float64}
    assert net.scale.grad.dtype == striate.float64 and net.count.dtype == striate.float64
    assert net.number.dtype == striate.int64
    assert net(striate.ones(1, 4, dtype=striate.float64)).dtype == striate.float64
    assert net.float().scale.dtype == striate.float32
    assert net.to("cpu") is net and net.cpu() is net
    with pytest.raises(TypeError, match="floating"):
        net.to(striate.int64)
    with pytest.raises(RuntimeError, match="; or use 'cpu'"):
        net.to("cuda:99")


def test_copies_and_pickles():
    net = Net()
    net.features[0].register_forward_hook(lambda m, a, o: None)
    twin = copy.deepcopy(net)
    assert twin.scale is not net.scale and same(twin.scale, net.scale)
    assert twin.scale is dict(twin.named_parameters())["scale"]
    assert isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    twin.scale.data.zero_()
    assert net.scale.detach().numpy().all()
    assert twin.features[0]._hooked
    for thing in (net, net.scale):
        with pytest.raises(TypeError, match=r"striate\.save"):
            pickle.dumps(thing)


def test_repr_is_pytorchs():
    assert repr(Net()) == (
        "Net(\n"
        "  (features): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=6, bias=True)\n"
        "    (1): Identity()\n"
        "    (2): Linear(in_features=6, out_features=5, bias=True)\n"
        "  )\n"
        "  (head): Linear(in_features=5, out_features=3, bias=False)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.Parameter(striate.ones(1))).startswith("Parameter containing:\ntensor(")


def test_parameters():
    p = nn.Parameter(striate.ones(2, 3))
    assert p.requires_grad and isinstance(p, Tensor) and p.is_leaf
    assert type(p * 2) is Tensor and type(p.detach()) is Tensor
    assert not nn.Parameter(striate.ones(2), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="floating"):
        nn.Parameter(striate.ones(2, dtype=striate.int64))
    (p.sum() * 2).backward()
    assert p.grad.numpy().tolist() == [[2.0] * 3] * 2


# --- hooks and errors -----------------------------------------------------------------------------


def test_hooks():
    layer = nn.Linear(2, 2)
    seen = []
    first = layer.register_forward_pre_hook(lambda m, args: seen.append("first"))
    layer.register_forward_pre_hook(lambda m, args: seen.append("zeroth"), prepend=True)
    double = layer.register_forward_pre_hook(lambda m, args: args[0] * 2)
    plain = nn.Linear(2, 2)
    plain.load_state_dict(layer.state_dict())
    x = striate.randn(3, 2)
    assert same(layer(x), plain(x * 2)) and seen == ["zeroth", "first"]
    double.remove()
    double.remove()
    first.remove()
    with layer.register_forward_hook(lambda m, args, out: out + args[0]):
        assert same(layer(x), plain(x) + x)
    assert same(layer(x), plain(x)) and layer._hooked

    kwargs_seen = []

    def keep(module, args, kwargs):
        kwargs_seen.append(kwargs)
        return args, {}

    def after(module, args, kwargs, output):
        return output * 0

    with (
        layer.register_forward_pre_hook(keep, with_kwargs=True),
        layer.register_forward_hook(after, with_kwargs=True),
    ):
        out = nn.Module.__call__(layer, x, bogus=1)
    assert kwargs_seen == [{"bogus": 1}] and not out.detach().numpy().any()
    with (
        layer.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True),
        pytest.raises(TypeError, match=r"None or \(args, kwargs\), got int"),
    ):
        layer(x)
    with pytest.raises(TypeError, match="hook: expected a function"):
        layer.register_forward_hook(3)


def test_errors_name_the_layer():
    net = Net()
    with pytest.raises(ValueError) as caught:
        net(striate.ones(2, 5))
    text = "features.0 (Linear): linear: input: expected (..., 4), got shape (2, 5)"
    assert str(caught.value).startswith(text)
    with pytest.raises(ValueError) as caught:
        nn.Sequential(nn.Sequential(net))(striate.ones(2, 5))
    assert str(caught.value).startswith("0.0." + text)
    with pytest.raises(ValueError, match=r"^linear: input"):
        net.head(striate.ones(2, 4))

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict({"broken": nn.Module()})

        def forward(self, x):
            try:
                self.parts["broken"](x)
            except NotImplementedError as error:
                assert "defines no forward" in str(error)
                raise
            return x

    outer = nn.Module()
    outer.odd = Odd()
    outer.forward = lambda x: outer.odd(x)
    with pytest.raises(
        NotImplementedError, match=r"^odd\.parts\.broken \(Module\): Module defines"
    ):
        outer(1)


def test_arguments_reach_forward_as_they_are():
    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    echo = Echo()
    calls = [((), {}), ((1,), {}), ((1, 2), {}), ((), {"first": 3})]
    for args, kwargs in calls:
        assert echo(*args, **kwargs) == (args, kwargs)
    with echo.register_forward_hook(lambda module, args, output: (output, args)):
        for args, kwargs in calls:
            assert echo(*args, **kwargs) == ((args, kwargs), args)

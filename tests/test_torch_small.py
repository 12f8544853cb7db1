# SPDX-License-Identifier: Apache-2.0
"""Lines of a program, run by torch and here: names that no other test holds against torch."""

import copy
import inspect

import numpy as np
import pytest
import striate
import striate.data as striate_data

torch = pytest.importorskip("torch")


def x(t):
    return t.tensor([[0.5, -1.5, 2.0], [3.5, -0.0, -2.25]])


def y(t):
    return t.tensor([[0.5, 2.5, -2.0], [3.0, 0.0, 1.0]])


def n(t):
    return t.tensor([6, 3, -12])


def m(t):
    return t.tensor([3, 5, 7])


LINES = [
    lambda t: t.bitwise_and(n(t), m(t)),
    lambda t: t.bitwise_or(n(t), m(t)),
    lambda t: t.bitwise_xor(n(t), m(t)),
    lambda t: t.bitwise_not(n(t)),
    lambda t: n(t).bitwise_and(m(t)),
    lambda t: n(t).bitwise_not(),
    lambda t: t.ceil(x(t)),
    lambda t: x(t).ceil(),
    lambda t: t.round(x(t)),
    lambda t: x(t).round(),
    lambda t: t.floor(x(t)),
    lambda t: t.sign(x(t)),
    lambda t: t.gt(x(t), y(t)),
    lambda t: t.ge(x(t), y(t)),
    lambda t: t.le(x(t), y(t)),
    lambda t: t.lt(x(t), 1),
    lambda t: t.ne(x(t), y(t)),
    lambda t: t.eq(x(t), y(t)),
    lambda t: x(t).gt(0),
    lambda t: x(t).le(y(t)),
    lambda t: x(t).ne(y(t)),
    lambda t: t.logical_and(x(t), y(t)),
    lambda t: t.logical_or(x(t), y(t)),
    lambda t: t.logical_not(x(t)),
    lambda t: x(t).logical_and(y(t)),
    lambda t: x(t).logical_or(y(t)),
    lambda t: x(t).logical_not(),
    lambda t: t.eye(3),
    lambda t: t.eye(2, 4),
    lambda t: t.rand_like(x(t)).shape,
    lambda t: t.randn_like(x(t)).shape,
    lambda t: x(t).mT,
    lambda t: list(x(t)),  # __iter__
    lambda t: len(x(t)),  # __len__
    lambda t: f"{x(t)[0, 0]:.3f}",  # __format__
    lambda t: copy.deepcopy(x(t)),  # __deepcopy__
    lambda t: np.asarray(x(t)).sum(),  # __array__
    lambda t: assigned(t),
    lambda t: str(x(t).device),
    lambda t: str(t.get_default_dtype()).rpartition(".")[2],
    lambda t: [name for name, _ in t.nn.BatchNorm1d(2).named_buffers()],
    lambda t: [b.shape for b in t.nn.BatchNorm1d(2).buffers()],
    lambda t: t.nn.Linear(2, 3).extra_repr().split(", bias")[0],
    lambda t: registered(t),
    lambda t: F(t).adaptive_avg_pool1d(s(t, 1), 3),
    lambda t: F(t).adaptive_avg_pool3d(s(t, 3), (2, 1, None)),
    lambda t: F(t).adaptive_max_pool1d(s(t, 1), 3),
    lambda t: F(t).adaptive_max_pool3d(s(t, 3), 2),
    lambda t: F(t).conv_transpose1d(s(t, 1), s(t, 1).transpose(0, 1)[:3], stride=2),
    lambda t: F(t).lp_pool1d(s(t, 1), 2, 2),
    lambda t: F(t).lp_pool3d(s(t, 3), 2, 2),
    lambda t: F(t).max_unpool1d(*F(t).max_pool1d(s(t, 1), 2, return_indices=True), 2),
    lambda t: F(t).max_unpool3d(*F(t).max_pool3d(s(t, 3), 2, return_indices=True), 2),
    lambda t: t.nn.MaxUnpool1d(2)(*F(t).max_pool1d(s(t, 1), 2, return_indices=True)),
    lambda t: t.nn.MaxUnpool3d(2)(*F(t).max_pool3d(s(t, 3), 2, return_indices=True)),
    lambda t: F(t).upsample(s(t, 1), scale_factor=2),
    lambda t: dataset(t),
    lambda t: schedule(t),
    lambda t: t.ger(x(t)[0], y(t)[1]),
    lambda t: t.not_equal(x(t), y(t)),
    lambda t: t.tril_indices(3, 4),
    lambda t: t.triu_indices(3, 4),
    lambda t: (2.0 in x(t), 9.0 in x(t)),  # __contains__
    lambda t: x(t).abs_(),
    lambda t: x(t).clamp_(-1, 1),
    lambda t: x(t).neg_(),
    lambda t: x(t).floor_(),
    lambda t: x(t).round_(),
    lambda t: x(t).relu_(),
    lambda t: x(t).addcdiv_(y(t), t.full((2, 3), 2.0), value=2),
    lambda t: x(t).addcmul_(y(t), x(t), value=2),
    lambda t: x(t).masked_fill_(y(t) > 0, 9.0),
    lambda t: x(t).new_empty((2, 1)).shape,
    lambda t: x(t).index_add_(1, t.tensor([0, 2]), y(t)[:, :2]),
    lambda t: x(t).index_copy_(1, t.tensor([2, 0]), y(t)[:, :2]),
    lambda t: x(t).index_put_((t.tensor([0, 1]), t.tensor([2, 0])), t.tensor([8.0, 9.0])),
    lambda t: x(t).masked_scatter_(y(t) > 0, t.tensor([7.0, 8.0, 9.0, 10.0])),
    lambda t: x(t).scatter_(1, t.tensor([[0, 2], [1, 0]]), y(t)[:, :2]),
    lambda t: x(t).scatter_add_(1, t.tensor([[0, 2], [1, 0]]), y(t)[:, :2]),
    lambda t: x(t).sigmoid_(),
    lambda t: x(t).tanh_(),
    lambda t: x(t).exp_(),
]


def F(t):
    return t.nn.functional


def s(t, axes):
    """A sequence, images or volumes of three channels, for one."""
    shape = (3, 3, *[4] * axes)
    return t.tensor(np.sin(np.arange(np.prod(shape))).reshape(shape).astype(np.float32))


def assigned(t):
    """__setitem__ with slices, masks and numbers."""
    z = x(t)
    z[0, 1:] = 7
    z[z < 0] = 0.25
    return z


def registered(t):
    module = t.nn.Module()
    module.register_module("part", t.nn.Identity())
    return [name for name, _ in module.named_children()]


def dataset(t):
    data = t.utils.data if t is torch else striate_data
    return isinstance(data.TensorDataset(x(t)), data.Dataset)


def schedule(t):
    optimizer = t.optim.SGD(t.nn.Linear(1, 1).parameters(), lr=0.1)
    schedules = t.optim.lr_scheduler
    return isinstance(schedules.StepLR(optimizer, 2), schedules.LRScheduler)


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.filterwarnings("ignore:.*upsample. is deprecated")
@pytest.mark.parametrize("line", LINES, ids=lambda f: inspect.getsource(f).strip()[10:60])
def test_lines(line):
    got, expected = line(striate), line(torch)
    if isinstance(expected, torch.Tensor):
        assert isinstance(got, striate.Tensor) and got.shape == tuple(expected.shape)
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    else:
        assert plain(got) == plain(expected)

# SPDX-License-Identifier: Apache-2.0
"""Work on several streams, and sequences that come again, whose launches are one."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import normal
from striate import nn
from striate.cupy_arrays import cupy


def stepped(model, x, labels, forward, backward):
    """The gradients of one step, its two halves on the streams given."""
    model.zero_grad()
    with forward:
        loss = F.cross_entropy(model(x), labels)
    with backward:
        loss.backward()
        grads = [p.grad.cpu().numpy() for p in model.parameters()]
    del loss
    return grads


@pytest.mark.parametrize("non_blocking", [False, True])
def test_backward_on_another_stream(non_blocking):
    """Over and over, so that a forward would write to what the backward before it still reads."""
    striate.manual_seed(3)
    model = nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 64), nn.GELU())
    x, labels = normal((300, 64)), np.arange(300) % 64
    loss = F.cross_entropy(model(striate.tensor(x)), striate.tensor(labels))
    loss.backward()
    want = [p.grad.numpy().copy() for p in model.parameters()]
    model.to("cuda")
    x, labels = striate.tensor(x, device="cuda"), striate.tensor(labels, device="cuda")
    striate.cuda.synchronize()
    streams = [cupy().cuda.Stream(non_blocking=non_blocking) for _ in range(2)]
    for i in range(6):
        here, there = streams if i % 2 else reversed(streams)
        grads = stepped(model, x, labels, here, there)
        there.synchronize()
        for got, expected in zip(grads, want, strict=True):
            np.testing.assert_allclose(got, expected, 1e-4, 1e-6)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_sequence_that_comes_again(kind):
    """The gradients of a loop whose operand is written anew, against the CPU device."""
    there, here = kind(7, 9).to("cuda"), kind(7, 9)
    here.load_state_dict({k: v.cpu() for k, v in there.state_dict().items()})
    x = striate.zeros(6, 3, 7, device="cuda")
    striate.cuda.synchronize()
    with cupy().cuda.Stream(non_blocking=True) as stream:
        for _ in range(5):
            host = normal((6, 3, 7))
            x.copy_(striate.tensor(host, device="cuda"))
            for model, given in ((there, x), (here, striate.tensor(host))):
                model.zero_grad()
                (model(given)[0] * 0.5).exp().sum().backward()
            for a, b in zip(there.parameters(), here.parameters(), strict=True):
                np.testing.assert_allclose(a.grad.cpu().numpy(), b.grad.numpy(), 2e-4, 2e-5)
        stream.synchronize()

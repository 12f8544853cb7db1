# SPDX-License-Identifier: Apache-2.0
"""Networks that learn on a GPU as they learn on the CPU."""

import numpy as np
import pytest
import striate
from striate import nn, optim

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
    "rmsprop_centered": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
}


def data():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((60, 8)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.int64) + (x[:, 3] > 1)


def mlp():
    striate.manual_seed(1)
    return nn.Sequential(
        nn.Linear(8, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 16), nn.ReLU(),
        nn.Dropout(0.1), nn.Linear(16, 3),
    )  # fmt: skip


def losses_of(model, step, x, labels, steps, batch):
    """Of so many steps, over the first 60 again and again."""
    losses = []
    for i in range(steps):
        at = slice(i * batch % 60, i * batch % 60 + batch)
        loss = nn.functional.cross_entropy(model(x[at]), labels[at])
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    return losses


def trained(device, optimizer, steps):
    """(losses, parameters) after some steps on batches of 20."""
    model = mlp().to(device)
    step = OPTIMIZERS[optimizer](model.parameters())
    x, labels = (striate.tensor(a, device=device) for a in data())
    striate.manual_seed(2)
    losses = losses_of(model, step, x, labels, steps, batch=20)
    return losses, [p.detach().cpu().numpy() for p in model.parameters()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_learns_as_on_the_cpu(optimizer):
    here, there = trained("cpu", optimizer, 6), trained("cuda", optimizer, 6)
    np.testing.assert_allclose(there[0], here[0], 1e-3, 1e-4)
    for a, b in zip(here[1], there[1], strict=True):
        np.testing.assert_allclose(b, a, 1e-2, 1e-3)


def test_learns():
    losses, _ = trained("cuda", "adam", 60)
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])


def test_optimizers_keep_their_state_on_the_gpu():
    p = striate.ones(3, 5, device="cuda", requires_grad=True)
    step = optim.Adam([p], lr=0.1)
    (p.T * 2.0).sum().backward()  # a gradient in another memory order
    step.step()
    assert step.state[p]["exp_avg"].is_cuda
    np.testing.assert_allclose(p.detach().cpu().numpy(), 0.9, 1e-5)
    saved = step.state_dict()
    step.load_state_dict(saved)
    step.step()
    assert step.state[p]["exp_avg_sq"].is_cuda


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_of_every_size(dtype):
    for n in (1, 3, 255, 4099):
        host = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
        ends = []
        for device in ("cpu", "cuda"):
            p = striate.tensor(host[0], device=device, requires_grad=True)
            p.grad = striate.tensor(host[1], device=device)
            step = optim.Adam([p], lr=0.1, weight_decay=0.1)
            step.step()
            step.step()
            ends.append(p.detach().cpu().numpy())
        np.testing.assert_allclose(ends[1], ends[0], 1e-5 if dtype == np.float32 else 1e-12)


def lenet():
    """LeNet-5 in small (LeCun et al. 1998), on pictures of 8 x 8."""
    striate.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3),
    )  # fmt: skip


class Reader(nn.Module):
    """An LSTM in both directions that tells one of three classes by its last state."""

    def __init__(self):
        super().__init__()
        striate.manual_seed(1)
        self.lstm = nn.LSTM(5, 12, bidirectional=True, batch_first=True)
        self.out = nn.Linear(24, 3)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.out(striate.cat([h[0], h[1]], 1))


def pictures(rng):
    """Bars that lie, stand or slope, in noise."""
    labels = rng.integers(0, 3, 60)
    x = 0.3 * rng.standard_normal((60, 1, 8, 8))
    for picture, label in zip(x[:, 0], labels, strict=True):
        at = rng.integers(1, 7)
        part = (picture[at], picture[:, at], np.einsum("ii->i", picture))[label]
        part += 1
    return x.astype(np.float32), labels


def sequences(rng):
    """In which third of the steps the largest value lies."""
    labels = rng.integers(0, 3, 60)
    x = 0.3 * rng.standard_normal((60, 6, 5))
    x[np.arange(60), 2 * labels + rng.integers(0, 2, 60), 0] += 3
    return x.astype(np.float32), labels


NETWORKS = pytest.mark.parametrize(
    ("make", "draw"), [(lenet, pictures), (Reader, sequences)], ids=["lenet", "lstm"]
)


def network_trained(make, draw, device, steps):
    """The losses of some steps of Adam on batches of 10."""
    x, labels = (striate.tensor(a, device=device) for a in draw(np.random.default_rng(5)))
    model = make().to(device)
    step = optim.Adam(model.parameters(), lr=0.03)
    return losses_of(model, step, x, labels, steps, batch=10)


@NETWORKS
def test_networks_learn_as_on_the_cpu(make, draw):
    here = network_trained(make, draw, "cpu", 8)
    there = network_trained(make, draw, "cuda", 24)
    np.testing.assert_allclose(there[:8], here, 1e-3, 1e-4)
    assert np.mean(there[-3:]) < 0.75 * np.mean(there[:3])

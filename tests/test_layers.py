# SPDX-License-Identifier: Apache-2.0
"""Every layer against PyTorch's of the same name, weights copied: forward and all gradients."""

import numpy as np
import pytest
import striate
from striate import nn

torch = pytest.importorskip("torch")

IMAGES = (3, 4, 9, 8)

# name, arguments, keywords, input shape (or shapes)
LAYERS = [
    ("Linear", (6, 5), {}, (3, 6)),
    ("Linear", (6, 5), {"bias": False}, (2, 3, 6)),
    ("Identity", (1,), {"x": 2}, (2, 3)),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (2, 3), {}, IMAGES),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    ("Conv2d", (4, 6, (3, 5)), {"stride": (2, 1), "padding": (1, 2), "bias": False}, IMAGES),
    ("Conv2d", (4, 8, 3), {"groups": 2, "dilation": 2, "padding": "same"}, IMAGES),
    ("Conv2d", (4, 8, 3), {"groups": 4, "padding": "valid"}, IMAGES),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGES),
    (
        "ConvTranspose2d",
        (4, 6, 3),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": (1, 2)},
        IMAGES,
    ),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, IMAGES),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, IMAGES),
    ("LPPool2d", (2, 3), {"stride": 2}, IMAGES),
    ("LPPool2d", (4, 2), {"ceil_mode": True}, IMAGES),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((4, None),), {}, IMAGES),
    ("AdaptiveMaxPool2d", ((4, 3),), {}, IMAGES),
    ("BatchNorm1d", (6,), {}, (5, 6)),
    ("BatchNorm1d", (6,), {"momentum": None, "eps": 1e-3}, (5, 6, 3)),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": 0.3}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("LocalResponseNorm", (3,), {}, IMAGES),
    ("LocalResponseNorm", (2, 0.1, 0.5, 2.0), {}, IMAGES),
    ("ReLU", (), {}, (3, 7)),
    ("LeakyReLU", (), {}, (3, 7)),
    ("LeakyReLU", (-0.3,), {}, IMAGES),
    ("ELU", (), {}, (3, 7)),
    ("ELU", (0.5,), {}, IMAGES),
    ("Sigmoid", (), {}, (3, 7)),
    ("Tanh", (), {}, IMAGES),
    ("Softplus", (), {}, (3, 7)),
    ("Softplus", (2.0, 1.5), {}, IMAGES),
    ("GELU", (), {}, (3, 7)),
    ("GELU", ("tanh",), {}, IMAGES),
    ("SiLU", (), {}, (3, 7)),
    ("Softmax", (1,), {}, (3, 7)),
    ("Softmax", (1,), {}, IMAGES),
    ("LogSoftmax", (-1,), {}, (3, 7)),
]


def twins(name, args, keywords):
    """PyTorch's layer in float64, and ours with its weights."""
    peer = getattr(torch.nn, name)(*args, **keywords).double()
    with torch.no_grad():
        for p in peer.parameters():
            p.normal_()
    ours = getattr(nn, name)(*args, **keywords).double()
    ours.load_state_dict({k: v.numpy() for k, v in peer.state_dict().items()})
    return ours, peer


def close(a, b):
    a = a.detach().numpy() if isinstance(a, striate.Tensor) else a
    b = b.detach().numpy()
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0) <= 1e-9 * (1 + np.abs(b).max(initial=0))


def compare(ours, peer, x, keywords=()):
    """Forward, gradient of the input and of every parameter, and the state afterwards."""
    a = striate.tensor(x).requires_grad_()
    b = torch.from_numpy(x.copy()).requires_grad_()
    ours.zero_grad()
    peer.zero_grad()
    y, z = ours(a), peer(b)
    close(y, z)
    weights = np.random.default_rng(1).standard_normal(y.shape)
    (y * striate.tensor(weights)).sum().backward()
    (z * torch.from_numpy(weights)).sum().backward()
    close(a.grad, b.grad)
    theirs = dict(peer.named_parameters())
    assert [n for n, _ in ours.named_parameters()] == list(theirs)
    for name, p in ours.named_parameters():
        close(p.grad, theirs[name].grad)
    state = peer.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        close(value, state[name])


@pytest.mark.parametrize(("name", "args", "keywords", "shape"), LAYERS, ids=lambda v: str(v))
def test_layer(name, args, keywords, shape):
    ours, peer = twins(name, args, keywords)
    rng = np.random.default_rng(0)
    for _ in range(2):
        compare(ours, peer, rng.standard_normal(shape))
    ours.eval()
    peer.eval()
    compare(ours, peer, rng.standard_normal(shape))


@pytest.mark.parametrize(("name", "args", "keywords", "shape"), LAYERS, ids=lambda v: str(v))
def test_repr(name, args, keywords, shape):
    theirs = repr(getattr(torch.nn, name)(*args, **keywords))
    if name in ("MaxPool2d", "AvgPool2d", "LPPool2d"):  # ours shows pairs throughout
        assert repr(getattr(nn, name)(*args, **keywords)).startswith(theirs[: len(name) + 12])
    elif name.startswith("BatchNorm") and "bias=" not in theirs:  # an older PyTorch
        ours = repr(getattr(nn, name)(*args, **keywords))
        assert ours.replace(f", bias={keywords.get('affine', True)}", "") == theirs
    elif name == "AdaptiveAvgPool2d" and args == (1,):
        assert repr(nn.AdaptiveAvgPool2d(1)) == "AdaptiveAvgPool2d(output_size=(1, 1))"
    else:
        assert repr(getattr(nn, name)(*args, **keywords)) == theirs


def test_sum_pool_is_average_times_count():
    x = striate.randn(*IMAGES).double()
    total = nn.SumPool2d(3, 2, 1)(x)
    mean = nn.AvgPool2d(3, 2, 1)(x)
    assert np.allclose(total.numpy(), mean.numpy() * 9)


def test_indices_and_unpooling():
    x = np.random.default_rng(0).standard_normal(IMAGES)
    ours, theirs = (m.MaxPool2d(2, return_indices=True) for m in (nn, torch.nn))
    y, at = ours(striate.tensor(x))
    z, there = theirs(torch.from_numpy(x))
    close(y, z)
    assert np.array_equal(at.numpy(), there.numpy())
    close(nn.MaxUnpool2d(2)(y, at), torch.nn.MaxUnpool2d(2)(z, there))
    size = IMAGES[2:]
    close(
        nn.MaxUnpool2d(2)(y, at, output_size=size),
        torch.nn.MaxUnpool2d(2)(z, there, output_size=size),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weighted": True}, {"label_smoothing": 0.1}], ids=str)
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3, 4)], ids=str)
def test_cross_entropy(reduction, options, shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    target = rng.integers(0, 5, (shape[0], *shape[2:]))
    target.reshape(-1)[0] = -100
    options = dict(options)
    weight = rng.random(5) if options.pop("weighted", False) else None
    ours = nn.CrossEntropyLoss(
        None if weight is None else striate.tensor(weight), reduction=reduction, **options
    )
    theirs = torch.nn.CrossEntropyLoss(
        None if weight is None else torch.from_numpy(weight), reduction=reduction, **options
    )
    a, b = striate.tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    y, z = ours(a, striate.tensor(target)), theirs(b, torch.from_numpy(target))
    close(y, z)
    y.sum().backward()
    z.sum().backward()
    close(a.grad, b.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(reduction):
    x, t = np.random.default_rng(0).standard_normal((2, 3, 4))
    a, b = striate.tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    y = nn.MSELoss(reduction)(a, striate.tensor(t))
    z = torch.nn.MSELoss(reduction=reduction)(b, torch.from_numpy(t))
    close(y, z)
    y.sum().backward()
    z.sum().backward()
    close(a.grad, b.grad)


def test_default_initialisation_has_pytorchs_spread():
    striate.manual_seed(0)
    torch.manual_seed(0)
    for args in [(8, 200, 3), (8, 200, (1, 5), 1, 0, 1, 4)]:
        ours, theirs = nn.Conv2d(*args), torch.nn.Conv2d(*args)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            bound = float(q.detach().abs().max())
            assert abs(np.abs(p.detach().numpy()).max() / bound - 1) < 0.05
            assert abs(p.detach().numpy().std() / float(q.detach().std()) - 1) < 0.2


def test_convolution_weights_are_channels_last():
    layer = nn.Conv2d(4, 6, 3)
    assert layer.weight._array.transpose(0, 2, 3, 1).flags.c_contiguous
    layer(striate.randn(*IMAGES)).sum().backward()
    assert layer.weight.grad._array.strides == layer.weight._array.strides


REFUSED = [
    (lambda: nn.Linear(2**40, 2**40), r"Linear: weight: expected a size that the address space ho"),
    (
        lambda: nn.Conv2d(2**30, 2**30, 3),
        r"Conv2d: weight: .*got shape",
    ),
    (lambda: nn.Conv2d(4, 6, 0), "Conv2d: kernel_size: expected 1 or more, got 0"),
    (lambda: nn.Conv2d(-4, 6, 3), "Conv2d: in_channels: expected 1 or more, got -4"),
    (
        lambda: nn.Conv2d(4, 6, (3, 3, 3)),
        r"an integer or a pair \(height, width\), got \(3, 3, 3\)",
    ),
    (lambda: nn.Conv2d(4, 6, 3, groups=3), "in_channels: expected a multiple of groups=3, got 4"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "out_channels: expected a multiple of groups=4, got 6"),
    (lambda: nn.Conv2d(4, 6, 3, padding=-1), "Conv2d: padding: expected 0 or more, got -1"),
    (lambda: nn.Conv2d(4, 6, 3, padding="full"), "padding: expected a number, .*got 'full'"),
    (
        lambda: nn.Conv2d(4, 6, 3, padding=((1, 1), 2)),
        r"padding: expected 2 pairs such as \(left, right\)",
    ),
    (
        lambda: nn.Conv2d(4, 6, 3, 2, "same"),
        r"stride: expected 1 with padding='same', got \(2, 2\)",
    ),
    (lambda: nn.Conv2d(4, 6, 3, padding_mode="wrap"), "padding_mode: .*got 'wrap'"),
    (lambda: nn.ConvTranspose2d(4, 6, 3, output_padding=1), "output_padding: expected less than"),
    (
        lambda: nn.MaxPool2d(2, padding=2),
        "MaxPool2d: padding: expected at most half of kernel_size=2, got 2",
    ),
    (lambda: nn.AvgPool2d(2, divisor_override=0), "divisor_override: expected 1 or more, got 0"),
    (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "output_size: expected an integer or a pair"),
    (lambda: nn.LPPool2d(0, 2), "norm_type: expected a finite number above 0, got 0"),
    (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features: expected 1 or more, got 0"),
    (lambda: nn.BatchNorm2d(4, eps=0), "eps: expected a finite number above 0, got 0"),
    (lambda: nn.BatchNorm2d(4, momentum=2), "momentum: expected a number from 0 to 1, got 2"),
    (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size: expected 1 or more, got 0"),
    (lambda: nn.LeakyReLU(float("nan")), "negative_slope: expected a finite number, got nan"),
    (lambda: nn.Softplus(0), "Softplus: beta: expected a number other than 0, got 0"),
    (lambda: nn.GELU("fast"), "GELU: approximate: expected one of 'none', 'tanh', got 'fast'"),
    (lambda: nn.CrossEntropyLoss(reduction="max"), "reduction: expected one of 'mean'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), "label_smoothing: expected a number from"),
    (lambda: nn.CrossEntropyLoss(striate.ones(2, 2)), r"weight: expected one .*got shape \(2, 2\)"),
    (
        lambda: nn.BatchNorm2d(4)(striate.ones(2, 3, 4, 4)),
        r"batch_norm: input: expected \(N, 4, H, W\), got shape \(2, 3, 4, 4\)",
    ),
    (
        lambda: nn.BatchNorm1d(4)(striate.ones(4)),
        r"expected \(N, 4\) or \(N, 4, L\), got shape \(4",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Conv2d(4.0, 6, 3),
        lambda: nn.Conv2d(4, 6, True),
        lambda: nn.Conv2d(4, 6, 3, bias=1),
        lambda: nn.MaxPool2d("2"),
        lambda: nn.Softmax("x"),
        lambda: nn.ELU("1"),
        lambda: nn.Linear(2, 3, dtype="int64"),
        lambda: nn.CrossEntropyLoss(weight=[1.0]),
    ],
)
def test_types_refused(call):
    with pytest.raises(TypeError, match="expected"):
        call()


def test_batch_norm_state_follows_torch_names():
    assert list(nn.BatchNorm2d(3).state_dict()) == list(torch.nn.BatchNorm2d(3).state_dict())
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    assert not layer.state_dict() and layer.weight is None and layer.running_mean is None


def test_a_network_trains_as_pytorchs_does():
    """Convolution, normalisation, pooling, linear layers and SGD together, five steps."""

    def network(m):
        return m.Sequential(
            m.Conv2d(1, 4, 3, padding=1),
            m.BatchNorm2d(4),
            m.ReLU(),
            m.MaxPool2d(2),
            m.Conv2d(4, 6, 3, bias=False),
            m.Tanh(),
            m.AvgPool2d(2, padding=1),
            m.Flatten(),
            m.Linear(24, 10),
            m.LeakyReLU(0.1),
            m.Linear(10, 5),
        ).double()

    ours, theirs = network(nn), network(torch.nn)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    mine = striate.optim.SGD(ours.parameters(), **options)
    peer = torch.optim.SGD(theirs.parameters(), **options)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, target = rng.standard_normal((6, 1, 10, 8)), rng.integers(0, 5, 6)
        mine.zero_grad()
        peer.zero_grad()
        loss = nn.CrossEntropyLoss()(ours(striate.tensor(x)), striate.tensor(target))
        other = torch.nn.CrossEntropyLoss()(theirs(torch.from_numpy(x)), torch.from_numpy(target))
        close(loss, other)
        loss.backward()
        other.backward()
        mine.step()
        peer.step()
    for name, value in theirs.state_dict().items():
        close(ours.state_dict()[name], value)

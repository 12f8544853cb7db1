# SPDX-License-Identifier: Apache-2.0
"""from_torch: the same outputs, gradients and state as the module it was made of."""

import copy

import numpy as np
import pytest
import striate
from striate import nn
from striate.interop import TracedModule, from_torch

torch = pytest.importorskip("torch")
F = torch.nn.functional
tnn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's, of its own speed


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def same(value, expected, tolerance=2e-5):
    if isinstance(expected, (tuple, list)):
        assert len(value) == len(expected)
        for v, e in zip(value, expected, strict=True):
            same(v, e, tolerance)
    elif isinstance(expected, torch.Tensor):
        e = expected.detach().numpy()
        assert value.shape == e.shape
        bound = tolerance * (1 + np.abs(e).max(initial=0))
        np.testing.assert_allclose(value.detach().numpy(), e, rtol=0, atol=bound)
    else:
        assert value == expected


def compare(module, *inputs, gradients=True):
    """Outputs, gradients of all parameters, and the state afterwards."""
    ours = from_torch(module)
    here = [striate.tensor(x.detach().numpy().copy()) for x in inputs]
    for x, y in zip(inputs, here, strict=True):
        y.requires_grad_(x.requires_grad)
    theirs, mine = module(*inputs), ours(*here)
    same(mine, theirs)
    assert list(ours.state_dict()) == list(module.state_dict())
    if gradients and any(t.requires_grad for t in [*inputs, *module.parameters()]):
        first = lambda y: y[0] if isinstance(y, tuple) else y  # noqa: E731
        first(theirs).square().sum().backward()
        first(mine).square().sum().backward()
        for x, y in zip(inputs, here, strict=True):
            if x.requires_grad:
                same(y.grad, x.grad, 2e-4)
        for (name, p), (other, q) in zip(
            module.named_parameters(), ours.named_parameters(), strict=True
        ):
            assert name == other and p.requires_grad == q.requires_grad
            if p.grad is not None:
                same(q.grad, p.grad, 2e-4)
    for name, value in module.state_dict().items():
        same(ours.state_dict()[name], value)
    for (_, m), (_, o) in zip(module.named_modules(), ours.named_modules(), strict=True):
        assert m.training == o.training
    return ours


# --- every layer ----------------------------------------------------------------------------------

IMAGE, SEQUENCE, ROWS, VOLUME = (2, 4, 9, 9), (2, 4, 9), (5, 4), (1, 4, 5, 5, 5)
# (name, input's shape, arguments). Layers that are not here yet are skipped.
LAYERS = [
    ("Linear", ROWS, {"in_features": 4, "out_features": 3}),
    ("Linear", ROWS, {"in_features": 4, "out_features": 3, "bias": False}),
    ("Conv2d", IMAGE, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1}),
    (
        "Conv2d",
        IMAGE,
        {
            "in_channels": 4,
            "out_channels": 6,
            "kernel_size": (3, 2),
            "stride": 2,
            "groups": 2,
            "bias": False,
            "dilation": 2,
        },
    ),
    ("Conv2d", IMAGE, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": "same"}),
    ("Conv1d", SEQUENCE, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2}),
    ("Conv3d", VOLUME, {"in_channels": 4, "out_channels": 2, "kernel_size": 2}),
    (
        "ConvTranspose2d",
        IMAGE,
        {"in_channels": 4, "out_channels": 3, "kernel_size": 3, "stride": 2, "output_padding": 1},
    ),
    ("ConvTranspose1d", SEQUENCE, {"in_channels": 4, "out_channels": 3, "kernel_size": 3}),
    ("ConvTranspose3d", VOLUME, {"in_channels": 4, "out_channels": 3, "kernel_size": 2}),
    ("BatchNorm1d", ROWS, {"num_features": 4, "momentum": 0.3}),
    ("BatchNorm2d", IMAGE, {"num_features": 4, "eps": 1e-3}),
    ("BatchNorm2d", IMAGE, {"num_features": 4, "affine": False}),
    ("BatchNorm2d", IMAGE, {"num_features": 4, "track_running_stats": False}),
    ("BatchNorm3d", VOLUME, {"num_features": 4}),
    ("LayerNorm", ROWS, {"normalized_shape": 4}),
    ("LayerNorm", ROWS, {"normalized_shape": (4,), "elementwise_affine": False}),
    ("GroupNorm", IMAGE, {"num_groups": 2, "num_channels": 4}),
    ("InstanceNorm1d", SEQUENCE, {"num_features": 4, "affine": True}),
    ("InstanceNorm2d", IMAGE, {"num_features": 4}),
    ("InstanceNorm3d", VOLUME, {"num_features": 4}),
    ("RMSNorm", ROWS, {"normalized_shape": 4}),
    ("LocalResponseNorm", IMAGE, {"size": 3}),
    ("MaxPool1d", SEQUENCE, {"kernel_size": 2}),
    ("MaxPool2d", IMAGE, {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("MaxPool3d", VOLUME, {"kernel_size": 2}),
    ("AvgPool1d", SEQUENCE, {"kernel_size": 2}),
    ("AvgPool2d", IMAGE, {"kernel_size": 2, "count_include_pad": False}),
    ("AvgPool3d", VOLUME, {"kernel_size": 2}),
    ("LPPool2d", IMAGE, {"norm_type": 2, "kernel_size": 2}),
    ("AdaptiveAvgPool1d", SEQUENCE, {"output_size": 3}),
    ("AdaptiveAvgPool2d", IMAGE, {"output_size": (3, None)}),
    ("AdaptiveMaxPool2d", IMAGE, {"output_size": 2}),
    ("Upsample", IMAGE, {"scale_factor": 2, "mode": "nearest"}),
    ("Upsample", IMAGE, {"scale_factor": 2, "mode": "bilinear", "align_corners": True}),
    ("InstanceNorm3d", VOLUME, {"num_features": 4}),
    ("MaxPool1d", SEQUENCE, {"kernel_size": 3, "stride": 1, "padding": 1}),
    ("LPPool1d", SEQUENCE, {"norm_type": 2, "kernel_size": 2}),
    ("LPPool3d", VOLUME, {"norm_type": 2, "kernel_size": 2}),
    ("AdaptiveAvgPool3d", VOLUME, {"output_size": 2}),
    ("AdaptiveMaxPool1d", SEQUENCE, {"output_size": 3}),
    ("AdaptiveMaxPool3d", VOLUME, {"output_size": 2}),
    ("UpsamplingNearest2d", IMAGE, {"scale_factor": 2}),
    ("UpsamplingBilinear2d", IMAGE, {"scale_factor": 2}),
    ("ZeroPad1d", SEQUENCE, {"padding": 2}),
    ("ReflectionPad1d", SEQUENCE, {"padding": 2}),
    ("ReplicationPad1d", SEQUENCE, {"padding": 2}),
    ("CircularPad1d", SEQUENCE, {"padding": 2}),
    ("ConstantPad1d", SEQUENCE, {"padding": 1, "value": 0.5}),
    ("ZeroPad2d", IMAGE, {"padding": (1, 2, 0, 1)}),
    ("ReflectionPad2d", IMAGE, {"padding": (1, 2, 0, 1)}),
    ("ReplicationPad2d", IMAGE, {"padding": (1, 2, 0, 1)}),
    ("CircularPad2d", IMAGE, {"padding": (1, 2, 0, 1)}),
    ("ConstantPad2d", IMAGE, {"padding": 1, "value": 0.5}),
    ("ZeroPad3d", VOLUME, {"padding": 1}),
    ("ReflectionPad3d", VOLUME, {"padding": 1}),
    ("ReplicationPad3d", VOLUME, {"padding": 1}),
    ("CircularPad3d", VOLUME, {"padding": 1}),
    ("ConstantPad3d", VOLUME, {"padding": 1, "value": 0.5}),
    ("PixelShuffle", IMAGE, {"upscale_factor": 2}),
    ("PixelUnshuffle", (1, 2, 4, 6), {"downscale_factor": 2}),
    ("ChannelShuffle", IMAGE, {"groups": 2}),
    ("Fold", (2, 16, 12), {"output_size": (4, 5), "kernel_size": 2}),
    ("Unfold", IMAGE, {"kernel_size": 3, "padding": 1}),
    ("CELU", ROWS, {"alpha": 0.5}),
    ("SELU", ROWS, {}),
    ("GLU", ROWS, {"dim": 1}),
    ("Mish", ROWS, {}),
    ("Hardshrink", ROWS, {"lambd": 0.3}),
    ("Softshrink", ROWS, {"lambd": 0.3}),
    ("Tanhshrink", ROWS, {}),
    ("LogSigmoid", ROWS, {}),
    ("Threshold", ROWS, {"threshold": 0.1, "value": 0.2}),
    ("Softmin", ROWS, {"dim": 0}),
    ("Softmax2d", IMAGE, {}),
    ("CrossMapLRN2d", IMAGE, {"size": 3}),
    ("Flatten", IMAGE, {"start_dim": 2}),
    ("Unflatten", ROWS, {"dim": 1, "unflattened_size": (2, 2)}),
    ("Identity", ROWS, {}),
    ("ReLU", ROWS, {"inplace": False}),
    ("ReLU6", ROWS, {}),
    ("LeakyReLU", ROWS, {"negative_slope": 0.2}),
    ("ELU", ROWS, {"alpha": 0.5}),
    ("GELU", ROWS, {"approximate": "tanh"}),
    ("SiLU", ROWS, {}),
    ("Sigmoid", ROWS, {}),
    ("Tanh", ROWS, {}),
    ("Softplus", ROWS, {"beta": 2.0}),
    ("Softsign", ROWS, {}),
    ("Hardtanh", ROWS, {"min_val": -0.5, "max_val": 0.5}),
    ("Hardswish", ROWS, {}),
    ("Hardsigmoid", ROWS, {}),
    ("PReLU", ROWS, {"num_parameters": 4}),
    ("Softmax", ROWS, {"dim": 1}),
    ("LogSoftmax", ROWS, {"dim": 1}),
    ("LSTM", (6, 2, 4), {"input_size": 4, "hidden_size": 3, "num_layers": 2}),
    ("LSTM", (6, 2, 4), {"input_size": 4, "hidden_size": 3, "bidirectional": True, "bias": False}),
    ("LSTM", (2, 6, 4), {"input_size": 4, "hidden_size": 3, "batch_first": True, "proj_size": 2}),
    ("GRU", (6, 2, 4), {"input_size": 4, "hidden_size": 3}),
    ("RNN", (6, 2, 4), {"input_size": 4, "hidden_size": 3, "nonlinearity": "relu"}),
]


@pytest.mark.parametrize(
    ("name", "shape", "arguments"), LAYERS, ids=[f"{i}-{x[0]}" for i, x in enumerate(LAYERS)]
)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("training", [True, False])
def test_layers(name, shape, arguments, training):
    if not hasattr(nn, name):
        pytest.skip(f"no nn.{name} here")
    module = getattr(tnn, name)(**arguments).train(training)
    for p in module.parameters():  # nothing at its default
        with torch.no_grad():
            p.uniform_(-1, 1)
    for name_, b in module.named_buffers():
        if b.dtype.is_floating_point:
            b.uniform_(0.5, 1.5)
        elif name_ == "num_batches_tracked":
            b.fill_(3)
    ours = compare(module, torch.randn(shape, requires_grad=True))
    assert type(ours) is getattr(nn, name)


def test_every_layer_with_arguments_of_torchs_is_tried():
    """A layer that both have is in the list above, or has no example of one input."""
    others = {
        "Module", "Sequential", "ModuleList", "ModuleDict", "Parameter", "MaxUnpool2d", "Embedding",
        "EmbeddingBag", "Bilinear", "CosineSimilarity", "PairwiseDistance", "LSTMCell", "GRUCell",
        "RNNCell", "ParameterList", "ParameterDict", "RReLU", "MaxUnpool1d", "Buffer",
        "MaxUnpool3d", "RNNBase", "RNNCellBase",
        "FractionalMaxPool2d", "FractionalMaxPool3d", "MultiheadAttention",
    }  # fmt: skip
    both = {n for n in vars(nn) if n[0].isupper() and hasattr(tnn, n)} - others
    both = {n for n in both if not n.endswith("Loss") and "Dropout" not in n}
    assert sorted(both - {name for name, _, _ in LAYERS}) == []


def test_dropout_in_evaluation_and_embedding():
    compare(tnn.Sequential(tnn.Linear(4, 4), tnn.Dropout(0.5)).eval(), torch.randn(3, 4))
    assert from_torch(tnn.Dropout(0.3)).p == 0.3
    embedding = tnn.Embedding(10, 3, padding_idx=2)
    compare(embedding, torch.tensor([[1, 2], [9, 0]]))


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"add_bias_kv": True, "batch_first": True}, {"kdim": 6}]
)
def test_attention(options):
    module = tnn.MultiheadAttention(4, 2, **options).eval()
    ours = from_torch(module)
    assert set(ours.state_dict()) == set(module.state_dict())
    query, value = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    key = torch.randn(3, 2, options.get("kdim", 4))
    got = ours(*(striate.tensor(t.numpy()) for t in (query, key, value)))
    for mine, theirs in zip(got, module(query, key, value), strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6
        )


def test_losses_with_weights():
    loss = tnn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)
    scores, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    ours = from_torch(loss)
    same(ours(striate.tensor(scores.numpy()), striate.tensor(labels.numpy())), loss(scores, labels))


# --- containers, sharing, flags -------------------------------------------------------------------


def test_containers_paths_and_flags():
    module = tnn.Sequential(
        tnn.ModuleDict({"a": tnn.Linear(2, 2)})["a"],
        tnn.Sequential(tnn.Tanh(), tnn.Linear(2, 3).eval()),
    ).double()
    module[0].weight.requires_grad_(False)
    ours = compare(module, torch.randn(4, 2, dtype=torch.float64))
    assert ours[1][1].weight.dtype == striate.float64 and not ours[1][1].training
    lists = from_torch(tnn.ModuleList([tnn.Linear(1, 2), tnn.ModuleDict({"x": tnn.ReLU()})]))
    assert isinstance(lists, nn.ModuleList) and isinstance(lists[1]["x"], nn.ReLU)


def test_shared_modules_and_parameters_stay_shared():
    layer = tnn.Linear(3, 3)
    tied = tnn.Linear(3, 3)
    tied.weight = layer.weight
    ours = compare(tnn.Sequential(layer, tnn.Tanh(), layer, tied), torch.randn(2, 3))
    assert ours[0] is ours[2] and ours[3].weight is ours[0].weight


def test_the_copy_is_independent():
    module = tnn.Linear(2, 2)
    ours = from_torch(module)
    before = ours.weight.tolist()
    with torch.no_grad():
        module.weight.zero_()
    assert ours.weight.tolist() == before


def test_subclasses_of_layers_that_only_set_arguments():
    class Conv3(tnn.Conv2d):
        def __init__(self, a, b):
            super().__init__(a, b, 3, padding=1)

    class Block(tnn.Sequential):
        def __init__(self):
            super().__init__(Conv3(1, 2), tnn.ReLU())

    ours = compare(Block(), torch.randn(1, 1, 5, 5))
    assert type(ours) is nn.Sequential and type(ours[0]) is nn.Conv2d


# --- forwards of their own ------------------------------------------------------------------------


class Residual(tnn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = tnn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = tnn.BatchNorm2d(channels)
        self.conv2 = tnn.Conv2d(channels, channels, 3, padding=1)
        self.scale = tnn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1), persistent=False)

    def forward(self, x, skip=True):
        y = F.relu(self.norm(self.conv1(x)), inplace=True)
        y = self.conv2(y) * self.scale + self.shift
        return F.relu(x + y if skip else y)


class Classifier(tnn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tnn.Conv2d(1, 4, 3)
        self.blocks = tnn.ModuleList([Residual(4), Residual(4)])
        self.head = tnn.ModuleDict({"fc": tnn.Linear(4, 3)})

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = F.max_pool2d(x, 2)
        x = F.adaptive_avg_pool2d(x, (1, 1)).flatten(1)
        x = F.dropout(x, 0.4, training=self.training)
        return F.log_softmax(self.head["fc"](x), dim=-1)


class Joined(tnn.Module):
    """Several inputs and results, sizes taken from tensors, views, slices, arithmetic."""

    def __init__(self):
        super().__init__()
        self.layer = tnn.Linear(6, 6)

    def forward(self, a, b):
        n = a.size(0)
        x = torch.cat([a, b], dim=1).view(n, -1)
        y = self.layer(x).reshape(a.shape[0], 2, 3).transpose(1, 2)
        z = 2 - y[:, 0] / 3 + -(y[..., 1:2, :].mean(1) ** 2)
        return z, {"y": y.sum(), "n": n}["y"]


def test_custom_modules_are_traced():
    module = Classifier().eval()
    ours = compare(module, torch.randn(2, 1, 10, 10))
    assert isinstance(ours, TracedModule) and isinstance(ours.blocks[1], TracedModule)
    assert isinstance(ours.head, nn.ModuleDict) and ours.blocks[0].conv1.weight.shape == (
        4,
        4,
        3,
        3,
    )
    assert "shift" not in ours.state_dict() and "Classifier" in repr(ours)
    assert "conv1 = self.conv1(x)" in ours.blocks[0].code()
    assert "training=self.training" in ours.code()


def test_the_training_flag_is_read_when_the_module_runs():
    ours = from_torch(Classifier().train())
    x = striate.randn(4, 1, 10, 10)
    one, other = ours(x), ours(x)
    assert one.tolist() != other.tolist()
    ours.eval()
    assert ours(x).tolist() == ours(x).tolist()
    again = copy.deepcopy(ours).train()
    assert again(x).tolist() != again(x).tolist()


def test_training_steps_match():
    module = Residual(2).train()
    ours = compare(module, torch.randn(3, 2, 5, 5))
    assert ours.norm.num_batches_tracked.item() == 1


def test_flags_keep_their_defaults():
    module = Residual(2).eval()
    ours = compare(module, torch.randn(1, 2, 5, 5))
    with pytest.raises(ValueError, match="skip has been specialized to have value True"):
        ours(striate.randn(1, 2, 5, 5), skip=False)


def test_many_inputs_and_results():
    ours = compare(Joined(), torch.randn(4, 2), torch.randn(4, 4))
    x = striate.randn(4, 2), striate.randn(4, 4)
    assert ours(x[0], b=x[1])[0].tolist() == ours(*x)[0].tolist()
    with pytest.raises(TypeError, match="missing a required argument: 'b'"):
        ours(x[0])


def test_a_traced_model_trains():
    ours = from_torch(Classifier())
    optimizer = striate.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)
    x = striate.randn(32, 1, 10, 10)
    y = (x[:, 0, 3, 3] > 0).long()
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(ours(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


# --- what can't be converted ----------------------------------------------------------------------


class Unsupported(tnn.Module):
    def __init__(self):
        super().__init__()
        self.attention = tnn.TransformerEncoderLayer(4, 2)
        self.inner = tnn.Sequential(
            tnn.AdaptiveLogSoftmaxWithLoss(4, 6, [2]), tnn.Linear(2, 2).half()
        )
        self.weird = torch.nn.utils.parametrizations.weight_norm(tnn.Linear(2, 2))

    def forward(self, x):
        return torch.fft.fft(x).lgamma()


def test_everything_missing_is_listed_at_once():
    with pytest.raises(ValueError) as caught:
        from_torch(Unsupported())
    lines = str(caught.value).splitlines()
    assert lines[0] == "from_torch: striate lacks what this module needs:"
    text = "\n".join(lines[1:])
    for words in (
        "attention (TransformerEncoderLayer): there is no striate.nn.TransformerEncoderLayer",
        "inner.0 (AdaptiveLogSoftmaxWithLoss): there is no striate.nn.AdaptiveLogSoftmaxWithLoss",
        "inner.1 (Linear): striate has no layers of torch.float16",
        "weird (ParametrizedLinear): parametrized (weight); remove_parametrizations first",
        "Unsupported: forward: there is no like of fft",
        "Unsupported: forward: there is no Tensor.lgamma",
    ):
        assert words in text


class Branching(tnn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class OtherSteps(tnn.Module):
    def forward(self, x):
        return x * 2 if self.training else x


class Arguments(tnn.Module):
    def forward(self, x):
        return F.relu(x, True), torch.nanmean(x, 1, dtype=torch.float64)


def hooked():
    module = tnn.Linear(2, 2)
    module.register_forward_hook(print)
    return module


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Branching, "Branching: forward can't be traced: .*must not depend on values"),
        (OtherSteps, "takes other steps in training than in evaluation"),
        (Arguments, "nanmean: got an unexpected keyword argument 'dtype'"),
        (hooked, "Linear: it has hooks, which are not carried over"),
        (lambda: tnn.LazyLinear(3), "uninitialized parameters"),
        (lambda: tnn.Linear(2, 2).to(torch.bfloat16), "striate has no layers of torch.bfloat16"),
    ],
)
def test_refused(make, words):
    module = make()
    training = module.training
    with pytest.raises(ValueError, match=words):
        from_torch(module)
    assert module.training == training


def test_not_a_module():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, got int"):
        from_torch(3)
    with pytest.raises(TypeError, match="got Linear"):
        from_torch(nn.Linear(1, 1))


def test_importing_striate_imports_no_torch():
    from subprocesses import succeeds

    succeeds("import sys, striate, striate.interop\nassert 'torch' not in sys.modules")

# SPDX-License-Identifier: Apache-2.0
"""The summary of a network: rows, totals, and what happens where a layer refuses its input."""

import pytest
import striate
from striate import nn
from striate.autograd import observe
from striate.nn.place import unexplained


def network():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2, dtype=striate.float64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 8 * 8, 10, dtype=striate.float64),
    )


def test_rows_and_totals():
    net = network()
    net[1].eval()
    net[3].bias.requires_grad_(False)
    table = net.summary((2, 1, 8, 8))
    assert table.error is None
    assert [(r.path, r.type) for r in table.rows] == [
        ("0", "Conv2d"),
        ("1", "ReLU"),
        ("2", "Flatten"),
        ("3", "Linear"),
    ]
    assert [r.shapes for r in table.rows] == [
        ((2, 6, 8, 8),),
        ((2, 6, 8, 8),),
        ((2, 384),),
        ((2, 10),),
    ]
    assert [r.parameters for r in table.rows] == [156, 0, 0, 3850]
    assert table.rows[0].flops == 2 * 6 * 8 * 8 * (2 * 25 + 1)
    assert table.rows[1].flops == 2 * 6 * 8 * 8 and table.rows[2].flops == 0
    assert table.rows[3].flops == 2 * 10 * (2 * 384 + 1)
    assert table.rows[0].bytes == 2 * 6 * 8 * 8 * 8
    assert table.parameters == 4006 and table.trainable == 3996
    assert table.parameter_bytes == 4006 * 8
    assert table.flops == sum(row.flops for row in table.rows) == 55_316
    assert table.gradient_bytes == 3996 * 8
    assert table.output_bytes == 2 * (6 * 64 + 6 * 64 + 384 + 10) * 8
    assert table.training_bytes == 4006 * 8 + 3996 * 8 + table.output_bytes
    text = str(table)
    assert repr(table) == text
    for words in (
        "Layer  Type     Output",
        "0      Conv2d   (2, 6, 8, 8)         156  39,168  6.0 KiB",
        "Sequential, input (2, 1, 8, 8)",
        "Parameters: 4,006 (3,996 trainable)",
        "FLOPs: 55,316 forward",
        "Memory: parameters 31.3 KiB, gradients 31.2 KiB, results 18.2 KiB; training 80.7 KiB at",
    ):
        assert words in text
    lines = text.splitlines()
    assert len({len(line) for line in lines[:7]}) == 1
    assert net.training and not net[1].training and not any(m._hooked for m in net.modules())


def test_running_statistics_are_left_alone():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    table = nn.summary(net, striate.randn(5, 3))
    assert table.error is None, table.error
    assert net[1].num_batches_tracked.item() == 0 and net[1].training


def test_an_error_ends_the_table():
    net = network()
    table = net.summary((2, 1, 9, 8))
    assert [r.path for r in table.rows] == ["0", "1", "2"]
    assert table.error.startswith("3 (Linear): linear: input: expected (..., 384)")
    assert str(table).splitlines()[-1] == "Stopped: " + table.error
    assert not any(m._hooked for m in net.modules()) and net.training


def test_shared_layers_own_parameters_and_several_inputs():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(striate.ones(3))
            self.layer = nn.Linear(3, 3)

        def forward(self, a, b):
            return self.layer(a) * self.scale, [self.layer(b)]

    table = nn.summary(Pair(), (2, 3), striate.ones(5, 3))
    assert [(r.path, r.parameters) for r in table.rows] == [("layer", 12), ("layer", 0), ("", 3)]
    assert table.rows[-1].shapes == ((2, 3), (5, 3)) and table.parameters == 15
    assert "(model)" in str(table) and "input (2, 3), (5, 3)" in str(table)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net: nn.summary(net), ValueError, "expected a shape or a tensor for every input"),
        (lambda net: nn.summary(net, (1, 0)), ValueError, r"input: expected .*got \(1, 0\)"),
        (lambda net: nn.summary(net, 3), ValueError, "such as .*got 3"),
        (lambda net: nn.summary(3, (1,)), TypeError, "model: expected a Module, got int"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(network())


# --- floating-point operations of every kind ------------------------------------------------------

# (layer, shape of its input, operations): counted by hand from nn/flops.py's rules.
FLOPS = [
    ("Linear", (4, 5), {"in_features": 5, "out_features": 3}, 4 * 3 * (2 * 5 + 1)),
    ("Linear", (4, 5), {"in_features": 5, "out_features": 3, "bias": False}, 4 * 3 * 2 * 5),
    ("Conv1d", (2, 4, 9), {"in_channels": 4, "out_channels": 6, "kernel_size": 3}, 2 * 6 * 7 * 25),
    (
        "Conv2d",
        (2, 4, 9, 9),
        {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False},
        2 * 6 * 49 * 2 * 2 * 9,
    ),
    (
        "Conv3d",
        (1, 2, 4, 4, 4),
        {"in_channels": 2, "out_channels": 3, "kernel_size": 2},
        3 * 27 * (2 * 2 * 8 + 1),
    ),
    (
        "ConvTranspose2d",
        (1, 4, 5, 5),
        {"in_channels": 4, "out_channels": 3, "kernel_size": 2, "stride": 2},
        2 * 4 * 25 * 3 * 4 + 3 * 100,
    ),
    ("BatchNorm2d", (2, 3, 4, 4), {"num_features": 3}, 2 * 96),
    ("LayerNorm", (6, 8), {"normalized_shape": 8}, 48 * 8),
    ("GroupNorm", (2, 4, 3, 3), {"num_groups": 2, "num_channels": 4, "affine": False}, 72 * 6),
    ("InstanceNorm2d", (2, 3, 4, 4), {"num_features": 3}, 96 * 6),
    ("LocalResponseNorm", (1, 4, 3, 3), {"size": 5}, 36 * 14),
    ("MaxPool2d", (1, 2, 6, 6), {"kernel_size": 2}, 2 * 9 * 4),
    ("AvgPool2d", (1, 2, 6, 6), {"kernel_size": (2, 3)}, 2 * 6 * 6),
    ("MaxPool1d", (1, 2, 6), {"kernel_size": 2}, 2 * 3 * 2),
    ("AdaptiveAvgPool2d", (1, 2, 6, 6), {"output_size": 1}, 72),
    ("GELU", (3, 4), {}, 12),
    ("Softmax", (3, 4), {"dim": 1}, 60),
    ("Flatten", (3, 4, 2), {}, 0),
    ("Dropout", (3, 4), {}, 0),
    ("LSTM", (7, 2, 3), {"input_size": 3, "hidden_size": 4}, 14 * (2 * 16 * (3 + 4) + 32)),
    ("GRU", (7, 2, 3), {"input_size": 3, "hidden_size": 4}, 14 * (2 * 12 * (3 + 4) + 24)),
]


@pytest.mark.parametrize(("layer", "shape", "arguments", "expected"), FLOPS)
def test_flops(layer, shape, arguments, expected):
    if not hasattr(nn, layer):
        pytest.skip(f"no nn.{layer} here")
    table = nn.summary(getattr(nn, layer)(**arguments), shape)
    assert table.error is None, table.error
    assert table.flops == expected


# --- what had passed, in errors -------------------------------------------------------------------


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.stem = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        self.calls += 1
        return self.head(self.stem(x))


def message(model, x):
    with pytest.raises(ValueError) as caught:
        model(x)
    return str(caught.value)


def test_errors_of_shapes_show_the_layers_passed():
    model = Branches()
    lines = message(model, striate.ones(3, 4)).splitlines()
    assert lines[0].startswith("head (Linear): linear: input: expected (..., 5), got shape (3, 6)")
    assert lines[1:] == [
        "  what had passed, with the shapes of the results:",
        "    input                 (3, 4)",
        "    stem.0 (Linear)       (3, 6)",
        "    stem.1 (BatchNorm1d)  (3, 6)",
    ]
    assert lines[0] == model.summary((3, 4)).error  # the table above it says the rest
    assert observe._observers == ()


def test_looking_for_them_changes_nothing():
    """The model runs again, but statistics move once, and so do random numbers."""
    model = Branches()
    message(model, striate.ones(3, 4))
    moved = model.stem[1].running_mean.tolist()
    assert model.stem[1].num_batches_tracked.item() == 1 and model.calls == 2
    other = Branches()
    other.load_state_dict({**model.state_dict(), "stem.1.running_mean": striate.zeros(6)})
    with pytest.raises(ValueError), unexplained():
        other(striate.ones(3, 4))
    assert other.calls == 1 and other.stem[1].running_mean.tolist() == moved

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x) @ striate.rand(3, 4))

    striate.manual_seed(5)
    assert "layer (Linear)  (2, 3)" in message(Noisy(), striate.ones(2, 3))
    after = striate.rand(3).tolist()
    striate.manual_seed(5)
    Noisy(), striate.rand(3, 4)
    assert striate.rand(3).tolist() == after


def test_long_lists_are_cut_and_first_layers_have_none():
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(40)], nn.Linear(4, 3))
    lines = message(model, striate.ones(1, 3)).splitlines()
    assert len(lines) == 15 and lines[3].strip() == "… 29 more …" and "39 (Linear)" in lines[-1]
    assert "passed" not in message(nn.Sequential(nn.Linear(4, 3)), striate.ones(1, 3))


def test_hooked_models_and_errors_that_do_not_repeat_are_left_alone():
    model = Branches()
    seen = []
    model.stem.register_forward_hook(lambda *_: seen.append(1))
    assert "passed" not in message(model, striate.ones(3, 4)) and len(seen) == 1

    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.failed = nn.Linear(3, 3), False

        def forward(self, x):
            x = self.layer(x)
            if not self.failed:
                self.failed = True
                self.layer(striate.ones(5))
            return x

    assert "passed" not in message(Once(), striate.ones(2, 3))

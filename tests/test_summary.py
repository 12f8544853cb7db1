# SPDX-License-Identifier: Apache-2.0
"""The summary of a network: rows, totals, and what happens where a layer refuses its input."""

import pytest
import striate
from striate import nn


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
    assert table.rows[0].multiply_adds == 2 * 6 * 8 * 8 * 25
    assert table.rows[3].multiply_adds == 2 * 10 * 384
    assert table.rows[0].bytes == 2 * 6 * 8 * 8 * 8
    assert table.parameters == 4006 and table.trainable == 3996
    assert table.parameter_bytes == 4006 * 8
    assert table.multiply_adds == 2 * 6 * 8 * 8 * 25 + 2 * 10 * 384
    text = str(table)
    assert repr(table) == text
    for words in (
        "Layer  Type     Output",
        "0      Conv2d   (2, 6, 8, 8)         156         19,200  6.0 KiB",
        "Sequential, input (2, 1, 8, 8)",
        "Parameters: 4,006 (3,996 trainable), 31.3 KiB",
        "Multiply-adds: 26,880",
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

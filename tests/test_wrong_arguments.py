# SPDX-License-Identifier: Apache-2.0
"""Every argument of everything public, wrong in every way: what is raised names where."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import striate
from valid_calls import arguments, everything, invoke

EVERYTHING = list(everything())
# None, text, containers, numbers out of any range, and tensors that fit nowhere.
WRONG: list[Any] = [
    None, "x", b"x", [], {}, (None,), object(), -1, 1.5, float("nan"), 1j, 2**70,
    np.ones((3, 4)), striate.zeros(0, 3), striate.ones(1, 1, 1, 1, 1), striate.tensor([True]),
]  # fmt: skip
# A message of ours names the function, the layer or the operator first: "conv2d: groups: …".
NAMED = re.compile(r"""['"]?[\w.~]+( [^\s:()]+| into shape \(.*\))?: """)
REFUSALS = (TypeError, ValueError, IndexError, RuntimeError, NotImplementedError, MemoryError)
# The number of layers is bounded by memory alone: such a one would be made until it is full.
ENDLESS = {"num_layers"}
# Read only where another argument is given too.
UNREAD = {("embedding", "norm_type"), ("embedding_bag", "norm_type"), ("CyclicLR", "scale_mode")}


def clearly(parameter: inspect.Parameter, wrong: Any) -> bool:
    """Whether no sense can be made of `wrong`, by the parameter's annotation."""
    needed = parameter.annotation in ("Tensor", "int", "float", "str")
    return needed and (wrong is None or type(wrong) is object)


def test_everything_is_called() -> None:
    assert len(EVERYTHING) > 500


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "function"), EVERYTHING, ids=[n for n, _ in EVERYTHING])
def test_wrong_arguments_are_refused_by_name(
    name: str, function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments(name, function)
    invoke(function, given)  # valid as it is
    for parameter, _ in given:
        for wrong in WRONG:
            if parameter.name in ENDLESS and type(wrong) is int:
                continue
            with striate.set_grad_enabled(True):
                try:
                    invoke(function, given, parameter, wrong)
                except REFUSALS as error:
                    told = str(error)
                    assert NAMED.match(told) or "truth" in told, (parameter.name, wrong, error)
                else:
                    unread = (name, parameter.name) in UNREAD
                    assert unread or not clearly(parameter, wrong), (parameter.name, wrong)

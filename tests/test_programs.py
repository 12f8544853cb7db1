# SPDX-License-Identifier: Apache-2.0
"""Ten small PyTorch programs: with their import changed, they run here and learn the same.

`programs/` holds them as anyone would write them for PyTorch. Each is run twice, once as it is and
once with `torch` replaced by `striate` in its imports, from equal weights. In float64 the 50 losses
must agree to rounding, in float32 as far as rounding errors may have grown in 50 steps. PyTorch
computes in float64 either way: its float32 breaks ties of max pooling that equal pixels make.
"""

import re
import types
from pathlib import Path

import numpy as np
import pytest
import striate

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parent / "programs"
STEPS = 50
PROGRAMS = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "data")
)


def _program(name, framework):
    """The program as a module, its imports of torch replaced by `framework`'s."""
    source = (FOLDER / f"{name}.py").read_text()
    if framework != "torch":
        source = re.sub(r"^import torch$", f"import {framework} as torch", source, flags=re.M)
        source = re.sub(r"^(from|import) torch\b", rf"\1 {framework}", source, flags=re.M)
    module = types.ModuleType(f"{framework}_{name}")
    exec(compile(source, f"{name}.py with {framework}", "exec"), module.__dict__)
    return module


def _losses(name, dtype):
    """The losses in torch's float64 and in striate's `dtype`, from initial weights of `dtype`."""
    weights = []

    def keep(*models):
        if dtype == "float32":
            for model in models:
                rounded = {key: value.float() for key, value in model.state_dict().items()}
                model.load_state_dict(rounded)
        weights.extend(
            {key: value.numpy().copy() for key, value in model.state_dict().items()}
            for model in models
        )

    def load(*models):
        assert len(models) == len(weights)
        for model, state in zip(models, weights, strict=True):
            model.load_state_dict({key: striate.tensor(value) for key, value in state.items()})

    losses = []
    for framework, kind, start in ((torch, "float64", keep), (striate, dtype, load)):
        default = framework.get_default_dtype()
        framework.set_default_dtype(getattr(framework, kind))
        try:
            losses.append(_program(name, framework.__name__).train(STEPS, start))
        finally:
            framework.set_default_dtype(default)
    return losses


def test_there_are_ten():
    assert len(PROGRAMS) == 10


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER.parent)


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-7), ("float32", 2e-3)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_learns_the_same(name, dtype, rtol):
    theirs, ours = _losses(name, dtype)
    assert len(ours) == STEPS and np.isfinite(ours).all()
    assert len(set(ours)) > STEPS // 2, "the program does not learn"
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())

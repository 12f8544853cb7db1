# SPDX-License-Identifier: Apache-2.0
"""Ten small PyTorch programs: with their import changed, they run here and learn the same.

`programs/` holds them as anyone would write them for PyTorch. Each is run twice, once as it is and
once with `torch` replaced by `striate` in its imports, from equal weights. In float64 the 50 losses
must agree to rounding. In float32 the first ten must agree closely and the mean of all nearly: in
time a maximum of nearly equal values falls on another one, and training takes another way.
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
    """The losses in torch and in striate, from torch's initial weights."""
    weights = []

    def keep(*models):
        weights.extend(
            {key: value.numpy().copy() for key, value in model.state_dict().items()}
            for model in models
        )

    def load(*models):
        assert len(models) == len(weights)
        for model, state in zip(models, weights, strict=True):
            model.load_state_dict({key: striate.tensor(value) for key, value in state.items()})

    losses = []
    for framework, start in ((torch, keep), (striate, load)):
        default = framework.get_default_dtype()
        framework.set_default_dtype(getattr(framework, dtype))
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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_learns_the_same(name, dtype):
    theirs, ours = _losses(name, dtype)
    assert len(ours) == STEPS and np.isfinite(ours).all()
    assert len(set(ours)) > STEPS // 2, "the program does not learn"
    compared, rtol = (STEPS, 1e-7) if dtype == "float64" else (10, 2e-3)
    atol = rtol * np.abs(theirs).max()
    np.testing.assert_allclose(ours[:compared], theirs[:compared], rtol=rtol, atol=atol)
    np.testing.assert_allclose(np.mean(ours), np.mean(theirs), rtol=2e-2)

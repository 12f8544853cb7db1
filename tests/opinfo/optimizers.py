# SPDX-License-Identifier: Apache-2.0
"""torch's samples for optimizers: five steps of a small network from the same values."""

from typing import Any

import torch
from striate import optim

from opinfo import compare, deviations
from opinfo.deviations import Sample
from opinfo.samples import Tally, quietly, settle

STEPS = 5
# What choose between torch's own implementations of one and the same step.
IMPLEMENTATIONS = ("foreach", "fused", "capturable", "differentiable")


def ours(info: Any) -> Any:
    """striate's class for an optimizer of torch's, or None."""
    return getattr(optim, info.optim_cls.__name__, None)


def _gradients(dtype: torch.dtype) -> list[list[torch.Tensor]]:
    settle(1)
    return [[torch.randn(s, dtype=dtype) for s in ((5, 3), (3,), ())] for _ in range(STEPS)]


def _values(dtype: torch.dtype) -> list[torch.Tensor]:
    settle(2)
    return [torch.randn(s, dtype=dtype) for s in ((5, 3), (3,), ())]


def run(info: Any, tally: Tally) -> None:
    """Every set of options, in float32 and float64."""
    name = f"optim.{info.optim_cls.__name__}"
    for dtype in (torch.float32, torch.float64):
        for one in quietly(lambda: info.optim_inputs_func(device="cpu")):
            options = {k: v for k, v in one.kwargs.items() if k not in IMPLEMENTATIONS}
            _one(tally, info, options, dtype, name)


def _one(tally: Tally, info: Any, options: dict[str, Any], dtype: torch.dtype, name: str) -> None:
    sample = Sample(name, "optimizer", str(dtype)[6:], None, (), options)
    theirs = [v.clone().requires_grad_() for v in _values(dtype)]
    mine = [compare.ours(v).requires_grad_() for v in _values(dtype)]
    stepper = quietly(lambda: info.optim_cls(theirs, **options))
    try:
        translated = compare.ours(options)
        stepper_of_ours = ours(info)(mine, **translated)
        for gradients in _gradients(dtype):
            for t, m, g in zip(theirs, mine, gradients, strict=True):
                t.grad, m.grad = g.clone(), compare.ours(g)
            quietly(stepper.step)
            stepper_of_ours.step()
        for i, (t, m) in enumerate(zip(theirs, mine, strict=True)):
            try:
                compare.check(t.detach(), m.detach())
            except compare.Mismatch as error:
                raise compare.Mismatch(error.kind, f"parameter {i}: {error}") from None
    except compare.NoSuchValue as error:
        tally.reasons[deviations.NO_SUCH_VALUE.format(error)] += 1
    except compare.Mismatch as error:
        tally.differs(sample, error.kind, str(error))
    except Exception as error:
        tally.differs(sample, "refused", f"{type(error).__name__}: {error}")
    else:
        tally.passed += 1

# SPDX-License-Identifier: Apache-2.0
"""Runs the samples of one operation through torch and striate, and tallies what came of it."""

import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from striate import Tensor

from opinfo import compare, deviations
from opinfo.deviations import Sample
from opinfo.names import variants

TYPES = [torch.float32, torch.float64, torch.int64, torch.bool]
MOST = 150  # samples of one operation and dtype
REFUSALS = (ValueError, TypeError, RuntimeError, IndexError)


@dataclass
class Tally:
    """What came of the samples of one operation."""

    passed: int = 0
    undetermined: int = 0  # passed, by shape and dtype alone
    gradients: int = 0  # samples whose gradients were compared
    errors: int = 0  # error inputs that both refuse
    capped: int = 0  # samples beyond the MOST that run
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    used: set[int] = field(default_factory=set)  # lines of the table of deviations

    def record(self, kind: str, name: str) -> dict[str, Any]:
        """The figures, for report.py; kind is "op", "module" or "optimizer"."""
        return {
            kind: name,
            "passed": self.passed,
            "undetermined": self.undetermined,
            "gradients": self.gradients,
            "errors": self.errors,
            "capped": self.capped,
            "reasons": dict(self.reasons),
            "failed": len(self.failures),
        }

    def differs(self, sample: Sample, kind: str, text: str) -> None:
        """Counts a difference under its line of the table, or as a failure."""
        for i, line in enumerate(deviations.DEVIATIONS):
            if line.covers(sample, kind, text):
                self.used.add(i)
                self.reasons[line.reason] += 1
                return
        self.failures.append(f"{sample}\n    {kind}: {text}")

    def stale(self, name: str) -> list[str]:
        """The reasons of lines of the table for this operation that covered nothing of it."""
        return [
            line.reason
            for i, line in enumerate(deviations.DEVIATIONS)
            if i not in self.used and name in line.ops.split()
        ]


def settle(seed: int = 0) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def quietly(make: Callable[[], Any]) -> Any:
    """What torch gives, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def _floating(outputs: Any) -> list[Any]:
    return [o for o in compare.leaves(outputs) if isinstance(o, (torch.Tensor, Tensor))]


class Reference:
    """What torch computes for a sample, and the gradients of its operands."""

    def __init__(self, call: Callable[[], Any], operands: list[torch.Tensor]) -> None:
        self.result = quietly(call)
        self.operands = operands
        self.weights: list[torch.Tensor | None] = []
        self.gradients: list[torch.Tensor | None] | None = None
        wanted = [t for t in operands if t.requires_grad]
        outputs = [o for o in _floating(self.result) if o.requires_grad]
        if not wanted or not outputs or any(o.is_complex() for o in outputs):
            return
        self.weights = [
            torch.randn_like(o) if o.requires_grad else None for o in _floating(self.result)
        ]
        seeds = [w for w in self.weights if w is not None]
        try:
            found = quietly(lambda: torch.autograd.grad(outputs, wanted, seeds, allow_unused=True))
        except (RuntimeError, NotImplementedError):  # torch has no gradient for this sample
            return
        by_id = {id(t): g for t, g in zip(wanted, found, strict=True)}
        self.gradients = [by_id.get(id(t)) for t in operands]


def _compare(reference: Reference, got: Any, operands: list[Tensor], values: bool) -> bool:
    """Raises Mismatch where striate's result or gradient is not torch's. True: had gradients."""
    compare.check(reference.result, got, values)
    if reference.gradients is None or not values:
        return False
    total = None
    for out, weight in zip(_floating(got), reference.weights, strict=True):
        if weight is None or not out.requires_grad:
            continue
        part = (out * compare.ours(weight.detach())).sum()
        total = part if total is None else total + part
    if total is not None:
        total.backward()
    compare.check_gradients(reference.gradients, operands)
    return True


def run(
    tally: Tally, sample: Sample, reference: Reference, function: Callable[..., Any], values: bool
) -> None:
    """One sample through one of striate's functions."""
    try:
        input, args, kwargs = compare.ours((sample.input, sample.args, sample.kwargs))
    except compare.NoSuchValue as error:
        tally.reasons[deviations.NO_SUCH_VALUE.format(error)] += 1
        return
    operands = compare.leaves([input, list(args), kwargs])
    try:
        if sample.variant == "in place" and isinstance(input, Tensor):
            input = input.clone()
        had_gradients = _compare(reference, function(input, *args, **kwargs), operands, values)
    except compare.NoSuchValue as error:
        tally.reasons[deviations.NO_SUCH_VALUE.format(error)] += 1
    except compare.Mismatch as error:
        tally.differs(sample, error.kind, str(error))
    except Exception as error:
        tally.differs(sample, "refused", f"{type(error).__name__}: {error}")
    else:
        tally.passed += 1
        tally.undetermined += not values
        tally.gradients += had_gradients


def _torch_call(info: Any, variant: str, sample: Any) -> Callable[[], Any]:
    if variant != "in place":
        return lambda: info.op(sample.input, *sample.args, **sample.kwargs)

    def in_place() -> Any:
        target = sample.input.clone()
        return info.inplace_variant(target, *sample.args, **sample.kwargs)

    return in_place


def run_samples(info: Any, name: str, tally: Tally) -> None:
    """Every sample of every dtype, in every way that striate has."""
    ways = variants(info)
    values = deviations.is_determined(info.name)
    for dtype in TYPES:
        if dtype not in info.supported_dtypes("cpu"):
            continue
        settle()
        differentiates = dtype == torch.float64 and info.supports_autograd
        made = quietly(
            lambda d=dtype, g=differentiates: list(info.sample_inputs("cpu", d, requires_grad=g))
        )
        tally.capped += max(0, len(made) - MOST)
        for one in made[:MOST]:
            for way, function in ways.items():
                sample = Sample(name, way, str(dtype)[6:], one.input, one.args, one.kwargs)
                settle()
                try:
                    reference = Reference(_torch_call(info, way, one), sample.tensors)
                except (RuntimeError, TypeError) as error:
                    if way != "in place":
                        raise
                    _run_refused(tally, sample, function, str(error))
                    continue
                run(tally, sample, reference, function, values)


def _run_refused(tally: Tally, sample: Sample, function: Callable[..., Any], why: str) -> None:
    """A call that torch refuses: striate must too, with an exception that says something."""
    try:
        input, args, kwargs = compare.ours((sample.input, sample.args, sample.kwargs))
    except compare.NoSuchValue as error:
        tally.reasons[deviations.NO_SUCH_VALUE.format(error)] += 1
        return
    try:
        if sample.variant == "in place" and isinstance(input, Tensor):
            input = input.clone()
        got = function(input, *args, **kwargs)
    except REFUSALS as error:
        if str(error):
            tally.errors += 1
        else:
            tally.differs(sample, "refused", f"an empty {type(error).__name__}")
    except Exception as error:
        tally.differs(sample, "refused", f"an error input ends in {error!r}")
    else:
        tally.differs(sample, "accepted", f"torch refuses ({why:.150}), striate gave {got!r:.200}")


def run_errors(info: Any, name: str, tally: Tally) -> None:
    """Every error input."""
    if info.error_inputs_func is None:
        return
    settle()
    ways = variants(info)
    function = next(iter(ways.values()))
    for error in quietly(lambda: list(info.error_inputs("cpu"))):
        one = error.sample_input
        dtype = next((str(t.dtype)[6:] for t in compare.leaves(one.input)), "none")
        sample = Sample(name, "error input", dtype, one.input, one.args, one.kwargs)
        _run_refused(tally, sample, function, error.error_regex)

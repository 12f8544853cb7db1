# SPDX-License-Identifier: Apache-2.0
"""The one table of where striate is not torch: operation, kind, which samples, and why.

A sample that does what torch does passes, whatever stands here. One that does not fails the test,
unless a line of this table covers it; it is then counted under the line's reason. A line that
covers no sample fails the test too, so that nothing stays here after it was put right.

Kinds: "refused" (striate raises where torch answers), "accepted" (striate answers where torch
raises), "values", "dtype", "shape", "structure", "gradient".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from opinfo.compare import leaves


@dataclass(frozen=True)
class Sample:
    """One call: which operation, how it is called, on what. Values are torch's."""

    op: str
    variant: str  # "function", "method", "in place", "alias …", "error input", "module"
    dtype: str
    input: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[torch.Tensor]:
        return leaves([self.input, list(self.args), self.kwargs])

    def __str__(self) -> str:
        words = [_short(self.input), *map(_short, self.args)]
        words += [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"{self.op} ({self.variant}, {self.dtype}): {', '.join(words)}"


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype)[6:]}{tuple(value.shape)}"
    if type(value) in (list, tuple):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value!r:.60}"


@dataclass(frozen=True)
class Deviation:
    ops: str  # names, between spaces
    kind: str
    reason: str
    when: Callable[[Sample], bool] = lambda sample: True
    says: str = ""  # a pattern that the error or the mismatch holds

    def covers(self, sample: Sample, kind: str, text: str) -> bool:
        return (
            sample.op in self.ops.split()
            and kind == self.kind
            and re.search(self.says, text) is not None
            and self.when(sample)
        )


# What can't be handed over at all; counted by sample, under these words.
NO_SUCH_VALUE = "striate has no {}"

# Operations whose values are drawn or left uninitialised: shapes and dtypes are compared.
UNDETERMINED = """
    bernoulli cauchy empty empty_like empty_permuted empty_strided exponential geometric log_normal
    multinomial new_empty new_empty_strided normal rand_like randint randint_like randn randn_like
    uniform nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d
    nn.functional.alpha_dropout nn.functional.feature_alpha_dropout nn.functional.rrelu
    nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d
"""


def is_determined(op: str) -> bool:
    return op not in UNDETERMINED.split()


def lacks(ops: str, *arguments: str) -> Deviation:
    """striate's function has no such argument, and refuses it."""
    names = "|".join(arguments)
    return Deviation(
        ops,
        "refused",
        f"no argument {' or '.join(arguments)}",
        says=rf"unexpected keyword argument '({names})'",
    )


DEVIATIONS: list[Deviation] = []

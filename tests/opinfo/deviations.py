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


def is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


FLOATING = "the op is there for float32 and float64 alone"
NUMBERS = "a number stands for a tensor of it, wherever a tensor may stand"

BINARY = """
    __radd__ __rand__ __rmod__ __rmul__ __ror__ __rpow__ __rsub__ __rxor__ atan2 bitwise_and
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor clamp_max clamp_min copysign eq
    fmax fmin fmod ge gt le logical_and logical_or logical_xor lt maximum minimum ne pow remainder
    rsub xlogy
"""

DEVIATIONS: list[Deviation] = [
    # --- what holds for many -----------------------------------------------------------------
    Deviation(
        BINARY,
        "accepted",
        NUMBERS,
        lambda s: not is_tensor(s.input) or not all(map(is_tensor, s.args)),
    ),
    Deviation(
        """
        nn.functional.avg_pool1d nn.functional.avg_pool2d nn.functional.avg_pool3d
        nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d
        nn.functional.conv_transpose1d nn.functional.conv_transpose2d
        nn.functional.conv_transpose3d nn.functional.max_pool3d nn.functional.unfold
        nn.functional.feature_alpha_dropout nn.functional.linear
        nn.functional.local_response_norm nn.functional.max_pool2d nn.functional.pad
        """,
        "refused",
        FLOATING,
        lambda s: any(not t.is_floating_point() for t in s.tensors),
        "expected float32 or float64, got (int64|bool)",
    ),
    Deviation(
        "argsort kthvalue mode sort topk",
        "values",
        "which of equal elements comes first is torch's accident; here it is the first",
        lambda s: s.dtype in ("int64", "bool"),
    ),
    Deviation(
        "addbmm addmv baddbmm",
        "dtype",
        "integers times a fractional factor are floating, as everywhere; torch cuts the factor",
        lambda s: s.dtype == "int64",
    ),
    Deviation(
        "addbmm addmv baddbmm",
        "refused",
        "a floating result is not kept in integers",
        lambda s: s.variant == "in place",
        "can't be kept in",
    ),
    Deviation(
        "addbmm",
        "refused",
        "an in-place operation does not change a shape",
        lambda s: s.variant == "in place",
        "result's shape",
    ),
    Deviation(
        "addr index_add prod",
        "dtype",
        "sums and products of bools are int64",
        lambda s: s.dtype == "bool",
    ),
    Deviation(
        "addr index_add",
        "refused",
        "the sum of bools is not kept in bools",
        lambda s: s.variant == "in place" and s.dtype == "bool",
        "can't be kept in bool",
    ),
    # --- arguments that are not here -----------------------------------------------------------
    lacks("cov", "fweights"),
    lacks("nn.functional.embedding nn.functional.embedding_bag", "sparse"),
    lacks("normal", "dtype"),
    lacks("repeat_interleave", "output_size"),
    lacks("scatter", "reduce"),
    lacks("searchsorted", "sorter"),
    Deviation("cdist", "refused", "no argument compute_mode", says="positional argument"),
    Deviation(
        "linalg.matrix_norm linalg.norm norm",
        "refused",
        "norms by singular values are not here",
        says="expected .*got ('nuc'|2|-2)",
    ),
    Deviation(
        "scatter_reduce", "refused", 'no reduce="prod"', lambda s: "prod" in s.args, "reduce:"
    ),
    Deviation("half", "refused", "float16 is not a tensor's dtype", says="is not supported"),
    Deviation(
        "optim.Adagrad optim.SGD", "refused", "lr is a number, not a tensor", says="lr: expected"
    ),
    Deviation(
        "nn.functional.triplet_margin_with_distance_loss",
        "refused",
        "the samples' distance functions are torch's own and take its tensors",
        says="must be Tensor, not Tensor",
    ),
    # --- shapes --------------------------------------------------------------------------------
    Deviation(
        "nn.functional.dropout2d",
        "refused",
        "images come in batches",
        lambda s: s.input.ndim != 4,
        "expected [(]N, C, H, W[)]",
    ),
    Deviation(
        "nn.functional.batch_norm",
        "refused",
        "an axis of channels behind the batch is needed",
        lambda s: s.input.ndim < 2,
    ),
    Deviation(
        "nn.functional.feature_alpha_dropout",
        "refused",
        "an axis of channels behind the batch is needed",
        lambda s: s.input.ndim < 2,
        "expected [(]N, C",
    ),
    Deviation(
        "nn.functional.prelu nn.PReLU",
        "refused",
        "a number has no axis for a weight of one",
        lambda s: s.input.ndim == 0,
    ),
    Deviation(
        "nn.LocalResponseNorm",
        "refused",
        "volumes are not normalised",
        lambda s: s.input.ndim == 5,
    ),
    Deviation(
        "nn.functional.avg_pool2d",
        "refused",
        "windows are a number or a pair",
        says="expected an integer or a pair",
    ),
    Deviation(
        "nn.functional.gaussian_nll_loss",
        "refused",
        "losses do not broadcast: a shape that differs is nearly always a mistake",
        says="expected shape",
    ),
    Deviation(
        "nn.GaussianNLLLoss",
        "refused",
        "losses do not broadcast: a shape that differs is nearly always a mistake",
        says="expected shape",
    ),
    Deviation(
        "nn.KLDivLoss nn.functional.multi_margin_loss nn.functional.multilabel_margin_loss",
        "refused",
        "a loss over classes or a batch needs such an axis",
        lambda s: s.input.ndim < 2,
    ),
    # --- values that are refused ---------------------------------------------------------------
    Deviation(
        "nn.functional.hinge_embedding_loss",
        "refused",
        "labels other than 1 and -1 are refused, not passed over",
        says="expected 1 or -1",
    ),
    Deviation(
        "nn.functional.group_norm nn.functional.layer_norm nn.functional.rms_norm",
        "refused",
        "a negative eps is refused",
        says="eps: expected",
    ),
    Deviation(
        "nn.functional.pairwise_distance", "refused", "a negative p is refused", says="p: expected"
    ),
    Deviation("normal", "refused", "a negative std is refused", says="std: expected"),
    Deviation(
        "__rpow__",
        "refused",
        "integers have no negative powers; torch gives 0",
        lambda s: s.dtype == "int64",
        "negative integer powers",
    ),
    # --- values and dtypes ---------------------------------------------------------------------
    Deviation(
        "linspace logspace",
        "values",
        "integers of fractional steps are the exact values cut, not sums in integers",
        lambda s: s.dtype == "int64",
    ),
    Deviation(
        "nn.functional.hardtanh nn.functional.relu6 nn.functional.threshold",
        "dtype",
        "an activation's result is floating",
        lambda s: s.dtype == "int64",
    ),
    Deviation(
        "mean",
        "accepted",
        "the mean of integers is floating, as a quotient of them is",
        lambda s: True,
        "could not infer output dtype",
    ),
    Deviation("neg", "accepted", "bools are numbers in arithmetic", lambda s: s.dtype == "bool"),
    Deviation(
        "linalg.norm",
        "refused",
        "the largest of no elements is refused",
        says="of no elements",
    ),
    Deviation(
        "scatter",
        "refused",
        "a number is not cut to fit a lower kind of dtype",
        says="can't be kept in",
    ),
    Deviation(
        "scatter_reduce",
        "refused",
        "bools have no sums and no largest",
        lambda s: s.dtype == "bool",
        "expected numbers, got bools",
    ),
    Deviation(
        "quantile",
        "gradient",
        "the share q is a setting, without a gradient",
        lambda s: any(is_tensor(a) for a in s.args),
        "operand 1",
    ),
    Deviation(
        "flipud roll",
        "accepted",
        "of one number there is one order",
        lambda s: s.input.ndim == 0,
    ),
    Deviation("log_normal", "accepted", "a deviation of 0 is one", lambda s: s.args[1] == 0),
    Deviation(
        "narrow",
        "accepted",
        "a bool tensor counts as a number where an index is wanted",
        lambda s: any(is_tensor(a) for a in s.args),
    ),
]

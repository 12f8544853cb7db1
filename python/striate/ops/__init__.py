# SPDX-License-Identifier: Apache-2.0
"""Every operation on tensors: one record each, with signature, forward and gradient.

The files mirror `csrc/ops`; what is no hot loop is NumPy's. A file's `__all__` are its functions,
its `METHODS` those that are also methods of Tensor under the same name.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.ops import arithmetic as _arithmetic
from striate.ops.activation import *
from striate.ops.arithmetic import *
from striate.ops.clamp import *
from striate.ops.comparison import *
from striate.ops.contrast import *
from striate.ops.conv import *
from striate.ops.conv2d import *
from striate.ops.ctc import *
from striate.ops.cumulative import *
from striate.ops.distance import *
from striate.ops.division import *
from striate.ops.dropout import *
from striate.ops.einsum import *
from striate.ops.embedding import *
from striate.ops.gemm import *
from striate.ops.group_norm import *
from striate.ops.indexing import *
from striate.ops.interpolate import *
from striate.ops.joining import *
from striate.ops.layer_norm import *
from striate.ops.layout import *
from striate.ops.linalg import *
from striate.ops.logarithm import *
from striate.ops.loss import *
from striate.ops.loss_distribution import *
from striate.ops.loss_embedding import *
from striate.ops.loss_margin import *
from striate.ops.loss_pointwise import *
from striate.ops.lstm import *
from striate.ops.maxout import *
from striate.ops.norm import *
from striate.ops.pad import *
from striate.ops.patches import *
from striate.ops.piecewise import *
from striate.ops.place import *
from striate.ops.pointwise import *
from striate.ops.pool import *
from striate.ops.pool_nd import *
from striate.ops.prelu import *
from striate.ops.reduction import *
from striate.ops.scatter import *
from striate.ops.shape import *
from striate.ops.softmax import *
from striate.ops.sorting import *
from striate.ops.special import *
from striate.ops.stacking import *
from striate.ops.statistics import *
from striate.ops.trigonometry import *
from striate.ops.unpool_nd import *
from striate.ops.views import *

from striate.ops.linalg import norm  # isort: skip  (a file has the same name)


_files = [file for name, file in sys.modules.items() if name.startswith("striate.ops.")]
# Name and function of every operation that is a method of Tensor too.
METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(file, name) for file in _files for name in getattr(file, "METHODS", ())
}
# What the operators call: the functions themselves, without a call between.
OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": _arithmetic.plus,
    "__sub__": _arithmetic.minus,
    "__mul__": _arithmetic.mul,
    "__truediv__": _arithmetic.true_divide,
    "__pow__": _arithmetic.pow,
    "__matmul__": METHODS["matmul"],
}
if not TYPE_CHECKING:  # type checkers follow the imports
    __all__ = sorted(name for file in _files for name in getattr(file, "__all__", ()))

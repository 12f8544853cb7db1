# SPDX-License-Identifier: Apache-2.0
"""Every operation on tensors: one record each, with signature, forward and gradient.

The files mirror `csrc/ops`; what is no hot loop is NumPy's. A file's `__all__` are its functions,
its `METHODS` those that are also methods of Tensor under the same name.
"""

import sys
from typing import TYPE_CHECKING

from striate.ops.activation import *
from striate.ops.arithmetic import *
from striate.ops.conv2d import *
from striate.ops.ctc import *
from striate.ops.dropout import *
from striate.ops.embedding import *
from striate.ops.gemm import *
from striate.ops.layout import *
from striate.ops.logarithm import *
from striate.ops.loss import *
from striate.ops.loss_pointwise import *
from striate.ops.norm import *
from striate.ops.pointwise import *
from striate.ops.pool import *
from striate.ops.reduction import *
from striate.ops.shape import *
from striate.ops.softmax import *


def _gathered(what: str) -> list[str]:
    """The names that the files of operations list under `what`."""
    files = [file for name, file in sys.modules.items() if name.startswith("striate.ops.")]
    return sorted(name for file in files for name in getattr(file, what, ()))


METHODS: list[str] = _gathered("METHODS")
OPERATORS: dict[str, str] = {
    "__add__": "add",
    "__sub__": "sub",
    "__mul__": "mul",
    "__truediv__": "div",
    "__pow__": "pow",
    "__matmul__": "matmul",
}
if not TYPE_CHECKING:  # type checkers follow the imports
    __all__ = _gathered("__all__")

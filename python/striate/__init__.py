# SPDX-License-Identifier: Apache-2.0
"""striate: deep learning on handwritten kernels that anyone can read."""

from typing import Any as _Any

from striate.tensor import Tensor  # isort: skip  (first: the operations need the class)
from striate import _C, autograd, dtypes, ops
from striate._C import float32_precision as get_float32_precision
from striate._C import num_threads as get_num_threads
from striate._C import set_float32_precision, set_num_threads
from striate.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from striate.autotune import (
    conv_algorithm,
    get_autotune,
    get_conv_workspace,
    set_autotune,
    set_conv_workspace,
)
from striate.c_api import get_cmake_dir, get_include, get_library
from striate.creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    frombuffer,
    full,
    full_like,
    is_floating_point,
    is_nonzero,
    is_tensor,
    linspace,
    logspace,
    numel,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from striate.device import device
from striate.dlpack import from_dlpack
from striate.dtypes import (
    bool_,
    can_cast,
    finfo,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    result_type,
    set_default_dtype,
    uint8,
)
from striate.ops import *
from striate.precision import autocast, is_autocast_enabled
from striate.printing import set_printoptions
from striate.random import (
    Generator,
    get_rng_state,
    manual_seed,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from striate.sampling import bernoulli, multinomial, normal, poisson
from striate.serialization import load, save

from striate import (  # isort: skip  (they use the names above)
    cuda,
    distributions,
    interop,
    kernels,
    linalg,
    nn,
    optim,
    profiler,
)

# PyTorch's short names of dtypes, and of the type of a shape.
double, long, short, Size = float64, int64, int16, tuple
float, int, bool = float32, int32, bool_

__version__ = "0.1.0"


def __getattr__(name: str) -> _Any:
    """striate.bfloat16: the package that brings it is looked for at its first use."""
    if name == "bfloat16":
        return dtypes.bfloat16
    raise AttributeError(f"module 'striate' has no attribute {name!r}")

# SPDX-License-Identifier: Apache-2.0
"""striate: deep learning on handwritten kernels that anyone can read."""

from striate.tensor import Tensor  # isort: skip  (first: the operations need the class)
from striate import _C, autograd, ops
from striate._C import num_threads as get_num_threads
from striate._C import set_num_threads
from striate.autograd import enable_grad, is_grad_enabled, no_grad
from striate.creation import (
    arange,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from striate.dtypes import (
    bool_,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    result_type,
    set_default_dtype,
    uint8,
)
from striate.ops import *
from striate.random import (
    get_rng_state,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    set_rng_state,
)
from striate.serialization import load, save

from striate import interop, nn, optim, profiler  # isort: skip  (they use the names above)

__version__ = "0.1.0"

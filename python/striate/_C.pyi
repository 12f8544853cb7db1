# SPDX-License-Identifier: Apache-2.0
# The extension as type checkers see it: one group a file of csrc/bindings. tests/test_stubs.py
# compares names, parameters and defaults with the built module.
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeAlias, TypedDict

import numpy as np

_Array: TypeAlias = np.ndarray[Any, Any]
_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]
_Numbers: TypeAlias = tuple[int, ...]  # a size, or a window: see csrc/bindings/pool2d.cpp

class _Row(TypedDict):
    op: str
    kind: str
    name: str
    dtype: str
    isa: str
    why_not: str

class _Driver(TypedDict):
    path: str
    version: str
    why_not: str

class _Device(TypedDict):
    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory: int
    why_not: str

class _Cache(TypedDict):
    folder: str
    why_not: str
    files: int
    bytes: int

class _Build(TypedDict):
    cubin: bytes
    log: str
    cached: bool
    seconds: float

class _Probe(TypedDict):
    architecture: str
    first_seconds: float
    kernel_seconds: float
    right: bool

# runtime
def isa() -> str: ...
def isas() -> dict[str, str]: ...
def cpu_name() -> str: ...
def l2_bytes() -> int: ...
def cache_folder() -> str: ...
def rows() -> list[_Row]: ...

class _pybind11_type(type): ...

class pin_rows(metaclass=_pybind11_type):
    def __init__(self, names: Sequence[str]) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

def num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def float32_precision() -> str: ...
def set_float32_precision(precision: str) -> None: ...
def memory_stats() -> dict[str, int]: ...
def memory_reset_peak() -> None: ...
def memory_trim() -> None: ...
def memory_set_cap(bytes: int) -> None: ...
def memory_fail_at(n: int) -> int: ...

# cast
def widen(x: _Array, out: _Array | None = None) -> _Array: ...
def narrow(x: _Array, out: _Array | None = None) -> _Array: ...

# cuda
def cuda_driver() -> _Driver: ...
def cuda_devices() -> list[_Device]: ...
def cuda_current_device() -> int: ...
def cuda_synchronize(device: int) -> None: ...
def cuda_compiler() -> _Driver: ...
def cuda_cache() -> _Cache: ...
def cuda_source_folder() -> str: ...
def cuda_compile(file: str, architecture: str) -> _Build: ...
def cuda_architecture(device: int) -> str: ...
def cuda_probe(device: int) -> _Probe: ...

# device_array
def cuda_arrays(type: object, empty: object, stream: object) -> None: ...

# dropout
def dropout(
    x: _Array,
    p: float,
    key: int,
    scale: float,
    kept: float = 0.0,
    dropped: float = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def philox(key: int, block: int, high: int, n: int) -> _Array: ...

# elementwise
def add(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...
def sub(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...
def mul(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...
def div(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...
def maximum(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...
def minimum(a: _Array | float, b: _Array | float, out: _Array | None = None) -> _Array: ...

# embedding
def embedding(weight: _Array, indices: _Array, out: _Array | None = None) -> _Array: ...
def embedding_sum(
    rows: _Array,
    indices: _Array,
    begin: _Array,
    shares: _Array | None = None,
    out: _Array | None = None,
) -> _Array: ...
def embedding_max(
    rows: _Array, indices: _Array, begin: _Array, out: _Array | None = None
) -> tuple[_Array, _Array]: ...
def embedding_max_backward(
    dy: _Array, which: _Array, rows: int, out: _Array | None = None
) -> _Array: ...
def embedding_backward(
    dy: _Array,
    indices: _Array,
    rows: int,
    positions: _Array | None = None,
    shares: _Array | None = None,
    padding: int = -1,
    by_frequency: bool = False,
    out: _Array | None = None,
) -> _Array: ...

# gemm
def gemm(
    a: _Array,
    b: _Array,
    bias: _Array | None = None,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    alpha: float = 1.0,
    beta: float = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def gemm_pack_b(b: _Array) -> _Array: ...
def gemm_packed(
    a: _Array,
    packed: _Array,
    columns: int,
    bias: _Array | None = None,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    out: _Array | None = None,
) -> _Array: ...

# prelu
def prelu(x: _Array, weight: _Array, out: _Array | None = None) -> _Array: ...
def prelu_backward(
    x: _Array, weight: _Array, dy: _Array, out: _Array | None = None
) -> tuple[_Array, _Array]: ...

# reduce
def broadcast_to(x: _Array, shape: tuple[int, ...]) -> _Array: ...
def sum(x: _Array, axes: tuple[int, ...], out: _Array | None = None) -> _Array: ...

# activation: two functions for each name of csrc/ops/activation/names.inc, like relu's; records
# reach the others by name
def relu(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def relu_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def leaky_relu(x: _Array, parameter: float = 0.01, out: _Array | None = None) -> _Array: ...
def leaky_relu_backward(
    saved: _Array, dy: _Array, parameter: float = 0.01, out: _Array | None = None
) -> _Array: ...
def elu(x: _Array, parameter: float = 1.0, out: _Array | None = None) -> _Array: ...
def elu_backward(
    saved: _Array, dy: _Array, parameter: float = 1.0, out: _Array | None = None
) -> _Array: ...
def erf(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def erf_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def erfc(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def erfc_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def exp(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def exp_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def log(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def log1p(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def sigmoid(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def sigmoid_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def tanh(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def tanh_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def softplus(x: _Array, parameter: float = 1.0, out: _Array | None = None) -> _Array: ...
def softplus_backward(
    saved: _Array, dy: _Array, parameter: float = 1.0, out: _Array | None = None
) -> _Array: ...
def gelu(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def gelu_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def gelu_tanh(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def gelu_tanh_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...
def silu(x: _Array, parameter: float = 0.0, out: _Array | None = None) -> _Array: ...
def silu_backward(
    saved: _Array, dy: _Array, parameter: float = 0.0, out: _Array | None = None
) -> _Array: ...

# conv2d
def conv2d(
    x: _Array,
    weight: _Array,
    bias: _Array | None = None,
    *,
    stride: _Pair,
    padding: _Padding,
    dilation: _Pair,
    groups: int,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def conv2d_bwd_data(
    dy: _Array,
    weight: _Array,
    *,
    size: _Pair,
    bias: _Array | None = None,
    stride: _Pair,
    padding: _Padding,
    dilation: _Pair,
    groups: int,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def conv2d_bwd_weight(
    x: _Array,
    dy: _Array,
    *,
    size: _Pair,
    stride: _Pair,
    padding: _Padding,
    dilation: _Pair,
    groups: int,
    out: _Array | None = None,
) -> _Array: ...
def conv2d_candidates(
    pass_: str,
    dtype: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    *,
    stride: _Pair,
    padding: _Padding,
    dilation: _Pair,
    groups: int,
) -> list[tuple[str, float, float, bool]]: ...
def conv_workspace() -> int: ...
def set_conv_workspace(bytes: int) -> None: ...
def conv_autotune() -> bool: ...
def set_conv_autotune(on: bool, file: str) -> None: ...

# conv3d
def conv3d(
    x: _Array,
    weight: _Array,
    bias: _Array | None = None,
    *,
    stride: _Numbers,
    padding: tuple[_Pair, ...],
    dilation: _Numbers,
    groups: int,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def conv3d_bwd_data(
    dy: _Array,
    weight: _Array,
    *,
    size: _Numbers,
    bias: _Array | None = None,
    stride: _Numbers,
    padding: tuple[_Pair, ...],
    dilation: _Numbers,
    groups: int,
    activation: str | None = None,
    parameter: float | tuple[float, float] = 0.0,
    out: _Array | None = None,
) -> _Array: ...
def conv3d_bwd_weight(
    x: _Array,
    dy: _Array,
    *,
    size: _Numbers,
    stride: _Numbers,
    padding: tuple[_Pair, ...],
    dilation: _Numbers,
    groups: int,
    out: _Array | None = None,
) -> _Array: ...

# ctc
def ctc_loss(
    log_probs: _Array,
    targets: _Array,
    input_lengths: _Array,
    target_lengths: _Array,
    blank: int = 0,
    zero_infinity: bool = False,
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...

# layout
def to_channels_last(x: _Array, out: _Array | None = None) -> _Array: ...
def to_c_order(x: _Array, out: _Array | None = None) -> _Array: ...
def pad(
    x: _Array, pad: tuple[int, ...], value: float = 0.0, out: _Array | None = None
) -> _Array: ...

# loss
def cross_entropy(
    x: _Array,
    target: _Array,
    weight: _Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...
def mse_loss(
    x: _Array,
    target: _Array,
    reduction: str = "mean",
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...
def l1_loss(
    x: _Array,
    target: _Array,
    reduction: str = "mean",
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...
def binary_cross_entropy_with_logits(
    x: _Array,
    target: _Array,
    reduction: str = "mean",
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...
def huber_loss(
    x: _Array,
    target: _Array,
    delta: float = 1.0,
    factor: float = 1.0,
    reduction: str = "mean",
    gradient: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...

# optimizer
def optimizer_step(
    rule: str,
    param: _Array,
    grad: _Array,
    states: tuple[_Array, ...],
    rate: float,
    rate_grad: float = 0.0,
    first: float = 0.0,
    first_in: float = 0.0,
    second: float = 0.0,
    second_in: float = 0.0,
    root: float = 1.0,
    eps: float = 0.0,
    weight_decay: float = 0.0,
    keep: float = 1.0,
    maximize: bool = False,
) -> None: ...

# lstm
def rnn_forward(
    cell: str,
    x: _Array,
    w_ih: _Array,
    w_hh: _Array,
    b_ih: _Array | None = None,
    b_hh: _Array | None = None,
    w_hr: _Array | None = None,
    h0: _Array | None = None,
    c0: _Array | None = None,
    batch_sizes: _Array | None = None,
    reverse: bool = False,
    keep: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array | None, _Array | None]: ...
def rnn_backward(
    cell: str,
    dy: _Array | None,
    dh_n: _Array | None,
    dc_n: _Array | None,
    x: _Array,
    y: _Array,
    kept: _Array | None,
    w_ih: _Array,
    w_hh: _Array,
    b_ih: _Array | None = None,
    b_hh: _Array | None = None,
    w_hr: _Array | None = None,
    h0: _Array | None = None,
    c0: _Array | None = None,
    batch_sizes: _Array | None = None,
    reverse: bool = False,
    dx: bool = True,
    dweights: bool = True,
    dstates: bool = True,
    beta: float = 0.0,
    out: _Array | None = None,
) -> tuple[_Array | None, ...]: ...

# peak
def peak_fma(like: _Array, rounds: int) -> float: ...
def peak_mma(x: Any, unit: str, rounds: int, out: Any) -> float: ...

# pool2d
def max_pool2d(x: _Array, window: _Numbers, out: _Array | None = None) -> _Array: ...
def max_pool2d_taps(
    x: _Array, window: _Numbers, out: _Array | None = None
) -> tuple[_Array, _Array]: ...
def max_pool2d_indices(taps: _Array, y: _Array, size: _Numbers, window: _Numbers) -> _Array: ...
def max_pool2d_backward(
    dy: _Array, taps: _Array, size: _Numbers, window: _Numbers, out: _Array | None = None
) -> _Array: ...
def sum_pool2d(
    x: _Array, window: _Numbers, divisor: float | str = 1.0, out: _Array | None = None
) -> _Array: ...
def sum_pool2d_backward(
    dy: _Array,
    size: _Numbers,
    window: _Numbers,
    divisor: float | str = 1.0,
    out: _Array | None = None,
) -> _Array: ...
def lp2_pool2d(x: _Array, window: _Numbers, out: _Array | None = None) -> _Array: ...
def max_unpool2d(
    x: _Array, indices: _Array, size: _Numbers, out: _Array | None = None
) -> _Array: ...
def max_unpool2d_backward(dy: _Array, indices: _Array, out: _Array | None = None) -> _Array: ...

# softmax
def softmax(x: _Array, axis: int, out: _Array | None = None) -> _Array: ...
def softmax_backward(y: _Array, dy: _Array, axis: int, out: _Array | None = None) -> _Array: ...
def log_softmax(x: _Array, axis: int, out: _Array | None = None) -> _Array: ...
def log_softmax_backward(y: _Array, dy: _Array, axis: int, out: _Array | None = None) -> _Array: ...

# interpolate
def interpolate(x: _Array, axes: tuple[Any, ...], out: _Array | None = None) -> _Array: ...
def interpolate_backward(
    dy: _Array, size: _Numbers, axes: tuple[Any, ...], out: _Array | None = None
) -> _Array: ...

# layer_norm
def layer_norm(
    x: _Array,
    axes: int,
    eps: float,
    weight: _Array | None = None,
    bias: _Array | None = None,
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array]: ...
def layer_norm_backward(
    dy: _Array,
    x: _Array,
    axes: int,
    mean: _Array,
    invstd: _Array,
    weight: _Array | None = None,
    biased: bool = False,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None, _Array | None]: ...
def rms_norm(
    x: _Array, axes: int, eps: float, weight: _Array | None = None, out: _Array | None = None
) -> tuple[_Array, _Array]: ...
def rms_norm_backward(
    dy: _Array,
    x: _Array,
    axes: int,
    invstd: _Array,
    weight: _Array | None = None,
    out: _Array | None = None,
) -> tuple[_Array, _Array | None]: ...

# norm
def batch_norm_train(
    x: _Array,
    weight: _Array | None = None,
    bias: _Array | None = None,
    running_mean: _Array | None = None,
    running_var: _Array | None = None,
    momentum: float = 0.1,
    eps: float = 1e-05,
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array]: ...
def batch_norm_infer(
    x: _Array,
    mean: _Array,
    invstd: _Array,
    weight: _Array | None = None,
    bias: _Array | None = None,
    out: _Array | None = None,
) -> _Array: ...
def batch_norm_backward(
    dy: _Array,
    x: _Array,
    mean: _Array,
    invstd: _Array,
    weight: _Array | None = None,
    statistics: str = "batch",
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array]: ...
def group_norm(
    x: _Array,
    groups: int,
    eps: float,
    weight: _Array | None = None,
    bias: _Array | None = None,
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array, _Array]: ...
def group_norm_backward(
    dy: _Array,
    x: _Array,
    mean: _Array,
    invstd: _Array,
    weight: _Array | None = None,
    out: _Array | None = None,
) -> tuple[_Array, _Array, _Array]: ...
def local_response_norm(
    x: _Array,
    size: int,
    alpha: float = 0.0001,
    beta: float = 0.75,
    k: float = 1.0,
    out: _Array | None = None,
) -> _Array: ...
def local_response_norm_backward(
    dy: _Array,
    x: _Array,
    size: int,
    alpha: float = 0.0001,
    beta: float = 0.75,
    k: float = 1.0,
    out: _Array | None = None,
) -> _Array: ...

# vector_norm
def vector_norm(x: _Array, what: str, out: _Array | None = None) -> _Array: ...

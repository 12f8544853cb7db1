# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels bound by memory, on the CPU (tests/cuda_shim), against float64 NumPy.

Every launch is made twice, blocks and threads in one order and in the other: equal bits, or two
threads write to one place. Arrays lie against closed pages, on either side; their lengths make
their beginnings aligned to 16 bytes or not. Outputs hold NaN before.
"""

import re

import cuda_on_cpu
import numpy as np
import pytest
from cuda_on_cpu import CSRC, StridedPair, layer_norm_arguments
from striate import _C
from striate.testing import guarded
from striate.testing.cases import CASES

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
DTYPES = {"f32": np.float32, "f64": np.float64}
SIDES = ("end", "start")
LENGTHS = (0, 1, 2, 3, 4, 5, 8, 31, 33, 64, 127, 255, 256, 257, 1024, 1027, 2051)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 1e30, -1e30, 100.0, -100.0, 1e-30]
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum"]
ACTIVATIONS = re.findall(
    r"^ACTIVATION\((\w+), \w+, (\w)\)", (CSRC / "ops/activation/names.inc").read_text(), re.M
)
RULES = re.findall(r"^RULE\((\w+), \w+\)", (CSRC / "ops/optimizer/names.inc").read_text(), re.M)


def library(op):
    return cuda_on_cpu.library(CSRC / f"ops/{op}/{op}_cuda.cu")


def random(n, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


def launch(op, kernel, grid, block, arguments, *outs, buffers=()):
    """Fills the outputs; both orders of blocks and threads must give the same bits."""
    results = []
    for reverse in (False, True):
        for out in outs:
            out[...] = np.nan
        made = library(op)
        made.launch(kernel, grid, block, *arguments, buffers=(*outs, *buffers), reverse=reverse)
        results.append([out.tobytes() for out in outs])
    assert results[0] == results[1], "the order of threads shows"


def empty(shape, dtype, side):
    return guarded(np.zeros(shape, dtype), side)


@pytest.mark.parametrize("side", SIDES)
def test_casts(side):
    """Between float32 and bfloat16: every exponent, ties, denormals, infinities and NaN."""
    upper = np.arange(0, 2**16, 37, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    special = (upper[:, None] | lower).ravel().view(np.float32)
    for x in (*(random(n, np.float32, n) for n in LENGTHS), special):
        grid, x = max(1, -(-x.size // 5000)), guarded(x, side)
        low = guarded(np.zeros(x.size, np.uint16), side)
        wide = guarded(np.zeros(x.size, np.float32), side)
        kernels = cuda_on_cpu.library(CSRC / "ops/cast/cast_cuda.cu")
        for reverse in (False, True):
            low[...], wide[...] = 0x7FC1, np.nan
            kernels.launch("cast_narrow_f32_cuda", grid, 256, x, low, x.size, reverse=reverse)
            kernels.launch("cast_widen_bf16_cuda", grid, 256, low, wide, x.size, reverse=reverse)
            np.testing.assert_array_equal(low, cuda_on_cpu.stored(x, "bf16"))
            np.testing.assert_array_equal(wide, (low.astype(np.uint32) << 16).view(np.float32))


def test_every_kernel_is_met_here():
    patterns = [
        rf"({'|'.join(BINARY)})_f(32|64)_cuda(_strided)?",
        rf"({'|'.join(name for name, _ in ACTIVATIONS)})(_backward)?_f(32|64)_cuda",
        r"(sum|max)_(row|columns)_f(32|64)_cuda|(sum|max)_row_f(32|64)_cuda_warp",
        r"(log_)?softmax(_backward)?_f(32|64)_cuda(_warp)?",
        r"(layer|rms)_norm_(fwd|bwd)_f(32|64)_cuda(_warp)?",
        r"(layer|rms)_norm_bwd_columns_f(32|64)_cuda",
        r"cross_entropy_f(32|64)_cuda(_warp)?",
        r"(squared_error|absolute_error|huber|binary_logits)_f(32|64)_cuda",
        r"embedding_f(32|64)_cuda|embedding_sum_f(32|64)_cuda(_warp)?",
        r"embedding_max(_bwd)?_f(32|64)_cuda|check_indices_f(32|64)_cuda",
        r"(ctc|interpolate|pad|prelu|prelu_backward)_f(32|64)_cuda",
        r"norm_(squares|absolute|largest)_f(32|64)_cuda|lrn_(fwd|terms|bwd)_f(32|64)_cuda",
        r"dropout_f(32|64)_cuda(_channels_last)?|philox_cuda",
        rf"({'|'.join(RULES)})_f(32|64)_cuda",
        r"(lstm|gru|rnn_tanh|rnn_relu)_cell_(fwd|bwd)_f(32|64)_cuda",
        r"norm_(stats|join|fwd|sums|slopes|weights|bwd)_f(32|64)_cuda",
        r"gemm_f32_cuda_(simt|tf32_128x128|tf32_128x256|3xtf32)_[nt][nt]",
        r"gemm_f64_cuda_simt_[nt][nt]|cast_(widen_bf16|narrow_f32)_cuda",
        r"gemm_(bf16|f16)_cuda_mma_128x(128|256)_[nt][nt]",
        r"gemm_parts_(f32|f64|bf16|f16)_cuda",
        r"conv2d_(fwd|bwd_data|bwd_weight)_f32_cuda_(simt|tf32_128x(64|128|256)|3xtf32)",
        r"conv2d_(fwd|bwd_data|bwd_weight)_f64_cuda_simt",
        r"conv2d_(fwd|bwd_data|bwd_weight)_(bf16|f16)_cuda_mma_128x(64|128|256)",
        r"conv2d_(fwd|bwd_data|bwd_weight)_(f32|f64|bf16|f16)_cuda_depthwise",
        r"peak_(fma_f(32|64)|mma_(tf32|bf16|f16))_cuda",
        r"pool2d_(max|sum|lp2|bwd_max|bwd_sum)_f(32|64)_cuda",
    ]
    names = [n for source in cuda_on_cpu.SOURCES for n in cuda_on_cpu.kernel_names(source)]
    assert len(names) == len(set(names)) > 190
    assert [n for n in names if not any(re.fullmatch(p, n) for p in patterns)] == []


# --- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", BINARY)
def test_binary(op, dtype):
    """Every length, dense and repeated operands: each result is the rounded one, exactly."""
    function = next(c.reference for c in CASES if c.name == op)
    for n in LENGTHS:
        for a_step, b_step in ((1, 1), (1, 0), (0, 1), (0, 0)):
            side = SIDES[(n + a_step) % 2]
            a = guarded(random(n if a_step else 1, DTYPES[dtype], 1), side)
            b = guarded(random(n if b_step else 1, DTYPES[dtype], 2), side)
            out = empty(n, DTYPES[dtype], side)
            arguments = (a, a_step, b, b_step, out, n, DTYPES[dtype](np.nan))
            launch("elementwise", f"{op}_{dtype}_cuda", 2, 256, arguments, out)
            want = function(a.astype("f8"), b.astype("f8")) * np.ones(n)
            np.testing.assert_array_equal(out, want.astype(DTYPES[dtype]))
            for number, operands in ((a, (None, 0, b, b_step)), (b, (a, a_step, None, 0))):
                if number.size == 1:  # passed as such
                    out[:] = np.nan
                    arguments = (*operands, out, n, number[0])
                    launch("elementwise", f"{op}_{dtype}_cuda", 2, 256, arguments, out)
                    np.testing.assert_array_equal(out, want.astype(DTYPES[dtype]))


@pytest.mark.parametrize("op", BINARY)
def test_binary_special_values(op):
    a, b = (x.ravel().astype(np.float32) for x in np.meshgrid(SPECIAL, SPECIAL))
    out = np.empty_like(a)
    library("elementwise").launch(f"{op}_f32_cuda", 1, 256, a, 1, b, 1, out, a.size, np.float32(7))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, getattr(_C, op)(a, b))
    library("elementwise").launch(
        f"{op}_f32_cuda", 1, 256, a, 1, b, 1, a, a.size, np.float32(7)
    )  # in place
    np.testing.assert_array_equal(a, out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize(
    ("a_shape", "b_shape"), [((5, 7), (7,)), ((5, 1), (1, 7)), ((4, 1, 3), (2, 3)), ((33, 9), ())]
)
def test_binary_strided(op, dtype, a_shape, b_shape):
    a, b = random(a_shape, DTYPES[dtype], 1)[..., ::-1], random(b_shape, DTYPES[dtype], 2)
    shape = np.broadcast_shapes(a_shape, b_shape)
    out = np.full((*shape[:-1], 2 * shape[-1]), np.nan, DTYPES[dtype])[..., ::2]
    wide_a, wide_b = np.broadcast_arrays(a, b)
    problem = StridedPair.of(wide_a, wide_b, out)
    first = [cuda_on_cpu.At(x) for x in (a, b, out)]
    nan = DTYPES[dtype](np.nan)
    library("elementwise").launch(f"{op}_{dtype}_cuda_strided", 2, 64, *first, problem, nan)
    function = next(c.reference for c in CASES if c.name == op)
    want = function(wide_a.astype("f8"), wide_b.astype("f8"))
    np.testing.assert_array_equal(out, want.astype(DTYPES[dtype]))
    assert np.isnan(out.base[..., 1::2]).all()
    if b.ndim == 0:  # passed as a number
        out[:] = np.nan
        first[1] = None
        library("elementwise").launch(f"{op}_{dtype}_cuda_strided", 2, 64, *first, problem, b[()])
        np.testing.assert_array_equal(out, want.astype(DTYPES[dtype]))


# --- activations ---------------------------------------------------------------------------------


def parameters(sample):
    """The two parameters of a sample, and the sample's own by name."""
    values = [*sample.parameters.values(), 0.0, 0.0][:2]
    return [float(v) for v in values], sample.parameters


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "saves"), ACTIVATIONS)
def test_activation(name, saves, dtype):
    kind = DTYPES[dtype]
    forward = next(c for c in CASES if c.name == name)
    backward = next(c for c in CASES if c.name == f"{name}_backward")
    for seed, sample in enumerate(forward.samples[:20]):
        (a, b), named = parameters(sample)
        n, side = int(np.prod(sample.shapes[0])), SIDES[seed % 2]
        rng = np.random.default_rng(seed)
        x = guarded(forward.draw(rng, (n,)).astype(kind), side)
        dy = guarded(rng.standard_normal(n).astype(kind), side)
        wide, wide_dy = x.astype("f8"), dy.astype("f8")
        want = forward.reference(wide, **named)
        y, dx, p = empty(n, kind, side), empty(n, kind, side), (kind(a), kind(b))
        launch("activation", f"{name}_{dtype}_cuda", 2, 256, (x, y, n, *p), y)
        eps = np.finfo(kind).eps
        bound = forward.bound(want, eps, wide, **named)
        assert np.all(np.abs(y - want) <= bound), (str(sample), seed)
        saved = guarded((want if saves == "y" else x).astype(kind), side)
        arguments = (saved, dy, dx, n, *p)
        launch("activation", f"{name}_backward_{dtype}_cuda", 2, 256, arguments, dx)
        want = backward.reference(wide, wide_dy, **named)
        bound = backward.bound(want, eps, wide, wide_dy, **named)
        assert np.all(np.abs(dx - want) <= bound), (str(sample), seed)


@pytest.mark.parametrize(("name", "saves"), ACTIVATIONS)
def test_activation_special_values(name, saves):
    """NaN, infinities and zeros give what they give on the CPU."""
    sample = next(c for c in CASES if c.name == name).samples[0]
    (a, b), named = parameters(sample)
    x = np.array(SPECIAL, np.float32)
    y = np.empty_like(x)
    p = np.float32(a), np.float32(b)
    library("activation").launch(f"{name}_f32_cuda", 1, 32, x, y, x.size, *p)
    given = () if not named else ((a, b),) if len(named) == 2 else (a,)
    np.testing.assert_allclose(y, getattr(_C, name)(x, *given), 2e-6, 1e-37)
    dy = np.ones_like(x)
    saved = getattr(_C, name)(x, *given) if saves == "y" else x
    want = getattr(_C, f"{name}_backward")(saved, dy, *(given or (0.0,)))
    dx = np.empty_like(x)
    library("activation").launch(f"{name}_backward_f32_cuda", 1, 32, saved, dy, dx, x.size, *p)
    np.testing.assert_allclose(dx, want, 2e-6, 1e-30)


# --- reductions ----------------------------------------------------------------------------------

SHAPES = [(1, 1), (3, 2), (2, 5), (9, 31), (7, 33), (4, 7), (2, 257), (3, 1000), (2, 1027)]
SHAPES += [(1, 5000)]


def reduced(op, x, axis):
    return np.sum(x.astype("f8"), axis) if op == "sum" else np.max(x, axis, initial=-np.inf)


def close(op, got, x, axis):
    if op == "max":
        np.testing.assert_array_equal(got, reduced(op, x, axis))
        return
    eps, total = np.finfo(x.dtype).eps, np.sum(np.abs(x.astype("f8")), axis)
    chain = 4 + np.log2(x.shape[axis] + 1) + x.shape[axis] / 1024  # additions on top of each other
    assert np.all(np.abs(got - reduced(op, x, axis)) <= chain * eps * total)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize("gap", [0, 1, 4])
def test_reduce_rows(op, dtype, gap):
    """By block and by warp; in one part, and in parts that are reduced again."""
    kind = DTYPES[dtype]
    for i, (rows, n) in enumerate([*SHAPES, (3, 0)] * 2):
        side = SIDES[i % 2]  # an odd number of shapes: each meets both
        # The last row ends where memory does: its gap is not there.
        flat = guarded(random(max(rows * (n + gap) - gap, 0), kind), side)
        x = np.lib.stride_tricks.as_strided(
            flat, (rows, n), ((n + gap) * flat.itemsize, flat.itemsize)
        )
        out = empty(rows, kind, side)
        arguments = (flat, n + gap, rows, n, out)
        launch("reduce", f"{op}_row_{dtype}_cuda_warp", 1, 256, arguments, out)
        close(op, out, x, 1)
        for part in (max(n, 1), 96):
            parts = max(1, -(-n // part))
            made = empty((rows, parts), kind, "end")
            arguments = (flat, n + gap, rows, n, part, made)
            launch("reduce", f"{op}_row_{dtype}_cuda", (2, parts), 256, arguments, made)
            again = empty(rows, kind, "end")
            arguments = (made, parts, rows, parts, parts, again)
            launch("reduce", f"{op}_row_{dtype}_cuda", rows, 256, arguments, again)
            close(op, again, x, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["sum", "max"])
def test_reduce_columns(op, dtype):
    kind = DTYPES[dtype]
    for n, rows in SHAPES:
        x = guarded(random((rows, n), kind), SIDES[n % 2])
        for part in (rows, 21):
            parts = -(-rows // part)
            made = empty((parts, n), kind, "end")
            grid, arguments = (-(-n // 32), parts), (x, n, rows, n, part, made)
            launch("reduce", f"{op}_columns_{dtype}_cuda", grid, (32, 8), arguments, made)
            close(op, reduced(op, made, 0), x, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_reduce_special_values(value):
    x = random((40, 40), np.float32)
    x[3, 17] = value
    for op in ("sum", "max"):
        rows, columns = np.empty(40, np.float32), np.empty(40, np.float32)
        library("reduce").launch(f"{op}_row_f32_cuda", 40, 256, x, 40, 40, 40, 40, rows)
        library("reduce").launch(f"{op}_columns_f32_cuda", 2, (32, 8), x, 40, 40, 40, 40, columns)
        np.testing.assert_allclose(rows, reduced(op, x, 1), 1e-5, 1e-5)
        np.testing.assert_allclose(columns, reduced(op, x, 0), 1e-5, 1e-5)


# --- rows: softmax, layer norm -------------------------------------------------------------------

ROWS = [(1, 1), (3, 2), (9, 5), (2, 31), (10, 33), (3, 128), (2, 1023), (1, 1024), (2, 3001)]


@pytest.mark.parametrize("method", ["", "_warp"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax(op, dtype, method):
    kind, eps = DTYPES[dtype], np.finfo(DTYPES[dtype]).eps
    forward = next(c for c in CASES if c.name == op)
    backward = next(c for c in CASES if c.name == f"{op}_backward")
    for rows, n in ROWS:
        if method and n > 1024:
            continue
        side = SIDES[n % 2]
        x = guarded(forward.draw(np.random.default_rng(n), (rows, n)).astype(kind), side)
        dy = guarded(random((rows, n), kind, 1), side)
        wide, wide_dy = x.astype("f8"), dy.astype("f8")
        y, dx = empty((rows, n), kind, side), empty((rows, n), kind, side)
        launch("softmax", f"{op}_{dtype}_cuda{method}", 2, 256, (x, n, y, n, rows, n), y)
        want = forward.reference(wide, axis=1)
        assert np.all(np.abs(y - want) <= forward.bound(want, eps, wide, axis=1)), (rows, n)
        saved = guarded(want.astype(kind), side)
        arguments = (saved, n, dy, n, dx, n, rows, n)
        launch("softmax", f"{op}_backward_{dtype}_cuda{method}", 2, 256, arguments, dx)
        want = backward.reference(wide, wide_dy, axis=1)
        bound = backward.bound(want, eps, wide, wide_dy, axis=1)
        assert np.all(np.abs(dx - want) <= bound), (rows, n)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax_special_values(op):
    x = np.tile(random(40, np.float32), (6, 1))
    x[1, 3], x[2, 3], x[3, 3], x[4], x[5] = np.nan, np.inf, -np.inf, -np.inf, 3e38
    for method in ("", "_warp"):
        y = np.empty_like(x)
        library("softmax").launch(f"{op}_f32_cuda{method}", 2, 256, x, 40, y, 40, 6, 40)
        np.testing.assert_allclose(y, getattr(_C, op)(x, 1), 1e-5, 1e-37)


@pytest.mark.parametrize("method", ["", "_warp"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_layer_norm(op, dtype, method):
    kind = DTYPES[dtype]
    for trial, (rows, n) in enumerate(ROWS):
        if method and n > 1024:
            continue
        side = SIDES[trial % 2]
        x = guarded(random((rows, n), kind) + kind(100 if op == "layer_norm" else 0), side)
        weight = guarded(random(n, kind, 1), side) if trial % 2 else None
        bias = guarded(random(n, kind, 2), side) if trial % 3 and op == "layer_norm" else None
        y, mean, invstd = (empty(shape, kind, side) for shape in ((rows, n), rows, rows))
        arguments = (layer_norm_arguments(x, weight, bias, rows, n, 1e-5, y, mean, invstd),)
        outs, buffers = (y, mean, invstd), [v for v in (x, weight, bias) if v is not None]
        name = f"{op}_fwd_{dtype}_cuda{method}"
        launch("layer_norm", name, 2, 256, arguments, *outs, buffers=buffers)
        wide = x.astype("f8")
        centre = wide.mean(1) if op == "layer_norm" else np.zeros(rows)
        off = wide - centre[:, None]
        want_invstd = 1 / np.sqrt((off**2).mean(1) + 1e-5)
        want = off * want_invstd[:, None] * (1 if weight is None else weight.astype("f8"))
        want = want + (0 if bias is None else bias.astype("f8"))
        eps = np.finfo(kind).eps
        unit = 100 * want_invstd[:, None] if op == "layer_norm" else 0  # the mean's own rounding
        scale = 1 if weight is None else np.abs(weight)
        assert np.all(np.abs(y - want) <= eps * (16 * (np.abs(want) + 1) + 2 * unit * scale))
        np.testing.assert_allclose(invstd, want_invstd, 64 * eps)
        if op == "layer_norm":
            np.testing.assert_allclose(mean, centre, 4 * eps)
        else:
            assert np.isnan(mean).all()  # not touched

# SPDX-License-Identifier: Apache-2.0
"""The C interface by ctypes against NumPy, what it refuses, and the examples built and run."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from capi import (
    HEADER,
    Conv2d,
    Epilogue,
    Pool2d,
    call,
    close,
    double,
    load,
    nhwc,
    randn,
    refused,
    tensor,
)
from numpy.lib.stride_tricks import sliding_window_view

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "cpp"


@pytest.fixture(scope="module")
def lib():
    return load()


# --- the library ----------------------------------------------------------------------------------


def declared():
    text = HEADER.read_text(encoding="utf-8")
    return set(re.findall(r"^STRIATE_(?:EXPORT [\w *]+?|CALL )(striate_\w+)\(", text, re.M))


def test_exactly_what_the_header_declares_is_exported():
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm here")
    command = [nm, "-D", "--defined-only", striate.get_library()]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1] for line in text.splitlines()} == declared()


def test_every_function_is_called_in_these_files():
    files = Path(__file__).parent.glob("test_c_api*.py")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    missing = [
        n for n in declared() if f'"{n.removeprefix("striate_")}"' not in text and n not in text
    ]
    assert not missing


def test_what_it_is(lib):
    assert lib.striate_api() == 1
    assert lib.striate_version().decode() == striate.__version__
    assert lib.striate_isa().decode() == striate._C.isa()
    before = lib.striate_num_threads()
    assert lib.striate_set_num_threads(2) == 0 and lib.striate_num_threads() == 2
    refused(lib, "0", "set_num_threads", 0)
    lib.striate_set_num_threads(before)
    names = []
    while (name := lib.striate_activation_name(len(names))) is not None:
        names.append(name.decode())
    assert {"relu", "gelu", "tanh"} <= set(names) and lib.striate_activation_name(-1) is None


# --- every function -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copy(lib, dtype):
    x = randn(3, 4, 5, dtype=dtype)[:, ::-2].transpose(2, 0, 1)
    y = np.full((5, 3, 2), np.nan, dtype)
    call(lib, "copy", x, y)
    assert np.array_equal(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gemm(lib, dtype):
    a, b = randn(7, 11, dtype=dtype), randn(9, 11, dtype=dtype, seed=1).T
    c = np.full((14, 18), np.nan, dtype)[::2, ::2]
    call(lib, "gemm", a, b, None, c)
    close(c, a.astype(float) @ b, 11)
    bias, before = randn(9, dtype=dtype, seed=2), c.copy()
    held = tensor(bias)
    epilogue = Epilogue(2.0, 0.5, ctypes.pointer(held), b"leaky_relu", (0.1, 0.0))
    call(lib, "gemm", a, b, epilogue, c)
    expected = 2 * (a.astype(float) @ b) + 0.5 * before + bias
    close(c, np.where(expected > 0, expected, 0.1 * expected), 11)
    epilogue.activation, epilogue.beta = b"relu", 0.0
    call(lib, "gemm", a, b, epilogue, c)
    close(c, np.maximum(2 * (a.astype(float) @ b) + bias, 0), 11)
    many = np.full((4, 7, 9), np.nan, dtype)
    stack = randn(4, 7, 11, dtype=dtype, seed=3)
    call(lib, "gemm", stack, b[None], None, many)
    close(many, stack.astype(float) @ b, 11)
    call(lib, "gemm", a[:, :0], b[:0], None, c)
    assert not c.any()


def convolution(x, w, stride, padding, dilation, groups):
    """By windows, in float64."""
    top, bottom, left, right = padding
    x = np.pad(x.astype(float), ((0, 0), (0, 0), (top, bottom), (left, right)))
    reach = [(n - 1) * d + 1 for n, d in zip(w.shape[2:], dilation, strict=True)]
    windows = sliding_window_view(x, reach, (2, 3))[:, :, :: stride[0], :: stride[1]]
    windows = windows[..., :: dilation[0], :: dilation[1]]
    parts = [
        np.einsum("ncpqrs,kcrs->nkpq", v, u)
        for v, u in zip(
            np.split(windows, groups, 1), np.split(w.astype(float), groups), strict=True
        )
    ]
    return np.concatenate(parts, 1)


CONVOLUTIONS = [
    ((1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 1), (1, 2, 0, 1), (1, 1), 1),
    ((1, 2), (2, 2, 2, 2), (2, 2), 2),
]


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), CONVOLUTIONS)
@pytest.mark.parametrize("layout", [nhwc, np.ascontiguousarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv2d(lib, dtype, layout, stride, padding, dilation, groups):
    x = layout(randn(2, 4, 9, 8, dtype=dtype))
    w = layout(randn(6, 4 // groups, 3, 2, dtype=dtype, seed=1))
    p = Conv2d(stride, padding, dilation, groups)
    size = (ctypes.c_int64 * 2)()
    call(lib, "conv2d_output_size", p, 9, 8, 3, 2, size)
    expected = convolution(x, w, stride, padding, dilation, groups)
    assert tuple(size) == expected.shape[2:]
    y = layout(np.full(expected.shape, np.nan, dtype))
    call(lib, "conv2d_forward", p, x, w, None, y)
    depth = 6 * 4 // groups
    close(y, expected, depth)
    bias = randn(6, dtype=dtype, seed=2)
    held = tensor(bias)
    epilogue = Epilogue(1.0, 0.0, ctypes.pointer(held), b"tanh", (0.0, 0.0))
    call(lib, "conv2d_forward", p, x, w, epilogue, y)
    close(y, np.tanh(expected + bias[:, None, None]), depth)
    # Gradients: <dy, conv(x, w)> is linear in x and in w.
    dy = layout(randn(*expected.shape, dtype=dtype, seed=3))
    dx, dw = layout(np.full(x.shape, np.nan, dtype)), layout(np.full(w.shape, np.nan, dtype))
    call(lib, "conv2d_backward_data", p, dy, w, None, dx)
    call(lib, "conv2d_backward_weight", p, x, dy, dw)
    for grad, other in ((dx, 0), (dw, 1)):
        for seed in range(3):
            at = tuple(np.random.default_rng(seed).integers(0, n) for n in grad.shape)
            unit = np.zeros(grad.shape)
            unit[at] = 1
            operands = (unit, w) if other == 0 else (x, unit)
            change = convolution(*operands, stride, padding, dilation, groups)
            close(grad[at], (dy * change).sum(), dy.size)


def pooled(x, reduce, kernel, stride):
    return reduce(
        sliding_window_view(x, kernel, (2, 3))[:, :, :: stride[0], :: stride[1]], (-2, -1)
    )


@pytest.mark.parametrize("layout", [nhwc, np.ascontiguousarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pooling(lib, dtype, layout):
    x = layout(randn(2, 3, 8, 9, dtype=dtype))
    p = Pool2d((3, 2), (2, 3), (0, 0), (1, 1), 0, 1)
    size = (ctypes.c_int64 * 2)()
    call(lib, "pool2d_output_size", p, 8, 9, size)
    y = layout(np.full((2, 3, *size), np.nan, dtype))
    count = ctypes.c_size_t()
    call(lib, "max_pool2d_taps_size", p, x, ctypes.byref(count))
    assert count.value == y.size
    taps = np.full(count.value, 255, np.uint8)
    call(lib, "max_pool2d_forward", p, x, y, None)
    expected = pooled(x, np.max, (3, 2), (2, 3))
    assert np.array_equal(y, expected)
    call(lib, "max_pool2d_forward", p, x, y, ctypes.c_void_p(taps.ctypes.data))
    assert np.array_equal(y, expected)
    dy, dx = layout(randn(*y.shape, dtype=dtype, seed=1)), layout(np.full(x.shape, np.nan, dtype))
    call(lib, "max_pool2d_backward", p, dy, ctypes.c_void_p(taps.ctypes.data), dx)
    wanted = np.zeros(x.shape)
    for (n, c, i, j), value in np.ndenumerate(dy):
        window = x[n, c, 2 * i : 2 * i + 3, 3 * j : 3 * j + 2]
        r, s = np.unravel_index(window.argmax(), window.shape)
        wanted[n, c, 2 * i + r, 3 * j + s] += value
    close(dx, wanted)
    call(lib, "avg_pool2d_forward", p, x, y)
    close(y, pooled(x, np.mean, (3, 2), (2, 3)), 6)
    call(lib, "avg_pool2d_backward", p, dy, dx)
    close(np.einsum("nchw,nchw->", dx, x), (dy * pooled(x, np.mean, (3, 2), (2, 3))).sum(), x.size)
    whole = layout(np.full((2, 3, 1, 1), np.nan, dtype))
    call(lib, "adaptive_avg_pool2d", x, whole)
    close(whole, x.mean((2, 3), keepdims=True), 72)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norm_softmax_and_activations(lib, dtype):
    x = randn(2, 3, 4, 5, dtype=dtype)
    mean, var = randn(3, dtype=dtype, seed=1), np.abs(randn(3, dtype=dtype, seed=2))
    weight, bias = randn(3, dtype=dtype, seed=3), randn(3, dtype=dtype, seed=4)
    wide = lambda v: v.astype(float)[:, None, None]  # noqa: E731
    y = np.full_like(x, np.nan)
    expected = (x - wide(mean)) / np.sqrt(wide(var) + 1e-5)
    call(lib, "batch_norm_inference", x, mean, var, None, None, double(1e-5), y)
    close(y, expected, 4)
    call(lib, "batch_norm_inference", x, mean, var, weight, bias, double(1e-5), y)
    close(y, expected * wide(weight) + wide(bias), 8)
    e = np.exp(x.astype(float) - x.max(1, keepdims=True))
    call(lib, "softmax_forward", x, 1, y)
    close(y, e / e.sum(1, keepdims=True), 3)
    call(lib, "log_softmax_forward", x, 1, y)
    close(y, np.log(e / e.sum(1, keepdims=True)), 3)
    call(
        lib,
        "activation_forward",
        b"leaky_relu",
        double(0.25),
        double(0),
        x[:, :, ::2],
        y[:, :, ::2],
    )
    close(y[:, :, ::2], np.where(x > 0, x, 0.25 * x)[:, :, ::2])
    y[:] = x
    call(lib, "activation_forward", b"tanh", double(0), double(0), y, y)
    close(y, np.tanh(x.astype(float)), 4)


# --- what is refused ------------------------------------------------------------------------------


def test_errors_name_what_is_wrong(lib):
    a, b, c = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    refused(lib, r"gemm: b: expected 3 rows.*got shape \(2, 4\)", "gemm", a, c, None, c)
    refused(lib, r"gemm: c: expected shape \(2, 4\), got \(2, 3\)", "gemm", a, b, None, a)
    refused(lib, "gemm: b: expected float32.*, got float64", "gemm", a, b.astype(float), None, c)
    refused(lib, "gemm: a: expected a pointer, got null", "gemm", None, b, None, c)
    refused(lib, "gemm: a: expected data, got null", "gemm", tensor(a, data=None), b, None, c)
    refused(lib, "rank of 0 to 8, got 9", "gemm", tensor(a, rank=9), b, None, c)
    refused(lib, "dtype STRIATE_FLOAT32 or", "gemm", tensor(a, dtype=7), b, None, c)
    refused(lib, "aligned", "gemm", tensor(a, data=a.ctypes.data + 1), b, None, c)
    refused(lib, "gemm: a: expected rank 2", "gemm", a[0], b, None, c)
    zero = np.broadcast_to(np.ones(4, np.float32), (2, 4))
    refused(lib, "gemm: c: expected strides other than 0", "gemm", a, b, None, zero)
    huge = tensor(a)
    huge.shape[:2] = (1 << 62, 4)
    refused(lib, r"at most 2\^63 - 1 elements", "gemm", huge, b, None, c)
    huge.shape[:2] = (-1, 4)
    refused(lib, "sizes of 0 or more", "gemm", huge, b, None, c)
    refused(
        lib,
        "expected one of .*relu.*got .*swoosh",
        "activation_forward",
        b"swoosh",
        double(0),
        double(0),
        a,
        a,
    )
    refused(lib, "name: expected a pointer", "activation_forward", None, double(0), double(0), a, a)
    refused(lib, "axis: expected 0 to 1, got 2", "softmax_forward", a, 2, a)
    x, w = np.ones((1, 4, 5, 5), np.float32), np.ones((2, 4, 3, 3), np.float32)
    y, usual = np.ones((1, 2, 3, 3), np.float32), ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    for words, p in (
        (r"stride: expected 1 or more, got \(0, 1\)", Conv2d((0, 1), *usual[1:])),
        (r"padding: expected 0 or more, got \(0, -1\)", Conv2d((1, 1), (0, 0, -1, 0), (1, 1), 1)),
        ("groups: expected a divisor of 4 channels", Conv2d(*usual[:3], 3)),
        (r"weight: expected \(K, 2, R, S\)", Conv2d(*usual[:3], 2)),
        ("a padded height of at least 3", Conv2d((1, 1), (0, 0, 0, 0), (9, 1), 1)),
    ):
        refused(lib, words, "conv2d_forward", p, x, w, None, y)
    refused(lib, "y: expected shape", "conv2d_forward", Conv2d(*usual), x, w, None, x)
    pool = Pool2d((2, 2), (2, 2), (0, 0), (2, 2), 0, 1)
    refused(lib, "dilation: expected 1 for a mean", "avg_pool2d_forward", pool, x, y)
    refused(lib, "pool2d_output_size", "pool2d_output_size", Pool2d(), 4, 4, (ctypes.c_int64 * 2)())
    good = Pool2d((2, 2), (2, 2), (0, 0), (1, 1), 0, 1)
    refused(lib, "taps", "max_pool2d_backward", good, np.ones((1, 4, 2, 2), np.float32), None, x)


def test_errors_belong_to_their_thread(lib):
    from threading import Thread

    refused(lib, "axis", "softmax_forward", np.ones(2, np.float32), 5, np.ones(2, np.float32))
    seen = []
    thread = Thread(target=lambda: seen.append(lib.striate_last_error()))
    thread.start()
    thread.join()
    assert seen == [b""] and lib.striate_last_error() != b""


# --- compilers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("standard", ["c99", "c++17"])
def test_the_header_compiles_alone(tmp_path, standard):
    compiler = shutil.which("g++" if "+" in standard else "gcc")
    if compiler is None:
        pytest.skip("no compiler here")
    source = tmp_path / ("a.cpp" if "+" in standard else "a.c")
    source.write_text(
        "#include <striate.h>\nint main(void) { int64_t n = 0; striate_tensor t = "
        "striate_tensor_of(0, STRIATE_FLOAT32, 1, &n); return striate_copy(&t, &t); }\n"
    )
    program = tmp_path / "a"
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}"]
    link = [striate.get_library(), f"-Wl,-rpath,{Path(striate.get_library()).parent}"]
    command = [
        compiler,
        *flags,
        f"-I{striate.get_include()}",
        str(source),
        *link,
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([program]).returncode == 0


def numbers(*shape, step):
    count = int(np.prod(shape))
    return (((np.arange(count) * step) % 16) / 16 - 0.5).reshape(shape)


def expected_probabilities():
    """What examples/cpp/convolution.cpp computes, by NumPy."""
    x = numbers(2, 8, 8, 3, step=7).transpose(0, 3, 1, 2)
    w = numbers(4, 3, 3, 3, step=5).transpose(0, 3, 1, 2)
    y = convolution(x, w, (1, 1), (1, 1, 1, 1), (1, 1), 1) + numbers(4, step=3)[:, None, None]
    y = pooled(np.maximum(y, 0), np.max, (4, 4), (4, 4))
    rows = y.transpose(0, 2, 3, 1).reshape(2, -1)
    scores = rows @ numbers(5, rows.shape[1], step=11).T
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def check_example(program):
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"striate {striate.__version__} on ")
    found = np.array([[float(v) for v in line.split()] for line in lines[1:3]])
    np.testing.assert_allclose(found, expected_probabilities(), atol=2e-6)
    refusal = "gemm: b: expected 16 rows, as many as a (2, 16) has columns, got shape (5, 16)"
    assert lines[3] == f"refused: {refusal}"


def python_losses():
    """What examples/cpp/training.cpp prints, by the Python library."""

    def parameter(*shape, step):
        return striate.tensor(numbers(*shape, step=step).astype(np.float32), requires_grad=True)

    x = numbers(4, 6, 6, 1, step=7).transpose(0, 3, 1, 2).astype(np.float32)
    filters = numbers(4, 3, 3, 1, step=5).transpose(0, 3, 1, 2).astype(np.float32)
    filters = striate.tensor(filters, requires_grad=True)
    bias, offset = parameter(4, step=3), parameter(3, step=5)
    # The example's features lie (h, w, c), the library's (c, h, w).
    linear = numbers(3, 3, 3, 4, step=11).transpose(0, 3, 1, 2).reshape(3, 36)
    linear = striate.tensor(linear.astype(np.float32), requires_grad=True)
    parameters = [filters, bias, linear, offset]
    sgd = striate.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)
    losses = []
    for _ in range(40):
        sgd.zero_grad()
        y = F.conv2d(striate.tensor(x), filters, bias, padding=1)
        rows = F.max_pool2d(F.relu(y), 2).reshape(4, 36)
        loss = F.cross_entropy(F.linear(rows, linear, offset), striate.tensor([0, 1, 2, 1]))
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses


def check_training(program):
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, expected = [float(line) for line in done.stdout.split()], python_losses()
    assert expected[-1] < 0.2 * expected[0]  # it learns
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_the_examples_compile_and_are_right(tmp_path):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here")
    library = striate.get_library()
    command = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{striate.get_include()}"]
    for name, check in (("convolution", check_example), ("training", check_training)):
        made = [str(EXAMPLE / f"{name}.cpp"), library, f"-Wl,-rpath,{Path(library).parent}"]
        program = tmp_path / name
        done = subprocess.run([*command, *made, "-o", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        check(program)


def test_the_examples_build_with_cmake(tmp_path):
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("g++") is None:
        pytest.skip("no cmake or no g++ here")
    configure = [cmake, "-S", EXAMPLE, "-B", tmp_path, f"-Dstriate_DIR={striate.get_cmake_dir()}"]
    for command in (configure, [cmake, "--build", tmp_path]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    check_example(tmp_path / "convolution")
    check_training(tmp_path / "training")

# SPDX-License-Identifier: Apache-2.0
"""tests/cuda_shim catches what it is there to catch: faults planted on purpose."""

import cuda_on_cpu
import numpy as np
import pytest
from striate.testing import guarded

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")
FAULTS = cuda_on_cpu.SHIM / "faults"


def run(file, kernel, n, *more, threads=64, side="end", **options):
    """x, y after the kernel."""
    x = guarded(np.random.default_rng(1).standard_normal(n).astype(np.float32), side)
    y = guarded(np.full(n, np.nan, np.float32), side)
    made = cuda_on_cpu.library(FAULTS / f"{file}.cu")
    counts = made.launch(kernel, 1, threads, x, y, *more, **options)
    return x, y, counts


@pytest.mark.parametrize(
    ("file", "kernel", "words"),
    [
        ("past_the_end", "past_the_end", "access 0 bytes past the end of buffer"),
        ("past_the_end", "past_the_end_wide", "16 bytes outside every buffer"),
        ("past_the_end", "misaligned_wide", "not a multiple of 16"),
        ("missing_barrier", "missing_barrier", "nobody wrote"),
        ("missing_barrier", "missing_second_barrier", "race: "),
        ("missing_barrier", "warp_barrier_for_block", "nobody wrote"),
        ("missing_barrier", "reads_nothing", "read of shared byte .* nobody wrote"),
        ("missing_barrier", "past_shared", "thread 63: shared array of 63 elements, element 63"),
        ("divergent", "divergent_barrier", "divergent barrier: thread .* has ended"),
        ("divergent", "two_barriers", "divergent barrier: .*cu:1.*cu:1"),
        ("divergent", "divergent_shuffle", "waits for lane .*, which has ended"),
        ("divergent", "shuffle_outside_mask", "by lane .*, which is not in its mask"),
        ("missing_wait", "missing_wait", "before the wait for thread .* cp.async"),
        ("missing_wait", "wait_for_too_few", "before the wait for thread .* cp.async"),
        ("missing_wait", "wait_without_barrier", "nobody wrote"),
        ("missing_wait", "copy_into_use", "race: "),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_fault_is_caught(file, kernel, words, reverse):
    n, more, side = 64, (), "end"
    if file == "past_the_end":
        n, more, side = 66, (66,), "start" if "wide" in kernel else "end"
    with pytest.raises(cuda_on_cpu.LaunchError, match=f"^{kernel}, block .*{words}"):
        run(file, kernel, n, *more, side=side, reverse=reverse)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("1025 threads in a block", {"threads": 1025}),
        ("102400 bytes of shared memory", {"shared": 100 << 10}),
    ],
)
def test_block_that_no_gpu_takes_is_caught(words, options):
    with pytest.raises(cuda_on_cpu.LaunchError, match=words):
        run("divergent", "votes_and_shuffles", 64, **options)


def test_read_before_the_start_is_caught():
    run("past_the_end", "before_the_start", 64, 0)  # nothing to do
    with pytest.raises(cuda_on_cpu.LaunchError, match="4 bytes before buffer 0"):
        run("past_the_end", "before_the_start", 64, 64, side="start")


@pytest.mark.parametrize(
    ("file", "kernel", "source"),
    [
        ("missing_barrier", "with_barrier", lambda i: 63 - i),
        ("missing_barrier", "with_warp_barrier", lambda i: i ^ 31),
        ("missing_wait", "with_wait", lambda i: 63 - i),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_right_kernels_pass(file, kernel, source, reverse):
    x, y, _ = run(file, kernel, 64, reverse=reverse)
    np.testing.assert_array_equal(y, x[source(np.arange(64))])


def test_votes_and_shuffles():
    x, y, _ = run("divergent", "votes_and_shuffles", 64)
    i = np.arange(64)
    lane, warp = i % 32, i - i % 32
    down = x[np.where(lane < 31, i + 1, i)]
    up = x[np.where(lane > 0, i - 1, i)]
    want = down - up + x[warp + lane // 8 * 8 + 3] + np.where(lane < 16, x[i ^ 8], 0)
    want[32:] = 0  # there all lanes have i > 0
    np.testing.assert_allclose(y, want.astype(np.float32), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "wavefronts", "ideal"),
    [
        ("transpose_straight", 32 + 32 * 32, 64),
        ("transpose_padded", 64, 64),
        ("transpose_swizzled", 64, 64),
        ("transpose_wrong_swizzle", 32 + 32 * 4, 64),
        ("wide_column", 32 + 4 * 8, 32 + 4),
    ],
)
def test_bank_conflicts_are_counted(kernel, wavefronts, ideal):
    x, y, counts = run("bank_conflicts", kernel, 1024, threads=32)
    if kernel != "wide_column":
        np.testing.assert_array_equal(y.reshape(32, 32), x.reshape(32, 32).T)
    assert (counts.wavefronts, counts.ideal_wavefronts) == (wavefronts, ideal)

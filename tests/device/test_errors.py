# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a GPU, streams, and devices besides the first."""

import os
import threading

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from striate import _C

cupy = pytest.importorskip("cupy")
FAKE = hasattr(cupy, "CALLS")


def test_out_of_memory_leaves_the_process_usable():
    x = striate.ones(8, device="cuda")
    with pytest.raises(MemoryError, match=r"cuda:0: float32 of shape \(8, \d+\): .*emory"):
        x.reshape(8, 1) + striate.ones(1, device="cuda").expand(1, 1 << 40)
    with pytest.raises(MemoryError):
        striate.ones(8, device="cuda").reshape(8, 1).expand(8, 1 << 40) * 2
    assert (x + 1).tolist() == [2] * 8


def computed(shape=(6, 5, 3, 2)):
    """A result and gradients by kernels that want working space."""
    x = striate.tensor(np.cos(np.arange(180.0, dtype=np.float32)).reshape(shape), device="cuda")
    x.requires_grad_()
    labels = striate.tensor(np.arange(36).reshape(6, 3, 2) % 5, device="cuda")
    table = striate.tensor(np.arange(10.0).reshape(5, 2), device="cuda", requires_grad=True)
    y = F.layer_norm(F.batch_norm(x, None, None, training=True), (2,), striate.ones(2).cuda())
    loss = F.cross_entropy(y, labels) + F.embedding(labels, table).sum()
    loss.backward()
    return [t.cpu().numpy() for t in (loss.detach(), x.grad, table.grad)]


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on demand")
def test_any_allocation_may_fail():
    """One after the other: MemoryError, and then all is as before."""
    want, failed = computed(), 0
    try:
        for at in range(1, 400):
            os.environ["FAKE_FAIL"] = f"cuMemAlloc_v2:{at}:2"
            try:
                made = computed()
            except MemoryError:
                failed += 1
            else:
                break
    finally:
        del os.environ["FAKE_FAIL"]
    assert 30 < failed < 399
    for a, b, c in zip(want, made, computed(), strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


@pytest.mark.parametrize("status", [2, 700])
def test_an_allocator_may_fail_with_an_error_of_the_runtime(status, monkeypatch):
    """As CuPy's do beside its pool; no other error of theirs is taken for a lack of memory."""

    def full(size):
        error = RuntimeError(f"error {status} for {size} bytes")
        error.status = status
        raise error

    x = striate.ones(8, device="cuda")
    with monkeypatch.context() as patch:
        patch.setattr(cupy.cuda, "alloc", full)
        with pytest.raises(MemoryError if status == 2 else RuntimeError, match="for 32 bytes"):
            x + 1
    assert (x + 1).tolist() == [2] * 8


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on demand")
def test_a_launch_that_fails_says_kernel_shapes_and_the_drivers_words():
    x = striate.ones(3, 5, device="cuda")
    os.environ["FAKE_FAIL"] = "cuLaunchKernel:1:1"
    try:
        with pytest.raises(RuntimeError) as caught:
            x * x
    finally:
        del os.environ["FAKE_FAIL"]
    for words in ("mul_f32_cuda: a (3, 5), b (3, 5)", "grid (1, 1, 1)", "CUDA_ERROR_INVALID_VALUE"):
        assert words in str(caught.value)
    assert (x * x).sum().item() == 15


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on demand")
@pytest.mark.parametrize("launch", [1, 2])
def test_a_later_launch_of_an_operation_says_the_shapes_too(launch):
    x, rows = striate.ones(6, 4, device="cuda")._array, striate.ones(6, device="cuda")._array
    weight = striate.ones(4, device="cuda")._array
    os.environ["FAKE_FAIL"] = f"cuLaunchKernel:{launch}:1"
    try:
        with pytest.raises(RuntimeError, match=r"layer_norm_bwd_\w+: x \(6, 4\), grid"):
            _C.layer_norm_backward(x, x, 1, rows, rows, weight, True)
    finally:
        del os.environ["FAKE_FAIL"]


def test_bindings_refuse_what_does_not_fit():
    array = striate.ones(2, 3, device="cuda")._array
    with pytest.raises(TypeError, match="add: b: expected float32 like the first operand"):
        _C.add(array, array.astype(np.float64))
    with pytest.raises(TypeError, match="relu: x: expected float32 or float64, got int32"):
        _C.relu(array.astype(np.int32))
    with pytest.raises(ValueError, match="do not broadcast"):
        _C.add(array, array.T)
    with pytest.raises(TypeError, match="out: expected an array on cuda:0 like the operands"):
        _C.add(array, array, out=np.ones((2, 3), np.float32))
    with pytest.raises(TypeError, match="out: expected an array on cpu like the operands"):
        _C.add(np.ones((2, 3), np.float32), 1.0, out=array)
    with pytest.raises(TypeError, match=r"one device, got saved \(2, 3\) on cuda:0 and dy"):
        _C.relu_backward(array, np.ones((2, 3), np.float32), 0.0)


def test_results_into_given_memory():
    x = striate.arange(6, dtype=striate.float32, device="cuda").reshape(2, 3)._array
    for out in (cupy.empty((2, 3), np.float32), cupy.empty((3, 4), np.float32)[:, :2].T):
        assert _C.add(x, 1.0, out=out) is out
        assert out.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert _C.relu(x, 0.0, out=out) is out and out.tolist() == x.tolist()
        assert _C.softmax(x, 0, out=out) is out
        np.testing.assert_allclose(out.get().sum(0), 1, 1e-6)


def test_work_goes_to_the_current_stream():
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        y = striate.ones(1000, device="cuda") * 3.0
    stream.synchronize()
    assert y.cpu().numpy().tolist() == [3.0] * 1000
    if FAKE and "FAKE_LOG" in os.environ:
        with open(os.environ["FAKE_LOG"]) as log:
            launches = [line for line in log if "cuLaunchKernel mul_f32" in line]
        assert launches[-1].rstrip().endswith(f" stream {stream.ptr:#x}")


def test_threads():
    results = []

    def work(k):
        x = striate.full((257,), float(k), device="cuda")
        results.append((k, (x * x + 1.0).sum().item()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [(k, 257 * (k * k + 1)) for k in range(6)]


@pytest.mark.skipif(striate.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu():
    x = striate.arange(4, dtype=striate.float32).to("cuda:1")
    y = x * 2 + x
    assert y.device == "cuda:1" and y.tolist() == [0, 3, 6, 9]
    assert y.to("cuda:0").device == "cuda:0" and y.to("cuda:0").tolist() == [0, 3, 6, 9]
    with pytest.raises(TypeError, match="on one device"):
        x + x.to("cuda:0")


def test_saved_arrays_of_in_place_writes_are_seen():
    x = striate.ones(3, device="cuda", requires_grad=True)
    y = x * 2
    z = y * y
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


def test_anomalies_are_found():
    x = striate.tensor([1.0, 0.0], device="cuda")
    with (
        pytest.raises(RuntimeError, match="detect_anomaly: log made inf"),
        striate.autograd.detect_anomaly(),
    ):
        x.log()

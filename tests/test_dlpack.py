# SPDX-License-Identifier: Apache-2.0
"""Memory shared with NumPy and PyTorch, by DLPack and by __array__, both ways."""

import datetime
import gc

import numpy as np
import pytest
import striate
from striate import tensor

DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def a_tensor(dtype="float32"):
    return tensor(np.arange(6).reshape(2, 3).astype(dtype))


# --- out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_shares_memory(dtype):
    x = a_tensor(dtype)
    array = np.from_dlpack(x)
    assert np.shares_memory(array, x.numpy())
    assert array.dtype == x.dtype
    np.testing.assert_array_equal(array, x.numpy())
    x[0, 0] = 1
    assert array[0, 0] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_shares_memory(dtype):
    torch = pytest.importorskip("torch")
    x = a_tensor(dtype)
    shared = torch.from_dlpack(x)
    assert shared.data_ptr() == x.data_ptr()
    shared[1, 2] = 1
    assert x[1, 2].item() == 1


VIEWS = {
    "transposed": lambda x: x.T,
    "strided": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1],
    "repeated": lambda x: x[:1].expand(4, 3).clone(),
    "empty": lambda x: x[:0],
    "no axes": lambda x: x[0, 1],
    "one": lambda x: x[1:, 2:],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_keep_their_strides(view):
    x = view(a_tensor())
    np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
    if x.numel() > 0 and x.numpy().strides and min(x.numpy().strides) >= 0:
        torch = pytest.importorskip("torch")
        shared = torch.from_dlpack(x)
        assert shared.tolist() == x.tolist() and shared.data_ptr() == x.data_ptr()


def test_the_device():
    assert a_tensor().__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match=r"dl_device: expected \(1, 0\), the CPU, got \(2, 0\)"):
        a_tensor().__dlpack__(dl_device=(2, 0))
    a_tensor().__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="stream: expected None"):
        a_tensor().__dlpack__(stream=1)


def test_a_copy_is_made_where_asked():
    x = a_tensor()
    array = np.from_dlpack(x, copy=True)
    assert not np.shares_memory(array, x.numpy())
    assert np.shares_memory(np.from_dlpack(x, copy=False), x.numpy())


def test_gradients_are_not_given_away():
    leaf = tensor([1.0], requires_grad=True)
    for x in (leaf, leaf * 2):
        with pytest.raises(BufferError, match=r"requires grad; use \.detach\(\)"):
            x.__dlpack__()
        with pytest.raises(BufferError, match=r"requires grad; use \.detach\(\)"):
            striate.from_dlpack(x)
        with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
            np.asarray(x)
    assert np.from_dlpack(leaf.detach()) == 1


# --- in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_numpy_shares_memory(dtype):
    array = np.arange(6).astype(dtype)
    x = striate.from_dlpack(array)
    assert x.dtype == dtype and np.shares_memory(array, x.numpy())
    x.zero_()
    assert not array.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_torch_shares_memory(dtype):
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    x = striate.from_dlpack(theirs.T)
    assert x.shape == (3, 2) and x.data_ptr() == theirs.data_ptr()
    x[0, 0] = 1
    assert theirs[0, 0] == 1


def test_torch_tensors_with_gradients_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(BufferError, match="gradient"):
        striate.from_dlpack(torch.ones(2, requires_grad=True))


def test_a_tensor_of_ours_shares_its_version():
    x = a_tensor()
    y = striate.from_dlpack(x)
    assert y._version_counter() is x._version_counter()
    assert striate.from_dlpack(x, copy=True)._version_counter() is not x._version_counter()
    w = tensor([1.0, 2.0, 3.0], requires_grad=True)
    loss = (w * x).sum()
    y += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_memory_lives_as_long_as_anyone_has_it():
    array = np.arange(100000.0)
    x = striate.from_dlpack(array)
    del array
    gc.collect()
    assert x.sum().item() == 99999 * 50000
    y = striate.arange(100000).double()
    kept = np.from_dlpack(y)
    del y
    gc.collect()
    assert kept.sum() == 99999 * 50000


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (3, TypeError, "__dlpack__, got int"),
        ([1.0], TypeError, "__dlpack__, got list"),
        (np.ones(2, np.float16), TypeError, "expected one of float32.*, got float16"),
        (np.ones(2, np.complex64), TypeError, "complex64"),
        (np.ones(2, ">f4"), BufferError, "from_dlpack"),
    ],
    ids=str,
)
def test_refused_objects(x, error, words):
    with pytest.raises(error, match=words):
        striate.from_dlpack(x)
    with pytest.raises(BufferError, match="device: expected 'cpu', got 'cuda'"):
        striate.from_dlpack(np.ones(2), device="cuda")


class Elsewhere:
    def __dlpack__(self, **_):
        raise AssertionError("not to be called")

    def __dlpack_device__(self):
        return (10, 0)  # ROCm


def test_memory_of_other_devices_is_refused_before_it_is_asked_for():
    with pytest.raises(BufferError, match="memory of the CPU or CUDA, got device 10"):
        striate.from_dlpack(Elsewhere())


# --- read-only memory -----------------------------------------------------------------------------


def read_only():
    array = np.arange(3.0)
    array.flags.writeable = False
    return array


def test_read_only_arrays_stay_read_only():
    for x in (striate.from_dlpack(read_only()), striate.from_numpy(read_only()),
              striate.frombuffer(b"\0" * 8, dtype=striate.float32)):  # fmt: skip
        before = x.tolist()
        for write in (lambda x: x.zero_(), lambda x: x.add_(1), lambda x: x.__setitem__(0, 5.0),
                      lambda x: x.uniform_(), lambda x: x.__iadd__(x)):  # fmt: skip
            with pytest.raises(ValueError, match="read-only"):
                write(x)
        assert x.tolist() == before
        assert not np.shares_memory(np.from_dlpack(x), x.numpy())  # a copy: not all keep the flag
        again = np.from_dlpack(x, copy=False)
        assert np.shares_memory(again, x.numpy()) and not again.flags.writeable
        assert not np.asarray(x).flags.writeable
        assert np.array(x).flags.writeable  # a copy


def test_consumers_that_know_no_read_only_are_refused():
    x = striate.from_numpy(read_only())
    with pytest.raises(BufferError, match=r"use \.clone\(\)"):
        x.__dlpack__(copy=False)
    with pytest.raises(BufferError):
        striate.zeros(1).expand(4).__dlpack__(copy=False)
    x.clone().__dlpack__(copy=False)


def test_torch_does_not_write_to_read_only_memory():
    torch = pytest.importorskip("torch")
    x = striate.from_numpy(read_only())
    theirs = torch.from_dlpack(x)
    theirs.zero_()
    assert x.tolist() == [0.0, 1.0, 2.0]


# --- capsules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_an_unused_capsule_leaks_nothing(version):
    before = striate._C.memory_stats()["in_use"]
    for _ in range(100):
        x = striate.randn(1000) + 1  # in the pool
        capsule = x.__dlpack__(max_version=version)
        del x, capsule
    gc.collect()
    assert striate._C.memory_stats()["in_use"] <= before


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_is_used_once(version):
    x = a_tensor()
    capsule = x.__dlpack__(max_version=version)
    y = striate.from_dlpack(capsule)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert np.shares_memory(y.numpy(), x.numpy())
    with pytest.raises(BufferError, match="used already"):
        striate.from_dlpack(capsule)
    copied = striate.from_dlpack(x.__dlpack__(max_version=version), copy=True)
    assert not np.shares_memory(copied.numpy(), x.numpy()) and copied.tolist() == x.tolist()


def test_other_capsules_are_refused():
    with pytest.raises(BufferError, match="from_dlpack"):
        striate.from_dlpack(datetime.datetime_CAPI)


class Failing:
    """Hands out a capsule, and fails in the middle of the import."""

    def __init__(self, x, where):
        self.x, self.where = x, where

    def __dlpack_device__(self):
        if self.where == "device":
            raise ZeroDivisionError
        return (1, 0)

    def __dlpack__(self, **options):
        capsule = self.x.__dlpack__(**options)
        if self.where == "capsule":
            raise ZeroDivisionError
        return "no capsule" if self.where == "kind" else capsule


@pytest.mark.parametrize(
    ("where", "error"), [("device", ZeroDivisionError), ("capsule", ZeroDivisionError),
                         ("kind", (TypeError, BufferError))]
)  # fmt: skip
def test_an_exception_in_mid_import_leaks_nothing(where, error):
    before = striate._C.memory_stats()["in_use"]
    for _ in range(20):
        x = striate.randn(1000) + 1
        with pytest.raises(error):
            striate.from_dlpack(Failing(x, where))
        del x
    gc.collect()
    assert striate._C.memory_stats()["in_use"] <= before


# --- __array__ ------------------------------------------------------------------------------------


def test_array_protocol():
    x = a_tensor()
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.array(x, np.float64, copy=False)
    np.testing.assert_array_equal(np.stack([x, x]), np.stack([x.numpy()] * 2))
    torch = pytest.importorskip("torch")
    assert torch.as_tensor(x.numpy()).data_ptr() == x.data_ptr()
    np.testing.assert_array_equal(tensor(torch.ones(2, 2)).numpy(), np.ones((2, 2)))

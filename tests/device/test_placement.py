# SPDX-License-Identifier: Apache-2.0
"""Where tensors are: to and fro, views, gradients across, printing, refusals."""

import numpy as np
import pytest
import striate

RNG = np.random.default_rng(5)


def test_to_and_fro():
    host = RNG.standard_normal((3, 4, 5)).astype(np.float32)
    x = striate.tensor(host)
    there = x.to("cuda")
    assert x.device == "cpu" and not x.is_cuda
    assert there.device == "cuda:0" and there.is_cuda and there.device.index == 0
    assert there.shape == x.shape and there.dtype == x.dtype
    for back in (there.cpu(), there.to("cpu"), there.to(x)):
        assert back.device == "cpu"
        np.testing.assert_array_equal(back.numpy(), host)
    assert there.cuda() is there and there.to("cuda:0") is there and x.cpu() is x


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_every_dtype_travels(dtype):
    host = RNG.integers(0, 2, (2, 3)).astype(dtype)
    there = striate.tensor(host, device="cuda")
    assert there.dtype == dtype and there.tolist() == host.tolist()


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)])
def test_memory_order_is_kept(axes):
    host = np.arange(24.0).reshape(2, 3, 4).transpose(axes)
    there = striate.from_numpy(host).cuda()
    assert there.stride() == tuple(s // 8 for s in host.strides)
    assert there.cpu().numpy().strides == host.strides
    np.testing.assert_array_equal(there.cpu().numpy(), host)


def test_odd_layouts_travel():
    host = np.arange(24.0).reshape(4, 6)
    for view in (host[::2, ::-1], host[:, 3], host[:0], host[1, 1:2], host[None, ..., None]):
        moved = striate.from_numpy(view).cuda()
        np.testing.assert_array_equal(moved.cpu().numpy(), view)


def test_views_share_memory():
    x = striate.zeros(3, 4, device="cuda")
    x[1].fill_(2.0)
    x.T[0] += 1.0
    want = np.zeros((3, 4))
    want[1], want[:, 0] = 2, want[:, 0] + 1
    want[1, 0] = 3
    np.testing.assert_array_equal(x.cpu().numpy(), want)
    assert x[1].data_ptr() == x.data_ptr() + 16 and x[1].storage_offset() == 4


def test_creation():
    for make in (striate.zeros, striate.ones, striate.empty):
        made = make(2, 3, device="cuda")
        assert made.is_cuda and made.shape == (2, 3) and made.dtype == striate.float32
    assert striate.full((2,), 7, device="cuda").tolist() == [7, 7]
    assert striate.arange(4, device="cuda").tolist() == [0, 1, 2, 3]
    assert striate.eye(2, device="cuda").tolist() == [[1, 0], [0, 1]]
    x = striate.ones(2, dtype=striate.float64, device="cuda")
    for like in (
        striate.zeros_like(x),
        striate.ones_like(x),
        striate.full_like(x, 3),
        x.new_ones(4),
    ):
        assert like.is_cuda and like.dtype == striate.float64


def test_random_numbers_are_those_of_the_cpu():
    for make in (striate.rand, striate.randn):
        striate.manual_seed(3)
        want = make(5).tolist()
        striate.manual_seed(3)
        made = make(5, device="cuda")
        assert made.is_cuda and made.tolist() == want


def test_gradients_cross_devices():
    x = striate.tensor([1.0, 2.0], requires_grad=True)
    (x.cuda() * 3.0).cpu().sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [3, 3]
    y = striate.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (y * y).sum().backward()
    assert y.grad.device == "cuda:0" and y.grad.tolist() == [2, 4]


def test_gradients_are_gathered():
    x = striate.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (x + x + x * x).sum().backward()
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [6, 8]
    y = x * 1.0
    (y.reshape(2, 1) + y.reshape(1, 2)).sum().backward()
    assert x.grad.tolist() == [10, 12]


def test_text():
    x = striate.tensor([1.0, 2.5], device="cuda", requires_grad=True)
    assert repr(x) == "tensor([1.0000, 2.5000], device='cuda:0', requires_grad=True)"
    assert float(x[0]) == 1 and x[1].item() == 2.5 and 2.5 in x.detach()


def test_numpy_asks_for_cpu():
    x = striate.ones(2, device="cuda")
    for ask in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"on cuda:0; use \.cpu\(\)"):
            ask()


def test_mixed_devices_name_both():
    a, b = striate.ones(2, 3, device="cuda"), striate.ones(2, 3)
    for f in (striate.add, striate.mul, striate.pow, striate.eq, striate.maximum):
        for operands in ((a, b), (b, a)):
            with pytest.raises(TypeError, match=r"(?s)one device.*\(2, 3\).*on.*\(2, 3\).*on"):
                f(*operands)


def test_there_is_no_second_gpu():
    with pytest.raises(RuntimeError, match=r"to: device 'cuda:63': there are GPUs 0 to \d+ here"):
        striate.ones(2).to("cuda:63")


def test_modules_move():
    model = striate.nn.Linear(3, 2)
    weight = model.weight.detach().numpy().copy()
    assert model.cuda() is model and model.weight.is_cuda and model.weight.is_leaf
    np.testing.assert_array_equal(model.weight.detach().cpu().numpy(), weight)
    state = model.state_dict()
    assert state["bias"].is_cuda
    other = striate.nn.Linear(3, 2)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.weight.detach().numpy(), weight)
    model.load_state_dict({k: v * 0 for k, v in other.state_dict().items()})
    assert model.weight.is_cuda and not model.weight.detach().cpu().numpy().any()
    assert not model.cpu().weight.is_cuda


def test_saved_and_loaded(tmp_path):
    x = striate.randn(3, 2, device="cuda")
    striate.save({"x": x}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(
        striate.load(tmp_path / "x.safetensors")["x"].numpy(), x.cpu().numpy()
    )


def test_shared_with_cupy():
    cupy = pytest.importorskip("cupy")
    x = striate.ones(2, 3, device="cuda")
    interface = x.__cuda_array_interface__
    assert interface["data"] == (x.data_ptr(), False) and interface["shape"] == (2, 3)
    assert not hasattr(striate.ones(2), "__cuda_array_interface__")
    array = cupy.from_dlpack(x)
    array[0] = 5
    assert x.tolist() == [[5, 5, 5], [1, 1, 1]]
    for back in (striate.from_dlpack(array), striate.as_tensor(array)):
        assert back.is_cuda and back.data_ptr() == x.data_ptr()
    copy = striate.tensor(array)
    assert copy.is_cuda and copy.data_ptr() != x.data_ptr()
    assert x.__dlpack_device__() == (2, 0)


def test_shared_with_others():
    """With what knows the interface alone, such as arrays of Numba and tensors of PyTorch."""

    class Foreign:
        def __init__(self, array):
            self.__cuda_array_interface__ = array.__cuda_array_interface__
            self.array = array

    array = striate.arange(6.0, device="cuda").reshape(2, 3)._array
    for given in (array, array[:, ::2], array.T):
        shared, copied = striate.as_tensor(Foreign(given)), striate.tensor(Foreign(given))
        assert shared.is_cuda and shared.tolist() == copied.tolist() == given.tolist()
        assert shared.data_ptr() == given.data.ptr != copied.data_ptr()
        given[0, 1] = 9
        assert shared[0, 1].item() == 9 and copied[0, 1].item() != 9
        given[0, 1] = 1

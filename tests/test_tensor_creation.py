# SPDX-License-Identifier: Apache-2.0
"""Making tensors: from data, filled, random; their dtypes, devices, sizes and limits."""

import itertools

import numpy as np
import pytest
import striate
from striate import Generator, Tensor, tensor

MAKERS = {
    "zeros": lambda m, **o: m.zeros(2, 3, **o),
    "ones": lambda m, **o: m.ones((2, 3), **o),
    "full": lambda m, **o: m.full((2,), 7, **o),
    "full float": lambda m, **o: m.full((2,), 1.5, **o),
    "full bool": lambda m, **o: m.full((2,), True, **o),
    "eye": lambda m, **o: m.eye(3, **o),
    "eye 2 3": lambda m, **o: m.eye(2, 3, **o),
    "arange": lambda m, **o: m.arange(5, **o),
    "arange float": lambda m, **o: m.arange(0.0, 1.0, 0.1, **o),
    "arange down": lambda m, **o: m.arange(5, -3, -2, **o),
    "arange fraction": lambda m, **o: m.arange(1, 2.5, 0.5, **o),
    "linspace": lambda m, **o: m.linspace(-1, 2, 7, **o),
    "linspace one": lambda m, **o: m.linspace(3, 9, 1, **o),
    "logspace": lambda m, **o: m.logspace(-1, 2, 4, **o),
    "logspace 2": lambda m, **o: m.logspace(0, 4, 5, base=2, **o),
    "zeros_like": lambda m, **o: m.zeros_like(m.ones(2, 3), **o),
    "ones_like": lambda m, **o: m.ones_like(m.zeros(2, dtype=m.int32), **o),
    "full_like": lambda m, **o: m.full_like(m.zeros(2), 3, **o),
    "new_zeros": lambda m, **o: m.ones(2, dtype=m.float64).new_zeros(3, 2, **o),
    "new_ones": lambda m, **o: m.ones(2).new_ones((3,), **o),
    "new_full": lambda m, **o: m.ones(2).new_full((3,), 2, **o),
    "new_tensor": lambda m, **o: m.ones(2, dtype=m.float64).new_tensor([1, 2], **o),
    "tensor": lambda m, **o: m.tensor([[1, 2], [3, 4]], **o),
    "as_tensor": lambda m, **o: m.as_tensor([1.5, 2.5], **o),
}


FRACTIONS = ("arange float", "arange fraction", "linspace", "logspace")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", [None, "float32", "float64", "int64", "int32", "uint8", "bool"])
def test_constructors_are_torchs(name, dtype):
    torch = pytest.importorskip("torch")
    whole = dtype in ("int64", "int32", "uint8")
    if (dtype == "uint8" and "down" in name) or (whole and name in FRACTIONS):
        pytest.skip("numbers that the dtype does not have: PyTorch rounds the step, or wraps")
    options, theirs = {"device": "cpu"}, {}
    if dtype:
        options["dtype"] = getattr(striate, "bool_" if dtype == "bool" else dtype)
        theirs["dtype"] = getattr(torch, dtype)
    try:
        expected = MAKERS[name](torch, **theirs)
    except RuntimeError:
        pytest.skip("refused by torch")
    got = MAKERS[name](striate, **options)
    assert got.dtype == expected.numpy().dtype and got.shape == tuple(expected.shape)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "name", [n for n in MAKERS if n not in ("as_tensor", "full bool", *FRACTIONS)]
)
def test_constructors_take_requires_grad(name):
    options = {"requires_grad": True, "dtype": striate.float64}
    assert MAKERS[name](striate, **options).requires_grad
    with pytest.raises(TypeError, match="only floating-point"):
        MAKERS[name](striate, requires_grad=True, dtype=striate.int64)
    if not striate.cuda.is_available():
        with pytest.raises(RuntimeError, match=r"device 'cuda': .*; or use 'cpu'"):
            MAKERS[name](striate, device="cuda")


def test_likes_keep_the_memory_order():
    x = Tensor(np.zeros((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    for made in (striate.zeros_like(x), striate.empty_like(x), striate.full_like(x, 2),
                 striate.ones_like(x, dtype=striate.int64)):  # fmt: skip
        assert made.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: striate.zeros(-1), ValueError, r"zeros: expected sizes of 0 or more, got \(-1,\)"),
        (lambda: striate.ones(2**40, 2**40), ValueError, "ones: .*address space"),
        (lambda: striate.zeros(2**62), ValueError, "zeros: .*4611686018427387904.*address space"),
        (lambda: striate.zeros(2**64), ValueError, "zeros: .*address space"),
        (lambda: striate.zeros(0, 2**40, 2**40), ValueError, "address space"),
        (lambda: striate.empty(2**44), MemoryError, "17592186044416"),
        (lambda: striate.zeros(*[1] * 65), ValueError, "at most 64 axes, got 65"),
        (lambda: striate.full((2**40, 2**40), 1), ValueError, "full: .*address space"),
        (lambda: striate.eye(-1), ValueError, "eye: expected sizes of 0 or more"),
        (lambda: striate.eye(2**33), (ValueError, MemoryError), "."),
        (lambda: striate.arange(10**18), (ValueError, MemoryError), "."),
        (lambda: striate.arange(0, 1e30), ValueError, "arange: .*address space"),
        (lambda: striate.arange(1, 0), ValueError, "arange: expected a step towards end"),
        (lambda: striate.arange(0, 5, 0), ValueError, "arange: step: expected not 0"),
        (lambda: striate.arange(float("nan")), ValueError, "arange: end: expected a finite"),
        (lambda: striate.arange("3"), TypeError, "arange: end: expected a number, got '3'"),
        (lambda: striate.linspace(0, 1, -1), ValueError, "linspace: expected sizes of 0 or more"),
        (lambda: striate.full((2,), [1, 2]), ValueError, "fill_value: expected one number"),
        (lambda: striate.rand(2**40, 2**40), ValueError, "rand: .*address space"),
        (lambda: striate.randperm(-1), ValueError, "randperm: expected sizes of 0 or more"),
        (lambda: striate.randint(3, 3, (2,)), ValueError, "expected low < high, got 3 and 3"),
        (lambda: striate.randint(3, 5), TypeError, "randint: size: expected a tuple"),
        (lambda: striate.randint(0, 2**64, (2,)), ValueError, "within int64"),
        (lambda: striate.rand(2, dtype=striate.int64), TypeError, "rand: dtype: expected float32"),
        (lambda: tensor([1 + 2j]), TypeError, "complex128"),
        (lambda: striate.zeros(2, dtype=np.complex64), TypeError, "complex64"),
        (lambda: striate.zeros(2).repeat(2**62), (ValueError, MemoryError), "."),
        (lambda: striate.zeros(2).expand(2**62, 2).clone(), (ValueError, MemoryError), "."),
        (lambda: striate.zeros(2).half(), TypeError, r"float16 is not supported.*\.float\(\)"),
        (lambda: striate.zeros(2).to("cuda:99"), RuntimeError, "'cuda:99': .*; or use 'cpu'"),
        (lambda: striate.device("tpu"), ValueError, "expected 'cpu' or 'cuda', got 'tpu'"),
        (lambda: striate.zeros(2, device="tpu"), ValueError, "tpu"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_huge_views_cost_nothing():
    assert striate.zeros(1).expand(2**40).numel() == 2**40


def test_sharing():
    array = np.arange(3.0)
    for made in (striate.as_tensor(array), striate.asarray(array), striate.from_numpy(array)):
        assert np.shares_memory(made.numpy(), array)
    x = tensor(array)
    assert striate.as_tensor(x) is x
    assert np.shares_memory(striate.asarray(x).numpy(), x.numpy())
    assert not np.shares_memory(striate.asarray(x, copy=True).numpy(), x.numpy())
    with pytest.raises(ValueError, match="asarray: copy: False"):
        striate.asarray([1.0], copy=False)
    buffer = bytearray(24)
    y = striate.frombuffer(buffer, dtype=striate.float64, offset=8)
    y[0] = 1.0
    assert y.shape == (2,) and buffer[8:16] != bytes(8)
    with pytest.raises(ValueError, match="frombuffer"):
        striate.frombuffer(bytearray(7), dtype=striate.float32)


# --- dtypes, devices, memory ----------------------------------------------------------------------


def test_short_names_of_dtypes():
    names = {"float": "float32", "double": "float64", "long": "int64", "int": "int32",
             "short": "int16", "bool": "bool"}  # fmt: skip
    for name, dtype in names.items():
        assert getattr(striate, name) == np.dtype(dtype)
        assert getattr(tensor([1]), name)().dtype == np.dtype(dtype)
    assert tensor([1]).byte().dtype == striate.uint8 and tensor([1]).char().dtype == striate.int8
    assert tensor([1]).type(striate.float).dtype == striate.float32
    assert tensor([1]).type_as(tensor([1.0])).dtype == striate.float32
    assert isinstance(striate.zeros(2, 3).shape, striate.Size)


def test_limits_of_dtypes_and_casts():
    torch = pytest.importorskip("torch")
    for name in ("float32", "float64"):
        ours, theirs = striate.finfo(getattr(striate, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            assert getattr(ours, field) == pytest.approx(getattr(theirs, field), rel=1e-12), field
    for name in ("int8", "int64", "uint8"):
        ours, theirs = striate.iinfo(getattr(striate, name)), torch.iinfo(getattr(torch, name))
        assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    assert striate.finfo().dtype == striate.float32
    with pytest.raises(TypeError, match="use iinfo"):
        striate.finfo(striate.int64)
    with pytest.raises(TypeError, match="use finfo"):
        striate.iinfo(striate.float32)
    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]
    for a, b in itertools.product(names, repeat=2):
        x, y = (np.dtype(n) for n in (a, b))
        u, v = (getattr(torch, n) for n in (a, b))
        assert striate.can_cast(x, y) == torch.can_cast(u, v), (a, b)
        assert str(striate.promote_types(x, y)) == str(torch.promote_types(u, v)).split(".")[1]


def test_devices():
    d = striate.device("cuda" if striate.cuda.is_available() else "cpu")
    assert d.type == "cpu" and d.index is None and d == "cpu" and repr(d) == "device(type='cpu')"
    assert striate.device("cuda:1").index == 1 and striate.device("cuda", 1) == "cuda:1"
    x = striate.zeros(2, device=d)
    assert x.device.type == d.type and x.to(d) is x and x.is_cuda == (d.type == "cuda")
    assert x.to(d, striate.float64).dtype == striate.float64
    assert x.to(device=d, dtype=striate.int64, non_blocking=True).dtype == striate.int64
    assert x.to(x, copy=True) is not x
    assert striate.nn.Linear(2, 2).to(d)(striate.zeros(1, 2)).shape == (1, 2)
    assert striate.cuda.device_count() >= 0
    with pytest.raises(TypeError):
        striate.device(3)


def test_memory():
    torch = pytest.importorskip("torch")
    for view in (lambda x: x, lambda x: x.T, lambda x: x[1:, ::2], lambda x: x[1]):
        x, y = view(striate.zeros(4, 6)), view(torch.zeros(4, 6))
        assert x.stride() == y.stride() and x.storage_offset() == y.storage_offset()
        assert x.is_contiguous() == y.is_contiguous() and x.nbytes == y.nbytes
        assert x.element_size() == x.itemsize == 4 and x.stride(0) == y.stride(0)
        assert x.contiguous().is_contiguous()
    x = striate.zeros(4)
    assert x.data_ptr() == x.numpy().ctypes.data and x[1:].data_ptr() == x.data_ptr() + 4
    assert x.is_floating_point() and x.is_signed() and not striate.is_floating_point(x.long())
    assert striate.is_tensor(x) and not striate.is_tensor(x.numpy())
    assert striate.numel(x) == x.nelement() == 4 and x.ndimension() == 1
    assert striate.is_nonzero(tensor(2)) and not striate.is_nonzero(tensor([0.0]))


def test_detach_in_place():
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad


# --- random numbers -------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda g: striate.rand(5, generator=g),
    "randn": lambda g: striate.randn((2, 3), generator=g),
    "randint": lambda g: striate.randint(10, (9,), generator=g),
    "randint names": lambda g: striate.randint(low=2, high=5, size=(9,), generator=g),
    "randperm": lambda g: striate.randperm(9, generator=g),
    "bernoulli": lambda g: striate.bernoulli(striate.full((20,), 0.5), generator=g),
    "normal": lambda g: striate.normal(striate.zeros(4), striate.ones(3, 1), generator=g),
    "normal numbers": lambda g: striate.normal(1.0, 2.0, (4,), generator=g),
    "poisson": lambda g: striate.poisson(striate.full((9,), 4.0), generator=g),
    "multinomial": lambda g: striate.multinomial(striate.ones(3, 9), 4, generator=g),
    "uniform_": lambda g: striate.empty(5).uniform_(generator=g),
    "normal_": lambda g: striate.empty(5).normal_(generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_generators_repeat(draw):
    g = Generator().manual_seed(3)
    first, state = draw(g), g.get_state()
    second = draw(g)
    striate.rand(7)  # the process's stream is another
    assert draw(Generator().manual_seed(3)).tolist() == first.tolist()
    assert draw(g.set_state(state)).tolist() == second.tolist()
    striate.manual_seed(5)
    third = draw(None)
    striate.manual_seed(5)
    assert draw(None).tolist() == third.tolist()
    with pytest.raises(TypeError, match=r"generator: expected a striate\.Generator, got int"):
        draw(3)


def test_generators_of_no_seed_repeat_and_seed_does_not():
    assert Generator().initial_seed() == Generator().initial_seed()
    g, h = Generator("cpu"), Generator()
    assert g.seed() != h.seed() and g.initial_seed() != h.initial_seed()
    with pytest.raises(ValueError, match="seed"):
        g.manual_seed(-1)
    with pytest.raises(RuntimeError, match="not supported on a GPU yet"):
        Generator("cuda")


def test_draws_have_the_distribution():
    striate.manual_seed(1)
    rate = striate.poisson(striate.full((20000,), 3.0))
    assert abs(rate.mean().item() - 3) < 0.06 and abs(rate.var().item() - 3) < 0.15
    x = striate.normal(tensor([1.0, -1.0]), tensor([2.0, 0.5]), (20000, 2))
    np.testing.assert_allclose(x.mean(0).numpy(), [1, -1], atol=0.06)
    np.testing.assert_allclose(x.std(0).numpy(), [2, 0.5], rtol=0.03)
    assert striate.bernoulli(tensor([0.0, 1.0])).tolist() == [0, 1]
    assert sorted(striate.randperm(100).tolist()) == list(range(100))
    assert striate.randint_like(striate.zeros(50), 3).dtype == striate.float32


def test_multinomial():
    striate.manual_seed(2)
    weights = tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 0.0]])
    drawn = striate.multinomial(weights, 20000, replacement=True)
    assert drawn.shape == (2, 20000) and drawn.dtype == striate.int64
    share = np.stack([np.bincount(row, minlength=3) / 20000 for row in drawn.numpy()])
    np.testing.assert_allclose(share, [[0, 0.25, 0.75], [0.5, 0.5, 0]], atol=0.02)
    firsts = [striate.multinomial(weights[0], 2)[0].item() for _ in range(2000)]
    assert abs(np.mean(np.equal(firsts, 2)) - 0.75) < 0.04
    for _ in range(20):
        assert sorted(striate.multinomial(weights[0], 2).tolist()) == [1, 2]
    for wrong, words in (
        (lambda: striate.multinomial(weights, 3), "at most 2, the weights that are not 0"),
        (lambda: striate.multinomial(-weights, 1), "weights of 0 or more"),
        (lambda: striate.multinomial(weights * 0, 1), "not all 0"),
        (lambda: striate.multinomial(weights, 0), "num_samples: expected 1 or more"),
        (lambda: striate.multinomial(weights.long(), 1), "floating-point"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


# --- recording ------------------------------------------------------------------------------------


def test_set_grad_enabled():
    x = tensor([1.0], requires_grad=True)
    with striate.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    try:
        striate.set_grad_enabled(False)
        assert not striate.is_grad_enabled()
        with striate.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not striate.is_grad_enabled()
    finally:
        striate.set_grad_enabled(True)

    @striate.set_grad_enabled(False)
    def quiet():
        return striate.is_grad_enabled()

    assert striate.is_grad_enabled() and not quiet() and striate.is_grad_enabled()


def test_inference_mode():
    x = tensor([1.0], requires_grad=True)
    with striate.inference_mode():
        assert not (x * 2).requires_grad
    with striate.inference_mode(False):
        assert (x * 2).requires_grad
    assert not striate.inference_mode()(lambda: x * 2)().requires_grad
    assert striate.is_grad_enabled()


def test_generators_decide_the_order_of_data():
    from striate.data import DataLoader, TensorDataset, random_split

    data = TensorDataset(striate.arange(40))

    def order(seed):
        loader = DataLoader(data, 8, shuffle=True, generator=Generator().manual_seed(seed))
        return [i for batch in loader for i in batch[0].tolist()]

    assert order(1) == order(1) != order(2)
    first, again = (
        random_split(data, [30, 10], generator=Generator().manual_seed(4)) for _ in range(2)
    )
    assert [x[0].item() for x in first[1]] == [x[0].item() for x in again[1]]
    with pytest.raises(ValueError, match="seed or generator, not both"):
        DataLoader(data, seed=1, generator=Generator())

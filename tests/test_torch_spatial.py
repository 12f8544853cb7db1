# SPDX-License-Identifier: Apache-2.0
"""Interpolation, padding, patches, and convolution and pooling of sequences and volumes against
PyTorch, over grids of options, in both memory orders."""

import itertools

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

LAYOUTS = ["first", "last"]  # where the channels lie in memory


def array(shape, layout="first", seed=0, dtype=np.float64):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return x


def check(ours, theirs, x, *more, tolerance=1e-11, gradient=True):
    """ours(x) against theirs(x), and the gradients of a random weighting of the result."""
    mine = [Tensor(a.copy(order="K"), requires_grad=True) for a in (x, *more)]
    other = [torch.from_numpy(a.copy(order="K")).requires_grad_() for a in (x, *more)]
    got, expected = ours(*mine), theirs(*other)
    assert got.shape == tuple(expected.shape)
    np.testing.assert_allclose(
        got.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    if not gradient:
        return got
    weight = np.random.default_rng(1).standard_normal(got.shape)
    (got * Tensor(weight)).sum().backward()
    (expected * torch.from_numpy(weight)).sum().backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(
            a.grad.numpy(), b.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance
        )
    return got


def is_channels_last(y):
    return np.moveaxis(y.detach().numpy(), 1, -1).flags.c_contiguous


# --- interpolation --------------------------------------------------------------------------------

SHAPES = {3: [(2, 3, 7), (1, 5, 1)], 4: [(2, 3, 7, 5), (1, 17, 1, 4)], 5: [(2, 3, 4, 7, 5)]}
MODES = [
    ("nearest", 3), ("nearest", 4), ("nearest", 5), ("nearest-exact", 3), ("nearest-exact", 4),
    ("nearest-exact", 5), ("linear", 3), ("bilinear", 4), ("bicubic", 4), ("trilinear", 5),
    ("area", 3), ("area", 4), ("area", 5),
]  # fmt: skip
SIZES = [
    {"size": 11}, {"size": 3}, {"size": 1}, {"size": 7}, {"scale_factor": 2}, {"scale_factor": 1.7},
    {"scale_factor": 3.3}, {"scale_factor": 1.0}, {"scale_factor": 1.13},
    {"scale_factor": 2.6, "recompute_scale_factor": True},
    {"scale_factor": 2.6, "recompute_scale_factor": False},
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("align", [None, False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("mode", "rank"), MODES)
def test_interpolate(mode, rank, size, align, layout):
    if align is not None and mode in ("nearest", "nearest-exact", "area"):
        with pytest.raises(ValueError, match="align_corners"):
            ops.interpolate(striate.zeros(*SHAPES[rank][0]), mode=mode, align_corners=align, **size)
        return
    options = {"mode": mode, "align_corners": align, **size}
    # A scale that leaves the size as it is: PyTorch's nearest copies in its gradient and in one of
    # its forward passes; its bicubic has the gradient of a copy and the values of none.
    odd = size == {"scale_factor": 1.13}
    copied = odd and mode == "nearest"
    for shape in SHAPES[rank]:
        y = check(
            lambda t: ops.interpolate(t, **options),
            lambda t: t * 1 if copied else F.interpolate(t, **options),
            array(shape, layout),
            tolerance=1e-10,
            gradient=not (odd and mode == "bicubic"),
        )
        assert is_channels_last(y)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_which_is_nearest(mode):
    """Every size from every size: float32, in which PyTorch computes the place."""
    for n, m in itertools.product([1, 2, 3, 5, 7, 10, 31, 49], [1, 2, 3, 6, 7, 14, 50, 93, 147]):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, n)
        ours = ops.interpolate(Tensor(x), m, mode=mode).numpy()
        theirs = F.interpolate(torch.from_numpy(x), m, mode=mode).numpy()
        assert np.array_equal(ours, theirs), (n, m)


def test_interpolate_copies_bits():
    x = np.array([[[-0.0, np.inf, -np.inf, np.nan, 1e-30]]], np.float32)
    y = ops.interpolate(Tensor(x), scale_factor=2).numpy()
    assert np.array_equal(y, np.repeat(x, 2, -1), equal_nan=True)
    assert np.signbit(y[0, 0, 0])


def test_interpolate_sizes_and_batches():
    check(
        lambda t: ops.interpolate(t, (4, 9), mode="bilinear"),
        lambda t: F.interpolate(t, (4, 9), mode="bilinear"),
        array((0, 3, 5, 6)),
    )
    check(
        lambda t: ops.interpolate(t, scale_factor=(2, 0.5), mode="bicubic"),
        lambda t: F.interpolate(t, scale_factor=(2, 0.5), mode="bicubic"),
        array((2, 3, 5, 6)),
    )
    with pytest.raises(ValueError, match="size"):
        ops.interpolate(striate.zeros(1, 1, 2, 2), (2**32, 2**32))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Upsample", {"scale_factor": 2}),
        ("Upsample", {"size": (3, 4), "mode": "bilinear"}),
        ("Upsample", {"scale_factor": (2.0, 1.5), "mode": "bicubic", "align_corners": True}),
        ("UpsamplingNearest2d", {"scale_factor": 2}),
        ("UpsamplingBilinear2d", {"size": (7, 3)}),
        ("PixelShuffle", {"upscale_factor": 2}),
        ("PixelUnshuffle", {"downscale_factor": 2}),
        ("Unfold", {"kernel_size": 3, "padding": 1}),
    ],
)
def test_image_layers(name, options):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs)
    check(ours, theirs, array((2, 4, 6, 8)))


# --- padding --------------------------------------------------------------------------------------

PADS = [
    ((2, 5), (2, 3)), ((2, 3, 5), (4, 4)), ((3, 5, 6), (1, 2, 3, 0)), ((2, 3, 5, 6), (5, 0, 4, 1)),
    ((2, 3, 4, 5), (1, 2, 0, 3, 2, 1)), ((2, 3, 4, 5, 6), (1, 2, 0, 3, 2, 1)),
    ((2, 3, 5, 6), (-1, 2, 3, -2)),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(("shape", "widths"), PADS, ids=str)
def test_pad(shape, widths, mode, layout):
    check(
        lambda t: ops.pad(t, widths, mode),
        lambda t: F.pad(t, widths, mode),
        array(shape, layout if len(shape) > 2 else "first"),
    )


@pytest.mark.parametrize("kind", ["Zero", "Constant", "Reflection", "Replication", "Circular"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pad_layers(kind, dims):
    more = (1.5,) if kind == "Constant" else ()
    for padding in (1, tuple(range(1, 2 * dims + 1))):
        name = f"{kind}Pad{dims}d"
        ours, theirs = getattr(nn, name)(padding, *more), getattr(torch.nn, name)(padding, *more)
        assert repr(ours) == repr(theirs)
        check(ours, theirs, array((2, 3, *[7] * dims)))
        check(ours, theirs, array((3, *[7] * dims)))
    with pytest.raises(ValueError, match=f"{kind}Pad{dims}d: padding"):
        getattr(nn, f"{kind}Pad{dims}d")((1,) * 7, *more)


# --- patches --------------------------------------------------------------------------------------

PATCHES = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "stride": (2, 1)},
    {"kernel_size": 3, "padding": (1, 2), "stride": 2},
    {"kernel_size": (3, 2), "dilation": (2, 3), "padding": 1},
    {"kernel_size": 1, "stride": 4},
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", PATCHES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 7, 8), (0, 3, 7, 8)], ids=str)
def test_patches(shape, options, layout):
    x = array(shape, layout if len(shape) == 4 else "first")
    y = check(lambda t: ops.unfold(t, **options), lambda t: F.unfold(t, **options), x)
    size = shape[-2:]
    check(
        lambda t: ops.fold(t, size, **options),
        lambda t: F.fold(t, size, **options),
        array(y.shape, seed=2),
    )


def test_fold_layer():
    options = {"output_size": (6, 7), "kernel_size": 3, "stride": 2, "padding": 1}
    assert repr(nn.Fold(**options)) == repr(torch.nn.Fold(**options))
    check(nn.Fold(**options), torch.nn.Fold(**options), array((2, 18, 12)))


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
def test_pixel_shuffle(lead):
    x, y = array((*lead, 18, 4, 5)), array((*lead, 3, 4, 6))
    check(lambda t: ops.pixel_shuffle(t, 3), lambda t: F.pixel_shuffle(t, 3), x)
    check(lambda t: ops.pixel_unshuffle(t, 2), lambda t: F.pixel_unshuffle(t, 2), y)


def test_pixel_shuffle_of_nothing():
    """PyTorch gives an empty batch another shape, or has no gradient for it."""
    x = striate.zeros(0, 18, 4, 5).requires_grad_()
    y = ops.pixel_unshuffle(ops.pixel_shuffle(x, 3), 3)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 18, 4, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.unfold(x, 9), "unfold: kernel_size"),
        (lambda x: ops.unfold(x, 0), "unfold: kernel_size"),
        (lambda x: ops.unfold(x, 2, padding=-1), "unfold: padding"),
        (lambda x: ops.unfold(x[0, 0], 2), "unfold: input"),
        (lambda x: ops.fold(x[0], 5, 2), "fold: input"),
        (lambda x: ops.pixel_shuffle(x, 3), "pixel_shuffle: input"),
        (lambda x: ops.pixel_unshuffle(x, 3), "pixel_unshuffle: input"),
        (lambda x: ops.pixel_shuffle(x, 0), "pixel_shuffle: upscale_factor"),
    ],
)
def test_patches_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call(striate.zeros(1, 4, 4, 5))


# --- convolution ----------------------------------------------------------------------------------

CONVOLUTIONS = [
    {},
    {"stride": 2},
    {"stride": 3, "padding": 2},
    {"padding": 1, "dilation": 2},
    {"padding": "same"},
    {"padding": "same", "dilation": 3},
    {"padding": "valid"},
    {"groups": 2, "padding": 1},
    {"groups": 4, "stride": 2, "padding": 1},
]
SPATIAL = {1: (13,), 2: (8, 9), 3: (8, 7, 9)}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_convolution(dims, options, size, layout):
    name = f"conv{dims}d"
    weight = array((8, 4 // options.get("groups", 1), *[size] * dims), seed=3)
    y = check(
        lambda *a: getattr(ops, name)(*a, **options),
        lambda *a: getattr(F, name)(*a, **options),
        array((2, 4, *SPATIAL[dims]), layout),
        weight,
        array((8,), seed=4),
    )
    assert is_channels_last(y)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("n", [None, 0])
def test_convolution_without_a_batch(dims, n):
    shape = (4, *SPATIAL[dims]) if n is None else (0, 4, *SPATIAL[dims])
    for kind, weight in (("conv", (6, 4)), ("conv_transpose", (4, 6))):
        name = f"{kind}{dims}d"
        check(
            lambda *a, f=name: getattr(ops, f)(*a),
            lambda *a, f=name: getattr(F, f)(*a),
            array(shape),
            array((*weight, *[3] * dims), seed=3),
        )


TRANSPOSED = [
    {},
    {"stride": 2},
    {"stride": 3, "padding": 1, "output_padding": 2},
    {"stride": 2, "dilation": 3, "output_padding": 1},
    {"dilation": 2, "output_padding": 1, "padding": 1},
    {"groups": 2, "stride": 2},
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed(dims, options, layout):
    name = f"conv_transpose{dims}d"
    check(
        lambda *a: getattr(ops, name)(*a, **options),
        lambda *a: getattr(F, name)(*a, **options),
        array((2, 4, *[4] * dims), layout),
        array((4, 6 // options.get("groups", 1), *[3] * dims), seed=3),
        array((6,), seed=4),
    )


def same_parameters(ours, theirs):
    theirs.double()
    ours.double()
    ours.load_state_dict({k: Tensor(v.numpy()) for k, v in theirs.state_dict().items()})


LAYERS = [
    {}, {"padding": 1, "padding_mode": "reflect"}, {"padding": "same", "padding_mode": "circular"},
    {"padding": 2, "padding_mode": "replicate", "stride": 2}, {"bias": False, "groups": 2},
    {"padding": "same", "dilation": 2, "padding_mode": "reflect"},
    {"padding": "valid", "padding_mode": "circular"},
]  # fmt: skip


@pytest.mark.parametrize("options", LAYERS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolution_layers(dims, options):
    name = f"Conv{dims}d"
    ours, theirs = (
        getattr(nn, name)(4, 6, 3, **options),
        getattr(torch.nn, name)(4, 6, 3, **options),
    )
    assert repr(ours) == repr(theirs)
    same_parameters(ours, theirs)
    check(ours, theirs, array((2, 4, *SPATIAL[dims])))
    check(ours, theirs, array((4, *SPATIAL[dims])))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed_layers(dims):
    name = f"ConvTranspose{dims}d"
    options = {"stride": 2, "padding": 1, "output_padding": 1}
    ours, theirs = (
        getattr(nn, name)(4, 6, 3, **options),
        getattr(torch.nn, name)(4, 6, 3, **options),
    )
    assert repr(ours) == repr(theirs)
    same_parameters(ours, theirs)
    x = array((2, 4, *SPATIAL[dims]))
    check(ours, theirs, x)
    size = [2 * n - 1 for n in SPATIAL[dims]]
    check(lambda t: ours(t, output_size=size), lambda t: theirs(t, output_size=size), x)
    with pytest.raises(ValueError, match="output_size"):
        ours(Tensor(x), output_size=[99] * dims)
    with pytest.raises(ValueError, match="padding_mode"):
        getattr(nn, name)(4, 6, 3, padding_mode="reflect")


@pytest.mark.parametrize("dims", [1, 3])
def test_changed_in_place(dims):
    """What a convolution saved is guarded, in whatever memory order it came."""
    for layout in LAYOUTS:
        x = Tensor(array((2, 4, *SPATIAL[dims]), layout))
        w = Tensor(array((3, 4, *[3] * dims)), requires_grad=True)
        y = getattr(ops, f"conv{dims}d")(x, w)
        x.zero_()
        if layout == "last":
            with pytest.raises(RuntimeError, match="changed in place"):
                y.sum().backward()
        else:
            y.sum().backward()  # a copy was saved
            assert abs(w.grad.numpy()).max() > 0


# --- pooling --------------------------------------------------------------------------------------

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 1},
]
POOLED = {1: [(2, 3, 11), (17, 7)], 3: [(2, 3, 5, 7, 6), (5, 4, 5, 6), (1, 17, 6, 4, 5)]}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("dims", [1, 3])
def test_pools(dims, window, layout):
    ours, theirs = getattr(ops, f"max_pool{dims}d"), getattr(F, f"max_pool{dims}d")
    for shape in POOLED[dims]:
        x = array(shape, layout if len(shape) == dims + 2 else "first")
        for more in ({}, {"count_include_pad": False}, {"divisor_override": 5}):
            if dims == 1 and "divisor_override" in more:
                continue
            check(
                lambda t, m=more: getattr(ops, f"avg_pool{dims}d")(t, **window, **m),
                lambda t, m=more: getattr(F, f"avg_pool{dims}d")(t, **window, **m),
                x,
            )
        check(lambda t: ours(t, **window), lambda t: theirs(t, **window), x)
        y, at = ours(Tensor(x), **window, return_indices=True)
        expected, places = theirs(torch.from_numpy(x), **window, return_indices=True)
        assert np.array_equal(y.numpy(), expected.numpy())
        assert np.array_equal(at.numpy(), places.numpy()) and at.dtype == np.int64
        check(
            lambda t: ours(t, **window, return_indices=True)[0],
            lambda t: theirs(t, **window, return_indices=True)[0],
            x,
        )


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_dilated_max(dims, ceil_mode):
    window = {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": ceil_mode}
    x = array((2, 5, *[9, 8, 7][:dims]))
    ours, theirs = getattr(ops, f"max_pool{dims}d"), getattr(F, f"max_pool{dims}d")
    check(lambda t: ours(t, **window), lambda t: theirs(t, **window), x)


@pytest.mark.parametrize("fill", ["ties", "nan", "infinite"])
def test_which_maximum(fill):
    """The first of equal ones, the last NaN; -inf is a maximum where there is nothing else."""
    x = np.random.default_rng(0).integers(0, 3, (2, 5, 6, 7, 7)).astype(np.float32)
    if fill == "nan":
        x[x == 1] = np.nan
    if fill == "infinite":
        x[x < 2] = -np.inf
    window = {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}
    y, at = ops.max_pool3d(Tensor(x), **window)
    expected, places = F.max_pool3d(torch.from_numpy(x), **window)
    assert np.array_equal(y.numpy(), expected.numpy(), equal_nan=True)
    assert np.array_equal(at.numpy(), places.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 3, 9], ids=str)
@pytest.mark.parametrize("dims", [1, 3])
def test_adaptive(dims, size, layout):
    sizes = [size] if dims == 1 else [size, (size, 2, None)]
    for wanted, kind in itertools.product(sizes, ["avg", "max"]):
        name = f"adaptive_{kind}_pool{dims}d"
        ours, theirs = getattr(ops, name), getattr(F, name)
        x = array(POOLED[dims][0], layout)
        check(lambda t, s=wanted, f=ours: f(t, s), lambda t, s=wanted, f=theirs: f(t, s), x)
        if kind == "max":
            _, at = ours(Tensor(x), wanted, return_indices=True)
            _, places = theirs(torch.from_numpy(x), wanted, return_indices=True)
            assert np.array_equal(at.numpy(), places.numpy())


def test_pools_of_nothing():
    for dims, kind in itertools.product([1, 3], ["max", "avg"]):
        name = f"{kind}_pool{dims}d"
        empty = array((0, 3, *[4] * dims))
        ours, theirs = getattr(ops, name), getattr(F, name)
        check(lambda t, f=ours: f(t, 2), lambda t, f=theirs: f(t, 2), empty)
        name = f"adaptive_{kind}_pool{dims}d"
        x = Tensor(array((2, 3, *[4] * dims)), requires_grad=True)
        y = getattr(ops, name)(x, 0)
        assert y.shape == (2, 3, *[0] * dims)
        y.sum().backward()
        assert not x.grad.numpy().any()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("norm", [1, 2, 3])
@pytest.mark.parametrize("dims", [1, 3])
def test_lp(dims, norm, layout):
    ours, theirs = getattr(ops, f"lp_pool{dims}d"), getattr(F, f"lp_pool{dims}d")
    x = np.abs(array(POOLED[dims][0], layout)) + 0.1
    for kernel, stride, ceil_mode in ((2, None, False), (3, 2, True)):
        check(
            lambda t, k=kernel, s=stride, c=ceil_mode: ours(t, norm, k, s, c),
            lambda t, k=kernel, s=stride, c=ceil_mode: theirs(t, norm, k, s, c),
            x,
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dims", [1, 3])
def test_unpool(dims, layout):
    big = array((2, 3, *[8] * dims), layout)
    ours, theirs = getattr(ops, f"max_unpool{dims}d"), getattr(F, f"max_unpool{dims}d")
    _, at = getattr(F, f"max_pool{dims}d")(torch.from_numpy(big), 2, return_indices=True)
    small = array(at.shape, layout, seed=3)
    for size in (None, (9,) * dims):  # in a larger one the positions are other places
        check(
            lambda t, s=size: ours(t, Tensor(at.numpy()), 2, output_size=s),
            lambda t, s=size: theirs(t, at, 2, output_size=s),
            small,
        )
    with pytest.raises(
        IndexError, match=f"max_unpool{dims}d: indices: expected 0 to {8**dims - 1}"
    ):
        ours(Tensor(small), Tensor(at.numpy()) + 8**dims, 2)
    with pytest.raises(ValueError, match=f"max_unpool{dims}d: indices"):
        ours(Tensor(small), Tensor(at.numpy())[:1], 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxPool1d", {"kernel_size": 3, "stride": 2}), ("MaxPool3d", {"kernel_size": (2, 3, 1)}),
        ("AvgPool1d", {"kernel_size": 3}), ("AvgPool3d", {"kernel_size": 2, "padding": 1}),
        ("LPPool1d", {"norm_type": 2, "kernel_size": 3}),
        ("LPPool3d", {"norm_type": 2.0, "kernel_size": 3}),
        ("AdaptiveAvgPool1d", {"output_size": 3}),
        ("AdaptiveAvgPool3d", {"output_size": (2, None, 3)}),
        ("AdaptiveMaxPool1d", {"output_size": 3}), ("AdaptiveMaxPool3d", {"output_size": 2}),
    ],
)  # fmt: skip
def test_pool_layers(name, options):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    if "LPPool" not in name:
        assert repr(ours) == repr(theirs)
    shape = (2, 3, 9) if "1d" in name else (2, 3, 6, 7, 8)
    check(ours, theirs, np.abs(array(shape)) + 0.1)


def test_unpool_layers():
    for dims in (1, 3):
        x = Tensor(array((2, 3, *[6] * dims)))
        name = f"MaxUnpool{dims}d"
        ours, theirs = getattr(nn, name)(2), getattr(torch.nn, name)(2)
        assert repr(ours) == repr(theirs)
        y, at = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)(x)
        expected = theirs(torch.from_numpy(y.numpy()), torch.from_numpy(at.numpy()))
        assert np.array_equal(ours(y, at).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel_size": 9}, "kernel_size"), ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": 2, "stride": 0}, "stride"), ({"kernel_size": 3, "padding": 2}, "padding"),
        ({"kernel_size": 2**40}, "kernel_size"), ({"kernel_size": 2, "stride": 2**35}, "stride"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["max_pool1d", "avg_pool1d", "max_pool3d", "avg_pool3d"])
def test_pools_refuse(name, options, words):
    x = striate.zeros(1, 2, *[4] * int(name[-2]))
    with pytest.raises(ValueError, match=f"^{name}: {words}: expected .*, got"):
        getattr(ops, name)(x, **options)
    with pytest.raises(ValueError, match=f"^{name}: input"):
        getattr(ops, name)(x[0, 0], 2)
    with pytest.raises(TypeError, match=f"^{name}: input"):
        getattr(ops, name)(x.long(), 2)
    with pytest.raises(TypeError, match=f"^{name}: kernel_size"):
        getattr(ops, name)(x, "2")

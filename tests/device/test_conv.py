# SPDX-License-Identifier: Apache-2.0
"""Convolutions on a GPU, against NumPy in float64 and the CPU device, at every precision."""

import numpy as np
import pytest
import striate
import striate.nn.functional as F
from devices import TOLERANCE, alike, both, normal
from striate import _C
from striate.ops.layout import channels_last as images


def bfloat16():
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


def padded(x, pads):
    return np.pad(x, ((0, 0), (0, 0), *pads))


def reference(x, w, dy, stride, pads, dilation, groups):
    """y, dx, dw in float64, tap by tap; pads are ((top, bottom), (left, right))."""
    x, w, dy = (a.astype("f8") for a in (x, w, dy))
    (u, v), (d, e) = stride, dilation
    whole, dw = padded(x, pads), np.zeros(w.shape)
    dwhole, y = np.zeros(whole.shape), np.zeros(dy.shape)
    (p, q), (cg, kg) = dy.shape[2:], (w.shape[1], w.shape[0] // groups)
    for g in range(groups):
        c, k = slice(g * cg, (g + 1) * cg), slice(g * kg, (g + 1) * kg)
        for r in range(w.shape[2]):
            for s in range(w.shape[3]):
                rows = slice(r * d, r * d + u * (p - 1) + 1, u)
                cols = slice(s * e, s * e + v * (q - 1) + 1, v)
                tap = whole[:, c, rows, cols]
                y[:, k] += np.einsum("nchw,kc->nkhw", tap, w[k, :, r, s])
                dw[k, :, r, s] += np.einsum("nkhw,nchw->kc", dy[:, k], tap)
                dwhole[:, c, rows, cols] += np.einsum("nkhw,kc->nchw", dy[:, k], w[k, :, r, s])
    (top, _), (left, _) = pads
    return y, dwhole[:, :, top : top + x.shape[2], left : left + x.shape[3]], dw


def check(
    shape,
    filters,
    stride=(1, 1),
    pads=((0, 0), (0, 0)),
    dilation=(1, 1),
    groups=1,
    *,
    dtype=np.float32,
    tol=1e-5,
):
    """Result and gradients on the GPU; operands in C order, so that they are brought in order."""
    n, c, h, w = shape
    k, r, s = filters
    x, weight = normal(shape, dtype), normal((k, c // groups, r, s), dtype)
    sizes = zip((h, w), pads, (r, s), stride, dilation, strict=True)
    out = tuple((m + a + b - d * (f - 1) - 1) // u + 1 for m, (a, b), f, u, d in sizes)
    dy = normal((n, k, *out), dtype)
    want = reference(x, weight, dy, stride, pads, dilation, groups)
    size = reference(
        *(np.abs(a.astype("f8")) for a in (x, weight, dy)), stride, pads, dilation, groups
    )
    a = striate.tensor(x, device="cuda", requires_grad=True)
    b = striate.tensor(weight, device="cuda", requires_grad=True)
    y = F.conv2d(a, b, None, stride, pads, dilation, groups)
    assert y.is_cuda and y.shape == dy.shape
    y.backward(striate.tensor(dy, device="cuda"))
    for t, exact, bound in zip((y, a.grad, b.grad), want, size, strict=True):
        got = t.detach().cpu().numpy()
        assert got.shape == exact.shape and got.dtype == dtype
        got = got.astype("f8")
        assert np.all(np.abs(got - exact) <= tol * (bound + 1)), np.abs(got - exact).max()


DEFAULTS = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
PROBLEMS = [
    ((2, 3, 9, 8), (5, 3, 3), (2, 2), ((1, 1), (1, 1))),  # a first layer
    ((1, 1, 5, 4), (1, 2, 3), (1, 1), ((0, 1), (1, 0))),
    ((2, 8, 6, 7), (16, 1, 1)),
    ((2, 8, 8, 9), (16, 3, 2), (2, 3), ((1, 0), (0, 2)), (2, 1)),
    ((1, 4, 11, 13), (8, 3, 3), (4, 2), ((3, 3), (2, 2)), (2, 4)),
    ((2, 16, 4, 5), (8, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    ((2, 6, 4, 5), (9, 1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 3),
    ((1, 8, 2, 2), (8, 3, 3), (3, 3), ((2, 2), (2, 2))),  # phases without pixels
    ((3, 5, 6, 7), (5, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5),  # depthwise
    ((2, 3, 9, 7), (6, 3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2), 3),
    ((1, 130, 4, 3), (130, 2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1), 130),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_passes(problem, precision):
    check(*problem, tol=TOLERANCE[precision])


@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_passes_of_float64(problem):
    check(*problem, dtype=np.float64, tol=1e-14)


@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_passes_of_bfloat16(problem):
    check(*problem, dtype=bfloat16(), tol=1.1 * 2.0**-8)  # each result is rounded once


@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_sums_of_bfloat16_are_of_float32(problem):
    """Bindings give them as they are, or rounded to an `out` of bfloat16."""
    shape, (k, r, s), stride, pads, dilation, groups = (*problem, *DEFAULTS[len(problem) - 2 :])
    x, w = (normal(n, bfloat16()) for n in (shape, (k, shape[1] // groups, r, s)))
    a, b = (images(striate.tensor(t, device="cuda")._array) for t in (x, w))
    options = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    y = _C.conv2d(a, b, **options)
    dy = np.zeros(y.shape)
    want, size = (reference(*t, dy, stride, pads, dilation, groups)[0]
                  for t in ((x, w), [np.abs(t.astype("f8")) for t in (x, w)]))  # fmt: skip
    assert y.dtype == np.float32
    assert np.all(np.abs(y.get() - want) <= 1e-5 * size)
    bias = normal(k)
    add = striate.tensor(bias, device="cuda")._array
    biased = want + bias[:, None, None]
    for name, exact in (("relu", np.maximum(biased, 0)), ("tanh", np.tanh(biased))):
        low = images(striate.zeros(*y.shape, dtype="bfloat16", device="cuda")._array)
        _C.conv2d(a, b, add, activation=name, out=low, **options)
        got = striate.Tensor._wrap(low).cpu().numpy().astype("f8")
        assert np.all(np.abs(got - exact) <= 2.0**-8 * np.abs(exact) + 1e-5 * (size + 1))


def test_more_than_one_tile():
    for dtype, tol in ((np.float32, 1e-5), (np.float64, 1e-14), (bfloat16(), 1.1 * 2.0**-8)):
        check((1, 24, 14, 13), (140, 3, 3), pads=((1, 1), (1, 1)), dtype=dtype, tol=tol)


def test_wide_tiles(monkeypatch):
    before = striate.get_float32_precision()
    striate.set_float32_precision("medium")
    try:
        check((2, 4, 12, 12), (260, 1, 1), tol=2e-2)
        check((1, 4, 3, 3), (100, 1, 1), tol=2e-2)
    finally:
        striate.set_float32_precision(before)
    check((2, 4, 12, 12), (260, 1, 1), dtype=bfloat16(), tol=1.1 * 2.0**-8)
    check((1, 4, 3, 3), (100, 1, 1), dtype=bfloat16(), tol=1.1 * 2.0**-8)


def test_sums_over_pixels_in_parts():
    """The gradient of weights, by both kinds of kernels; and in one part where memory is short."""
    for dtype, tol in ((np.float32, 1e-5), (np.float64, 1e-14), (bfloat16(), 1.1 * 2.0**-8)):
        check((3, 8, 20, 21), (8, 3, 3), pads=((1, 1), (1, 1)), dtype=dtype, tol=tol)
        check((5, 4, 20, 21), (4, 3, 3), pads=((1, 1), (1, 1)), groups=4, dtype=dtype, tol=tol)
    before = striate._C.conv_workspace()
    striate.set_conv_workspace(0)
    try:
        check((3, 8, 20, 21), (8, 3, 3), pads=((1, 1), (1, 1)))
        check((5, 4, 20, 21), (4, 3, 3), pads=((1, 1), (1, 1)), groups=4)
    finally:
        striate.set_conv_workspace(before)


@pytest.mark.parametrize("groups", [1, 2])
def test_forward_sums_in_parts(groups, precision):
    """One tile, and a sum that is long enough to be cut; the epilogue follows the last addition."""
    shape, filters = (1, 260, 4, 5), (6, 3, 3)
    pads = ((1, 1), (1, 1))
    check(shape, filters, pads=pads, groups=groups, tol=TOLERANCE[precision])
    tol = 20 * TOLERANCE[precision]
    for activation in ("relu", "tanh"):
        alike(
            lambda x, w, b, a=activation: striate.ops.conv2d(0.1 * x, w, b, 1, 1, 1, groups, a),
            *(normal(shape), normal((6, 260 // groups, 3, 3)), normal(6)),
            rtol=tol,
            atol=10 * tol,
        )


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradient_of_images_sums_in_parts(groups, stride, precision):
    """Few pixels and many filters."""
    rest = {"stride": stride, "pads": ((1, 1), (1, 1)), "groups": groups}
    check((1, 6, 4, 5), (544, 3, 3), **rest, tol=TOLERANCE[precision])


def test_many_taps_of_depthwise_filters():
    """More than shared memory holds: those of a product instead."""
    check((1, 2, 20, 20), (2, 14, 14), groups=2)
    check((1, 2, 12, 12), (8, 7, 7), groups=2)


def test_equal_bits_in_every_run():
    x, w = normal((3, 8, 20, 21)), normal((8, 8, 3, 3))
    runs = [both(lambda a, b: F.conv2d(a, b, padding=1), x, w)[1] for _ in range(2)]
    for a, b in zip(*runs, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "gelu", "hardtanh"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_epilogue(activation, groups):
    def f(x, w, b):
        return striate.ops.conv2d(x, w, b, 1, 1, 1, groups, activation)

    alike(f, normal((2, 4, 5, 6)), normal((8, 4 // groups, 3, 3)), normal(8), rtol=1e-4, atol=1e-4)


def test_float64_of_every_kind():
    tight = {"rtol": 1e-11, "atol": 1e-11}
    x, w = normal((2, 4, 6, 7), "f8"), normal((4, 3, 3, 3), "f8")
    alike(lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1), x, w, **tight)
    alike(lambda x, w: F.conv1d(x, w, padding=1), x[:, :, 0], normal((3, 4, 3), "f8"), **tight)
    x, w = normal((1, 2, 3, 4, 5), "f8"), normal((3, 2, 2, 2, 2), "f8")
    alike(lambda x, w: F.conv3d(x, w, padding=1), x, w, **tight)
    for activation in ("relu", "gelu"):
        alike(
            lambda x, w, b, a=activation: striate.ops.conv2d(x, w, b, 1, 1, 1, 2, a),
            *(normal((2, 4, 5, 6), "f8"), normal((8, 2, 3, 3), "f8"), normal(8, "f8")),
            **tight,
        )


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_transposed(groups):
    def f(x, w, b):
        return F.conv_transpose2d(x, w, b, 2, 1, 1, groups)

    w = normal((4, 6 // groups if groups != 4 else 2, 3, 3))
    bias = normal(w.shape[1] * groups)
    alike(f, normal((2, 4, 5, 6)), w, bias, rtol=1e-4, atol=1e-4)


def test_memory_orders():
    """Channels-last, C order, slices and expanded images; all results are channels-last."""
    x, w = normal((2, 8, 7, 6)), normal((4, 4, 3, 3))

    def f(t, w):
        last = t[:, ::2].permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return (
            F.conv2d(last, w) + F.conv2d(t[:, 1::2], w) + F.conv2d(t[:1, :4].expand(2, 4, 7, 6), w)
        )

    alike(f, x, w, rtol=1e-4, atol=1e-4)
    y = F.conv2d(striate.tensor(x, device="cuda"), striate.tensor(normal((4, 8, 3, 3))).cuda())
    assert y.permute(0, 2, 3, 1).is_contiguous()


def test_sequences():
    x, w, b = normal((2, 6, 11)), normal((4, 6, 3)), normal(4)
    alike(lambda x, w, b: F.conv1d(x, w, b, 2, 1), x, w, b, rtol=1e-4, atol=1e-4)
    alike(lambda x, w: F.conv1d(x, w, dilation=2, groups=2), x, w[:, :3], rtol=1e-4, atol=1e-4)
    alike(lambda x, w: F.conv1d(x[0], w, padding="same"), x, w, rtol=1e-4, atol=1e-4)
    turned = w.transpose(1, 0, 2).copy()
    f = F.conv_transpose1d
    alike(lambda x, w: f(x, w, None, 2, 1, 1), x, turned, rtol=1e-4, atol=1e-4)


def test_nothing():
    w = normal((4, 3, 3, 3))
    alike(lambda x, w: F.conv2d(x, w), normal((0, 3, 5, 5)), w)
    alike(lambda x, w: F.conv2d(x, w, groups=3), normal((0, 3, 5, 5)), normal((3, 1, 3, 3)))


def test_nan_and_infinities_stay():
    x, w = normal((1, 4, 5, 5)), normal((4, 4, 3, 3))
    x[0, 1, 2, 2], x[0, 0, 0, 0], w[2, 3, 0, 0] = np.nan, np.inf, 0
    here, there = (
        F.conv2d(*(striate.tensor(a, device=d) for a in (x, w)), activation="relu").cpu().numpy()
        for d in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(np.isnan(there), np.isnan(here))
    np.testing.assert_array_equal(np.isinf(there), np.isinf(here))


def test_into_arrays_of_any_order():
    from striate import _C

    arrays = [striate.tensor(normal(s), device="cuda")._array for s in ((2, 4, 5, 5), (3, 4, 1, 1))]
    x, w = (_C.to_channels_last(a) for a in arrays)
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    want = _C.conv2d(x, w, **options)
    out = striate.zeros(2, 3, 5, 5, device="cuda")._array
    assert _C.conv2d(x, w, out=out, **options) is out
    np.testing.assert_array_equal(out.get(), want.get())
    with pytest.raises(TypeError, match="out: expected an array on cuda:0"):
        _C.conv2d(x, w, out=np.zeros((2, 3, 5, 5), np.float32), **options)


def test_refusals():
    x, w = striate.ones(1, 2, 4, 4, device="cuda"), striate.ones(2, 2, 3, 3, device="cuda")
    with pytest.raises(TypeError, match="one device"):
        F.conv2d(x, w.cpu())
    with pytest.raises(ValueError, match="padded height of at least 9"):
        F.conv2d(x, striate.ones(2, 2, 9, 1, device="cuda"))
    with pytest.raises(ValueError, match="stride: its axes' product: expected at most 65535"):
        F.conv2d(x.requires_grad_(), w, None, 300).sum().backward()
    with pytest.raises(ValueError, match="stride: expected at most 32768 on a GPU, got 40000"):
        F.conv2d(x, w, None, 40000)


def test_more_pixels_than_an_index_reaches():
    """Told before memory is asked for."""
    from striate import _C

    dy = _C.to_channels_last(striate.ones(1, 1, 3, 3, device="cuda")._array)
    w = striate.ones(1, 1, 1, 1, device="cuda")._array
    options = {"stride": (30000, 30000), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    with pytest.raises(ValueError, match=r"height times width: expected at most .* on a GPU"):
        _C.conv2d_bwd_data(dy, w, size=(60001, 60001), groups=1, **options)

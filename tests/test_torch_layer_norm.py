# SPDX-License-Identifier: Apache-2.0
"""Layer, RMS, group, instance and 3-D batch norm against PyTorch, in both memory orders."""

import numpy as np
import pytest
import striate
from striate import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

LAYOUTS = ["nchw", "nhwc"]


def draw(*shape, seed=0, layout="nchw"):
    x = np.random.default_rng(seed).standard_normal(shape)
    if layout == "nhwc" and x.ndim >= 3:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return x


def check(ours, theirs, *arrays, tolerance=1e-11):
    """ours(*arrays) against theirs, and the gradients of a random weighting of the result."""
    mine = [Tensor(a.copy(order="K"), requires_grad=True) for a in arrays]
    other = [torch.from_numpy(a.copy(order="K")).requires_grad_() for a in arrays]
    got, expected = ours(*mine), theirs(*other)
    assert got.shape == tuple(expected.shape)
    np.testing.assert_allclose(
        got.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    weight = np.random.default_rng(1).standard_normal(got.shape)
    (got * Tensor(weight)).sum().backward()
    (expected * torch.from_numpy(weight)).sum().backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(
            a.grad.numpy(), b.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", [0, 1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (0, 3, 4, 2), (1, 1, 1, 7)], ids=str)
def test_layer_norm(shape, axes, affine, layout):
    tail = shape[-axes:]
    vectors = [draw(*tail, seed=i + 2) for i in range(affine)]
    x = draw(*shape, layout=layout)
    check(
        lambda t, *v: ops.layer_norm(t, tail, *v, eps=1e-3),
        lambda t, *v: F.layer_norm(t, tail, *v, eps=1e-3),
        x,
        *vectors,
    )
    check(
        lambda t, *v: ops.rms_norm(t, tail, *v),
        lambda t, *v: F.rms_norm(t, tail, *v),
        x,
        *vectors[:1],
    )


def test_layer_norm_of_views():
    x, w = draw(4, 6, 8), draw(6, seed=2)
    check(
        lambda t, v: ops.layer_norm(t.transpose(1, 2), (6,), v),
        lambda t, v: F.layer_norm(t.transpose(1, 2), (6,), v),
        x,
        w,
    )
    check(
        lambda t, v: ops.layer_norm(t[:, :, ::2], 4, None, v),
        lambda t, v: F.layer_norm(t[:, :, ::2], (4,), None, v),
        x,
        draw(4, seed=3),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_zero(dtype):
    """A mean of ten thousand standard deviations costs no more digits than the dtype itself."""
    x = (10000 + draw(20, 3000)).astype(dtype)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    y = ops.layer_norm(Tensor(x), 3000, eps=0.0).numpy()
    np.testing.assert_allclose(y, expected, atol=20000 * np.finfo(dtype).eps)
    assert abs(y.std() - 1) < 1e-4
    y = ops.group_norm(Tensor(x.reshape(20, 30, 10, 10)), 1, eps=0.0).numpy().reshape(x.shape)
    np.testing.assert_allclose(y, expected, atol=20000 * np.finfo(dtype).eps)


def test_what_is_not_finite():
    x = draw(4, 7).astype(np.float32)
    x[1, 2], x[2, 3] = np.nan, np.inf
    for ours, theirs in ((ops.layer_norm, F.layer_norm), (ops.rms_norm, F.rms_norm)):
        np.testing.assert_allclose(
            ours(Tensor(x), (7,)).numpy(), theirs(torch.from_numpy(x), (7,)).numpy(), rtol=1e-5
        )


def test_no_elements():
    for shape, tail in (((3, 0), (0,)), ((0, 3), (3,)), ((0, 0), (0,))):
        check(lambda t, s=tail: ops.layer_norm(t, s), lambda t, s=tail: F.layer_norm(t, s),
              draw(*shape))  # fmt: skip
    assert ops.group_norm(striate.ones(2, 4, 0, 3), 2).shape == (2, 4, 0, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", [0, 1, 2])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize(
    "shape", [(2, 6), (2, 6, 5), (2, 6, 3, 4), (2, 6, 3, 2, 4), (0, 6, 3, 3), (40, 6, 9, 9)],
    ids=str,
)  # fmt: skip
def test_group_norm(shape, groups, affine, layout):
    vectors = [draw(shape[1], seed=i + 2) for i in range(affine)]
    check(
        lambda t, *v: ops.group_norm(t, groups, *v, eps=1e-3),
        lambda t, *v: F.group_norm(t, groups, *v, eps=1e-3),
        draw(*shape, layout=layout),
        *vectors,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("affine", [0, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 3, 6), (2, 4, 3, 2, 4)], ids=str)
def test_instance_norm(shape, affine, own, layout):
    vectors = [draw(4, seed=i + 2) for i in range(affine)]
    start = [draw(4, seed=5), np.abs(draw(4, seed=6)) + 0.5]
    mine, other = [Tensor(a.copy()) for a in start], [torch.from_numpy(a.copy()) for a in start]
    options = {"use_input_stats": own, "momentum": 0.3, "eps": 1e-3}
    check(
        lambda t, *v: ops.instance_norm(t, *mine, *v, **options),
        lambda t, *v: F.instance_norm(t, *other, *v, **options),
        draw(*shape, layout=layout),
        *vectors,
    )
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_volumes(training, layout):
    start = [draw(4, seed=5), np.abs(draw(4, seed=6)) + 0.5]
    mine, other = [Tensor(a.copy()) for a in start], [torch.from_numpy(a.copy()) for a in start]
    check(
        lambda t, *v: ops.batch_norm(t, *mine, *v, training=training),
        lambda t, *v: F.batch_norm(t, *other, *v, training=training),
        draw(2, 4, 3, 5, 2, layout=layout),
        draw(4, seed=2),
        draw(4, seed=3),
    )
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


LAYERS = [
    ("LayerNorm", (7,), {}, (2, 3, 7)),
    ("LayerNorm", ((3, 7),), {"bias": False, "eps": 1e-3}, (2, 3, 7)),
    ("LayerNorm", ([3, 7],), {"elementwise_affine": False}, (2, 3, 7)),
    ("RMSNorm", (7,), {}, (2, 3, 7)),
    ("RMSNorm", ((3, 7),), {"eps": 1e-3, "elementwise_affine": False}, (2, 3, 7)),
    ("GroupNorm", (2, 6), {}, (2, 6, 4)),
    ("GroupNorm", (3, 6), {"bias": False}, (2, 6, 4, 3)),
    ("GroupNorm", (3, 6), {"affine": False}, (2, 6, 4, 3)),
    ("InstanceNorm1d", (6,), {}, (2, 6, 4)),
    ("InstanceNorm1d", (6,), {"track_running_stats": True}, (6, 4)),
    ("InstanceNorm2d", (6,), {"affine": True}, (2, 6, 4, 3)),
    ("InstanceNorm2d", (6,), {"affine": True, "bias": False}, (6, 4, 3)),
    ("InstanceNorm3d", (6,), {"affine": True, "track_running_stats": True}, (2, 6, 4, 3, 2)),
    ("BatchNorm1d", (6,), {"bias": False}, (5, 6)),
    ("BatchNorm2d", (6,), {"momentum": None}, (5, 6, 3, 4)),
    ("BatchNorm3d", (6,), {}, (2, 6, 4, 3, 2)),
    ("BatchNorm3d", (6,), {"affine": False, "track_running_stats": False}, (2, 6, 4, 3, 2)),
]


@pytest.mark.parametrize(("name", "positional", "options", "shape"), LAYERS, ids=str)
def test_layers(name, positional, options, shape):
    """Two training steps and an evaluation, with PyTorch's parameters, buffers and words."""
    ours = getattr(nn, name)(*positional, **options, dtype=striate.float64)
    theirs = getattr(torch.nn, name)(*positional, **options, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert {k: v.numpy().shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    for part in ("weight", "bias"):
        held = getattr(theirs, part, None)
        if held is not None:
            drawn = draw(*held.shape, seed=len(part))
            held.data = torch.from_numpy(drawn.copy())
            getattr(ours, part).data = Tensor(drawn)
    for step in range(3):
        if step == 2:
            ours.eval(), theirs.eval()
        x = draw(*shape, seed=step)
        check(ours, theirs, x)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-12)


def test_layers_refuse_what_is_no_number():
    for layer, arguments in (
        (nn.LayerNorm, {"normalized_shape": 3, "eps": "x"}),
        (nn.LayerNorm, {"normalized_shape": 3, "bias": 1}),
        (nn.GroupNorm, {"num_groups": 2, "num_channels": 4, "affine": 1}),
        (nn.InstanceNorm2d, {"num_features": 3, "momentum": None}),
        (nn.RMSNorm, {"normalized_shape": (2.0,)}),
        (nn.BatchNorm3d, {"num_features": 3, "bias": None}),
    ):
        with pytest.raises(TypeError, match=layer.__name__):
            layer(**arguments)


def test_threads_do_not_change_group_norm():
    """Images in parallel, or the blocks of one: the same bits."""
    x, w = draw(3, 12, 40, 40).astype(np.float32), draw(12, seed=1).astype(np.float32)
    results = []
    for threads in (1, 2, 3, 4):
        striate._C.set_num_threads(threads)
        t = Tensor(x, requires_grad=True)
        y = ops.group_norm(t, 3, Tensor(w))
        (y * y * y).sum().backward()
        results.append((y.detach().numpy(), t.grad.numpy()))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)

# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of batch and group norm, and of layer norm's gradients, on the CPU
(tests/cuda_shim), against float64 NumPy."""

import cuda_on_cpu
import numpy as np
import pytest
from cuda_memory import DTYPES, SIDES, Memory
from cuda_on_cpu import Divisor

pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="needs a C++ compiler")


LAYER = "x:p dy:p weight:p mean:p invstd:p rows:l n:l dx:p part:l dweight:p dbias:p"
ROWS = [(1, 1), (3, 2), (9, 5), (2, 31), (10, 33), (3, 128), (2, 1023), (1, 1024), (2, 3001)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_layer_norm_backward(op, dtype):
    eps = np.finfo(DTYPES[dtype]).eps
    for trial, (rows, n) in enumerate(ROWS):
        memory = Memory(DTYPES[dtype], trial, SIDES[trial % 2])
        x, dy = memory.draw(rows, n), memory.draw(rows, n)
        weight = memory.draw(n) if trial % 3 else None
        wide, wide_dy = x.astype("f8"), dy.astype("f8")
        mean = memory.put(wide.mean(1) if op == "layer_norm" else np.full(rows, np.nan))
        off = wide - (mean.astype("f8")[:, None] if op == "layer_norm" else 0)
        invstd = memory.put(1 / np.sqrt((off**2).mean(1) + 1e-5))
        scale = invstd.astype("f8")[:, None]
        unit, g = off * scale, wide_dy * (1 if weight is None else weight.astype("f8"))
        want = g - unit * (g * unit).mean(1, keepdims=True)
        if op == "layer_norm":
            want = want - g.mean(1, keepdims=True)
        want = want * scale
        size = np.abs(g) + np.abs(g).mean(1, keepdims=True)
        size = scale * (size + np.abs(unit) * np.abs(g * unit).mean(1, keepdims=True))
        values = {"x": x, "dy": dy, "weight": weight, "mean": mean, "invstd": invstd}
        values |= {"rows": rows, "n": n}
        for method in ("", "_warp") if n <= 1024 else ("",):
            dx = memory.put(np.full((rows, n), np.nan))
            name = f"{op}_bwd_{dtype}_cuda{method}"
            given = values | {"dx": dx}
            memory.launch("layer_norm/layer_norm", name, 2, 256, LAYER, given, [dx])
            assert np.all(np.abs(dx - want) <= 16 * eps * size), (rows, n, method)
        for part in (rows, 4):
            parts = -(-rows // part)
            dweight = memory.put(np.full((parts, n), np.nan))
            dbias = memory.put(np.full((parts, n), np.nan)) if trial % 2 else None
            made = [a for a in (dweight, dbias) if a is not None]
            given = values | {"part": part, "dweight": dweight, "dbias": dbias}
            name, grid = f"{op}_bwd_columns_{dtype}_cuda", (-(-n // 32), parts)
            memory.launch("layer_norm/layer_norm", name, grid, (32, 8), LAYER, given, made)
            off = np.abs(dweight.astype("f8").sum(0) - (wide_dy * unit).sum(0))
            assert np.all(off <= 8 * eps * np.abs(wide_dy * unit).sum(0))
            if dbias is not None:
                off = np.abs(dbias.astype("f8").sum(0) - wide_dy.sum(0))
                assert np.all(off <= 8 * eps * np.abs(wide_dy).sum(0))


NORM = """x:p dy:p images:i rows:i channels:i group:D weight:p bias:p mean:p invstd:p eps:t part:i
part_a:p part_b:p var:p running_mean:p running_var:p momentum:d given:i slope:p shift:p dweight:p
dbias:p y:p packs:D"""


class Norm:
    """A matrix [images, rows, channels] with mean and variance by image and group of channels."""

    def __init__(self, dtype, shape, group, seed, mean=0.0, affine=True):
        self.dtype, self.shape, self.group = dtype, shape, group
        self.memory = m = Memory(DTYPES[dtype], seed, SIDES[seed % 2])
        images, rows, channels = shape
        self.eps = np.finfo(DTYPES[dtype]).eps
        self.x = m.put(m.rng.standard_normal(shape) + mean)
        self.dy = m.draw(*shape)
        self.weight, self.bias = (m.draw(channels), m.draw(channels)) if affine else (None, None)
        self.values = {
            "x": self.x,
            "dy": self.dy,
            "weight": self.weight,
            "bias": self.bias,
            "images": images,
            "rows": rows,
            "channels": channels,
            "eps": 1e-5,
            "group": Divisor.of(group),
            "momentum": 0.1,
            "packs": Divisor.of(-(-channels // (16 // self.x.itemsize))),
        }

    def launch(self, kernel, grid, block, made):
        self.values |= made
        name, made = f"{kernel}_{self.dtype}_cuda", [a for a in made.values() if a is not None]
        self.memory.launch("norm/norm", name, grid, block, NORM, self.values, made)

    def empty(self, *shape):
        return self.memory.put(np.full(shape, np.nan))

    def by_group(self, x):
        """[images, rows, groups, channels of a group], float64."""
        images, rows, _ = self.shape
        return x.astype("f8").reshape(images, rows, -1, self.group)

    def parts(self, part, kernel):
        images, rows, channels = self.shape
        count = -(-rows // part)
        self.values["part"] = part
        made = {name: self.empty(images, count, channels) for name in ("part_a", "part_b")}
        self.launch(kernel, (-(-channels // 32), count, images), (32, 8), made)

    def forward(self, part, running=False):
        images, _, channels = self.shape
        groups = (images, channels // self.group)
        self.parts(part, "norm_stats")
        made = {name: self.empty(*groups) for name in ("mean", "invstd", "var")}
        if running:
            names = ("running_mean", "running_var")
            made |= {name: self.memory.put(np.full(groups, 2.0)) for name in names}
        self.launch("norm_join", 2, 256, made)
        self.launch("norm_fwd", 2, 256, {"y": self.empty(*self.shape)})
        return self.values["y"]

    def scale(self, x):
        weight = 1 if self.weight is None else self.weight.astype("f8").reshape(-1, self.group)
        return x * weight

    def check_forward(self, part, running):
        y = self.by_group(self.forward(part, running))
        x = self.by_group(self.x)
        mean, var = x.mean((1, 3)), x.var((1, 3))
        invstd = 1 / np.sqrt(var + 1e-5)
        v, eps = self.values, self.eps
        assert np.all(np.abs(v["mean"] - mean) <= 4 * eps * (np.abs(mean) + np.sqrt(var)))
        np.testing.assert_allclose(v["invstd"], invstd, 32 * eps)
        np.testing.assert_allclose(v["var"], var, 64 * eps, 1e-30)
        if running:
            count = x.shape[1] * x.shape[3]
            np.testing.assert_allclose(v["running_mean"], 1.8 + 0.1 * mean, 16 * eps)
            want = 1.8 + 0.1 * var * count / max(count - 1, 1)
            if count > 1:
                np.testing.assert_allclose(v["running_var"], want, 16 * eps)
        off = (x - mean[:, None, :, None]) * invstd[:, None, :, None]
        bias = 0 if self.bias is None else self.bias.astype("f8").reshape(-1, self.group)
        want, unit = self.scale(off) + bias, np.abs(mean * invstd)[:, None, :, None] + 1
        assert np.all(np.abs(y - want) <= 32 * eps * (np.abs(self.scale(off)) + 1 + unit * 4))

    def check_backward(self, part, given):
        images, rows, channels = self.shape
        groups = (images, channels // self.group)
        self.values |= {"given": int(given)}
        self.parts(part, "norm_sums")
        self.launch("norm_slopes", 2, 256, {n: self.empty(*groups) for n in ("slope", "shift")})
        made = {name: self.empty(channels) for name in ("dweight", "dbias")}
        self.launch("norm_weights", -(-channels // 32), (32, 8), made)
        self.launch("norm_bwd", 2, 256, {"y": self.empty(*self.shape)})
        x, dy, v = self.by_group(self.x), self.by_group(self.dy), self.values
        mean, invstd = (v[n].astype("f8")[:, None, :, None] for n in ("mean", "invstd"))
        unit, g = (x - mean) * invstd, self.scale(dy)
        want, size = g, np.abs(g)
        if not given:
            average = {"axis": (1, 3), "keepdims": True}
            want = g - g.mean(**average) - unit * (g * unit).mean(**average)
            size = size + np.abs(g).mean(**average)
            size = size + np.abs(unit) * np.abs(g * unit).mean(**average)
        terms = 16 + rows / 8
        unit_error = 2 * self.eps * (np.abs(x) + np.abs(mean)) * invstd
        off = np.abs(self.by_group(v["y"]) - want * invstd)
        assert np.all(off <= terms * self.eps * size * invstd + 1e-300), off.max()
        flat = (images * rows, channels)
        for name, each, error in (("dweight", dy * unit, dy * unit_error), ("dbias", dy, 0 * dy)):
            bound = terms * self.eps * np.abs(each).reshape(flat).sum(0)
            bound = bound + np.abs(error).reshape(flat).sum(0)
            assert np.all(np.abs(v[name] - each.reshape(flat).sum(0)) <= bound), name


SHAPES = [  # images, rows, channels, group
    (1, 2, 1, 1),
    (1, 33, 7, 1),
    (1, 70, 36, 1),
    (1, 9, 66, 1),
    (3, 12, 8, 4),
    (2, 21, 9, 3),
    (2, 10, 40, 40),
    (2, 17, 35, 1),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm(shape, dtype):
    """Batch norm (one image, groups of one) and group norm, in one part and in several."""
    *shape, group = shape
    for trial, part in enumerate((shape[1], 8)):
        norm = Norm(dtype, tuple(shape), group, trial, mean=3.0, affine=trial == 0)
        norm.check_forward(part, running=trial == 1)
        for given in (False, True):
            norm.check_backward(part, given)


def test_a_large_mean_costs_no_digits():
    norm = Norm("f32", (1, 300, 5), 1, 0, mean=1e4)
    norm.forward(64)
    x = norm.by_group(norm.x)
    np.testing.assert_allclose(norm.values["var"], x.var((1, 3)), 1e-5)


def test_what_is_not_finite_stays_in_its_channel():
    norm = Norm("f32", (1, 20, 4), 1, 0)
    norm.x[0, 3, 1], norm.x[0, 5, 2] = np.nan, np.inf
    y = norm.forward(8)
    assert np.isnan(y[:, :, 1:3]).all() and np.isfinite(y[:, :, ::3]).all()

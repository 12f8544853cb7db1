# SPDX-License-Identifier: Apache-2.0
"""JAX: functions compiled by XLA beforehand, operands on the device; images are NHWC."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from striate.bench.ours import import_seconds
from striate.bench.peers.peer import Peer, Rival, package
from striate.bench.task import Array, Task


def _last(array: Array) -> Array:
    """(N, C, H, W) as (N, H, W, C)."""
    return array.transpose(0, 2, 3, 1)


class PEER(Peer):
    name = "jax"
    columns = ("jax",)

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        self.jax = package("jax")
        self.np, self.lax = package("jax.numpy"), package("jax.lax")
        self.version = self.jax.__version__
        self.path = "XLA, " + (os.environ.get("XLA_FLAGS") or "by CPUID")

    @staticmethod
    def environment(isa: str, threads: int) -> dict[str, str]:
        """NPROC sizes XLA's pool."""
        cap = {"avx2": "AVX2", "scalar": "SSE4_2"}.get(isa)
        flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_cpu_max_isa={cap}" if cap else ""]
        return {"NPROC": str(threads), "XLA_FLAGS": " ".join(f for f in flags if f)}

    def _run(self, f: Callable[..., Any], *arrays: Array, back: Any = None) -> Iterator[Rival]:
        """The rival that computes f of the arrays; `back` brings its value to our axes."""
        compiled = self.jax.jit(f)
        operands = [self.np.asarray(np.ascontiguousarray(a)) for a in arrays]

        def array(value: Any) -> Any:
            return back(np.asarray(value)) if back else np.asarray(value)

        yield Rival("jax", lambda: compiled(*operands).block_until_ready(), array)

    def _gradient(self, f: Any, of: Array, dy: Array, back: Any = None) -> Iterator[Rival]:
        """The gradient of a function of one array; what the forward computes is kept where XLA can
        see that it is needed, and computed anew where not."""
        return self._run(lambda x, g: self.jax.vjp(f, x)[1](g)[0], of, dy, back=back)

    def gemm(self, task: Task) -> Iterable[Rival]:
        """Operands as they are stored; turned in the compiled function."""
        stored, turned = [], []
        for x in (task["a"], task["b"]):
            turned.append(abs(x.strides[-1]) > abs(x.strides[-2]))
            stored.append(np.swapaxes(x, -1, -2) if turned[-1] else x)

        def product(*operands: Any) -> Any:
            a, b = (
                self.np.swapaxes(x, -1, -2) if t else x
                for x, t in zip(operands, turned, strict=True)
            )
            return self.np.matmul(a, b, precision="highest")

        return self._run(product, *stored)

    gemm_packed = gemm

    def _conv(self, task: Task) -> Callable[[Any, Any], Any]:
        o = task.options

        def conv(x: Any, w: Any) -> Any:
            return self.lax.conv_general_dilated(
                x, w, o["stride"], [(p, p) for p in o["pad"]],
                dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=o["groups"],
            )  # fmt: skip

        return conv

    def conv2d(self, task: Task) -> Iterable[Rival]:
        filters = task["w"].transpose(2, 3, 1, 0)
        back = (0, 3, 1, 2)
        return self._run(
            self._conv(task), _last(task["x"]), filters, back=lambda y: y.transpose(back)
        )

    def conv2d_bwd_data(self, task: Task) -> Iterable[Rival]:
        conv, filters = self._conv(task), task["w"].transpose(2, 3, 1, 0)
        n, c, h, w = task.shape

        def gradient(dy: Any, weight: Any) -> Any:
            like = self.np.zeros((n, h, w, c), np.float32)
            return self.jax.vjp(lambda x: conv(x, weight), like)[1](dy)[0]

        return self._run(
            gradient, _last(task["dy"]), filters, back=lambda y: y.transpose(0, 3, 1, 2)
        )

    def conv2d_bwd_weight(self, task: Task) -> Iterable[Rival]:
        conv, (k, c, r, s) = self._conv(task), task.shape

        def gradient(x: Any, dy: Any) -> Any:
            like = self.np.zeros((r, s, c, k), np.float32)
            return self.jax.vjp(lambda w: conv(x, w), like)[1](dy)[0]

        return self._run(
            gradient, _last(task["x"]), _last(task["dy"]), back=lambda y: y.transpose(3, 2, 0, 1)
        )

    def _pool(self, task: Task, largest: bool) -> Callable[[Any], Any]:
        o = task.options
        window, stride = (1, o["size"], o["size"], 1), (1, o["stride"], o["stride"], 1)
        pads = ((0, 0), (o["pad"],) * 2, (o["pad"],) * 2, (0, 0))
        start, reduce = (-np.inf, self.lax.max) if largest else (0.0, self.lax.add)
        share = 1.0 if largest else 1.0 / o["size"] ** 2
        return lambda x: share * self.lax.reduce_window(x, start, reduce, window, stride, pads)

    def max_pool2d(self, task: Task) -> Iterable[Rival]:
        f = self._pool(task, largest=True)
        return self._run(f, _last(task["x"]), back=lambda y: y.transpose(0, 3, 1, 2))

    def avg_pool2d(self, task: Task) -> Iterable[Rival]:
        f = self._pool(task, largest=False)
        return self._run(f, _last(task["x"]), back=lambda y: y.transpose(0, 3, 1, 2))

    def max_pool2d_backward(self, task: Task) -> Iterable[Rival]:
        f, x, dy = self._pool(task, largest=True), _last(task["x"]), _last(task["dy"])
        return self._gradient(f, x, dy, back=lambda y: y.transpose(0, 3, 1, 2))

    def avg_pool2d_backward(self, task: Task) -> Iterable[Rival]:
        f, x, dy = self._pool(task, largest=False), _last(task["x"]), _last(task["dy"])
        return self._gradient(f, x, dy, back=lambda y: y.transpose(0, 3, 1, 2))

    def _function(self, name: str) -> Any:
        nn = self.jax.nn
        return {
            "exp": self.np.exp, "tanh": self.np.tanh, "gelu": lambda x: nn.gelu(x, False),
            "gelu_tanh": lambda x: nn.gelu(x, True),
        }.get(name) or getattr(nn, name)  # fmt: skip

    def activation(self, task: Task) -> Iterable[Rival]:
        return self._run(self._function(task.options["function"]), task["x"])

    def activation_backward(self, task: Task) -> Iterable[Rival]:
        return self._gradient(self._function(task.options["function"]), task["x"], task["dy"])

    def softmax(self, task: Task) -> Iterable[Rival]:
        return self._run(
            self.jax.nn.log_softmax if task.options["log"] else self.jax.nn.softmax, task["x"]
        )

    def to_c_order(self, task: Task) -> Iterable[Rival]:
        """Copies a transposed array; images come by channels last."""
        x = task["x"]
        axes = (0, 2, 3, 1) if x.ndim == 4 else (1, 0)
        undo = (0, 3, 1, 2) if x.ndim == 4 else (1, 0)
        return self._run(lambda v: self.np.transpose(v, undo), x.transpose(axes))

    def to_channels_last(self, task: Task) -> Iterable[Rival]:
        return self._run(
            lambda v: self.np.transpose(v, (0, 2, 3, 1)),
            task["x"],
            back=lambda y: y.transpose(0, 3, 1, 2),
        )

    def overhead_add(self, task: Task) -> Iterable[Rival]:
        return self._run(lambda a: a + a, task["a"])

    def overhead_matmul(self, task: Task) -> Iterable[Rival]:
        return self._run(
            lambda a, w: self.np.matmul(a, w, precision="highest"), task["a"], task["w"]
        )

    def overhead_import(self, task: Task) -> Iterable[Rival]:
        yield Rival("jax", import_seconds("jax"), lambda _: np.zeros(0))

# SPDX-License-Identifier: Apache-2.0
"""striate itself, as a peer: the kernel-level calls that users have, results preallocated."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import striate
from striate import _C
from striate.bench.peers.peer import Peer, Rival
from striate.bench.task import Task
from striate.device import placed

OURS = "striate"


def import_seconds(module: str) -> Callable[[], Any]:
    """A call that imports a module in an interpreter of its own."""

    def call() -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    return call


def _one(call: Callable[[], Any]) -> Iterator[Rival]:
    """The rival whose value is an array, a tensor, or a tuple that begins with the result."""

    yield Rival(OURS, call, _host)


def _host(value: Any) -> Any:
    value = value[0] if isinstance(value, tuple) else value
    if isinstance(value, striate.Tensor):
        return value.detach().cpu().numpy()
    return placed("bench", value, "cpu")


class Ours(Peer):
    """Methods by op, as in every peer's file."""

    name = OURS
    columns = (OURS,)

    def __init__(self, threads: int) -> None:
        _C.set_num_threads(threads)
        self.version, self.path = striate.__version__, _C.isa()

    # --- products ---------------------------------------------------------------------------------

    def gemm(self, t: Task) -> Iterable[Rival]:
        a, b, out = t["a"], t["b"], t.out
        return _one(lambda: _C.gemm(a, b, None, None, 0.0, 1.0, 0.0, out))

    def gemm_packed(self, t: Task) -> Iterable[Rival]:
        a, out, packed, n = t["a"], t.out, _C.gemm_pack_b(t["b"]), t["b"].shape[1]
        return _one(lambda: _C.gemm_packed(a, packed, n, out=out))

    def _where(self, t: Task) -> dict[str, Any]:
        (h, w), o = t.options["pad"], t.options
        return {"stride": o["stride"], "padding": ((h, h), (w, w)), "dilation": (1, 1),
                "groups": o["groups"], "out": t.out}  # fmt: skip

    def conv2d(self, t: Task) -> Iterable[Rival]:
        x, w, where = t["x"], t["w"], self._where(t)
        return _one(lambda: _C.conv2d(x, w, **where))

    def conv2d_bwd_data(self, t: Task) -> Iterable[Rival]:
        dy, w, where, size = t["dy"], t["w"], self._where(t), t.options["size"]
        return _one(lambda: _C.conv2d_bwd_data(dy, w, size=size, **where))

    def conv2d_bwd_weight(self, t: Task) -> Iterable[Rival]:
        x, dy, where, size = t["x"], t["dy"], self._where(t), t.options["taps"]
        return _one(lambda: _C.conv2d_bwd_weight(x, dy, size=size, **where))

    # --- pooling and normalisation ----------------------------------------------------------------

    def _window(self, t: Task) -> tuple[int, ...]:
        o = t.options
        return (*[o["size"]] * 2, *[o["stride"]] * 2, *[o["pad"]] * 2, 1, 1, 0)

    def max_pool2d(self, t: Task) -> Iterable[Rival]:
        x, window, out = t["x"], self._window(t), t.out
        return _one(lambda: _C.max_pool2d(x, window, out=out))

    def max_pool2d_backward(self, t: Task) -> Iterable[Rival]:
        dy, window, size, out = t["dy"], self._window(t), t["x"].shape[2:], t.out
        taps = _C.max_pool2d_taps(t["x"], window)[1]
        return _one(lambda: _C.max_pool2d_backward(dy, taps, size, window, out=out))

    def avg_pool2d(self, t: Task) -> Iterable[Rival]:
        x, window, out = t["x"], self._window(t), t.out
        return _one(lambda: _C.sum_pool2d(x, window, "padded", out=out))

    def avg_pool2d_backward(self, t: Task) -> Iterable[Rival]:
        dy, window, size, out = t["dy"], self._window(t), t["x"].shape[2:], t.out
        return _one(lambda: _C.sum_pool2d_backward(dy, size, window, "padded", out=out))

    def batch_norm_train(self, t: Task) -> Iterable[Rival]:
        x, w, b, out, eps = t["x"], t["weight"], t["bias"], t.out, t.options["eps"]
        return _one(lambda: _C.batch_norm_train(x, w, b, eps=eps, out=out))

    def batch_norm_infer(self, t: Task) -> Iterable[Rival]:
        x, mean, w, b, out = t["x"], t["mean"], t["weight"], t["bias"], t.out
        invstd = (1 / np.sqrt(t["var"] + t.options["eps"])).astype(x.dtype)
        return _one(lambda: _C.batch_norm_infer(x, mean, invstd, w, b, out=out))

    def batch_norm_backward(self, t: Task) -> Iterable[Rival]:
        x, dy, w, out = t["x"], t["dy"], t["weight"], t.out
        _, mean, invstd = _C.batch_norm_train(x, w, t["bias"], eps=t.options["eps"])
        return _one(lambda: _C.batch_norm_backward(dy, x, mean, invstd, w, out=out))

    def local_response_norm(self, t: Task) -> Iterable[Rival]:
        x, out, o = t["x"], t.out, t.options
        numbers = (o["size"], o["alpha"], o["beta"], o["k"])
        return _one(lambda: _C.local_response_norm(x, *numbers, out=out))

    def local_response_norm_backward(self, t: Task) -> Iterable[Rival]:
        x, dy, out, o = t["x"], t["dy"], t.out, t.options
        numbers = (o["size"], o["alpha"], o["beta"], o["k"])
        return _one(lambda: _C.local_response_norm_backward(dy, x, *numbers, out=out))

    def layer_norm(self, t: Task) -> Iterable[Rival]:
        x, w, b, eps, out = t["x"], t["weight"], t["bias"], t.options["eps"], t.out
        return _one(lambda: _C.layer_norm(x, 1, eps, w, b, out=out))

    def layer_norm_backward(self, t: Task) -> Iterable[Rival]:
        x, dy, w, out = t["x"], t["dy"], t["weight"], t.out
        _, mean, invstd = _C.layer_norm(x, 1, t.options["eps"], w, t["bias"])
        return _one(lambda: _C.layer_norm_backward(dy, x, 1, mean, invstd, w, True, out=out))

    # --- element by element -----------------------------------------------------------------------

    def activation(self, t: Task) -> Iterable[Rival]:
        f, x, p, out = getattr(_C, t.options["function"]), t["x"], t.options["parameter"], t.out
        return _one(lambda: f(x, p, out=out))

    def activation_backward(self, t: Task) -> Iterable[Rival]:
        f = getattr(_C, f"{t.options['function']}_backward")
        saved, dy, p, out = t.arrays.get("y", t["x"]), t["dy"], t.options["parameter"], t.out
        return _one(lambda: f(saved, dy, p, out=out))

    def softmax(self, t: Task) -> Iterable[Rival]:
        f, x, out = _C.log_softmax if t.options["log"] else _C.softmax, t["x"], t.out
        return _one(lambda: f(x, 1, out=out))

    def softmax_backward(self, t: Task) -> Iterable[Rival]:
        f = _C.log_softmax_backward if t.options["log"] else _C.softmax_backward
        y, dy, out = t["y"], t["dy"], t.out
        return _one(lambda: f(y, dy, 1, out=out))

    def to_channels_last(self, t: Task) -> Iterable[Rival]:
        x, out = t["x"], t.out
        return _one(lambda: _C.to_channels_last(x, out=out))

    def to_c_order(self, t: Task) -> Iterable[Rival]:
        x, out = t["x"], t.out
        return _one(lambda: _C.to_c_order(x, out=out))

    def pad(self, t: Task) -> Iterable[Rival]:
        x, widths, out = t["x"], (t.options["width"],) * 4, t.out
        return _one(lambda: _C.pad(x, widths, 0.0, out=out))

    # --- layers and calls, through tensors --------------------------------------------------------

    def _network(self, t: Task) -> Any:
        nn: Any = striate.nn
        cell, sizes = (
            getattr(nn, t.options["cell"].upper()),
            (t["x"].shape[2], t["weight_hh"].shape[1]),
        )
        net = cell(*sizes, dtype=t["x"].dtype)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        net.load_state_dict({f"{name}_l0": striate.Tensor(t[name]) for name in names})
        return net

    def recurrent(self, t: Task) -> Iterable[Rival]:
        net, x = self._network(t), striate.Tensor(t["x"])

        def call() -> Any:
            with striate.no_grad():
                return net(x)[0]

        return _one(call)

    def recurrent_train(self, t: Task) -> Iterable[Rival]:
        net, dy = self._network(t), striate.Tensor(t["dy"])
        x = striate.Tensor(t["x"], requires_grad=True)
        parameters = list(net.parameters())

        def call() -> Any:
            x.grad = None
            for p in parameters:
                p.grad = None
            net(x)[0].backward(dy)
            return x.grad

        return _one(call)

    def _tensors(self, t: Task, gradient: bool = False) -> tuple[Any, Any]:
        return striate.Tensor(t["a"]), striate.Tensor(t["w"], requires_grad=gradient)

    def overhead_add(self, t: Task) -> Iterable[Rival]:
        a, _ = self._tensors(t)
        return _one(lambda: a + a)

    def overhead_add_grad(self, t: Task) -> Iterable[Rival]:
        a, w = self._tensors(t, gradient=True)
        yield Rival(OURS, lambda: a + w, lambda value: value.detach().numpy())

    def overhead_matmul(self, t: Task) -> Iterable[Rival]:
        a, w = self._tensors(t)
        return _one(lambda: a @ w)

    def overhead_relu(self, t: Task) -> Iterable[Rival]:
        a, _ = self._tensors(t)
        return _one(a.relu)

    def overhead_autograd(self, t: Task) -> Iterable[Rival]:
        a, w = self._tensors(t, gradient=True)

        def call() -> Any:
            w.grad = None
            (a @ w).relu().sum().backward()
            return w.grad

        return _one(call)

    def overhead_import(self, t: Task) -> Iterable[Rival]:
        yield Rival(OURS, import_seconds("striate"), lambda _: np.zeros(0))

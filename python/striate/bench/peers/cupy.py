# SPDX-License-Identifier: Apache-2.0
"""CuPy: cuBLAS for products, its own kernels element by element and for copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from striate.bench.peers.peer import Peer, Rival, package
from striate.bench.task import Task


class PEER(Peer):
    name = "cupy"
    columns = ("cupy",)
    devices = ("cuda",)

    @classmethod
    def on(cls, device: str) -> PEER:
        peer = cls(1)
        peer.cupy = package("cupy")
        peer.version, peer.path = peer.cupy.__version__, "cuBLAS and its own"
        return peer

    cupy: Any

    def _one(self, call: Callable[[], Any]) -> Iterator[Rival]:
        yield Rival("cupy", call, self.cupy.asnumpy)

    def gemm(self, task: Task) -> Iterable[Rival]:
        a, b, out = task["a"], task["b"], task.out
        if a.dtype.kind == "V":  # bfloat16, of which CuPy before 14 has none
            return ()
        return self._one(lambda: self.cupy.matmul(a, b, out=out))

    gemm_packed = gemm

    def activation(self, task: Task) -> Iterable[Rival]:
        functions = {"exp": self.cupy.exp, "tanh": self.cupy.tanh}
        f, x, out = functions.get(task.options["function"]), task["x"], task.out
        return self._one(lambda: f(x, out=out)) if f else ()

    def to_channels_last(self, task: Task) -> Iterable[Rival]:
        x, out = task["x"], cast(Any, task.out)

        def call() -> Any:
            out[...] = x
            return out

        return self._one(call)

    to_c_order = to_channels_last

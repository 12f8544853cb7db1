# SPDX-License-Identifier: Apache-2.0
"""PyTorch, in both memory orders where it has two: `torch` is NCHW, `torch nhwc` channels-last."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from striate import _C
from striate.bench.ours import import_seconds
from striate.bench.peers.peer import Absent, Peer, Rival, package
from striate.bench.task import Task

_LARGE = 1 << 20  # bytes from which results are preallocated: below, those calls cost more


class PEER(Peer):
    name = "torch"
    columns = ("torch", "torch nhwc")
    devices = ("cpu", "cuda")
    device = "cpu"

    def __init__(self, threads: int) -> None:
        self.t = package("torch")
        self.aten, self.nn = self.t.ops.aten, self.t._C._nn
        self.t.set_num_threads(threads)
        self.version = self.t.__version__
        self.path = self._libraries()

    def _libraries(self) -> str:
        built = self.t.__config__.show()
        wanted = {"MKL": r"Math Kernel Library Version ([\d.]+)", "oneDNN": r"MKL-DNN v([\d.]+)"}
        found = {name: re.search(of, built) for name, of in wanted.items()}
        names = [f"{name} {version.group(1)}" for name, version in found.items() if version]
        return ", ".join([f"kernels {self.t.backends.cpu.get_cpu_capability()}", *names])

    @classmethod
    def on(cls, device: str) -> PEER:
        """By cuBLAS and cuDNN, which chooses among its algorithms by trying them, and by TF32 where
        striate may."""
        peer = cls(_C.num_threads())
        if not peer.t.cuda.is_available():
            raise Absent("it has no CUDA, or finds no GPU")
        peer.device, backends = device, peer.t.backends
        tf32 = _C.float32_precision() == "medium"
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32
        backends.cudnn.benchmark = True
        peer.path = f"CUDA {peer.t.version.cuda}, cuDNN {backends.cudnn.version()}"
        return peer

    @staticmethod
    def environment(isa: str, threads: int) -> dict[str, str]:
        names = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
        caps = {"avx2": ("avx2", "AVX2", "AVX2"), "scalar": ("default", "SSE4_2", "SSE41")}
        return {
            "MKL_NUM_THREADS": str(threads), **dict(zip(names, caps.get(isa, ()), strict=False))
        }  # fmt: skip

    # --- helpers ----------------------------------------------------------------------------------

    def _one(self, call: Callable[[], Any], column: str = "torch") -> Iterator[Rival]:
        yield Rival(column, call, self._array)

    @staticmethod
    def _array(value: Any) -> Any:
        value = value[0] if isinstance(value, tuple) else value
        value = value.detach().cpu()
        return (value.float() if value.element_size() == 2 else value).numpy()

    def _tensor(self, array: Any) -> Any:
        """Shares memory with an array of NumPy's, or of CuPy's."""
        if isinstance(array, np.ndarray):
            return self.t.from_numpy(array)
        if array.dtype.kind == "V":  # bfloat16, which CuPy before 14 does not hand over
            return self.t.from_dlpack(array.view(np.int16)).view(self.t.bfloat16)
        return self.t.from_dlpack(array)

    def _orders(self) -> list[tuple[str, Any]]:
        return [("torch", self.t.contiguous_format), ("torch nhwc", self.t.channels_last)]

    def _both(self, task: Task, make: Callable[[dict[str, Any], Any], Any]) -> Iterator[Rival]:
        """make(operands, out) gives the call; both memory orders, results preallocated."""
        for column, order in self._orders():
            operands = {}
            for name, array in task.arrays.items():
                x = self._tensor(array)
                operands[name] = x.contiguous(memory_format=order) if array.ndim == 4 else x
            kind = next(iter(operands.values())).dtype
            out = self.t.empty(task.shape, dtype=kind, memory_format=order, device=self.device)
            yield from self._one(make(operands, out.fill_(0)), column)

    # --- products ---------------------------------------------------------------------------------

    def gemm(self, task: Task) -> Iterable[Rival]:
        a, b, out = (self._tensor(x) for x in (task["a"], task["b"], task.out))
        f = self.t.mm if a.ndim == 2 else self.t.bmm
        return self._one(lambda: f(a, b, out=out))

    gemm_packed = gemm

    def conv2d(self, task: Task) -> Iterable[Rival]:
        o = task.options

        def make(x: Any, _: Any) -> Any:
            data, weight = x["x"], x["w"]
            f, stride, pad, groups = self.t.conv2d, o["stride"], o["pad"], o["groups"]
            return lambda: f(data, weight, None, stride, pad, 1, groups)

        return self._both(task, make)

    def _conv_backward(self, task: Task, mask: list[bool]) -> Iterable[Rival]:
        o, f = task.options, self.aten.convolution_backward

        def make(x: Any, out: Any) -> Any:
            data, weight, dy = x.get("x", out), x.get("w", out), x["dy"]
            rest = (None, o["stride"], o["pad"], [1, 1], False, [0, 0], o["groups"], mask)
            at = mask.index(True)
            return lambda: f(dy, data, weight, *rest)[at]

        return self._both(task, make)

    def conv2d_bwd_data(self, task: Task) -> Iterable[Rival]:
        return self._conv_backward(task, [True, False, False])

    def conv2d_bwd_weight(self, task: Task) -> Iterable[Rival]:
        return self._conv_backward(task, [False, True, False])

    # --- pooling and normalisation ----------------------------------------------------------------

    def _window(self, task: Task) -> tuple[Any, ...]:
        o = task.options
        return [o["size"]] * 2, [o["stride"]] * 2, [o["pad"]] * 2

    def max_pool2d(self, task: Task) -> Iterable[Rival]:
        f, window = self.nn.max_pool2d_with_indices, self._window(task)

        def make(x: Any, out: Any) -> Any:
            data, both = x["x"], (out, self.t.zeros_like(out, dtype=self.t.int64))
            return lambda: f(data, *window, 1, False, out=both)

        return self._both(task, make)

    def max_pool2d_backward(self, task: Task) -> Iterable[Rival]:
        f, window = self.aten.max_pool2d_with_indices_backward.grad_input, self._window(task)

        def make(x: Any, out: Any) -> Any:
            data, dy = x["x"], x["dy"]
            at = self.nn.max_pool2d_with_indices(data, *window)[1]
            return lambda: f(dy, data, *window, [1, 1], False, at, grad_input=out)

        return self._both(task, make)

    def avg_pool2d(self, task: Task) -> Iterable[Rival]:
        f, window = self.nn.avg_pool2d, self._window(task)

        def make(x: Any, out: Any) -> Any:
            data = x["x"]
            return lambda: f(data, *window, out=out)

        return self._both(task, make)

    def avg_pool2d_backward(self, task: Task) -> Iterable[Rival]:
        f, window = self.aten.avg_pool2d_backward.grad_input, self._window(task)

        def make(x: Any, out: Any) -> Any:
            data, dy = x["x"], x["dy"]
            return lambda: f(dy, data, *window, False, True, None, grad_input=out)

        return self._both(task, make)

    def batch_norm_train(self, task: Task) -> Iterable[Rival]:
        f, eps = self.aten.native_batch_norm.out, task.options["eps"]

        def make(x: Any, out: Any) -> Any:
            data, w, b = x["x"], x["weight"], x["bias"]
            mean, invstd = self.t.zeros_like(w), self.t.zeros_like(w)
            given = (data, w, b, x.get("mean"), x.get("var"), "mean" not in x, 0.1, eps)
            return lambda: f(*given, out=out, save_mean=mean, save_invstd=invstd)

        return self._both(task, make)

    batch_norm_infer = batch_norm_train

    def batch_norm_backward(self, task: Task) -> Iterable[Rival]:
        f, eps = self.aten.native_batch_norm_backward, task.options["eps"]

        def make(x: Any, _: Any) -> Any:
            data, w, dy = x["x"], x["weight"], x["dy"]
            mean, invstd = self.t.native_batch_norm(data, w, x["bias"], None, None, True, 0.1, eps)[
                1:
            ]
            rest = (None, None, mean, invstd, True, eps, [True, True, True])
            return lambda: f(dy, data, w, *rest)

        return self._both(task, make)

    def local_response_norm(self, task: Task) -> Iterable[Rival]:
        f, o = self.t.nn.functional.local_response_norm, task.options
        numbers = (o["size"], o["alpha"], o["beta"], o["k"])

        def make(x: Any, _: Any) -> Any:
            data = x["x"]
            return lambda: f(data, *numbers)

        return self._both(task, make)

    def local_response_norm_backward(self, task: Task) -> Iterable[Rival]:
        f, o = self.t.nn.functional.local_response_norm, task.options
        numbers = (o["size"], o["alpha"], o["beta"], o["k"])

        def make(x: Any, _: Any) -> Any:
            data, dy, grad = x["x"].requires_grad_(), x["dy"], self.t.autograd.grad
            y = f(data, *numbers)
            return lambda: grad(y, data, dy, retain_graph=True)

        return self._both(task, make)

    def layer_norm(self, task: Task) -> Iterable[Rival]:
        x, w, b = (self._tensor(task[name]) for name in ("x", "weight", "bias"))
        shape, eps = (x.shape[1],), task.options["eps"]
        return self._one(lambda: self.t.layer_norm(x, shape, w, b, eps))

    def layer_norm_backward(self, task: Task) -> Iterable[Rival]:
        x, dy, w, b = (self._tensor(task[name]) for name in ("x", "dy", "weight", "bias"))
        shape, f = (x.shape[1],), self.aten.native_layer_norm_backward
        _, mean, invstd = self.t.native_layer_norm(x, shape, w, b, task.options["eps"])
        return self._one(lambda: f(dy, x, shape, mean, invstd, w, b, [True, True, True]))

    # --- element by element -----------------------------------------------------------------------

    def activation(self, task: Task) -> Iterable[Rival]:
        x, out, name = self._tensor(task["x"]), self._tensor(task.out), task.options["function"]
        f, more = {
            "relu": (self.t.clamp_min, (0,)),
            "exp": (self.t.exp, ()),
            "sigmoid": (self.t.sigmoid, ()),
            "tanh": (self.t.tanh, ()),
            "leaky_relu": (self.nn.leaky_relu, (0.01,)),
            "elu": (self.nn.elu, ()),
            "softplus": (self.nn.softplus, ()),
            "gelu": (self.nn.gelu, ()),
            "gelu_tanh": (lambda x, out: self.nn.gelu(x, approximate="tanh", out=out), ()),
            "silu": (self.nn.silu, ()),
        }[name]
        return self._one(lambda: f(x, *more, out=out))

    def activation_backward(self, task: Task) -> Iterable[Rival]:
        name, a = task.options["function"], self.aten
        saved = self._tensor(task.arrays.get("y", task["x"]))
        x, dy, out = (self._tensor(v) for v in (task["x"], task["dy"], task.out))
        call = {
            "relu": lambda: a.threshold_backward.grad_input(dy, saved, 0, grad_input=out),
            "exp": lambda: self.t.mul(dy, saved, out=out),
            "sigmoid": lambda: a.sigmoid_backward.grad_input(dy, saved, grad_input=out),
            "tanh": lambda: a.tanh_backward.grad_input(dy, saved, grad_input=out),
            "leaky_relu": lambda: a.leaky_relu_backward.grad_input(
                dy, saved, 0.01, True, grad_input=out
            ),
            "elu": lambda: a.elu_backward.grad_input(dy, 1, 1, 1, True, saved, grad_input=out),
            "softplus": lambda: a.softplus_backward.grad_input(dy, x, 1, 20, grad_input=out),
            "gelu": lambda: a.gelu_backward.grad_input(dy, x, grad_input=out),
            "gelu_tanh": lambda: a.gelu_backward.grad_input(
                dy, x, approximate="tanh", grad_input=out
            ),
            "silu": lambda: a.silu_backward.grad_input(dy, x, grad_input=out),
        }[name]
        return self._one(call)

    def softmax(self, task: Task) -> Iterable[Rival]:
        x, log, out = self._tensor(task["x"]), task.options["log"], self._tensor(task.out)
        if task.bytes < _LARGE:
            f = self.t.log_softmax if log else self.t.softmax
            return self._one(lambda: f(x, 1))
        g = self.aten._log_softmax.out if log else self.aten._softmax.out
        return self._one(lambda: g(x, 1, False, out=out))

    def softmax_backward(self, task: Task) -> Iterable[Rival]:
        y, dy, out = (self._tensor(v) for v in (task["y"], task["dy"], task.out))
        kind = self.t.float32
        if task.options["log"]:
            f = self.aten._log_softmax_backward_data.out
            return self._one(lambda: f(dy, y, 1, kind, out=out))
        g = self.aten._softmax_backward_data.out
        return self._one(lambda: g(dy, y, 1, kind, grad_input=out))

    def to_channels_last(self, task: Task) -> Iterable[Rival]:
        x, out = self._tensor(task["x"]), self._tensor(task.out)
        return self._one(lambda: out.copy_(x))

    to_c_order = to_channels_last

    def pad(self, task: Task) -> Iterable[Rival]:
        x, widths, f = self._tensor(task["x"]), (task.options["width"],) * 4, self.nn.pad
        return self._one(lambda: f(x, widths), "torch nhwc")

    # --- layers and calls -------------------------------------------------------------------------

    def _network(self, task: Task) -> Any:
        cell = getattr(self.t.nn, task.options["cell"].upper())
        net = cell(task["x"].shape[2], task["weight_hh"].shape[1]).to(self.device)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(net, f"{name}_l0").data.copy_(self._tensor(task[name]))
        return net

    def recurrent(self, task: Task) -> Iterable[Rival]:
        net, x = self._network(task), self._tensor(task["x"])

        def call() -> Any:
            with self.t.no_grad():
                return net(x)[0]

        return self._one(call)

    def recurrent_train(self, task: Task) -> Iterable[Rival]:
        net, dy = self._network(task), self._tensor(task["dy"])
        x = self._tensor(task["x"]).clone().requires_grad_()
        parameters = list(net.parameters())

        def call() -> Any:
            x.grad = None
            for p in parameters:
                p.grad = None
            net(x)[0].backward(dy)
            return x.grad

        return self._one(call)

    def _pair(self, task: Task, gradient: bool = False) -> tuple[Any, Any]:
        return self._tensor(task["a"]), self._tensor(task["w"]).clone().requires_grad_(gradient)

    def overhead_add(self, task: Task) -> Iterable[Rival]:
        a, _ = self._pair(task)
        return self._one(lambda: a + a)

    def overhead_add_grad(self, task: Task) -> Iterable[Rival]:
        a, w = self._pair(task, gradient=True)
        return self._one(lambda: a + w)

    def overhead_matmul(self, task: Task) -> Iterable[Rival]:
        a, w = self._pair(task)
        return self._one(lambda: a @ w)

    def overhead_relu(self, task: Task) -> Iterable[Rival]:
        a, _ = self._pair(task)
        return self._one(a.relu)

    def overhead_autograd(self, task: Task) -> Iterable[Rival]:
        a, w = self._pair(task, gradient=True)

        def call() -> Any:
            w.grad = None
            (a @ w).relu().sum().backward()
            return w.grad

        return self._one(call)

    def overhead_import(self, task: Task) -> Iterable[Rival]:
        yield Rival("torch", import_seconds("torch"), lambda _: np.zeros(0))

# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: a model of one node, operands and result bound to memory beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from striate.bench.ours import import_seconds
from striate.bench.peers.peer import Peer, Rival, only_uncapped, package
from striate.bench.task import Array, Task

_NODES = {
    "relu": "Relu", "leaky_relu": "LeakyRelu", "elu": "Elu", "exp": "Exp", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "softplus": "Softplus", "gelu": "Gelu",
}  # fmt: skip
_ORDER = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2], "rnn": [0]}  # ONNX's gates among PyTorch's
_OPSET, _IR = 20, 9


class PEER(Peer):
    name = "onnxruntime"
    columns = ("onnxruntime",)

    def __init__(self, threads: int) -> None:
        self.rt, self.onnx = package("onnxruntime"), package("onnx")
        package("onnx.helper")
        only_uncapped()
        self.options = self.rt.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3
        self.options.add_session_config_entry("session.force_spinning_stop", "1")
        self.version = self.rt.__version__
        self.path = "MLAS, by CPUID"

    def _run(
        self,
        node: str,
        inputs: dict[str, Array],
        shape: tuple[int, ...],
        constants: dict[str, Array] | None = None,
        unpack: Any = None,
        **attributes: Any,
    ) -> Iterator[Rival]:
        """The rival of one node: inputs change from call to call, constants are packed once."""
        h, constants = self.onnx.helper, constants or {}
        kind = self.onnx.TensorProto.FLOAT
        one = h.make_node(node, [*inputs, *constants], ["out"], **attributes)
        graph = h.make_graph(
            [one],
            "row",
            [h.make_tensor_value_info(n, kind, a.shape) for n, a in inputs.items()],
            [h.make_tensor_value_info("out", kind, shape)],
            [self.onnx.numpy_helper.from_array(np.ascontiguousarray(a), n)
             for n, a in constants.items()],
        )  # fmt: skip
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", _OPSET)], ir_version=_IR)
        session = self.rt.InferenceSession(
            model.SerializeToString(), self.options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        held = [np.ascontiguousarray(a) for a in inputs.values()]
        for name, operand in zip(inputs, held, strict=True):
            value = self.rt.OrtValue.ortvalue_from_numpy(operand)
            binding.bind_ortvalue_input(name, value)
        out = self.rt.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
        binding.bind_ortvalue_output("out", out)

        def array(_: Any) -> Any:
            return unpack(out.numpy()) if unpack else out.numpy()

        yield Rival("onnxruntime", lambda: session.run_with_iobinding(binding), array)

    def gemm(self, task: Task) -> Iterable[Rival]:
        return self._run("MatMul", {"a": task["a"], "b": task["b"]}, task.shape)

    def gemm_packed(self, task: Task) -> Iterable[Rival]:
        if task["b"].nbytes < 1 << 30:  # a model holds at most 2 GiB
            yield from self._run("MatMul", {"a": task["a"]}, task.shape, {"b": task["b"]})

    def conv2d(self, task: Task) -> Iterable[Rival]:
        o = task.options
        return self._run(
            "Conv", {"x": task["x"]}, task.shape, {"w": task["w"]}, strides=list(o["stride"]),
            pads=[*o["pad"], *o["pad"]], group=o["groups"],
        )  # fmt: skip

    def _pool(self, node: str, task: Task, **more: Any) -> Iterator[Rival]:
        o = task.options
        return self._run(
            node, {"x": task["x"]}, task.shape, kernel_shape=[o["size"]] * 2,
            strides=[o["stride"]] * 2, pads=[o["pad"]] * 4, **more,
        )  # fmt: skip

    def max_pool2d(self, task: Task) -> Iterable[Rival]:
        return self._pool("MaxPool", task)

    def avg_pool2d(self, task: Task) -> Iterable[Rival]:
        return self._pool("AveragePool", task, count_include_pad=1)

    def batch_norm_infer(self, task: Task) -> Iterable[Rival]:
        vectors = {name: task[name] for name in ("weight", "bias", "mean", "var")}
        eps = task.options["eps"]
        return self._run("BatchNormalization", {"x": task["x"]}, task.shape, vectors, epsilon=eps)

    def local_response_norm(self, task: Task) -> Iterable[Rival]:
        o = task.options
        return self._run(
            "LRN", {"x": task["x"]}, task.shape, alpha=o["alpha"], beta=o["beta"], bias=o["k"],
            size=o["size"],
        )  # fmt: skip

    def layer_norm(self, task: Task) -> Iterable[Rival]:
        vectors = {name: task[name] for name in ("weight", "bias")}
        eps = task.options["eps"]
        return self._run("LayerNormalization", {"x": task["x"]}, task.shape, vectors, epsilon=eps)

    def activation(self, task: Task) -> Iterable[Rival]:
        name = task.options["function"]
        if node := _NODES.get(name):
            more: Any = {"leaky_relu": {"alpha": 0.01}, "elu": {"alpha": 1.0}}.get(name, {})
            yield from self._run(node, {"x": task["x"]}, task.shape, **more)

    def softmax(self, task: Task) -> Iterable[Rival]:
        node = "LogSoftmax" if task.options["log"] else "Softmax"
        return self._run(node, {"x": task["x"]}, task.shape, axis=1)

    def recurrent(self, task: Task) -> Iterable[Rival]:
        cell = task.options["cell"]
        t, n, h = task.shape

        def gates(name: str) -> Array:
            parts = np.split(task[name], len(_ORDER[cell]))
            return np.concatenate([parts[i] for i in _ORDER[cell]])

        constants = {
            "w": gates("weight_ih")[None],
            "r": gates("weight_hh")[None],
            "b": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
        }
        more = {"linear_before_reset": 1} if cell == "gru" else {}
        return self._run(
            cell.upper(), {"x": task["x"]}, (t, 1, n, h), constants, lambda y: y[:, 0],
            hidden_size=h, **more,
        )  # fmt: skip

    def overhead_import(self, task: Task) -> Iterable[Rival]:
        yield Rival("onnxruntime", import_seconds("onnxruntime"), lambda _: np.zeros(0))

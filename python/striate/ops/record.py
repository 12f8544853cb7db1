# SPDX-License-Identifier: Apache-2.0
"""The op record: one operation's signature, forward and gradient, in one place.

    @op("(M, K), (K, N) -> (M, N)")
    def matmul(ctx, a, b):
        ctx.save(a, b)
        return _C.gemm(a, b)

    @matmul.backward
    def _(ctx, grad):
        a, b = ctx.saved
        return _C.gemm(grad, b.T), _C.gemm(a.T, grad)

Inside a record everything is an array; outside it, tensors. The forward's positional arguments are
the differentiable operands, keywords are parameters. It returns an array, or a tuple of arrays for
several results. The gradient function takes one array a result (None where nothing arrived) and
returns one an operand (None where there is none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.autograd import Node, _mode, _next_number, not_recording
from striate.cupy_arrays import index_of, note_stream
from striate.device import beside, of_gpu
from striate.dtypes import is_floating
from striate.tensor import Tensor

_ndarray = np.ndarray
_new = Tensor.__new__
_new_node = Node.__new__


def _edge(t: Tensor) -> Any:
    """Where a gradient for t goes: a leaf, the node and output that made it, or nowhere."""
    if not t.requires_grad:
        return None
    node = t._node
    return t if node is None else (node, t._output)


class Op:
    """A differentiable operation on tensors. Calling it runs the forward and records the node."""

    gradient: Callable[..., Any]

    def __init__(self, name: str, signature: str, forward: Callable[..., Any]) -> None:
        self.name = name
        self.signature = signature
        self.forward = forward
        self.gradient = self._no_gradient
        self.takes_numbers = False  # of the CPU, beside operands on a GPU
        self.__doc__ = forward.__doc__

    def _no_gradient(self, ctx: Node, *grads: Any) -> Any:
        raise RuntimeError(f"backward: {self.name} has no gradient")

    def backward(self, gradient: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator that gives the op its gradient function."""
        self.gradient = gradient
        return gradient

    def __call__(self, *inputs: Tensor, **parameters: Any) -> Any:
        try:
            arrays = [t._array for t in inputs]
        except AttributeError:
            self._refuse(inputs)
            raise
        for array in arrays:
            if type(array) is not _ndarray:
                return self._on_gpu(inputs, parameters)
        return self._run(inputs, arrays, parameters)

    def _run(
        self, inputs: tuple[Tensor, ...], arrays: list[Any], parameters: dict[str, Any]
    ) -> Any:
        for t in inputs:
            if t.requires_grad:
                if _mode.enabled:
                    return self._recorded(inputs, arrays, parameters)
                break
        result = self.forward(not_recording, *arrays, **parameters)
        if type(result) is tuple:
            return tuple(Tensor._wrap(r) for r in result)
        out = _new(Tensor)
        out._array = result
        return out

    def _on_gpu(self, inputs: tuple[Tensor, ...], parameters: dict[str, Any]) -> Any:
        """The call with all its operands on one GPU: numbers and indices of the CPU go there."""
        there = next((t for t in inputs if t.is_cuda), None)
        if there is None:  # numbers of NumPy's, which are arrays without axes
            return self._run(inputs, [np.asarray(t._array) for t in inputs], parameters)
        together = list(inputs)
        for i, t in enumerate(inputs):
            if t.device == there.device:
                continue
            if t.ndim or t.is_cuda:
                raise TypeError(
                    f"{self.name}: expected operands on one device, got {there.shape} on "
                    f"{there.device} and {t.shape} on {t.device}; move one with .to()"
                )
            if not self.takes_numbers or t.requires_grad:
                together[i] = t.to(there.device)
        like = there._array
        note_stream(index_of(like))
        parameters = {name: beside(value, like) for name, value in parameters.items()}
        arrays = [t._array for t in together]
        lacking: tuple[type[Exception], ...] = (TypeError, AttributeError, IndexError)
        if any(a.dtype.kind == "V" for a in arrays):  # bfloat16, which CuPy refuses in other ways
            lacking += (ValueError, KeyError)
        try:
            return self._run(tuple(together), arrays, parameters)
        except lacking as error:
            told = of_gpu(self.name, error, on_gpu=True)
            if told is error:
                raise
            raise told from error

    def _refuse(self, inputs: tuple[Any, ...]) -> None:
        for t in inputs:
            if not isinstance(t, Tensor):
                raise TypeError(f"{self.name}: expected a Tensor, got {type(t).__name__}")

    def of_one(self, x: Tensor, *parameters: Any) -> Tensor:
        """self(x, …) for one operand and one result, with less to unpack."""
        out = _new(Tensor)
        if not x.requires_grad or not _mode.enabled:
            out._array = self.forward(not_recording, x._array, *parameters)
            return out
        node = _new_node(Node)
        node.op = self
        node.edges = (x if x._node is None else (x._node, x._output),)
        node.number = _next_number()
        out._array = self.forward(node, x._array, *parameters)
        out.requires_grad = True
        out._node = node
        if node.saved:
            node.guard((x, out))
        return out

    def of_two(self, a: Tensor, b: Tensor) -> Tensor:
        """self(a, b) for two operands and one result, with less to unpack."""
        out = _new(Tensor)
        if not (a.requires_grad or b.requires_grad) or not _mode.enabled:
            out._array = self.forward(not_recording, a._array, b._array)
            return out
        node = _new_node(Node)
        node.op = self
        node.edges = (
            None if not a.requires_grad else a if a._node is None else (a._node, a._output),
            None if not b.requires_grad else b if b._node is None else (b._node, b._output),
        )
        node.number = _next_number()
        out._array = self.forward(node, a._array, b._array)
        out.requires_grad = True
        out._node = node
        if node.saved:
            node.guard((a, b, out))
        return out

    def _recorded(
        self, inputs: tuple[Tensor, ...], arrays: list[Any], parameters: dict[str, Any]
    ) -> Any:
        node = Node(self, [_edge(t) for t in inputs])
        result = self.forward(node, *arrays, **parameters)
        if type(result) is not tuple:
            out = _new(Tensor)
            out._array = result
            out.requires_grad = True
            out._node = node
            if node.saved:
                node.guard((*inputs, out))
            return out
        node.outputs = len(result)
        outs = tuple(Tensor._wrap(array) for array in result)
        for i, out in enumerate(outs):
            if is_floating(out._array.dtype):  # integers among several results have no gradient
                out.requires_grad, out._node, out._output = True, node, i
        if node.saved:
            node.guard((*inputs, *outs))
        return outs

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.signature}>"


def op(signature: str, name: str | None = None) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: makes an `Op` of a forward function."""

    def make(forward: Callable[..., Any]) -> Op:
        return Op(name or forward.__name__.strip("_"), signature, forward)

    return make

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

from striate.autograd import Node, _mode, not_recording
from striate.tensor import Tensor

_new = Tensor.__new__


class Op:
    """A differentiable operation on tensors. Calling it runs the forward and records the node."""

    gradient: Callable[..., Any]

    def __init__(self, name: str, signature: str, forward: Callable[..., Any]) -> None:
        self.name = name
        self.signature = signature
        self.forward = forward
        self.gradient = self._no_gradient
        self.__doc__ = forward.__doc__

    def _no_gradient(self, ctx: Node, *grads: Any) -> Any:
        raise RuntimeError(f"backward: {self.name} has no gradient")

    def backward(self, gradient: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator that gives the op its gradient function."""
        self.gradient = gradient
        return gradient

    def __call__(self, *inputs: Tensor, **parameters: Any) -> Any:
        needed = False
        for t in inputs:
            if t.requires_grad:
                needed = _mode.enabled
                break
        if not needed:
            result = self.forward(not_recording, *[t._array for t in inputs], **parameters)
            if type(result) is not tuple:
                out = _new(Tensor)
                out._array = result
                return out
            return tuple(Tensor._wrap(r) for r in result)

        node = Node(
            self,
            [
                None if not t.requires_grad else t if t._node is None else (t._node, t._output)
                for t in inputs
            ],
        )
        node.needs = [t.requires_grad for t in inputs]
        result = self.forward(node, *[t._array for t in inputs], **parameters)
        if type(result) is not tuple:
            out = _new(Tensor)
            out._array = result
            out.requires_grad = True
            out._node = node
            if node.saved:
                self._guard(node, (*inputs, out))
            return out
        node.outputs = len(result)
        outs = []
        for i, array in enumerate(result):
            out = Tensor._wrap(array)
            if array.dtype.kind == "f":
                out.requires_grad, out._node, out._output = True, node, i
            outs.append(out)
        if node.saved:
            self._guard(node, (*inputs, *outs))
        return tuple(outs)

    @staticmethod
    def _guard(node: Node, tensors: tuple[Tensor, ...]) -> None:
        """Notes the version of every tensor whose array was saved."""
        guards = []
        for value in node.saved or ():
            for t in tensors:
                if t._array is value:
                    version = t._version_counter()
                    guards.append((version, version.value))
                    break
        node.guards = guards or None

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.signature}>"


def op(signature: str, name: str | None = None) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: makes an `Op` of a forward function."""

    def make(forward: Callable[..., Any]) -> Op:
        return Op(name or forward.__name__.strip("_"), signature, forward)

    return make

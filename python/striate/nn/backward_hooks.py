# SPDX-License-Identifier: Apache-2.0
"""Backward hooks of modules: functions that see the gradients at a module's two ends.

A call with such hooks goes through two nodes that compute nothing: one behind the module's tensor
arguments, one before its results. Gradients pass them on their way, and the hooks see them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.autograd import Node, is_grad_enabled, no_grad
from striate.ops.record import _edge
from striate.tensor import Array, Tensor

if TYPE_CHECKING:
    from striate.nn.module import Module

Gradients = tuple[Tensor | None, ...]


def _tensors(name: str, hook: str, result: Any, like: Gradients) -> Gradients:
    """What a hook returned, as one gradient for each of `like`."""
    values = result if isinstance(result, (tuple, list)) else (result,)
    if len(values) != len(like):
        raise RuntimeError(
            f"{hook}: {name}: expected None or {len(like)} gradients, got {len(values)}"
        )
    for i, (value, old) in enumerate(zip(values, like, strict=True)):
        if value is None or old is None:
            continue
        if not isinstance(value, Tensor) or value.shape != old.shape or value.dtype != old.dtype:
            got = (
                f"{value.dtype} of shape {value.shape}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise ValueError(
                f"{hook}: {name}: gradient {i}: expected {old.dtype} of shape {old.shape}, got "
                f"{got}"
            )
    return tuple(values)


class _Call:
    """One call of a module: what its hooks are told."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.name = type(module).__name__
        self.grad_output: Gradients = ()
        self.inputs = 0
        self.places: list[int] = []  # of the watched tensors among the arguments

    def at_results(self, gradients: Gradients) -> Gradients:
        for hook, _ in list(self.module._backward_pre_hooks.values()):
            result = hook(self.module, gradients)
            if result is not None:
                gradients = _tensors(self.name, "full backward pre-hook", result, gradients)
        self.grad_output = gradients
        if not self.places:  # no argument wants a gradient: nothing will come out at the other end
            self.at_arguments(())
        return gradients

    def at_arguments(self, gradients: Gradients) -> Gradients:
        whole: list[Tensor | None] = [None] * self.inputs
        for place, gradient in zip(self.places, gradients, strict=True):
            whole[place] = gradient
        seen: Gradients = tuple(whole)
        for hook, _ in list(self.module._backward_hooks.values()):
            result = hook(self.module, seen, self.grad_output)
            if result is not None:
                seen = _tensors(self.name, "full backward hook", result, seen)
        return tuple(seen[place] for place in self.places)


class _Passing:
    """The op of a node that hands gradients on, after `see`."""

    signature = "(...) -> (...)"

    def __init__(self, name: str, see: Callable[[Gradients], Gradients]) -> None:
        self.name, self.see = name, see

    def gradient(self, node: Node, *grads: Array | None) -> tuple[Array | None, ...]:
        with no_grad():
            seen = self.see(tuple(None if g is None else Tensor._wrap(g) for g in grads))
        return tuple(None if t is None else t._array for t in seen)


def _through(name: str, see: Callable[[Gradients], Gradients], tensors: list[Tensor]) -> Any:
    """The same tensors behind a node of their own."""
    node = Node(_Passing(name, see), [_edge(t) for t in tensors])  # type: ignore[arg-type]
    node.outputs = len(tensors)
    behind = []
    for i, t in enumerate(tensors):
        out = t._view(t._array)
        out._is_view = False
        out.requires_grad, out._node, out._output = True, node, i
        behind.append(out)
    return behind


def call_between(
    module: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
) -> Any:
    """forward(*args, **kwargs) between two nodes where the module's backward hooks are called."""
    if not is_grad_enabled():
        return forward(*args, **kwargs)
    call = _Call(module)
    call.inputs = len(args)
    call.places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    if call.places:
        watched = _through(
            f"{call.name} arguments", call.at_arguments, [args[i] for i in call.places]
        )
        changed = dict(zip(call.places, watched, strict=True))
        args = tuple(changed.get(i, x) for i, x in enumerate(args))
    output = forward(*args, **kwargs)
    results = list(output) if isinstance(output, (tuple, list)) else [output]
    if not all(isinstance(t, Tensor) for t in results):
        kinds = ", ".join(type(t).__name__ for t in results)
        raise RuntimeError(
            f"{call.name}: full backward hooks: expected forward to return a tensor or a tuple of "
            f"tensors, got {kinds}"
        )
    grads = [t for t in results if t.requires_grad]
    if not grads:
        return output
    # A result without a gradient keeps its place as None.
    at = [i for i, t in enumerate(results) if t.requires_grad]

    def see(gradients: Gradients) -> Gradients:
        whole: list[Tensor | None] = [None] * len(results)
        for i, gradient in zip(at, gradients, strict=True):
            whole[i] = gradient
        seen = call.at_results(tuple(whole))
        return tuple(seen[i] for i in at)

    for i, t in zip(at, _through(f"{call.name} results", see, grads), strict=True):
        results[i] = t
    return type(output)(results) if isinstance(output, (tuple, list)) else results[0]

# SPDX-License-Identifier: Apache-2.0
"""Hooks on tensors: functions that see, and may change, the gradient that arrives at one.

A sweep knows nothing of hooks. Those of a result stand between its node and the node's operation:
the node gets a `HookedOp` in place of its op. Those of a leaf lie on the leaf, which is entered in
`tape.heeded`, so that sweeps walk a copy of the graph that ends in a node for the leaf (graph.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from striate.autograd import tape
from striate.autograd.tape import Array, Node, add_to_leaf, no_grad

if TYPE_CHECKING:
    from striate.tensor import Tensor

Hook = Callable[[Any], Any]
_numbers = count()


class HookHandle:
    """What registering a hook returns: `remove()` takes the hook off, as leaving `with` does."""

    def __init__(self, hooks: dict[int, Any], hook: Any, emptied: Callable[[], None]) -> None:
        self._hooks = hooks
        self._number = next(_numbers)
        self._emptied = emptied
        hooks[self._number] = hook

    def remove(self) -> None:
        """Takes the hook off. Doing so twice is harmless."""
        if self._hooks.pop(self._number, None) is not None:
            self._emptied()

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def changed(hook: Hook, gradient: Array) -> Array:
    """The gradient after a hook: what it returned, or the same if that was None."""
    from striate.tensor import Tensor

    with no_grad():
        result = hook(Tensor._wrap(gradient))
    if result is None:
        return gradient
    if not isinstance(result, Tensor):
        raise TypeError(
            f"register_hook: hook: expected it to return a Tensor or None, got "
            f"{type(result).__name__}"
        )
    if result.shape != gradient.shape or result.dtype != gradient.dtype:
        raise ValueError(
            f"register_hook: hook: expected it to return {gradient.dtype} of shape "
            f"{gradient.shape}, like the gradient, got {result.dtype} of shape {result.shape}"
        )
    return result._array


class HookedOp:
    """Stands in for a node's op: hooks first, then the operation's own gradient."""

    def __init__(self, op: Any) -> None:
        self.op = op
        self.name: str = op.name
        self.signature: str = op.signature
        self.hooks: dict[int, tuple[int, Hook]] = {}  # (result of the node, hook)
        self.keepers: dict[int, Callable[[Array], None]] = {}  # by result, after all its hooks

    def gradient(self, node: Node, *grads: Any) -> Any:
        arrived = list(grads)
        for output, hook in list(self.hooks.values()):
            if arrived[output] is not None:
                arrived[output] = changed(hook, arrived[output])
        for output, keep in list(self.keepers.items()):
            if arrived[output] is not None:
                keep(arrived[output])
        return self.op.gradient(node, *arrived)


def hooked(node: Node) -> HookedOp:
    """The stand-in for the node's op, put there if it is not."""
    op: Any = node.op
    if not isinstance(op, HookedOp):
        op = node.op = HookedOp(op)  # type: ignore[assignment]
    return op


def _unhook(node: Node) -> None:
    """Puts the op itself back once nobody waits at it."""
    op: Any = node.op
    if isinstance(op, HookedOp) and not op.hooks and not op.keepers:
        node.op = op.op


class LeafHooks:
    """The hooks of a leaf: on its gradient before it is added to .grad, and on the leaf after."""

    def __init__(self, leaf: Tensor) -> None:
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.key = id(leaf)
        self.leaf = weakref.ref(leaf, self.forget)
        tape.heeded[self.key] = self.leaf

    def forget(self, _: Any = None) -> None:
        if (not self.before and not self.after) or self.leaf() is None:
            tape.heeded.pop(self.key, None)

    @staticmethod
    def of(leaf: Tensor) -> LeafHooks:
        """The leaf's hooks, known to sweeps from now on."""
        held = leaf._hooks
        if held is None:
            held = leaf._hooks = LeafHooks(leaf)
        tape.heeded[held.key] = held.leaf
        return held


def _check(name: str, tensor: Tensor, hook: Any) -> None:
    if not callable(hook):
        raise TypeError(f"{name}: hook: expected a function, got {type(hook).__name__}")
    if not tensor.requires_grad:
        raise RuntimeError(
            f"{name}: expected a tensor that requires grad: no gradient arrives here"
        )


def register_hook(tensor: Tensor, hook: Hook) -> HookHandle:
    """What Tensor.register_hook does."""
    _check("register_hook", tensor, hook)
    node = tensor._node
    if node is None:
        leaf = LeafHooks.of(tensor)
        return HookHandle(leaf.before, hook, leaf.forget)
    held, there = hooked(node), node
    return HookHandle(held.hooks, (tensor._output, hook), lambda: _unhook(there))


def register_post_accumulate_grad_hook(tensor: Tensor, hook: Hook) -> HookHandle:
    """What Tensor.register_post_accumulate_grad_hook does."""
    name = "register_post_accumulate_grad_hook"
    _check(name, tensor, hook)
    if tensor._node is not None:
        raise RuntimeError(f"{name}: expected a leaf; a result's gradient is not accumulated")
    leaf = LeafHooks.of(tensor)
    return HookHandle(leaf.after, hook, leaf.forget)


class _Keeper:
    """Adds what arrives to the tensor's .grad while the tensor is alive."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, gradient: Array) -> None:
        tensor = self.tensor()
        if tensor is not None:
            add_to_leaf(tensor, gradient, exclusive=False)


def _kept(tensor: Tensor) -> HookedOp | None:
    """The stand-in that keeps this very tensor's gradient."""
    op: Any = None if tensor._node is None else tensor._node.op
    if not isinstance(op, HookedOp):
        return None
    keeper = op.keepers.get(tensor._output)
    return op if isinstance(keeper, _Keeper) and keeper.tensor() is tensor else None


def retains_grad(tensor: Tensor) -> bool:
    """Whether this tensor is a result that keeps its gradient."""
    return _kept(tensor) is not None


def retain_grad(tensor: Tensor) -> None:
    """What Tensor.retain_grad does."""
    if not tensor.requires_grad:
        raise RuntimeError("retain_grad: expected a tensor that requires grad")
    if tensor._node is not None:
        hooked(tensor._node).keepers[tensor._output] = _Keeper(tensor)


def let_go(tensor: Tensor) -> bool:
    """Undoes retain_grad, before the tensor becomes another result; whether it was on."""
    op = _kept(tensor)
    if op is None or tensor._node is None:
        return False
    del op.keepers[tensor._output]
    _unhook(tensor._node)
    return True

# SPDX-License-Identifier: Apache-2.0
"""The tape: which operation made a tensor, and the sweep that brings gradients back along it.

Reverse-mode automatic differentiation. Every operation that has to be differentiated leaves one
`Node` holding what its gradient needs. Nodes are numbered as they are made, so a node's number
is larger than those of all it depends on: taking the largest number first visits each node after
everything that used its result. No recursion, however long the chain.

First order only: gradients are arrays, not tensors with a history of their own.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import _C

if TYPE_CHECKING:
    from striate.ops.record import Op
    from striate.tensor import Tensor

    Array = np.ndarray[Any, Any]


class _Mode(threading.local):
    enabled = True


_mode = _Mode()


class _GradMode:
    """Context manager and decorator that sets whether operations are recorded on this thread."""

    _wanted = True

    def __init__(self) -> None:
        self._outer: list[bool] = []

    def __enter__(self) -> None:
        self._outer.append(_mode.enabled)
        _mode.enabled = self._wanted

    def __exit__(self, *exc: object) -> None:
        _mode.enabled = self._outer.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from functools import wraps

        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return inside


class no_grad(_GradMode):
    """Inside `with no_grad():`, or in a function decorated with it, nothing is recorded."""

    _wanted = False


class enable_grad(_GradMode):
    """Records again inside a `no_grad` block."""


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are being recorded on this thread."""
    return _mode.enabled


class Version:
    """Counts the in-place writes to one storage. Views of the storage share it."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


_next_number = count().__next__


class Node:
    """One recorded operation, and the `ctx` that its forward and gradient functions see.

    `save(*values)` keeps arrays, shapes or numbers for the gradient; `saved` gives them back;
    `needs[i]` tells whether input i wants a gradient at all.
    """

    # Defaults live on the class, so that a node costs three attributes.
    saved: Any = ()
    guards: list[tuple[Version, int]] | None = None
    outputs = 1

    def __init__(self, op: Op, edges: Sequence[Tensor | tuple[Node, int] | None]) -> None:
        self.op = op
        self.edges = edges  # an input's leaf, or the node and output that made it
        self.number = _next_number()

    @property
    def needs(self) -> list[bool]:
        return [edge is not None for edge in self.edges]

    def save(self, *values: Any) -> None:
        self.saved = values

    def guard(self, tensor: Tensor) -> None:
        """Notes the version of a tensor that was saved."""
        version = tensor._version_counter()
        if self.guards is None:
            self.guards = [(version, version.value)]
        else:
            self.guards.append((version, version.value))

    def __lt__(self, other: Node) -> bool:  # the heap gives the latest node first
        return self.number > other.number


class _NotRecording:
    """The `ctx` of a forward whose result will not be differentiated: keeps nothing."""

    needs = (False,) * 16
    saved: tuple[Any, ...] = ()

    def save(self, *values: Any) -> None:
        pass


not_recording = _NotRecording()


def _check_unchanged(node: Node) -> None:
    if node.saved is None:
        raise RuntimeError(
            f"backward: what {node.op.name} had saved for its gradient was freed by an earlier "
            "backward; pass retain_graph=True to that one to go through the graph twice"
        )
    if node.guards is not None:
        for version, then in node.guards:
            if version.value != then:
                raise RuntimeError(
                    f"backward: a tensor that {node.op.name} needs for its gradient was changed "
                    f"in place afterwards (version {version.value}, saved at {then}); use an "
                    "operation that makes a new tensor, or clone() it first"
                )


def add_to_leaf(leaf: Tensor, gradient: Array, exclusive: bool) -> None:
    """leaf.grad += gradient, in the leaf's own memory order."""
    held = leaf._grad
    if held is not None:
        _C.add(held._array, gradient, out=held._array)
        held._touch()
        return
    if not exclusive or gradient.strides != leaf._array.strides:
        own = np.empty_like(leaf._array)
        own[...] = gradient
        gradient = own
    leaf._grad = leaf._wrap(gradient)


class _Sweep:
    """Gradients that have arrived at nodes not visited yet."""

    def __init__(self) -> None:
        self.heap: list[Node] = []
        self.arrived: dict[Node, list[Any]] = {}  # node -> [array, allocated here] an output

    def give(self, node: Node, output: int, gradient: Array, exclusive: bool) -> None:
        slots = self.arrived.get(node)
        if slots is None:
            slots = self.arrived[node] = [None, False] * node.outputs
            heapq.heappush(self.heap, node)
        at = 2 * output
        held = slots[at]
        if held is None:
            slots[at], slots[at + 1] = gradient, exclusive
        elif slots[at + 1]:
            _C.add(held, gradient, out=held)
        else:
            slots[at], slots[at + 1] = _C.add(held, gradient), True

    def visits(self) -> Iterator[tuple[Node, list[Any]]]:
        while self.heap:
            node = heapq.heappop(self.heap)
            yield node, self.arrived.pop(node)


def backward(root: Tensor, gradient: Array, retain_graph: bool = False) -> None:
    """Adds to the `.grad` of every leaf that `root` depends on: gradient * d root / d leaf."""
    if root._node is None:
        add_to_leaf(root, gradient, exclusive=False)
        return
    sweep = _Sweep()
    sweep.give(root._node, root._output, gradient, exclusive=False)
    for node, slots in sweep.visits():
        _check_unchanged(node)
        if node.outputs == 1:
            results = node.op.gradient(node, slots[0])
        else:
            results = node.op.gradient(node, *slots[::2])
        slots.clear()
        if not retain_graph:
            node.saved = None
        if type(results) is not tuple:
            results = (results,)
        for i, edge in enumerate(node.edges):
            if edge is None:
                continue
            result = results[i]
            if result is None:
                continue
            # Ours to keep or write to if only `results`, this loop and getrefcount's own argument
            # hold it, and it is no view of somebody's array.
            exclusive = getrefcount(result) <= 3 and not isinstance(result.base, np.ndarray)
            if isinstance(edge, tuple):
                sweep.give(edge[0], edge[1], result, exclusive)
            else:
                add_to_leaf(edge, result, exclusive)

# SPDX-License-Identifier: Apache-2.0
"""The tape: which operation made a tensor, and the sweep that brings gradients back along it.

Reverse-mode automatic differentiation. Every operation that has to be differentiated leaves one
`Node` holding what its gradient needs. Nodes are numbered as they are made, so a node's number
is larger than those of all it depends on: taking the largest number first visits each node after
everything that used its result. No recursion, however long the chain.

First order only: gradients are arrays, not tensors with a history of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import _C
from striate.arrays import Array, bits
from striate.autograd.streams import noted, ordered
from striate.device import of_gpu, placed
from striate.scope import Flag, Scope

if TYPE_CHECKING:
    from striate.ops.record import Op
    from striate.tensor import Tensor


_mode = Flag(True)


class _GradMode(Scope):
    """Sets whether operations are recorded on this thread."""

    _flag = _mode


class no_grad(_GradMode):
    """Inside `with no_grad():`, or in a function decorated with it, nothing is recorded."""

    _wanted = False


class enable_grad(_GradMode):
    """Records again inside a `no_grad` block."""


class set_grad_enabled(_GradMode):
    """Sets whether operations are recorded, from now on, or inside a `with` block or a function."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, (bool, np.bool_)):
            raise TypeError(f"set_grad_enabled: mode: expected True or False, got {mode!r}")
        self._outer = [_mode.enabled]
        self._wanted = _mode.enabled = bool(mode)

    def __enter__(self) -> None:
        _mode.enabled = self._wanted

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _mode.enabled = self._outer[0]  # a decorated function sets it when it runs
        return (enable_grad() if self._wanted else no_grad())(function)


class inference_mode(_GradMode):
    """`no_grad`; with mode=False, nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = mode

    def __enter__(self) -> None:
        super().__enter__()
        _mode.enabled = self._outer[-1] and not self._mode

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return no_grad()(function) if self._mode else function


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are being recorded on this thread."""
    return _mode.enabled


class Version:
    """Counts the in-place writes to one storage. Views of the storage share it."""

    value = 0


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

    def guard(self, tensors: tuple[Tensor, ...]) -> None:
        """Notes the version of every tensor whose array was saved."""
        guards = []
        for value in self.saved:
            for t in tensors:
                if t._array is value:
                    version = t._version
                    if version is None:
                        version = t._version = Version()
                    guards.append((version, version.value))
                    break
        if guards:
            self.guards = guards

    def __lt__(self, other: Node) -> bool:  # the heap gives the latest node first
        return self.number > other.number


class _NotRecording:
    """The `ctx` of a forward whose result will not be differentiated: keeps nothing."""

    needs = (False,) * 16
    saved: tuple[Any, ...] = ()

    def save(self, *values: Any) -> None:
        pass


not_recording = _NotRecording()


def _refuse(node: Node) -> None:
    """Raises if what the node saved is gone or was changed since."""
    name = node.op.name
    if node.saved is None:
        raise RuntimeError(
            f"backward: what {name} had saved for its gradient was freed by an earlier backward; "
            "pass retain_graph=True to that one to go through the graph twice"
        )
    for version, then in node.guards or ():
        if version.value != then:
            raise RuntimeError(
                f"backward: a tensor that {name} needs for its gradient was changed in place "
                f"afterwards (version {version.value}, saved at {then}); use an operation that "
                "makes a new tensor, or clone() it first"
            )


def _sum(a: Array, b: Array) -> Array:
    if a.dtype.kind == "V":  # bfloat16
        return _C.narrow(_C.add(_C.widen(a), _C.widen(b)))
    return _C.add(a, b)


def _add_to(held: Array, gradient: Array) -> None:
    """held += gradient."""
    if held.dtype.kind == "V":
        wide = _C.widen(held)
        _C.narrow(_C.add(wide, _C.widen(gradient), out=wide), out=held)
    else:
        _C.add(held, gradient, out=held)


def add_to_leaf(leaf: Tensor, gradient: Array, exclusive: bool) -> None:
    """leaf.grad += gradient, in the leaf's own memory order and on its device."""
    held = leaf._grad
    if type(gradient) is not type(leaf._array):  # the leaf was a number beside tensors on a GPU
        gradient, exclusive = placed("backward", gradient, leaf.device), True
    if held is not None:
        _add_to(held._array, gradient)
        held._touch()
        return
    if not exclusive or gradient.strides != leaf._array.strides:
        own = np.empty_like(leaf._array)
        bits(own)[...] = bits(gradient)
        gradient = own
    leaf._grad = leaf._wrap(gradient)


def _count_if_ours() -> int:
    """What getrefcount gives for an array that only a tuple and one local variable hold.

    It depends on the interpreter: CPython 3.14 does not count the call's own argument.
    """
    results = (np.empty(1),)
    result = results[0]
    return getrefcount(result)


_IF_OURS = _count_if_ours()


# Nobody writes to them: a sweep only borrows the gradient that it starts from.
_ONES = {np.dtype(kind): np.ones((), kind) for kind in ("float32", "float64")}


def one_like(array: Array) -> Array:
    """d x / d x: ones of the array's shape, dtype and place, not to be written to."""
    one = _ONES.get(array.dtype) if array.ndim == 0 and type(array) is np.ndarray else None
    if one is None and array.dtype.kind == "V":
        return _C.narrow(np.ones_like(array, np.float32))
    return np.ones_like(array) if one is None else one


# The gradients that have arrived at a node: [array, whether the sweep may write to it] an output.
Slots = list[Any]


def _deliver(slots: Slots, output: int, gradient: Array, exclusive: bool) -> None:
    """Adds a gradient to those that arrived: borrowed at first, a sum of our own afterwards."""
    at = 2 * output
    held = slots[at]
    if held is None:
        slots[at], slots[at + 1] = gradient, exclusive
    elif slots[at + 1]:
        _add_to(held, gradient)
    else:
        slots[at], slots[at + 1] = _sum(held, gradient), True


# What there is to heed besides the graph: leaves with hooks, by id, and observers. Where there is
# anything, `backward` sweeps a copy of the graph that has it built in (graph.py).
heeded: dict[Any, Any] = {}


def sweep(root: Tensor, gradient: Array, retain_graph: bool = False) -> None:
    """Adds to the `.grad` of every leaf that `root` depends on: gradient * d root / d leaf."""
    if noted.streams:
        ordered(lambda: _sweep(root, gradient, retain_graph))
    else:
        _sweep(root, gradient, retain_graph)


def _sweep(root: Tensor, gradient: Array, retain_graph: bool) -> None:
    if root._node is None:
        add_to_leaf(root, gradient, exclusive=False)
        return
    slots: Slots = [None, False] * root._node.outputs
    _deliver(slots, root._output, gradient, exclusive=False)
    arrived: dict[Node, Slots] = {root._node: slots}
    waiting = [root._node]  # a heap, the latest node first
    while waiting:
        node = heappop(waiting)
        slots = arrived.pop(node)
        if node.guards is not None or node.saved is None:
            _refuse(node)
        try:
            if node.outputs == 1:
                results = node.op.gradient(node, slots[0])
            else:
                results = node.op.gradient(node, *slots[::2])
        except (TypeError, AttributeError, IndexError) as error:
            told = of_gpu(f"backward: {node.op.name}", error)
            if told is error:
                raise
            raise told from error
        slots.clear()
        if not retain_graph:
            node.saved = None
        if type(results) is not tuple:
            results = (results,)
        for i, edge in enumerate(node.edges):
            if edge is None or results[i] is None:
                continue
            result = results[i]
            # Ours to keep or write to if only `results` and this loop hold it, and it is no view of
            # somebody's array: that would be the base.
            exclusive = getrefcount(result) <= _IF_OURS and not isinstance(
                result.base, type(result)
            )
            if not isinstance(edge, tuple):
                add_to_leaf(edge, result, exclusive)
                continue
            parent, output = edge
            there = arrived.get(parent)
            if there is not None:
                _deliver(there, output, result, exclusive)
                continue
            if parent.outputs == 1:
                arrived[parent] = [result, exclusive]
            else:
                arrived[parent] = slots = [None, False] * parent.outputs
                _deliver(slots, output, result, exclusive)
            heappush(waiting, parent)

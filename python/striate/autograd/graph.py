# SPDX-License-Identifier: Apache-2.0
"""Sweeps over a part of the graph, or one with more in it: a copy of the nodes, with other edges.

`grad` asks for the gradients of chosen tensors. The copy holds only the nodes between those and
the outputs; an edge that leads elsewhere is cut, so an operation computes no gradient that nobody
asked for. Where leaves have hooks, or somebody observes, `backward` walks a copy too: an edge to
such a leaf leads to a node, which gathers all that arrives before the hooks see it.

The sweep itself is always the same one (tape.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.arrays import as_array
from striate.autograd.hooks import HookedOp, LeafHooks, changed
from striate.autograd.observe import Observer, around
from striate.autograd.tape import (
    Array,
    Node,
    add_to_leaf,
    heeded,
    no_grad,
    one_like,
    sweep,
)

if TYPE_CHECKING:
    from striate.tensor import Tensor

Edge = Any  # a leaf, (node, output), or None


class _Start:
    """The op of a node above all outputs: hands each its gradient."""

    name, signature = "backward", "() -> (...)"

    def __init__(self, gradients: list[Array]) -> None:
        self.gradients = gradients

    def gradient(self, node: Node, _: Any) -> Any:
        return tuple(self.gradients)


class _LeafOp:
    """The op of a node in the place of a leaf: hooks, then .grad, then the hooks after that."""

    name, signature = "leaf", "(...) -> ()"

    def __init__(self, hooks: LeafHooks, leaf: Tensor, post: bool) -> None:
        self.hooks, self.leaf, self.post = hooks, leaf, post

    def gradient(self, node: Node, grad: Array) -> Any:
        for hook in list(self.hooks.before.values()):
            grad = changed(hook, grad)
        add_to_leaf(self.leaf, grad, exclusive=False)
        if self.post:
            for hook in list(self.hooks.after.values()):
                with no_grad():
                    hook(self.leaf)
        return ()


class _ObservedOp:
    """Stands in for a node's op while observers watch."""

    def __init__(self, op: Any, observers: list[Observer]) -> None:
        self.op, self.observers = op, observers
        self.name: str = op.name
        self.signature: str = op.signature

    def gradient(self, node: Node, *grads: Any) -> Any:
        run = around(
            self.observers, "gradient", lambda: self.op.gradient(node, *grads), node, grads
        )
        return run()


class _Copy:
    """Copies the nodes behind `roots`, with the edges that `leaf_edge` and `sinks` say."""

    def __init__(self, retain_graph: bool, targets: dict[Any, Tensor] | None) -> None:
        self.retain_graph = retain_graph
        self.targets = targets  # what to gather, by leaf or (node, output); None: every leaf
        self.copies: dict[Node, Node] = {}
        self.leaves: dict[int, Node] = {}  # nodes in the place of leaves
        self.observers = [o for o in heeded.values() if isinstance(o, Observer)]

    def of(self, root: Node) -> Node | None:
        """The copy of `root` and of all behind it that is wanted; None where nothing is."""
        seen, waiting = {root}, [root]
        while waiting:
            for edge in waiting.pop().edges:
                if isinstance(edge, tuple) and edge[0] not in seen:
                    seen.add(edge[0])
                    waiting.append(edge[0])
        for node in sorted(seen, key=lambda n: n.number):  # operands before results
            self._copy(node)
        return self.copies.get(root)

    def _copy(self, node: Node) -> None:
        edges = [self._edge(edge, node) for edge in node.edges]
        asked = (
            {i: self.targets.get((node, i)) for i in range(node.outputs)} if self.targets else {}
        )
        asked = {i: target for i, target in asked.items() if target is not None}
        if self.targets is not None and not asked and all(edge is None for edge in edges):
            return
        goes_on = any(edge is not None for edge in edges)
        copy = Node.__new__(Node)
        copy.__dict__.update(node.__dict__)
        copy.edges = edges
        if goes_on and not self.retain_graph:
            node.saved = None  # the copy's now, which the sweep will free
        copy.op = self._op(node, asked, goes_on)
        self.copies[node] = copy

    def _edge(self, edge: Edge, user: Node) -> Edge:
        if edge is None:
            return None
        if isinstance(edge, tuple):
            copy = self.copies.get(edge[0])
            return None if copy is None else (copy, edge[1])
        target = edge if self.targets is None else self.targets.get(id(edge))
        hooks = edge._hooks
        if target is None or hooks is None:
            return target
        node = self.leaves.get(id(edge))
        if node is None:
            node = Node(_LeafOp(hooks, target, post=target is edge), ())  # type: ignore[arg-type]
            # Before all that use the leaf, and behind everything older: it has its turn as soon as
            # its gradient is whole.
            node.number = user.number - 0.5  # type: ignore[assignment]
            self.leaves[id(edge)] = node
        return node, 0

    def _op(self, node: Node, asked: dict[int, Any], goes_on: bool) -> Any:
        """What runs at the copy: hooks, then what gathers, then the operation where it goes on."""
        op: Any = node.op
        if isinstance(op, _Start):
            return op
        outer = op if isinstance(op, HookedOp) else None
        inner: Any = op if outer is None else outer.op
        inner = _ObservedOp(inner, self.observers) if self.observers else inner
        if outer is None and not asked:
            return inner
        stand_in = HookedOp(inner if goes_on else _End(inner))
        if outer is not None:
            stand_in.hooks, stand_in.keepers = outer.hooks, dict(outer.keepers)
        for output, target in asked.items():
            stand_in.keepers[output] = _both(stand_in.keepers.get(output), target)
        return stand_in


class _End:
    """The op of a node behind which nothing is wanted."""

    def __init__(self, op: Any) -> None:
        self.name, self.signature = op.name, op.signature

    def gradient(self, node: Node, *grads: Any) -> Any:
        return (None,) * len(node.edges)


def _both(first: Callable[[Array], None] | None, target: Tensor) -> Callable[[Array], None]:
    def keep(gradient: Array) -> None:
        if first is not None:
            first(gradient)
        add_to_leaf(target, gradient, exclusive=False)

    return keep


def _start(outputs: Sequence[Tensor], gradients: list[Array]) -> Node:
    edges = [t if t._node is None else (t._node, t._output) for t in outputs]
    return Node(_Start(gradients), edges)  # type: ignore[arg-type]


def copied_for_backward(root: Tensor, retain_graph: bool) -> Tensor:
    """A stand-in for `root`, whose graph has leaf hooks and observers in it."""
    copy = _Copy(retain_graph, None)
    if root._node is not None:
        return _stand_in(root, copy.of(root._node), root._output)
    edge = copy._edge(root, Node(_Start([]), ()))  # type: ignore[arg-type]
    return _stand_in(root, edge[0], 0) if isinstance(edge, tuple) else root


def _stand_in(root: Tensor, node: Node | None, output: int) -> Tensor:
    from striate.tensor import Tensor

    t = Tensor._wrap(root._array)
    t._node, t._output = node, output
    return t


def seed(name: str, tensor: Tensor, gradient: Any) -> Array:
    """The gradient that a sweep from `tensor` starts with: `gradient`, or 1 for one element."""
    if not tensor.requires_grad:
        raise RuntimeError(
            f"{name}: this tensor does not require grad: nothing it was made from does, or it was "
            "made under no_grad()"
        )
    if gradient is None:
        if tensor.numel() != 1:
            raise RuntimeError(
                f"{name}: shape {tensor.shape} has more than one element; pass `gradient`, or "
                "reduce it with sum() or mean() first"
            )
        return one_like(tensor._array)
    try:
        array = as_array(gradient, tensor.dtype, "gradient")
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: gradient: expected a Tensor of shape {tensor.shape}, got "
            f"{type(gradient).__name__}"
        ) from None
    if array.shape != tensor.shape:
        raise ValueError(f"{name}: gradient: expected {tensor.shape}, got {array.shape}")
    return array


def _listed(name: str, argument: str, value: Any) -> list[Tensor]:
    from striate.tensor import Tensor

    tensors = [value] if isinstance(value, Tensor) else value
    good = isinstance(tensors, (list, tuple)) and all(isinstance(t, Tensor) for t in tensors)
    if not good or not tensors:
        got = [type(t).__name__ for t in tensors] if isinstance(tensors, (list, tuple)) else value
        raise TypeError(f"{name}: {argument}: expected a tensor or a list of tensors, got {got!r}")
    return list(tensors)


def _seeds(name: str, tensors: list[Tensor], argument: str, gradients: Any) -> list[Array]:
    if gradients is None or not isinstance(gradients, (list, tuple)):
        gradients = [gradients] * len(tensors) if gradients is None else [gradients]
    if len(gradients) != len(tensors):
        raise ValueError(
            f"{name}: {argument}: expected {len(tensors)}, one a tensor, got {len(gradients)}"
        )
    return [seed(name, t, g) for t, g in zip(tensors, gradients, strict=True)]


def _refuse_create_graph(name: str, create_graph: bool) -> None:
    if create_graph:
        raise NotImplementedError(
            f"{name}: create_graph=True: gradients of gradients are not recorded (first order only)"
        )


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Adds the sum of d tensor / d leaf over `tensors` to the `.grad` of every leaf.

    `grad_tensors` holds what multiplies each (None for a tensor of one element: 1).
    """
    _refuse_create_graph("backward", create_graph)
    outputs = _listed("backward", "tensors", tensors)
    seeds = _seeds("backward", outputs, "grad_tensors", grad_tensors)
    root = _stand_in(outputs[0], _start(outputs, seeds), 0)
    if heeded:
        root = copied_for_backward(root, retain_graph)
    sweep(root, seeds[0], retain_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` for each of `inputs`; no `.grad` changes.

    `inputs` may be leaves and results. `grad_outputs` holds what multiplies each output (None for
    an output of one element: 1). Only operations between the two are swept, and what they had
    saved is freed unless retain_graph. Raises RuntimeError where an input has no part in the
    outputs; with allow_unused its gradient is None, with materialize_grads zeros.

        >>> import striate
        >>> x = striate.tensor([1.0, 2.0], requires_grad=True)
        >>> striate.autograd.grad((x * x).sum(), x)
        (tensor([2., 4.]),)
    """
    _refuse_create_graph("grad", create_graph)
    ends = _listed("grad", "outputs", outputs)
    asked = _listed("grad", "inputs", inputs)
    targets: dict[Any, Tensor] = {}
    for i, t in enumerate(asked):
        if not t.requires_grad:
            raise RuntimeError(f"grad: inputs: {i}: expected a tensor that requires grad")
        key = id(t) if t._node is None else (t._node, t._output)
        targets.setdefault(key, _stand_in(t, None, 0))
    seeds = _seeds("grad", ends, "grad_outputs", grad_outputs)
    keys = [id(t) if t._node is None else (t._node, t._output) for t in asked]
    start = _Copy(retain_graph, targets).of(_start(ends, seeds))
    if start is not None:
        sweep(_stand_in(ends[0], start, 0), seeds[0], retain_graph)
    found = [targets[key]._grad for key in keys]
    if materialize_grads:
        found = [_zeros(t) if g is None else g for t, g in zip(asked, found, strict=True)]
    unused = next((i for i, g in enumerate(found) if g is None), None)
    if unused is not None and not allow_unused:
        raise RuntimeError(
            f"grad: inputs: {unused}: this tensor has no part in the outputs; allow_unused=True "
            "gives None for it"
        )
    return tuple(found)


def _zeros(like: Tensor) -> Tensor:
    from striate.tensor import Tensor

    return Tensor._wrap(np.zeros_like(like._array))

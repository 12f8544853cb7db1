# SPDX-License-Identifier: Apache-2.0
"""Functions that bring their own gradient: the base class `Function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.autograd.observe import observed
from striate.autograd.tape import Array, Node, is_grad_enabled, no_grad
from striate.device import made_on

if TYPE_CHECKING:
    from striate.tensor import Tensor


class FunctionContext:
    """The `ctx` of a Function's forward and backward.

    Attributes may be set freely, to carry numbers and shapes from forward to backward; tensors go
    through `save_for_backward`, which lets backward see that they were not changed in between.
    """

    needs_input_grad: tuple[bool, ...]  # by argument of apply

    def __init__(self, name: str, needs: tuple[bool, ...]) -> None:
        self._name = name
        self.needs_input_grad = needs
        self._to_save: tuple[Any, ...] = ()
        self._not_differentiable: tuple[Any, ...] = ()
        self._materialize = True
        self._saved: Any = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors, or None, for backward, which finds them in `saved_tensors`."""
        from striate.tensor import Tensor

        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"{self._name}: save_for_backward: expected tensors or None, got "
                    f"{type(t).__name__}; set other things as attributes of ctx"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What save_for_backward kept, without history."""
        from striate.tensor import Tensor

        if self._saved is None:
            raise RuntimeError(f"{self._name}: saved_tensors: they are there during backward alone")
        return tuple(None if array is None else Tensor._wrap(array) for array in self._saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says which results have no gradient."""
        self._not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for results no gradient came to."""
        self._materialize = value


class _FunctionOp:
    """The op of one call of a Function."""

    signature = "(...) -> (...)"

    def __init__(self, function: type[Function], ctx: FunctionContext, args: Any) -> None:
        self.function, self.ctx, self.name = function, ctx, function.__name__
        # Shape and dtype of the tensors among the arguments.
        self.operands = [(t._array.shape, t._array.dtype) if t is not None else None for t in args]
        self.results: list[tuple[Any, Any, Any]] = []

    def gradient(self, node: Node, *grads: Any) -> Any:
        from striate.tensor import Tensor

        ctx = self.ctx
        given: list[Tensor | None] = []
        for grad, (shape, dtype, where) in zip(grads, self.results, strict=True):
            if grad is None and ctx._materialize:
                grad = made_on("backward", where, np.zeros, shape, dtype)
            given.append(None if grad is None else Tensor._wrap(grad))
        ctx._saved = node.saved  # not the node, which holds ctx: that would be a cycle
        try:
            with no_grad():
                back = self.function.backward(ctx, *given)
        finally:
            ctx._saved = None
        return self._checked(back)

    def _checked(self, back: Any) -> tuple[Array | None, ...]:
        """One array an argument of apply, or the error that says what is wrong."""
        from striate.tensor import Tensor

        name = f"{self.name}.backward"
        values = list(back) if isinstance(back, (tuple, list)) else [back]
        while len(values) > len(self.operands) and values[-1] is None:
            values.pop()
        if len(values) != len(self.operands):
            raise RuntimeError(
                f"{name}: expected {len(self.operands)} gradients, one an argument of forward "
                f"(None for those without), got {len(values)}"
            )
        arrays: list[Array | None] = []
        for i, (value, operand) in enumerate(zip(values, self.operands, strict=True)):
            if value is None or operand is None:
                if value is not None:
                    raise RuntimeError(f"{name}: gradient {i}: expected None: no tensor came in")
                arrays.append(None)
                continue
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{name}: gradient {i}: expected a Tensor or None, got {type(value).__name__}"
                )
            shape, dtype = operand
            if value.shape != shape:
                raise ValueError(
                    f"{name}: gradient {i}: expected shape {shape}, like its argument, got "
                    f"{value.shape}"
                )
            arrays.append(value._array.astype(dtype, copy=False))
        return tuple(arrays)


class Function:
    """An operation with a gradient written by hand.

    A subclass defines static methods: `forward(ctx, *args)`, which runs unrecorded, and
    `backward(ctx, *grads)`, which gets one gradient a result and returns one an argument of forward
    (None where there is none). Or `forward(*args)` with `setup_context(ctx, inputs, output)`. Call
    it by `apply`. Arguments that are no tensors are passed on.

        >>> import striate
        >>> class Cube(striate.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         (x,) = ctx.saved_tensors
        ...         return 3 * x * x * grad
        >>> x = striate.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    setup_context: Callable[..., Any] | None = None

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__}: expected no instance; call {type(self).__name__}.apply(...)"
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """forward's result, recorded with backward as its gradient."""
        from striate.tensor import Tensor

        for method in ("forward", "backward"):
            if not callable(getattr(cls, method, None)):
                raise TypeError(f"{cls.__name__}: expected a static method {method}(ctx, ...)")
        tensors = [x if isinstance(x, Tensor) else None for x in args]
        needs = tuple(t is not None and t.requires_grad for t in tensors)
        op = _FunctionOp(cls, FunctionContext(cls.__name__, needs), tensors)
        return observed(op, tuple(t for t in tensors if t is not None), lambda: cls._run(op, args))

    @classmethod
    def _run(cls, op: _FunctionOp, args: tuple[Any, ...]) -> Any:
        from striate.ops.record import _edge
        from striate.tensor import Tensor

        ctx = op.ctx
        recording = is_grad_enabled() and any(ctx.needs_input_grad)
        with no_grad():
            if cls.setup_context is None:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        results = output if isinstance(output, tuple) else (output,)
        for i, result in enumerate(results):
            if not isinstance(result, Tensor):
                raise TypeError(
                    f"{cls.__name__}.forward: expected it to return a Tensor or a tuple of them, "
                    f"got {type(result).__name__} at {i}"
                )
        if not recording:
            return output
        op.results = [(r._array.shape, r._array.dtype, r.device) for r in results]
        edges = [_edge(t) if isinstance(t, Tensor) else None for t in args]
        node = Node(op, edges)  # type: ignore[arg-type]
        node.outputs = len(results)
        outs = tuple(_result(ctx, r, node, i, args) for i, r in enumerate(results))
        _save(ctx, node, results, outs)
        return outs if isinstance(output, tuple) else outs[0]


def _result(ctx: FunctionContext, result: Tensor, node: Node, i: int, inputs: Any) -> Tensor:
    """The tensor that the caller gets: an argument that was returned becomes another tensor."""
    out = result._view(result._array) if any(result is t for t in inputs) else result
    out._is_view = False
    differentiable = not any(result is t for t in ctx._not_differentiable)
    if out._array.dtype.kind == "f" and differentiable:
        out.requires_grad, out._node, out._output = True, node, i
    return out


def _save(ctx: FunctionContext, node: Node, results: Any, outs: Any) -> None:
    """Arrays, not tensors: a result that its own node held would never be freed."""
    node.saved = tuple(None if t is None else t._array for t in ctx._to_save)
    node.guards = [
        (version, version.value)
        for version in (t._version_counter() for t in ctx._to_save if t is not None)
    ] or None
    ctx._to_save = ctx._not_differentiable = ()

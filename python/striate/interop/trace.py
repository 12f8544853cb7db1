# SPDX-License-Identifier: Apache-2.0
"""Traces the forward of a torch module by torch.fx, into steps with striate's functions."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

import striate
from striate import ops
from striate.interop.traced import TRAINING, Result, Step, replaced, specialised
from striate.nn import functional
from striate.tensor import Tensor

_PLAIN = {operator: vars(operator), math: vars(math)}  # these work on any operand
_PLAIN_NAMES = {id(f) for names in _PLAIN.values() for f in names.values() if callable(f)}


class _Missing:
    """Where two traces of a node disagree and it is not about training."""


_MISSING = _Missing()


class Tracing:
    """One module's forward, traced in training and in evaluation."""

    def __init__(self, torch: Any, problem: Callable[[str], None]) -> None:
        self.torch = torch
        self.problem = problem
        self.constants: dict[str, Any] = {}  # tensors that the forward makes of numbers
        self.names = _names(torch)

    def trace(self, module: Any) -> tuple[dict[str, inspect.Parameter], list[Step]] | None:
        """(arguments, steps), or None and problems noted."""
        arguments = dict(list(inspect.signature(type(module).forward).parameters.items())[1:])
        plain = (bool, int, float, str, type(None))
        usual = {n: p.default for n, p in arguments.items() if isinstance(p.default, plain)}
        try:
            both = self._in_both_modes(module, {})
        except Exception as error:  # a forward is anybody's code
            both = self._with_usual_flags(module, usual, error)
        if both is None:
            return None
        kinds = [[(n.op, str(n.target)) for n in nodes] for nodes in both]
        if kinds[0] != kinds[1]:
            self.problem("forward takes other steps in training than in evaluation")
            return None
        return self._steps(arguments, *both)

    def _with_usual_flags(self, module: Any, usual: dict[str, Any], error: Exception) -> Any:
        """The traces with optional arguments at their defaults, or None and a problem noted."""
        if usual:
            try:
                return self._in_both_modes(module, usual)
            except Exception as again:
                error = again
        self.problem(
            f"forward can't be traced: {type(error).__name__}: {error}; control flow must not "
            "depend on values"
        )
        return None

    def _in_both_modes(self, module: Any, flags: dict[str, Any]) -> list[list[Any]]:
        """The nodes of the traces in training and in evaluation."""
        training = module.training
        try:
            nodes = []
            for mode in (True, False):
                module.training = mode
                nodes.append(list(self._graph(module, flags).nodes))
            return nodes
        finally:
            module.training = training

    def _graph(self, module: Any, flags: dict[str, Any]) -> Any:
        class Tracer(self.torch.fx.Tracer):  # type: ignore[misc, name-defined]
            def is_leaf_module(self, m: Any, qualified_name: str) -> bool:
                return True  # parts are converted on their own

        tracer = Tracer()
        graph = tracer.trace(module, flags or None)
        for name, value in vars(tracer.root).items():
            if name.startswith("_tensor_constant"):
                self.constants[name] = value
        return graph

    def _steps(
        self, arguments: dict[str, inspect.Parameter], nodes: list[Any], others: list[Any]
    ) -> tuple[dict[str, inspect.Parameter], list[Step]] | None:
        given: dict[str, inspect.Parameter] = {}
        waiting = list(arguments.values())  # placeholders come in the order of the arguments
        steps: list[Step] = []
        fine = True
        for node, other in zip(nodes, others, strict=True):
            if node.op == "placeholder":
                given[node.name] = waiting.pop(0).replace(annotation=inspect.Parameter.empty)
                continue
            args, kwargs = self._merged((node.args, node.kwargs), (other.args, other.kwargs))
            step = self._step(node, args, kwargs)
            fine = fine and step is not None
            if step is not None:
                steps.append(step)
        return (given, steps) if fine else None

    def _merged(self, one: Any, other: Any) -> Any:
        """Arguments of both traces: where they are True in training and False else, the flag."""
        if isinstance(one, (tuple, list)) and type(one) is type(other) and len(one) == len(other):
            parts = [self._merged(a, b) for a, b in zip(one, other, strict=True)]
            return parts if isinstance(one, list) else tuple(parts)
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            return {k: self._merged(one[k], other[k]) for k in one}
        if one is True and other is False:
            return TRAINING
        if isinstance(one, (self.torch.fx.Node, slice)):
            return one
        same = type(one) is type(other) and (one is other or bool(one == other))
        return one if same else _MISSING

    def _value(self, value: Any) -> Any:
        if isinstance(value, self.torch.fx.Node):
            return Result(value.name)
        if isinstance(value, self.torch.dtype):
            name = str(value).removeprefix("torch.")
            return getattr(striate, "bool_" if name == "bool" else name, _MISSING)
        if isinstance(value, self.torch.device):
            return str(value)
        return value

    def _step(self, node: Any, args: Any, kwargs: Any) -> Step | None:
        args, kwargs = replaced((args, kwargs), self._value)
        lost: list[Any] = []
        replaced((args, kwargs), lambda v: lost.append(v) if v is _MISSING else None)
        if lost:
            self.problem(f"forward: {node.target}: an argument that striate has no like of")
            return None
        kinds = {"call_module": "module", "get_attr": "attribute", "output": "output"}
        if node.op in kinds:
            return Step(node.name, kinds[node.op], str(node.target), args, kwargs)
        if node.op == "call_method":
            return self._method(node, args, kwargs)
        return self._function(node, args, kwargs)

    def _method(self, node: Any, args: Any, kwargs: Any) -> Step | None:
        method = getattr(Tensor, node.target, None)
        if method is None:
            self.problem(f"forward: there is no Tensor.{node.target}")
            return None
        kwargs = self._accepted(method, f"Tensor.{node.target}", args, kwargs)
        return None if kwargs is None else Step(node.name, "method", node.target, args, kwargs)

    def _function(self, node: Any, args: Any, kwargs: Any) -> Step | None:
        target = node.target
        if target is getattr:
            if not hasattr(Tensor, args[1]):
                self.problem(f"forward: there is no Tensor.{args[1]}")
                return None
            return Step(node.name, "function", target, args, kwargs)
        if target is self.torch._assert:
            return Step(node.name, "function", specialised, args, kwargs)
        if id(target) in _PLAIN_NAMES:
            return Step(node.name, "function", target, args, kwargs)
        name = self.names.get(id(target)) or str(getattr(target, "__name__", target))
        short = name.rpartition(".")[2]
        function = None
        for place in (functional, striate, ops):
            function = function or getattr(place, short, None)
        if id(target) not in self.names or function is None:
            self.problem(f"forward: there is no like of {name}")
            return None
        kwargs = self._accepted(function, name, args, kwargs, target)
        return None if kwargs is None else Step(node.name, "function", function, args, kwargs)

    def _accepted(
        self, function: Any, name: str, args: Any, kwargs: Any, theirs: Any = None
    ) -> Any:
        """The keywords that `function` is called with, or None and a problem noted."""
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return kwargs
        unknown = {k: v for k, v in kwargs.items() if k not in signature.parameters}
        for k, v in unknown.items():
            if k == "inplace" or k.startswith("_") or _is_default(theirs, k, v):
                kwargs = {n: kept for n, kept in kwargs.items() if n != k}
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            self.problem(f"forward: {name}: {error}")
            return None
        return kwargs


def _is_default(function: Any, name: str, value: Any) -> bool:
    """Whether torch's function would have taken `value` for `name` anyway."""
    try:
        parameter = inspect.signature(function).parameters[name]
    except (TypeError, ValueError, KeyError):
        return False
    return type(value) is type(parameter.default) and bool(value == parameter.default)


def _names(torch: Any) -> dict[int, str]:
    """The public names of torch's functions, by identity: some don't know their own."""
    places = (
        ("torch.nn.functional", torch.nn.functional),
        ("torch", torch),
        ("torch.special", torch.special),
        ("torch.linalg", torch.linalg),
    )
    names: dict[int, str] = {}
    for prefix, place in places:
        for name in dir(place):
            value = getattr(place, name, None)
            if callable(value) and not name.startswith("_"):
                names.setdefault(id(value), f"{prefix}.{name}")
    return names

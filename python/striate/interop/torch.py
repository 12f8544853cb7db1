# SPDX-License-Identifier: Apache-2.0
"""From a torch.nn.Module to the same network here: `from_torch`.

Layers are found by their class's name, and their arguments by the names of the constructor's. A
module with a forward of its own is traced by torch.fx, one level at a time, and becomes a
TracedModule that runs the same steps. torch is imported by the caller, never here.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from striate import nn
from striate.interop.trace import Tracing
from striate.interop.traced import TracedModule
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.tensor import Tensor

# Arguments of torch's constructors that are no part of what a layer computes.
# (layer, argument): the parameter that is there if the argument was True
_TOLD_BY = {
    ("MultiheadAttention", "bias"): "in_proj_bias",
    ("MultiheadAttention", "add_bias_kv"): "bias_k",
}
_PASSED_OVER = {"args", "kwargs", "device", "dtype", "inplace", "size_average", "reduce", "sparse"}
_PASSED_OVER |= {"_weight", "_freeze"}


def from_torch(module: Any) -> Module:
    """The same network as a striate module: layers, weights, buffers, and training flags, copied.

    Parameters that torch shares are shared here. Modules of torch.nn become striate's of the same
    name. Others, with a forward of their own, are traced symbolically by torch.fx: their control
    flow must not depend on values. Raises TypeError for what is no torch.nn.Module, and ValueError
    that lists, by path, every layer, argument, function and dtype that striate lacks.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"from_torch: module: expected a torch.nn.Module, got {type(module).__name__}"
        )
    converter = _Converter(torch)
    converted = converter.convert(module, "")
    if converter.problems:
        lines = "".join(f"\n  {line}" for line in dict.fromkeys(converter.problems))
        raise ValueError(f"from_torch: striate lacks what this module needs:{lines}")
    assert converted is not None
    return converted


class _Converter:
    """Converts modules, and gathers what can't be converted."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.problems: list[str] = []
        self.modules: dict[int, Module | None] = {}
        self.tensors: dict[int, Tensor] = {}  # parameters and buffers, by torch's

    def problem(self, path: str, module: Any, what: str) -> None:
        place = f"{path} ({type(module).__name__})" if path else type(module).__name__
        self.problems.append(f"{place}: {what}")

    def convert(self, module: Any, path: str) -> Module | None:
        """The module here, None where there was a problem."""
        if id(module) in self.modules:
            return self.modules[id(module)]
        before = len(self.problems)
        converted = None
        if self._fit(module, path):
            converted = self._converted(module, path)
        if len(self.problems) > before:
            converted = None
        self.modules[id(module)] = converted
        if converted is not None:
            object.__setattr__(converted, "training", bool(module.training))
        return converted

    def _fit(self, module: Any, path: str) -> bool:
        """Whether there is nothing about the module that its class does not tell."""
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        if self.torch.nn.utils.parametrize.is_parametrized(module):
            names = ", ".join(module.parametrizations)
            self.problem(path, module, f"parametrized ({names}); remove_parametrizations first")
            return False
        if any(self.torch.nn.parameter.is_lazy(p) for p in module._parameters.values()):
            self.problem(path, module, "uninitialized parameters; run it once on an example")
            return False
        if any(getattr(module, kind, None) for kind in kinds):
            self.problem(path, module, "it has hooks, which are not carried over; remove them")
            return False
        return True

    def _converted(self, module: Any, path: str) -> Module | None:
        known = self._class_of(module)
        if known in ("Sequential", "ModuleList", "ModuleDict"):
            return self._container(module, known, path)
        if known is None:
            return self._traced(module, path)
        ours = getattr(nn, known, None)
        if not (inspect.isclass(ours) and issubclass(ours, Module)):
            self.problem(path, module, f"there is no striate.nn.{known}")
            return None
        return self._layer(module, ours, path)

    def _class_of(self, module: Any) -> str | None:
        """The name of the class of torch.nn whose forward this module runs; None if its own."""
        for kind in type(module).__mro__:
            public = hasattr(self.torch.nn, kind.__name__) and kind.__name__ != "Module"
            if kind.__module__.startswith("torch.nn.modules.") and public:
                return str(kind.__name__)
            if any(m in kind.__dict__ for m in ("forward", "_conv_forward", "__call__")):
                return None
        return None

    def _container(self, module: Any, known: str, path: str) -> Module | None:
        converted: Module = getattr(nn, known)()
        return converted if self._fill(converted, module, path) else None

    def _fill(self, converted: Module, module: Any, path: str) -> bool:
        """Gives `converted` the converted parts of `module`."""
        for name, child in module._modules.items():  # in their order, repetitions too
            if child is None:
                continue
            part = self.convert(child, f"{path}.{name}" if path else name)
            if part is not None:
                converted.add_module(name, part)
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            self._take(converted, module, name, tensor, path)
        return True

    def _take(self, converted: Module, module: Any, name: str, tensor: Any, path: str) -> None:
        """Makes a parameter or buffer of torch's one of `converted`."""
        is_parameter = name in module._parameters
        if tensor is None:
            if is_parameter:
                converted.register_parameter(name, None)
            else:
                converted.register_buffer(name, None)
            return
        held = self.tensors.get(id(tensor))
        if held is None:
            array = self._array(tensor, module, name, path)
            if array is None:
                return
            held = Tensor._wrap(array)
            if is_parameter:
                held = Parameter(array, requires_grad=tensor.requires_grad)
            self.tensors[id(tensor)] = held
        if isinstance(held, Parameter):
            converted.register_parameter(name, held)
        else:
            transient = name in module._non_persistent_buffers_set
            converted.register_buffer(name, held, persistent=not transient)

    def _array(self, tensor: Any, module: Any, name: str, path: str) -> Any:
        """A copy of a torch tensor's values, or None and a problem noted."""
        try:
            array = tensor.detach().cpu().numpy().copy()
            return Tensor(array)._array
        except (TypeError, RuntimeError, NotImplementedError):
            self.problem(path, module, f"{name}: striate has no dtype {tensor.dtype}")
            return None

    # --- layers -------------------------------------------------------------------------------

    def _layer(self, module: Any, ours: type[Module], path: str) -> Module | None:
        arguments = self._arguments(module, ours, path)
        if arguments is None:
            return None
        try:
            converted = ours(**arguments)
        except (TypeError, ValueError, NotImplementedError) as error:
            self.problem(path, module, str(error))
            return None
        theirs = {**module._parameters, **module._buffers}
        here = {**converted._parameters, **converted._buffers}
        for name in sorted(theirs.keys() | here.keys()):
            self._copy(converted, here.get(name), module, name, theirs.get(name), path)
        for name, child in module._modules.items():  # attention's last layer
            part = self.convert(child, f"{path}.{name}" if path else name)
            if part is not None:
                converted.add_module(name, part)
        return converted

    def _arguments(self, module: Any, ours: type[Module], path: str) -> dict[str, Any] | None:
        """What the constructor here is called with; None where torch's asks for more."""
        accepted = inspect.signature(ours).parameters
        known = self._class_of(module)
        theirs = inspect.signature(getattr(self.torch.nn, str(known))).parameters
        if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in theirs.values()):
            theirs = accepted  # (*args, **kwargs), as recurrent layers have, tells nothing
        arguments: dict[str, Any] = {}
        before = len(self.problems)
        for name, parameter in theirs.items():
            told_by = _TOLD_BY.get((str(known), name))
            if name in _PASSED_OVER or not hasattr(module, told_by or name):
                continue
            value = (
                self._value(module, name)
                if told_by is None
                else getattr(module, told_by) is not None
            )
            if name in accepted:
                arguments[name] = value
            elif not self._is_usual(module, name, value, parameter.default):
                self.problem(path, module, f"{name}={value!r}: striate.nn.{known} has no {name}")
        dtypes = {p.dtype for p in module.parameters(recurse=False)}
        if "dtype" in accepted and len(dtypes) == 1:
            (dtype,) = dtypes
            if dtype not in (self.torch.float32, self.torch.float64):
                self.problem(path, module, f"striate has no layers of {dtype}")
            else:
                arguments["dtype"] = str(dtype).removeprefix("torch.")
        return None if len(self.problems) > before else arguments

    def _value(self, module: Any, name: str) -> Any:
        """What the module was made with, as far as its attribute of that name tells."""
        value = getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            return value is not None
        if isinstance(value, self.torch.Tensor):
            return Tensor(value.detach().cpu().numpy().copy())
        return tuple(value) if isinstance(value, (tuple, list)) else value

    def _is_usual(self, module: Any, name: str, value: Any, default: Any) -> bool:
        if name == "bias" and getattr(module, "weight", None) is None:
            return True  # without a weight there is no bias either
        if isinstance(value, tuple) and not isinstance(default, tuple):
            return all(v == default for v in value)
        return bool(value == default)

    def _copy(
        self, converted: Module, held: Any, module: Any, name: str, tensor: Any, path: str
    ) -> None:
        """Copies one of torch's tensors into the layer's own, or shares one copied before."""
        if held is None and tensor is None:
            return
        if held is None or tensor is None or tuple(held.shape) != tuple(tensor.shape):
            there = "none" if tensor is None else f"shape {tuple(tensor.shape)}"
            here = "none" if held is None else f"shape {held.shape}"
            self.problem(path, module, f"{name}: torch has {there}, striate has {here}")
            return
        shared = self.tensors.get(id(tensor))
        if shared is not None:
            setattr(converted, name, shared)
            return
        array = self._array(tensor, module, name, path)
        if array is None:
            return
        held._array[...] = array  # in the memory order of the layer
        if isinstance(held, Parameter):
            held.requires_grad = bool(tensor.requires_grad)
        self.tensors[id(tensor)] = held

    # --- forwards of their own ----------------------------------------------------------------

    def _traced(self, module: Any, path: str) -> Module | None:
        if type(module).__module__.startswith("torch.nn."):
            self.problem(path, module, f"there is no striate.nn.{type(module).__name__}")
            return None
        tracing = Tracing(self.torch, lambda what: self.problem(path, module, what))
        found = tracing.trace(module)
        holder = Module() if found is None else TracedModule(type(module).__name__, *found)
        # The parts are converted though the forward can't be, so that all problems are listed.
        self._fill(holder, module, path)
        if found is None:
            return None
        for name, value in tracing.constants.items():
            array = self._array(value, module, name, path)
            if array is not None and not hasattr(holder, name):
                holder.register_buffer(name, Tensor._wrap(array), persistent=False)
        return holder

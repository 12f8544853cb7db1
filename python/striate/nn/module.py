# SPDX-License-Identifier: Apache-2.0
"""The module: parameters, buffers and submodules by attribute, and what is done to all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

import numpy as np

from striate.device import is_device, placed
from striate.dtypes import as_dtype
from striate.nn import state as _state
from striate.nn.hooks import RemovableHandle, call_with_hooks
from striate.nn.parameter import Parameter
from striate.nn.place import name_place, outer_calls_run
from striate.tensor import Tensor

__all__ = [
    "Module",
]

if TYPE_CHECKING:
    from striate.nn.summary import Summary

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
_NOTHING = object()


class _HasForward(Protocol[P, R]):
    """Gives `module(x)` the type of `module.forward(x)`."""

    @property
    def forward(self) -> Callable[P, R]: ...


class Module:
    """Base class of every network and layer.

    A subclass calls `super().__init__()`, assigns its parts as attributes, and defines `forward`.
    Attributes that are `Parameter`s, `Module`s, or tensors given to `register_buffer` are listed,
    saved and converted together. Names and semantics are PyTorch's.

    An error raised inside names where: "features.3 (Conv2d): conv2d: input: expected …".
    """

    training: bool = True
    _hooked: bool = False
    # Each part is also an ordinary attribute, so that reading it costs no more than one.
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # buffers that a state dict leaves out
    _forward_hooks: dict[int, Any]
    _forward_pre_hooks: dict[int, Any]
    _backward_hooks: dict[int, Any]
    _backward_pre_hooks: dict[int, Any]

    def __init__(self) -> None:
        set_plain = object.__setattr__
        set_plain(self, "_parameters", {})
        set_plain(self, "_buffers", {})
        set_plain(self, "_modules", {})
        set_plain(self, "_transient", set())
        set_plain(self, "_forward_hooks", {})
        set_plain(self, "_forward_pre_hooks", {})
        set_plain(self, "_backward_hooks", {})
        set_plain(self, "_backward_pre_hooks", {})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    if TYPE_CHECKING:

        def __call__(self: _HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    else:

        def __call__(self, first=_NOTHING, /, *rest, **kwargs):
            try:
                # Most calls pass one tensor: without unpacking, that takes half the time.
                if self._hooked or rest or kwargs or first is _NOTHING:
                    args = () if first is _NOTHING else (first, *rest)
                    if self._hooked:
                        return call_with_hooks(self, args, kwargs)
                    return self.forward(*args, **kwargs)
                return self.forward(first)
            except (ValueError, TypeError, IndexError, RuntimeError) as error:
                args = () if first is _NOTHING else (first, *rest)
                name_place(error, self, args, kwargs)
                raise

    # --- parts --------------------------------------------------------------------------------

    def _check_new(self, kind: str, name: str, parts: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind}: name: expected a string, got {type(name).__name__}")
        if name == "" or "." in name:
            raise KeyError(f"{kind}: name: expected no dot and at least one letter, got {name!r}")
        if name not in parts and hasattr(self, name):
            raise KeyError(f"{kind}: {type(self).__name__} has an attribute {name!r} already")

    def _put(self, kind: str, name: str, value: Any) -> None:
        """Makes `value` the part `name`, in place of whatever had the name."""
        if "_modules" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        if name not in getattr(self, kind):
            self._forget(name)
        getattr(self, kind)[name] = value
        object.__setattr__(self, name, value)

    def _forget(self, name: str) -> None:
        for parts in (self._parameters, self._buffers, self._modules):
            parts.pop(name, None)
        self._transient.discard(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._put("_parameters", name, value)
            return
        if isinstance(value, Module):
            self._put("_modules", name, value)
            return
        for kind, expected in _KINDS.items():
            if name not in self.__dict__.get(kind, ()):
                continue
            if value is not None and not (expected is Tensor and isinstance(value, Tensor)):
                hint = "; wrap it in nn.Parameter" if expected is Parameter else ""
                raise TypeError(
                    f"{type(self).__name__}.{name}: expected a {expected.__name__} or None, got "
                    f"{type(value).__name__}{hint}"
                )
            getattr(self, kind)[name] = value
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Makes `param` the parameter `name`; None keeps the name without one."""
        self._check_new("register_parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter: {name}: expected a Parameter or None, got "
                f"{type(param).__name__}"
            )
        self._put("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Makes `tensor` part of the module's state without being a parameter.

        `persistent=False` keeps it out of the state dict.
        """
        self._check_new("register_buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: {name}: expected a Tensor or None, got {type(tensor).__name__}"
            )
        self._put("_buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Makes `module` the submodule `name`."""
        self._check_new("add_module", name, self._modules)
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"add_module: {name}: expected a Module or None, got {type(module).__name__}"
            )
        self._put("_modules", name, module)

    register_module = add_module

    # --- walking ------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of every direct submodule, each once."""
        seen: set[int] = set()
        for name, child in self._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """Every direct submodule."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module, under the empty path, and all below it."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in owners:
            for name, tensor in getattr(module, kind).items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and, with `recurse`, all below it."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) of this module and, with `recurse`, all below it."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.3"; AttributeError where there is none."""
        module: Module = self
        for name in target.split(".") if target else []:
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r}")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "features.3.weight"; AttributeError without one."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = owner._parameters.get(name)
        if found is None:
            raise AttributeError(f"{type(owner).__name__} has no parameter {name!r}")
        return found

    # --- state --------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Every parameter and persistent buffer by path, sharing memory with the module.

        `keep_vars` gives the parameters themselves instead of detached tensors.
        """
        return _state.state_dict(self, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> _state.IncompatibleKeys:
        """Copies values into parameters and buffers, into their own memory order and dtype.

        Nothing is written unless all of it fits. Raises ValueError that lists every key missing or
        unexpected (unless `strict` is False) and every shape that differs.
        """
        return _state.load_state_dict(self, state_dict, strict)

    # --- changing all -------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Sets training (dropout, batch statistics) or, with False, evaluation."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode: expected a bool, got {mode!r}")
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Self:
        """Sets evaluation: train(False)."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Calls fn(module) on every submodule, children first, and on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Sets whether the parameters get gradients."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the parameters' gradients, or fills them with zeros."""
        for p in self.parameters():
            if set_to_none:
                p._grad = None
            elif p._grad is not None:
                p._grad.zero_()

    def to(self, target: Any) -> Self:
        """Converts floating parameters, their gradients and buffers, in place, to a dtype.

        To a device, such as "cuda" or "cpu", all of them go. Make the optimizer afterwards.
        """
        if isinstance(target, Tensor):
            self.to(target.device)
            target = target.dtype
        if is_device(target):
            tensors = self._all_tensors()
            arrays = [placed("to", t._array, target) for t in tensors]  # all of them, or none
            for t, array in zip(tensors, arrays, strict=True):
                t._array = array
                t._touch()
            return self
        dtype = as_dtype(target)
        if dtype.kind != "f":
            raise TypeError(f"to: expected a floating-point dtype, got {dtype}")
        for t in self._all_tensors():
            if t.dtype.kind == "f" and t.dtype != dtype:
                t._array = t._array.astype(dtype)  # keeps the memory order
                t._touch()
        return self

    def _all_tensors(self) -> list[Tensor]:
        """Parameters, buffers and gradients."""
        tensors: list[Tensor] = [*self.parameters(), *self.buffers()]
        return tensors + [p._grad for p in self.parameters() if p._grad is not None]

    def float(self) -> Self:
        """Converts to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Converts to float64."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """Takes all tensors to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Takes all tensors to a GPU, the current one if none is named."""
        return self.to("cuda" if device is None else device)

    # --- hooks --------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args) before forward; what it returns, if not None, replaces args.

        With `with_kwargs`: hook(module, args, kwargs), which may return (args, kwargs).
        """
        return RemovableHandle.register(self, "_forward_pre_hooks", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args, output) after forward; what it returns, if not None, replaces
        the output.

        With `with_kwargs`: hook(module, args, kwargs, output).
        """
        return RemovableHandle.register(self, "_forward_hooks", hook, prepend, with_kwargs)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_input, grad_output) when backward has passed through the module.

        Both are tuples: a gradient, or None, for each positional argument and each result. What it
        returns, if not None, replaces grad_input.
        """
        return RemovableHandle.register(self, "_backward_hooks", hook, prepend, False)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_output) before backward passes through the module.

        What it returns, if not None, replaces grad_output.
        """
        return RemovableHandle.register(self, "_backward_pre_hooks", hook, prepend, False)

    def summary(self, *inputs: Any, dtype: Any = None) -> Summary:
        """A table of layers, shapes, parameters and costs: `striate.nn.summary`."""
        from striate.nn.summary import summary

        return summary(self, *inputs, dtype=dtype)

    # --- printing, copying --------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in parentheses behind the class in repr()."""
        return ""

    def __repr__(self) -> str:
        own = self.extra_repr()
        lines = own.split("\n") if own else []
        children = []
        for name, child in self._modules.items():
            children.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        body = "\n  ".join(lines + children)
        name = type(self).__name__
        if not children and len(lines) < 2:
            return f"{name}({body})"
        return f"{name}(\n  {body}\n)"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "modules are not pickled, because reading a pickle runs code; save the state_dict() "
            "with striate.save, and load it with striate.load"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name, value in self.__dict__.items():
            object.__setattr__(new, name, copy.deepcopy(value, memo))
        return new


_KINDS: dict[str, type] = {"_parameters": Parameter, "_buffers": Tensor, "_modules": Module}

if not TYPE_CHECKING:
    outer_calls_run(Module.__call__.__code__)

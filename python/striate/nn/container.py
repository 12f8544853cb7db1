# SPDX-License-Identifier: Apache-2.0
"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import index as as_int
from typing import Any, Self, cast, overload

from striate.autograd import is_grad_enabled
from striate.explain import explained
from striate.nn.activation import Activation
from striate.nn.conv import Conv1d, Conv2d, Conv3d
from striate.nn.linear import Linear
from striate.nn.module import Module

__all__ = [
    "ModuleDict",
    "ModuleList",
    "Sequential",
]

_FUSING = (Linear, Conv1d, Conv2d, Conv3d)


def _fused(layer: Module, follower: Module, input: Any) -> str | None:
    """The epilogue's name where `follower` may be computed in the epilogue of `layer`.

    Hooks on either would see other tensors. An activation whose gradient needs its input can't be
    fused where a gradient is recorded, because the input never exists.
    """
    if type(layer) not in _FUSING or not isinstance(follower, Activation):
        return None
    if layer._hooked or follower._hooked or not type(follower).__module__.startswith("striate.nn."):
        return None
    if follower.needs_input and is_grad_enabled():
        tensors = (input, *layer._parameters.values())
        if any(t is not None and t.requires_grad for t in tensors):
            return None
    return follower.fused_name


class _Numbered(Module):
    """Submodules in order, named by their number."""

    def _index(self, index: Any) -> str:
        try:
            i = as_int(index)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}: index: expected an integer or a slice, got "
                f"{type(index).__name__}"
            ) from None
        n = len(self._modules)
        if not -n <= i < n:
            raise IndexError(f"{type(self).__name__}: index {i} is out of range: {n} modules")
        return list(self._modules)[i]

    def _renumber(self, modules: Iterable[Module]) -> None:
        held = list(modules)
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(held):
            self.add_module(str(i), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(cast(ValuesView[Module], self._modules.values()))

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._index(index), module)

    def append(self, module: Module) -> Self:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Puts a module before the one at `index`; those behind it move up."""
        if not isinstance(module, Module):
            raise TypeError(f"insert: module: expected a Module, got {type(module).__name__}")
        held = list(self)
        held.insert(index, module)
        self._renumber(held)
        return self

    def pop(self, index: int = -1) -> Module:
        """Takes a module out; those behind it move down."""
        module = cast(Module, self._modules[self._index(index)])
        del self[index]
        return module

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [self._index(index)]:
            delattr(self, name)
        if all(name.isdecimal() for name in names):
            self._renumber(self)


class Sequential(_Numbered):
    """Modules called one after the other, each on the result of the one before.

    `Sequential(a, b)` names them "0", "1"; `Sequential(OrderedDict(first=a, second=b))` by key. An
    activation directly behind Linear or a convolution is computed in that layer's epilogue, with
    the same result, unless one of the two has a hook.
    """

    @overload
    def __init__(self, *args: Module) -> None: ...
    @overload
    def __init__(self, arg: Mapping[str, Module], /) -> None: ...
    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            named = list(args[0].items())
        else:
            named = [(str(i), module) for i, module in enumerate(args)]
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(
                    f"Sequential: {name}: expected a Module, got {type(module).__name__}"
                )
            self.add_module(name, module)

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self, index: Any) -> Module:
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))  # type: ignore[arg-type]
        return cast(Module, self._modules[self._index(index)])

    def forward(self, input: Any) -> Any:
        layers = list(self)
        last = len(layers) - 1
        i = 0
        while i <= last:
            layer = layers[i]
            name = _fused(layer, layers[i + 1], input) if i < last else None
            if name is None:
                input = layer(input)
                i += 1
            else:
                follower = cast(Activation, layers[i + 1])
                input = layer(input, activation=name, activation_parameter=follower.fused_parameter)
                i += 2
        return input


class ModuleList(_Numbered):
    """A list of modules, without a forward of its own."""

    @explained
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self, index: Any) -> Module:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return cast(Module, self._modules[self._index(index)])


class ModuleDict(Module):
    """Modules by name, without a forward of its own."""

    @explained
    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return cast(Module, self._modules[key])

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._modules:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return cast(ValuesView[Module], self._modules.values())

    def items(self) -> ItemsView[str, Module]:
        """(name, module) pairs."""
        return cast(ItemsView[str, Module], self._modules.items())

    def pop(self, key: str) -> Module:
        """Takes a module out."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Takes all out."""
        for key in list(self._modules):
            del self[key]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds modules from a dict or from pairs."""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        for key, module in pairs:
            self[key] = module

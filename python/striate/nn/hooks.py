# SPDX-License-Identifier: Apache-2.0
"""Hooks of modules. Those on gradients are in backward_hooks.py."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.nn.module import Module

_numbers = count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook off, as leaving `with` does."""

    def __init__(self, module: Module, kind: str) -> None:
        self._module = module
        self._kind = kind
        self._number = next(_numbers)

    @classmethod
    def register(
        cls,
        module: Module,
        kind: str,
        hook: Callable[..., Any],
        prepend: bool,
        with_kwargs: bool,
    ) -> RemovableHandle:
        """Puts `hook` on `module`, behind the ones there or before them."""
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {type(hook).__name__}")
        handle = cls(module, kind)
        hooks = getattr(module, kind)
        later = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[handle._number] = (hook, with_kwargs)
        hooks.update(later)
        object.__setattr__(module, "_hooked", True)
        return handle

    def remove(self) -> None:
        """Takes the hook off. Doing so twice is harmless."""
        module = self._module
        getattr(module, self._kind).pop(self._number, None)
        hooked = any(
            (
                module._forward_hooks,
                module._forward_pre_hooks,
                module._backward_hooks,
                module._backward_pre_hooks,
            )
        )
        object.__setattr__(module, "_hooked", hooked)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def _before(module: Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    for hook, with_kwargs in list(module._forward_pre_hooks.values()):
        changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if changed is None:
            continue
        if not with_kwargs:
            args = changed if isinstance(changed, tuple) else (changed,)
        elif isinstance(changed, tuple) and len(changed) == 2:
            args, kwargs = changed
        else:
            raise TypeError(
                f"forward pre-hook: expected None or (args, kwargs), got {type(changed).__name__}"
            )
    return args, kwargs


def call_with_hooks(module: Module, args: Any, kwargs: Any) -> Any:
    """module.forward(*args, **kwargs) between its hooks."""
    args, kwargs = _before(module, args, kwargs)
    if module._backward_hooks or module._backward_pre_hooks:
        from striate.nn.backward_hooks import call_between

        output = call_between(module, module.forward, args, kwargs)
    else:
        output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(module._forward_hooks.values()):
        given = (module, args, kwargs, output) if with_kwargs else (module, args, output)
        changed = hook(*given)
        if changed is not None:
            output = changed
    return output

# SPDX-License-Identifier: Apache-2.0
"""Watching every operation: what the profiler and the search for NaN have in common.

While nobody watches, this costs nothing, because it is not there: the first observer puts other
methods in the place of those through which every operation, module and optimizer step goes, and the
last one to leave puts the old ones back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from striate.autograd.tape import Node, heeded

if TYPE_CHECKING:
    from striate.nn.module import Module
    from striate.ops.record import Op
    from striate.optim.optimizer import Optimizer
    from striate.tensor import Tensor

Run = Callable[[], Any]


class Observer:
    """Base class: each method is called in place of something, and returns run()."""

    def forward(self, run: Run, op: Any, inputs: tuple[Any, ...], parameters: Any) -> Any:
        """An operation. `inputs` are its tensors; the result is a tensor or a tuple of them."""
        return run()

    def gradient(self, run: Run, node: Node, grads: tuple[Any, ...]) -> Any:
        """An operation's gradient: arrays in (None where nothing arrived), arrays out."""
        return run()

    def backward(self, run: Run) -> Any:
        """A whole backward pass."""
        return run()

    def module(self, run: Run, module: Module) -> Any:
        """A module's call."""
        return run()

    def step(self, run: Run, optimizer: Optimizer) -> Any:
        """An optimizer's step."""
        return run()


def around(observers: Iterable[Observer], method: str, run: Run, *about: Any) -> Run:
    """`run` within the observers' method of this name, the first one innermost."""
    for observer in observers:
        run = _within(getattr(observer, method), run, about)
    return run


def _within(watch: Callable[..., Any], run: Run, about: tuple[Any, ...]) -> Run:
    return lambda: watch(run, *about)


_lock = threading.Lock()
_observers: tuple[Observer, ...] = ()
_saved: list[tuple[Any, str, Any]] = []  # (class, method, what it was)


def observed(op: Any, inputs: tuple[Any, ...], run: Run) -> Any:
    """run() as the forward of an operation that is no `Op`."""
    return around(_observers, "forward", run, op, inputs, {})() if _observers else run()


def watching() -> bool:
    """Whether anybody watches."""
    return bool(_observers)


def install(observer: Observer) -> None:
    """Lets `observer` watch, on all threads, from now on."""
    global _observers
    with _lock:
        if not _observers:
            _put_in_place()
        _observers = (*_observers, observer)
        heeded[observer] = observer


def remove(observer: Observer) -> None:
    """Ends the watch. Calls that are under way are seen to their end."""
    global _observers
    with _lock:
        _observers = tuple(o for o in _observers if o is not observer)
        heeded.pop(observer, None)
        if not _observers:
            _put_back()


def _put_in_place() -> None:
    from striate.nn.module import Module
    from striate.ops import arithmetic
    from striate.ops.record import Op
    from striate.optim.optimizer import Optimizer
    from striate.tensor import Tensor

    def swap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        old = owner.__dict__[name]
        _saved.append((owner, name, old))
        setattr(owner, name, make(old))

    swap(Op, "__call__", _observed_call)
    swap(Op, "of_one", _observed_positional)
    swap(Op, "of_two", _observed_positional)
    swap(Module, "__call__", _observed_module)
    swap(Optimizer, "step", _observed_step)
    swap(Tensor, "backward", _observed_backward)
    arithmetic.use_kernels_directly(False)


def _put_back() -> None:
    from striate.ops import arithmetic

    while _saved:
        owner, name, old = _saved.pop()
        setattr(owner, name, old)
    arithmetic.use_kernels_directly(True)


def _observed_call(old: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Op, *inputs: Any, **parameters: Any) -> Any:
        run = around(
            _observers,
            "forward",
            lambda: old(self, *inputs, **parameters),
            self,
            inputs,
            parameters,
        )
        return run()

    return call


def _observed_positional(old: Callable[..., Any]) -> Callable[..., Any]:
    """of_one and of_two: tensors first, then parameters."""

    def call(self: Op, *args: Any) -> Any:
        tensors = tuple(x for x in args if hasattr(x, "_array"))
        others = {str(i): x for i, x in enumerate(args) if not hasattr(x, "_array")}
        return around(_observers, "forward", lambda: old(self, *args), self, tensors, others)()

    return call


def _observed_module(old: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Module, *args: Any, **kwargs: Any) -> Any:
        return around(_observers, "module", lambda: old(self, *args, **kwargs), self)()

    return call


def _observed_step(old: Callable[..., Any]) -> Callable[..., Any]:
    def step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        return around(_observers, "step", lambda: old(self, *args, **kwargs), self)()

    return step


def _observed_backward(old: Callable[..., Any]) -> Callable[..., Any]:
    def backward(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return around(_observers, "backward", lambda: old(self, *args, **kwargs))()

    return backward


class ModuleStack(threading.local):
    """The modules that this thread is inside, outermost first, and the path to the innermost."""

    def __init__(self) -> None:
        self.modules: list[Any] = []
        self.names: dict[int, str] = {}  # paths below the outermost, by module

    def enter(self, module: Module) -> None:
        if not self.modules:
            self.names = {id(m): path for path, m in module.named_modules()}
        self.modules.append(module)

    def leave(self) -> None:
        self.modules.pop()

    def path(self) -> str:
        """Like "features.3 (Conv2d)"; the outermost module is its class alone."""
        return self.path_of(self.modules[-1]) if self.modules else ""

    def path_of(self, module: Module) -> str:
        kind = type(module).__name__
        name = self.names.get(id(module), "")
        return f"{name} ({kind})" if name else kind

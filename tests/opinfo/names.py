# SPDX-License-Identifier: Apache-2.0
"""striate's functions for an operation of torch's, found by name."""

from collections.abc import Callable
from typing import Any

import striate
import torch
from striate import Tensor

# Where the database calls an operation with its arguments in an order of its own.
ORDERED: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "einsum": lambda f: lambda tensors, equation: f(equation, *tensors),
    "where": lambda f: lambda self, condition, other, **k: f(condition, self, other, **k),
    "polygamma": lambda f: lambda x, n, **k: f(n, x, **k),
    "special.polygamma": lambda f: lambda x, n, **k: f(n, x, **k),
    "nn.functional.embedding": lambda f: lambda weight, at, **k: f(at, weight, **k),
    "nn.functional.embedding_bag": lambda f: lambda weight, at, **k: f(at, weight, **k),
}
# Methods that the database calls on a copy.
COPIED = {"resize_", "resize_as_", "zero_"}
# Operations that torch has only as methods, under another name than the database's.
METHOD = {
    "cauchy": "cauchy_",
    "exponential": "exponential_",
    "geometric": "geometric_",
    "log_normal": "log_normal_",
    "uniform": "uniform_",
}


def _dotted(name: str) -> Any:
    """striate's function of that path, if torch has one there too: unfold is a method alone."""
    found: Any = striate
    theirs: Any = torch
    for part in name.split("."):
        found, theirs = getattr(found, part, None), getattr(theirs, part, None)
    return found if callable(found) and theirs is not None else None


def _method(name: str, test_name: str) -> Any:
    """The function behind a method or property of Tensor."""
    name = METHOD.get(name, name)
    if name == "normal" and test_name == "in_place":
        name = "normal_"
    if name.startswith("__") and name in vars(object):
        return None
    found = getattr(Tensor, name, None)
    if isinstance(found, property):
        return found.fget
    if name in COPIED and found is not None:
        return lambda x, *a, **k: found(x.clone(), *a, **k)
    return found


def variants(info: Any) -> dict[str, Callable[..., Any]]:
    """The ways in which striate offers the operation: "function", "method", "in place", aliases.

    Empty where it has none. A method that is the function itself is not listed again.
    """
    name = info.name
    found: dict[str, Callable[..., Any]] = {}
    function = None if name in COPIED else _dotted(name)
    if function is not None:
        found["function"] = ORDERED.get(name, lambda f: f)(function)
    if info.method_variant is not None or not found:
        method = _method(name, info.variant_test_name)
        if method is not None and method is not function:
            found["method"] = method
    in_place = getattr(info.inplace_variant, "__name__", None)
    if in_place is not None and in_place != "<lambda>" and in_place not in COPIED:
        writes = getattr(Tensor, in_place, None)
        if writes is not None:
            found["in place"] = writes
    for alias in info.aliases:
        other = _dotted(alias.name)
        if other is not None and other is not function:
            found[f"alias {alias.name}"] = ORDERED.get(name, lambda f: f)(other)
    return found

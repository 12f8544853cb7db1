# SPDX-License-Identifier: Apache-2.0
"""Errors that name the function and the argument.

A function that works on what it is given raises, deep inside, about something that the caller never
wrote. `explained` looks at such an error again, outside: the first argument that is not of the kind
that the signature asks for is what the caller is told of. Where nothing fails it costs one call.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from striate.device import of_gpu

Function = TypeVar("Function", bound=Callable[..., Any])

# "linear: …", "bitwise &: …": a message that names its function.
_NAMED = re.compile(r"[\w.~]+( [^\s:()]+)?: ")
CAUGHT = (
    TypeError,
    AttributeError,
    ValueError,
    OverflowError,
    KeyError,
    IndexError,
    RuntimeError,
)
_TOO_LARGE = "Unable to cast"  # a binding's RuntimeError: the number does not fit a C++ integer


def _is_tensor(value: Any) -> bool:
    from striate.tensor import Tensor

    return isinstance(value, Tensor)


def _is_number(value: Any) -> bool:
    if isinstance(value, (int, float, np.number, np.bool_)) and not np.iscomplexobj(value):
        return True
    return getattr(value, "shape", None) == () and not isinstance(value, np.generic)


def _is_integer(value: Any) -> bool:
    if isinstance(value, (int, np.integer)):
        return bool(-(2**63) <= value < 2**63)
    return getattr(value, "shape", None) == () and value.dtype.kind in "iu"


def _is_sequence(value: Any) -> bool:
    listed = isinstance(value, (list, tuple)) or _iterates(value)
    return listed and (not isinstance(value, (list, tuple)) or all(map(_is_tensor, value)))


def _iterates(value: Any) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")


# annotation: what is asked for, and whether a value is that.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Tensor": ("a Tensor", _is_tensor),
    "int": ("an integer of 64 bits", _is_integer),
    "float": ("a number", _is_number),
    "bool": ("True or False", lambda v: isinstance(v, (int, np.bool_))),
    "str": ("a string", lambda v: isinstance(v, str)),
    "Array": ("a NumPy array", lambda v: isinstance(v, np.ndarray)),
    "Sequence[Tensor]": ("a list of tensors", _is_sequence),
    "Iterable[Tensor]": ("tensors", _is_sequence),
    "Sequence[int]": ("a list of integers", _iterates),
    "Path": ("a path", lambda v: isinstance(v, (str, bytes, os.PathLike))),
}


def _shown(value: Any) -> str:
    """A value in few words: numbers and short strings as they are, the rest by its type."""
    if value is None or isinstance(value, (bool, int, float, complex)):
        return repr(value)
    return repr(value) if isinstance(value, str) and len(value) < 40 else type(value).__name__


def _wrong(parameter: inspect.Parameter, value: Any) -> str | None:
    """What the annotation asks for, if `value` is none of it."""
    kinds = [k.strip() for k in str(parameter.annotation).split("|")]
    if not all(k in _KINDS or k == "None" for k in kinds):
        return None
    if (value is None and "None" in kinds) or any(
        _KINDS[k][1](value) for k in kinds if k != "None"
    ):
        return None
    return " or ".join(_KINDS[k][0] if k in _KINDS else k for k in kinds)


def explain(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    parameters: dict[str, Any],
    error: Exception,
) -> Exception:
    """The error to raise instead of `error`, or itself where it says enough."""
    text = str(error).split("\n")[0]
    if isinstance(error, RuntimeError) and not text.startswith(_TOO_LARGE):
        return error
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*arguments, **parameters).arguments
    except TypeError:  # too many arguments, or too few: Python's own words are the clearest
        return error
    name = function.__name__
    if name == "__init__":
        name = function.__qualname__.split(".")[-2]
    named = _NAMED.match(text) and not isinstance(error, (KeyError, AttributeError))
    if named and text.startswith(f"{name}: "):
        return error
    for argument, value in bound.items():
        parameter = signature.parameters[argument]
        starred = parameter.kind is parameter.VAR_POSITIONAL
        for each in value if starred else (value,):
            expected = _wrong(parameter, each)
            if expected:
                return TypeError(f"{name}: {argument}: expected {expected}, got {_shown(each)}")
    if named:
        return error
    told = of_gpu(name, error)
    if told is not error:
        return told
    if isinstance(error, IndexError):
        return IndexError(f"{name}: {text}")
    kind = TypeError if isinstance(error, (TypeError, AttributeError)) else ValueError
    return kind(f"{name}: {text}")


def explained(function: Function) -> Function:
    """Decorator: what `function` raises names it, and the argument that is of the wrong kind."""

    @wraps(function)
    def call(*arguments: Any, **parameters: Any) -> Any:
        try:
            return function(*arguments, **parameters)
        except CAUGHT as error:
            told = explain(function, arguments, parameters, error)
            if told is error:
                raise
            raise told from error

    return call  # type: ignore[return-value]

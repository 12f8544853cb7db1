# SPDX-License-Identifier: Apache-2.0
"""The search for the first NaN or infinity: `detect_anomaly`."""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.autograd import observe
from striate.autograd.tape import Node
from striate.device import placed

if TYPE_CHECKING:
    from striate.nn.module import Module

_PACKAGE = str(Path(__file__).parent.parent)
_FRAMES = 12  # of the user's own code, innermost last


def _arrays(values: Any) -> list[Any]:
    """The floating arrays among tensors, arrays and None."""
    values = values if isinstance(values, (tuple, list)) else (values,)
    arrays = [getattr(v, "_array", v) for v in values]
    return [a for a in arrays if hasattr(a, "strides") and a.dtype.kind == "f"]


def _holds(arrays: list[Any], what: str) -> bool:
    """Whether any holds a "NaN", or an "inf"."""
    test = np.isnan if what == "NaN" else np.isinf
    return any(bool(test(a).any()) for a in arrays)


def _where(array: Any, what: str) -> str:
    test = np.isnan if what == "NaN" else np.isinf
    found = placed("detect_anomaly", np.argwhere(test(array)), "cpu")
    place = f" first at index {tuple(int(i) for i in found[0])}," if array.ndim else ""
    return f"{len(found)} of {array.size} elements,{place} shape {array.shape}"


def _stack() -> traceback.StackSummary:
    """Where the program is, outside the library."""
    frames = traceback.walk_stack(sys._getframe(1))
    own = ((f, line) for f, line in frames if not f.f_code.co_filename.startswith(_PACKAGE))
    summary = traceback.StackSummary.extract(own, limit=_FRAMES, lookup_lines=False)
    summary.reverse()
    return summary


class _Origin:
    """Where an operation was called in the forward pass."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.stack = _stack()

    def __str__(self) -> str:
        where = f" in module {self.place}" if self.place else ""
        return f"{where}; it was called here:\n" + "".join(self.stack.format()).rstrip()


class _Search(observe.Observer):
    """Looks at what every operation and every gradient makes of finite operands."""

    def __init__(self, check_nan: bool, check_inf: bool) -> None:
        self.kinds = [k for k, on in (("NaN", check_nan), ("inf", check_inf)) if on]
        self.modules = observe.ModuleStack()

    def module(self, run: observe.Run, module: Module) -> Any:
        self.modules.enter(module)
        try:
            return run()
        finally:
            self.modules.leave()

    def forward(self, run: observe.Run, op: Any, inputs: tuple[Any, ...], parameters: Any) -> Any:
        # Looked at before: an operation may overwrite its operands.
        fine = [k for k in self.kinds if not self._explained(k, _arrays(inputs), parameters)]
        result = run()
        for kind in fine:
            for array in _arrays(result):
                if _holds([array], kind):
                    error = RuntimeError(
                        f"detect_anomaly: {op.name} made {kind} of operands without "
                        f"({_where(array, kind)}){_Origin(self.modules.path())}"
                    )
                    error._striate_place = "named"  # type: ignore[attr-defined]
                    raise error
        self._note(result)
        return result

    def _explained(self, kind: str, operands: list[Any], parameters: Any) -> bool:
        """Whether what came in already says why this kind comes out."""
        if _holds(operands, kind):
            return True
        # An operation asked for it (masked_fill with -inf), or passes it through by its nature.
        numbers = [v for v in dict(parameters).values() if isinstance(v, (float, np.floating))]
        return any(np.isinf(v) if kind == "inf" else np.isnan(v) for v in numbers)

    def _note(self, result: Any) -> None:
        first = result[0] if isinstance(result, tuple) else result
        nodes = [t._node for t in (result if isinstance(result, tuple) else (first,)) if t._node]
        if nodes:
            nodes[0].__dict__["origin"] = _Origin(self.modules.path())

    def gradient(self, run: observe.Run, node: Node, grads: tuple[Any, ...]) -> Any:
        fine = [k for k in self.kinds if not _holds(_arrays(grads), k)]
        results = run()
        for kind in fine:
            for i, array in enumerate(results if isinstance(results, tuple) else (results,)):
                if hasattr(array, "strides") and array.dtype.kind == "f":
                    self._refuse(node, kind, i, array)
        return results

    def _refuse(self, node: Node, kind: str, i: int, array: Any) -> None:
        if not node.needs[i] or not _holds([array], kind):
            return
        origin = node.__dict__.get(
            "origin", "; it was called outside detect_anomaly, so there is no trace of where"
        )
        raise RuntimeError(
            f"detect_anomaly: backward: the gradient of {node.op.name} for operand {i} is {kind} "
            f"({_where(array, kind)}), though the gradient that arrived was without{origin}"
        )


_lock = threading.Lock()
_searches: list[_Search] = []


class detect_anomaly:
    """Inside `with detect_anomaly():` the first operation that makes a NaN or an infinity raises.

    The RuntimeError names the module by its path and the operation. In backward it shows where in
    the program the operation was called whose gradient is at fault: run the forward pass inside as
    well, or that is not known. Every result is looked at, and every operation remembers its place,
    so programs run several times slower; outside nothing is slower.

    An operation whose operands already hold a NaN (an infinity) is not accused, nor one that was
    given the number as a parameter. `check_nan=False` or `check_inf=False` leaves one kind alone.

        >>> import striate
        >>> x = striate.tensor([1.0, 0.0])
        >>> with striate.autograd.detect_anomaly():  # doctest: +ELLIPSIS
        ...     x.log()
        Traceback (most recent call last):
        ...
        RuntimeError: detect_anomaly: log made inf of operands without (1 of 2 elements...
    """

    def __init__(self, check_nan: bool = True, check_inf: bool = True) -> None:
        for name, value in (("check_nan", check_nan), ("check_inf", check_inf)):
            if not isinstance(value, bool):
                raise TypeError(f"detect_anomaly: {name}: expected a bool, got {value!r}")
        self._arguments = check_nan, check_inf
        self._entered: list[_Search] = []

    def __enter__(self) -> None:
        self._entered.append(_begin(*self._arguments))

    def __exit__(self, *exc: object) -> None:
        _end(self._entered.pop())


def _begin(check_nan: bool, check_inf: bool) -> _Search:
    search = _Search(check_nan, check_inf)
    with _lock:
        _searches.append(search)
    observe.install(search)
    return search


def _end(search: _Search) -> None:
    with _lock:
        _searches.remove(search)
    observe.remove(search)


_switched_on: list[_Search] = []


def set_detect_anomaly(mode: bool, check_nan: bool = True, check_inf: bool = True) -> None:
    """Switches `detect_anomaly` on or off until further notice."""
    if not isinstance(mode, bool):
        raise TypeError(f"set_detect_anomaly: mode: expected a bool, got {mode!r}")
    while _switched_on:
        _end(_switched_on.pop())
    if mode:
        _switched_on.append(_begin(check_nan, check_inf))


def is_anomaly_enabled() -> bool:
    """Whether somebody looks for anomalies, on any thread."""
    return bool(_searches)

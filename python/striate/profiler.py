# SPDX-License-Identifier: Apache-2.0
"""Where the time goes: every operation forward and backward, every module, every optimizer step.

    with striate.profiler.profile() as prof:
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
    print(prof.table())
    prof.export_chrome_trace("trace.json")  # for chrome://tracing or ui.perfetto.dev

Off, it costs nothing: the first profile puts other methods in place of those through which all
operations go (autograd/observe.py), and takes them away at its end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate import _C
from striate.autograd import observe
from striate.autograd.tape import Node

if TYPE_CHECKING:
    from striate.nn.module import Module
    from striate.optim.optimizer import Optimizer

__all__ = ["Event", "Row", "profile", "record_function"]

_clock = time.perf_counter_ns


@dataclass(frozen=True)
class Event:
    """One span of time on one thread. Times are in nanoseconds."""

    name: str
    kind: str  # "forward", "backward", "module", "step", "sweep" or "range"
    module: str  # path and class of the module that the call was inside
    start: int  # since the profile began
    duration: int
    own: int  # without the spans inside
    own_module: int  # modules: without the modules inside
    thread: int
    shapes: tuple[tuple[int, ...], ...] | None  # of the operands
    memory: int | None  # bytes by which the pool in use grew


@dataclass
class Row:
    """A line of the table: the events that share a name. Times are in seconds."""

    name: str
    calls: int = 0
    self_time: float = 0.0  # without the spans inside
    total: float = 0.0
    memory: int = 0
    shapes: tuple[tuple[int, ...], ...] | None = None
    backward: float = 0.0  # of a module's operations

    @property
    def average(self) -> float:
        """The total by the number of calls."""
        return self.total / self.calls if self.calls else 0.0


class _Open:
    """A span that has begun, and how much of it lay in spans inside."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.start = self.memory = 0
        self.inside = 0
        self.inside_modules = 0


class _Local(threading.local):
    def __init__(self) -> None:
        self.open: list[_Open] = []


_active: profile | None = None
_lock = threading.Lock()


class profile(observe.Observer):
    """Records what runs inside `with profile() as prof:`, on all threads.

    `record_shapes` keeps the operands' shapes, `profile_memory` the growth of the memory pool (
    results of 4 KiB and more lie in it). Of long programs the first `max_events` events are kept;
    `dropped` counts the rest. One profile at a time: a second one raises RuntimeError.

    Each recorded call takes a few microseconds more, which show in the total of what is around it,
    not in its own time.
    """

    def __init__(
        self,
        record_shapes: bool = False,
        profile_memory: bool = False,
        max_events: int = 1_000_000,
    ) -> None:
        for name, value in (("record_shapes", record_shapes), ("profile_memory", profile_memory)):
            if not isinstance(value, bool):
                raise TypeError(f"profile: {name}: expected a bool, got {value!r}")
        if isinstance(max_events, bool) or not isinstance(max_events, int) or max_events < 1:
            raise ValueError(
                f"profile: max_events: expected an integer of 1 or more, got {max_events!r}"
            )
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.max_events = max_events
        self.events: list[Event] = []
        self.dropped = 0
        self.seconds = 0.0
        self._threads: dict[int, str] = {}
        self._modules = observe.ModuleStack()
        self._local = _Local()
        self._begin = 0

    def __enter__(self) -> profile:
        global _active
        with _lock:
            if _active is not None:
                raise RuntimeError("profile: another profile is on; profiles do not nest")
            if self._begin:
                raise RuntimeError("profile: this one was used already; make another one")
            _active = self
        self._begin = _clock()
        observe.install(self)
        return self

    def __exit__(self, *exc: object) -> None:
        global _active
        observe.remove(self)
        self.seconds = (_clock() - self._begin) * 1e-9
        with _lock:
            _active = None

    # --- what is observed ---------------------------------------------------------------------

    def forward(self, run: observe.Run, op: Any, inputs: tuple[Any, ...], parameters: Any) -> Any:
        place = self._modules.path()
        result = self._span(op.name, "forward", place, run, self._shapes(inputs))
        for t in result if isinstance(result, tuple) else (result,):
            if t._node is not None:
                t._node.__dict__["place"] = place  # for its gradient
                break
        return result

    def gradient(self, run: observe.Run, node: Node, grads: tuple[Any, ...]) -> Any:
        place = node.__dict__.get("place", "")
        return self._span(node.op.name, "backward", place, run, self._shapes(grads))

    def backward(self, run: observe.Run) -> Any:
        return self._span("backward", "sweep", self._modules.path(), run, None)

    def module(self, run: observe.Run, module: Module) -> Any:
        self._modules.enter(module)
        try:
            return self._span(self._modules.path(), "module", self._modules.path(), run, None)
        finally:
            self._modules.leave()

    def step(self, run: observe.Run, optimizer: Optimizer) -> Any:
        return self._span(f"{type(optimizer).__name__}.step", "step", "", run, None)

    def _shapes(self, tensors: tuple[Any, ...]) -> Any:
        if not self.record_shapes:
            return None
        return tuple(tuple(t.shape) for t in tensors if t is not None)

    def _span(self, name: str, kind: str, module: str, run: observe.Run, shapes: Any) -> Any:
        """run(), noted as an event unless it raises."""
        span = self._opened(kind)
        try:
            result = run()
        except BaseException:
            self._closed(span)
            raise
        self._note(name, module, shapes, span, self._closed(span))
        return result

    def _opened(self, kind: str) -> _Open:
        span = _Open(kind)
        self._local.open.append(span)
        if self.profile_memory:
            span.memory = _C.memory_stats()["in_use"]
        span.start = _clock()
        return span

    def _closed(self, span: _Open) -> int:
        """Ends a span; its duration counts as inside of what is around it."""
        duration = _clock() - span.start
        stack = self._local.open
        stack.pop()
        if stack:
            stack[-1].inside += duration
        if span.kind == "module":
            outer = next((s for s in reversed(stack) if s.kind == "module"), None)
            if outer is not None:
                outer.inside_modules += duration
        return duration

    def _note(self, name: str, module: str, shapes: Any, span: _Open, duration: int) -> None:
        grown = _C.memory_stats()["in_use"] - span.memory if self.profile_memory else None
        if len(self.events) >= self.max_events:
            self.dropped += 1
            return
        thread = threading.get_native_id()
        if thread not in self._threads:
            self._threads[thread] = threading.current_thread().name
        own, own_module = duration - span.inside, duration - span.inside_modules
        start = span.start - self._begin
        self.events.append(
            Event(name, span.kind, module, start, duration, own, own_module, thread, shapes, grown)
        )

    # --- what came of it ----------------------------------------------------------------------

    def rows(self, by: str = "op", sort_by: str = "self_time") -> list[Row]:
        """Events gathered by "op", by "op and shape", or by "module", the largest first.

        `sort_by` is "self_time", "total", "average", "calls", "memory", "backward" or "name". A
        module's self_time is what its calls took without the modules inside them; `backward` is
        that of the operations called in it.
        """
        if by not in _BY:
            raise ValueError(f"rows: by: expected one of {', '.join(map(repr, _BY))}, got {by!r}")
        if sort_by not in _SORTS:
            choices = ", ".join(map(repr, _SORTS))
            raise ValueError(f"rows: sort_by: expected one of {choices}, got {sort_by!r}")
        if by == "op and shape" and not self.record_shapes:
            raise ValueError("rows: by: shapes are there with profile(record_shapes=True) alone")
        found = self._by_module() if by == "module" else self._by_op(by == "op and shape")
        if sort_by == "name":
            return sorted(found, key=lambda row: row.name)
        return sorted(found, key=lambda row: getattr(row, sort_by), reverse=True)

    def _by_op(self, shapes: bool) -> list[Row]:
        rows: dict[Any, Row] = {}
        for event in self.events:
            if event.kind == "module":
                continue
            name = f"{event.name} (backward)" if event.kind == "backward" else event.name
            key = (event.kind, name, event.shapes if shapes else None)
            row = rows.setdefault(key, Row(name, shapes=key[2]))
            row.calls += 1
            row.self_time += event.own * 1e-9
            row.total += event.duration * 1e-9
            row.memory += event.memory or 0
        return list(rows.values())

    def _by_module(self) -> list[Row]:
        rows: dict[str, Row] = {}
        for event in self.events:
            row = rows.setdefault(event.module, Row(event.module or "(no module)"))
            if event.kind == "backward":
                row.backward += event.own * 1e-9
            elif event.kind == "module":
                row.calls += 1
                row.self_time += event.own_module * 1e-9
                row.total += event.duration * 1e-9
                row.memory += event.memory or 0
            elif not event.module and event.kind != "sweep":
                row.calls += 1
                row.self_time += event.own * 1e-9
                row.total += event.own * 1e-9
        return list(rows.values())

    def table(
        self, sort_by: str = "self_time", by: str = "op", row_limit: int | None = None
    ) -> str:
        """The rows as text. The share is that of all self times."""
        found = self.rows(by, sort_by)
        whole = sum(row.self_time + row.backward for row in found)
        shown = found if row_limit is None else found[:row_limit]
        head = ["Module" if by == "module" else "Operation", "Calls", "Self", "Share", "Total"]
        head += ["Backward"] if by == "module" else ["Average"]
        head += ["Memory"] if self.profile_memory else []
        head += ["Shapes"] if by == "op and shape" else []
        lines = [head]
        for row in shown:
            share = (row.self_time + row.backward) / whole if whole else 0.0
            line = [row.name, f"{row.calls:,}", _time(row.self_time), f"{share:.1%}"]
            line += [_time(row.total), _time(row.backward if by == "module" else row.average)]
            line += [_bytes(row.memory)] if self.profile_memory else []
            line += [" ".join(map(str, row.shapes or ()))] if by == "op and shape" else []
            lines.append(line)
        text = _aligned(lines)
        if len(shown) < len(found):
            text += f"\n… and {len(found) - len(shown)} more"
        text += f"\n{_time(whole)} in what is listed, {_time(self.seconds)} in all"
        if self.dropped:
            text += f"; {self.dropped:,} events beyond max_events={self.max_events:,} left out"
        return text

    def export_chrome_trace(self, path: Any) -> None:
        """Writes the events as JSON in Chrome's trace format, for chrome://tracing or Perfetto."""
        pid = os.getpid()
        trace: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": "striate"}}
        ]
        for thread, name in self._threads.items():
            about = {"ph": "M", "name": "thread_name", "pid": pid, "tid": thread}
            trace.append({**about, "args": {"name": name}})
        for event in self.events:
            trace.append({**_traced(event), "pid": pid})
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": trace, "displayTimeUnit": "ms"}, file)


_BY = ("op", "op and shape", "module")
_SORTS = ("self_time", "total", "average", "calls", "memory", "backward", "name")


def _traced(event: Event) -> dict[str, Any]:
    """The event as a complete event ("X") of the trace format, in microseconds."""
    about: dict[str, Any] = {}
    if event.module and event.kind != "module":
        about["module"] = event.module
    if event.shapes is not None:
        about["shapes"] = [list(shape) for shape in event.shapes]
    if event.memory is not None:
        about["memory"] = event.memory
    return {
        "ph": "X",
        "name": f"{event.name} (backward)" if event.kind == "backward" else event.name,
        "cat": event.kind,
        "ts": event.start / 1000,
        "dur": event.duration / 1000,
        "tid": event.thread,
        "args": about,
    }


class record_function:
    """Names a part of the program in the profile: `with record_function("load"):`.

    Does nothing while no profile is on.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"record_function: name: expected a string, got {name!r}")
        self.name = name
        self._open: list[tuple[profile, _Open] | None] = []

    def __enter__(self) -> record_function:
        active = _active
        self._open.append(None if active is None else (active, active._opened("range")))
        return self

    def __exit__(self, *exc: object) -> None:
        opened = self._open.pop()
        if opened is not None:
            prof, span = opened
            prof._note(self.name, prof._modules.path(), None, span, prof._closed(span))


def _aligned(lines: list[list[str]]) -> str:
    """Names to the left, numbers to the right, shapes (the last column, if there) to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {0} | ({len(widths) - 1} if lines[0][-1] == "Shapes" else set())
    rows = [
        "  ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([rows[0], "-" * max(map(len, rows)), *rows[1:]])


def _time(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3f} {unit}"
    return f"{seconds * 1e6:.1f} us"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"

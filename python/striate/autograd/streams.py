# SPDX-License-Identifier: Apache-2.0
"""The order between the streams of a forward and that of its backward.

A backward runs on the stream that is current when it is called; CuPy's current stream is a thread's
own. Where the thread has worked on others of the GPU, two things have to be ordered:

    before   it reads what the forward has left there: it begins when they have done what they were
             given until now
    after    what it frees goes back to CuPy's pool, which gives memory out again on the stream that
             it was allocated on, at once, whoever reads it still: they go on when it is done

Both are events that streams wait for; nobody else waits. Streams are noted where work goes to a
GPU, so tensors of the CPU know nothing of this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_MOST = 16  # streams of a thread, those that it used last: they are kept alive


class _Noted(threading.local):
    def __init__(self) -> None:
        self.streams: dict[tuple[int, int], Any] = {}  # by GPU and pointer, the latest at the end
        self.latest = (-1, 0)


noted = _Noted()  # nothing, on a thread that has no work on a GPU


def note(device: int, stream: Any) -> None:
    """Work goes to this stream of CuPy's."""
    key = (device, int(stream.ptr))
    if key == noted.latest:
        return
    known = noted.streams
    known[key] = known.pop(key, stream)
    noted.latest = key
    if len(known) > _MOST:
        del known[next(iter(known))]


def _is_captured(stream: Any) -> bool:
    default = int(stream.ptr) in (0, 1)  # can't be, and asking disturbs the capture of others
    return not default and bool(stream.is_capturing())


def _wait(cuda: Any, device: int, first: Any, then: Any) -> None:
    """What comes to `then` begins when what has come to `first` is done."""
    with cuda.Device(device):
        event = cuda.Event(disable_timing=True)
        event.record(first)
        then.wait_event(event)


def ordered(backward: Callable[[], None]) -> None:
    """backward(), in its order with the other streams that this thread has worked on.

    A stream that is being captured stays alone: what it is given runs when its graph does.
    """
    from striate.cupy_arrays import cupy

    cuda = cupy().cuda
    current = {device: cuda.get_current_stream(device) for device, _ in noted.streams}
    pairs = [
        (device, stream, current[device])
        for (device, pointer), stream in noted.streams.items()
        if pointer != int(current[device].ptr)
        and not _is_captured(stream)
        and not _is_captured(current[device])
    ]
    for device, other, here in pairs:
        _wait(cuda, device, other, here)
    try:
        backward()
    finally:
        for device, other, here in pairs:
            _wait(cuda, device, here, other)

# SPDX-License-Identifier: Apache-2.0
"""Devices, streams and events of the stand-in for CuPy; the driver is told of all they do."""

import ctypes
import os
import threading
import time

driver = ctypes.CDLL(os.environ["STRIATE_LIBCUDA"])
_thread = threading.local()


class Device:
    """The current one, or the one of this number; as a context, current inside."""

    def __init__(self, device=None):
        self.id = getattr(_thread, "device", 0) if device is None else int(device)

    def __enter__(self):
        self._before = getattr(_thread, "device", 0)
        self.use()
        return self

    def __exit__(self, *exc):
        Device(self._before).use()

    attributes = {"L2CacheSize": 1 << 20}  # noqa: RUF012 (CuPy's is a property)

    def use(self):
        context = ctypes.c_void_p()
        assert self.id < int(os.environ.get("FAKE_DEVICES", "1")), "cudaErrorInvalidDevice"
        assert driver.cuInit(0) == 0
        assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 100 + self.id) == 0
        assert driver.cuCtxSetCurrent(context) == 0
        _thread.device = self.id


class Stream:
    """A queue; current inside its context. The fake driver runs everything at once."""

    def __init__(self, non_blocking=False):
        Device().use()
        pointer = ctypes.c_void_p()
        _call_driver("cuStreamCreate", ctypes.byref(pointer), int(non_blocking))
        self.ptr, self.device_id = pointer.value, Device().id

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def __enter__(self):
        assert self.device_id in (-1, Device().id), "another device's stream"
        self._before = _streams().get(Device().id)
        return self.use()

    def __exit__(self, *exc):
        _streams()[Device().id] = self._before

    def use(self):
        _streams()[Device().id] = self
        return self

    def synchronize(self):
        pass

    def wait_event(self, event):
        _call_driver("cuStreamWaitEvent", _pointer(self.ptr), _pointer(event.ptr), 0)

    def begin_capture(self, mode=2):
        _call_driver("cuStreamBeginCapture_v2", _pointer(self.ptr), mode)

    def end_capture(self):
        graph = ctypes.c_void_p()
        _call_driver("cuStreamEndCapture", _pointer(self.ptr), ctypes.byref(graph))
        return Graph(graph)

    def is_capturing(self):
        status = ctypes.c_int()
        _call_driver("cuStreamIsCapturing", _pointer(self.ptr), ctypes.byref(status))
        return status.value != 0


class ExternalStream(Stream):
    """Another library's; without a pointer, the default one."""

    def __init__(self, ptr=0, device_id=-1):
        self.ptr, self.device_id = ptr, device_id


Stream.null = ExternalStream()


class Graph:
    """What a stream was given while it was captured."""

    def __init__(self, graph):
        self._executable = ctypes.c_void_p()
        made = ctypes.byref(self._executable)
        _call_driver("cuGraphInstantiateWithFlags", made, graph, ctypes.c_ulonglong(0))

    def launch(self, stream=None):
        _call_driver("cuGraphLaunch", self._executable, _pointer((stream or current_stream()).ptr))


class Event:
    """A point in time: work is done when it is launched here."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        Device().use()
        pointer = ctypes.c_void_p()
        _call_driver("cuEventCreate", ctypes.byref(pointer), 2 * disable_timing)
        self.ptr = pointer.value

    def __del__(self):
        if hasattr(self, "ptr"):
            driver.cuEventDestroy_v2(_pointer(self.ptr))

    def record(self, stream=None):
        stream = current_stream() if stream is None else stream
        _call_driver("cuEventRecord", _pointer(self.ptr), _pointer(stream.ptr))
        self.at = time.perf_counter()

    def synchronize(self):
        assert self.at


def _pointer(address):
    return ctypes.c_void_p(address)


def _call_driver(name, *arguments):
    error = getattr(driver, name)(*arguments)
    if error:
        raise RuntimeError(f"CUDARuntimeError: {name}: {error}")


def elapsed(start, end):
    return 1e3 * (end.at - start.at)


def _streams():
    if not hasattr(_thread, "streams"):
        _thread.streams = {}
    return _thread.streams


def current_stream(device_id=-1):
    device_id = Device().id if device_id == -1 else device_id
    return _streams().get(device_id) or Stream.null

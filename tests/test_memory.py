# SPDX-License-Identifier: Apache-2.0
"""The memory pool: reuse, its cap, and what happens where there is no memory."""

import threading

import numpy as np
import pytest
from striate import _C
from subprocesses import succeeds

MEGABYTE = 1 << 20


@pytest.fixture
def pool():
    """The pool, empty, and restored to its default cap afterwards."""
    _C.memory_trim()
    yield _C.memory_stats
    _C.memory_set_cap(1 << 30)
    _C.memory_trim()


def made(megabytes):
    return _C.add(np.zeros(megabytes * MEGABYTE // 4, np.float32), 1.0)


def test_freed_blocks_are_used_again(pool):
    before = pool()
    x = made(3)
    held = pool()
    assert held["in_use"] >= before["in_use"] + 3 * MEGABYTE
    assert held["misses"] == before["misses"] + 1
    address = x.ctypes.data
    assert address % 64 == 0
    del x
    freed = pool()
    assert freed["in_use"] == before["in_use"]
    assert freed["cached"] >= 3 * MEGABYTE
    y = made(3)
    assert y.ctypes.data == address
    again = pool()
    assert (again["hits"], again["misses"]) == (held["hits"] + 1, held["misses"])
    assert again["cached"] == 0


def test_sizes_nearby_share_a_block(pool):
    x = _C.add(np.zeros(1000003, np.float32), 1.0)
    address = x.ctypes.data
    del x
    y = _C.add(np.zeros(1000999, np.float32), 1.0)
    assert y.ctypes.data == address


def test_peak(pool):
    _C.memory_reset_peak()
    start = pool()["peak"]
    x, y = made(2), made(2)
    del x, y
    assert pool()["peak"] >= start + 4 * MEGABYTE
    _C.memory_reset_peak()
    assert pool()["peak"] == start


def test_trim_gives_everything_back(pool):
    x = made(5)
    del x
    assert pool()["cached"] > 0
    _C.memory_trim()
    assert pool()["cached"] == 0


def test_cap(pool):
    _C.memory_set_cap(4 * MEGABYTE)
    x, y = made(3), made(3)
    del x, y
    assert 3 * MEGABYTE <= pool()["cached"] <= 4 * MEGABYTE
    _C.memory_set_cap(0)
    assert pool()["cached"] == 0
    z = made(1)
    del z
    assert pool()["cached"] == 0


def test_blocks_may_be_freed_by_another_thread(pool):
    before = pool()["in_use"]
    shelf = [made(1) for _ in range(8)]
    clear = threading.Thread(target=shelf.clear)
    clear.start()
    clear.join()
    assert pool()["in_use"] == before
    assert pool()["cached"] >= 8 * MEGABYTE


def test_a_result_outlives_views_of_it_and_the_other_way_round(pool):
    x = made(1)
    view = x[10:20]
    del x
    made(1)
    assert np.all(view == 1)


LIMITED = """
    import resource
    import numpy as np
    from striate import _C
    x = np.zeros((1 << 14, 1), np.float32)
    y = np.zeros((1, 1 << 14), np.float32)
    _C.add(x[:64], y)
    _C.sum(np.zeros(1 << 20), (0,))
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (256 << 20),) * 2)
    for _ in range(3):
        try:
            _C.{call}
        except MemoryError:
            pass
        else:
            raise AssertionError("a gibibyte was found where there is none")
    assert float(_C.sum(np.ones(100), (0,))) == 100.0
"""


@pytest.mark.parametrize("call", ["add(x, y)", "gemm(x, y)"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_no_memory_is_a_memory_error(call, threads):
    succeeds(LIMITED.format(call=call), STRIATE_NUM_THREADS=threads)


def test_blocks_kept_for_reuse_are_given_back_first():
    """Each size fits the limit alone; what was freed before must make room."""
    code = (
        LIMITED.format(call="add(x, y)")
        + """
    for megabytes in (100, 120, 130):
        x = np.broadcast_to(np.float32(1), megabytes << 18)
        assert _C.add(x, 1.0)[-1] == 2
    """
    )
    succeeds(code)


def test_a_result_larger_than_the_address_space():
    x = np.broadcast_to(np.float32(1), (1 << 31, 1))
    y = np.broadcast_to(np.float32(1), (1, 1 << 31))
    with pytest.raises(ValueError, match=r"\(2147483648, 2147483648\).*address space"):
        _C.add(x, y)

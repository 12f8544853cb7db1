# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: the random stream begins anew, and the threads are given back."""

import signal

import pytest
import striate
from cuda_fake import bare, fake, fake_gpu, fake_library, real  # noqa: F401  (fixtures)
from striate import _C

# A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that; the tests
# of interrupts need ears.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _alike_in_any_order():
    before = _C.num_threads()
    striate.manual_seed(0)
    yield
    _C.set_num_threads(before)


def pytest_make_parametrize_id(config, val, argname):
    """Objects that print their address are named by their type.

    Several processes that share the tests (pytest -n 2) must collect them under the same names.
    """
    return type(val).__name__ if " at 0x" in repr(val) else None


def pytest_terminal_summary(terminalreporter):
    """What the tests in tests/opinfo counted, over all processes."""
    from opinfo import report

    records = [
        value
        for reports in terminalreporter.stats.values()
        for r in reports
        for name, value in getattr(r, "user_properties", ())
        if name == "opinfo" and r.when == "call"
    ]
    if records:
        wide = terminalreporter.config.option.capture == "no"
        terminalreporter.section("torch's samples (OpInfo)")
        for line in report.lines(records, wide):
            terminalreporter.line(line)

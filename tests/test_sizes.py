# SPDX-License-Identifier: Apache-2.0
"""Sizes that no array has: products past 2^31 and 2^63, negative, zero, and not there.

Every public function and layer is called with them. It may give a result of a right shape, or
raise ValueError, TypeError, IndexError, RuntimeError or MemoryError with a message; nothing else,
and soon. Huge operands are views with strides of 0, which cost no memory; the address space is
limited, so that a copy of one is refused by the system.
"""

import inspect
import os
import resource
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import Tensor, nn
from striate.testing.cases import CASES

REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, MemoryError, OverflowError)
SPACE = 1 << 30  # bytes of address space beyond what is mapped


def view(*shape, dtype=np.float32):
    """A tensor of ones of any shape, in the memory of one."""
    return Tensor(np.broadcast_to(np.ones((), dtype), shape))


# --- creation -------------------------------------------------------------------------------------

CREATION = [
    lambda s: striate.zeros(s),
    lambda s: striate.ones(s),
    lambda s: striate.empty(s),
    lambda s: striate.full(s, 2.0),
    lambda s: striate.randn(*s),
    lambda s: striate.rand(*s),
    lambda s: striate.randint(0, 5, s),
    lambda s: view(1).expand(s).clone(),
]
IMPOSSIBLE = [
    (1 << 62, 2),
    (1 << 31, 1 << 31, 4),
    (1 << 63,),
    (1 << 64,),
    (3, -1),
    (-5,),
    (1 << 32, 1 << 32),
    (2**61, 3),
    ((1 << 31) + 1, (1 << 32) + 1),
]


@pytest.mark.parametrize("shape", IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("make", CREATION[:-1], ids=range(len(CREATION) - 1))
def test_impossible_tensors(make, shape):
    with pytest.raises(REFUSALS) as caught:
        make(shape)
    assert str(caught.value) or caught.type is MemoryError


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0, 3), (0, 1 << 40), (1 << 40, 0)], ids=str)
@pytest.mark.parametrize("make", CREATION, ids=range(len(CREATION)))
def test_tensors_without_elements(make, shape):
    made = make(shape)
    assert made.shape == shape and made.numel() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: striate.arange(1 << 62),
        lambda: striate.arange(0.0, 1e300),
        lambda: striate.arange(0, 10, 1e-300),
        lambda: striate.linspace(0, 1, 1 << 62),
        lambda: striate.linspace(0, 1, -1),
        lambda: striate.eye(1 << 40),
        lambda: striate.eye(-1),
        lambda: striate.randperm(-1),
        lambda: striate.randperm(1 << 62),
        lambda: striate.zeros(2.5),
        lambda: striate.zeros("3"),
    ],
)
def test_impossible_ranges(call):
    with pytest.raises(REFUSALS):
        call()


# --- what the rest shares -------------------------------------------------------------------------


@pytest.fixture
def bounded():
    """A limit to the address space, so that what would fill the machine is refused."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def in_child(call):
    """What went wrong in a call, in a process of its own, or None.

    NumPy's loops over a huge view can't be interrupted: a child that still runs after 0.2 seconds
    is ended, and nothing is held against it.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        try:
            call()
        except REFUSALS as error:
            if not str(error) and not isinstance(error, MemoryError):
                os.write(write, b"a refusal that says nothing")
        except BaseException as error:
            os.write(write, repr(error)[:500].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        wrong = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGALRM):
        return f"the process ended with status {status}"
    return wrong or None


# --- every operation of the case table: the axes of its samples, huge or zero ---------------------

SIZES = [0, (1 << 31) + 1, 1 << 40, 1 << 62]


def possible(shapes):
    """Whether NumPy can make views of these shapes at all."""
    try:
        [view(*s) for s in shapes if s is not None]
    except ValueError:
        return False
    return True


def swollen(sample):
    """The shapes of a sample with one axis of one operand replaced, or one size everywhere."""
    for i, shape in enumerate(sample.shapes):
        for axis in range(len(shape or ())):
            for size in SIZES:
                new = (*shape[:axis], size, *shape[axis + 1 :])
                yield (*sample.shapes[:i], new, *sample.shapes[i + 1 :])
    for n in sorted({n for shape in sample.shapes if shape for n in shape if n > 1}):
        for size in SIZES:
            yield tuple(s and tuple(size if m == n else m for m in s) for s in sample.shapes)


def expected(case, shapes, parameters):
    """What NumPy makes of operands without elements; None where it refuses too."""
    arrays = [None if s is None else np.ones(s) for s in shapes]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return np.asarray(case.reference(*arrays, **parameters))
        except (ValueError, IndexError, TypeError, ZeroDivisionError):
            return None


@pytest.mark.slow  # a process a call
@pytest.mark.parametrize("case", [c for c in CASES if c.function], ids=lambda c: c.name)
def test_operations_on_swollen_samples(case, bounded):
    samples = sorted(case.samples, key=lambda s: sum(len(x or ()) for x in s.shapes))
    calls = 0
    for sample in (samples[0], samples[len(samples) // 2], samples[-1]):
        for shapes in [s for s in swollen(sample) if possible(s)][:24]:
            tensors = [None if s is None else view(*s) for s in shapes]
            calls += 1
            where = f"{shapes} {sample.parameters}"

            def call(tensors=tensors, parameters=sample.parameters):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return case.function(*tensors, **parameters)

            if any(n > 10_000 for s in shapes if s is not None for n in s):
                wrong = in_child(call)
                assert wrong is None, f"{where}: {wrong}"
                continue
            try:
                got = call()
            except REFUSALS as error:
                assert str(error), f"{where}: a refusal that says nothing"
                continue
            reference = expected(case, shapes, sample.parameters)
            if isinstance(got, Tensor) and reference is not None:
                assert got.shape == reference.shape, where
    assert calls > 0


# --- every public function and method, on a few huge and empty operands ---------------------------

OPERANDS = [
    [view(1 << 60)],
    [view(1 << 30, 1 << 30)],
    [view(0)],
    [view(0, 1 << 40)],
    [view((1 << 31) + 1, dtype=np.int64)],
    [view(0, 3, dtype=np.int64)],
    [view(1 << 40, 3), view(3, 1 << 40)],
    [view(1 << 40), view(1 << 40)],
    [view(3, 0), view(0, 3)],
    [view(0, 3, 8, 8)],
    [view(0, 3, 8, 8), view(4, 3, 3, 3)],
    [view(1 << 40, 3, 8, 8), view(4, 3, 3, 3)],
    [view(4, 3, 1 << 28, 1 << 28), view(4, 3, 3, 3)],
    [view(5, 7), 1 << 62],
    [view(5, 7), -(1 << 62)],
    [view(5, 7), -1],
    [view(5, 7), 1 << 70],
    [view(5, 7), (1 << 40, 1 << 40)],
    [view(1, 1, 8, 8), 1 << 62],
    [view(1, 1, 8, 8), 0],
    [view(1, 1, 8, 8), -3],
    [view(1, 8, 8), 1 << 31, 1 << 62],
    [view(1, 1, 8, 8), 2, -1],
    [view(1, 1, 8, 8), 2, 0],
    [view(1, 1, 8, 8), 2, 1 << 62],
    [view(1, 1, 8, 8), 2, 1, 1 << 62],
    [view(1, 1, 8, 8), 2, 1, -1],
]
PLACES = {"striate": striate, "nn.functional": nn.functional, "Tensor": Tensor}
OTHERS = {"save", "load", "manual_seed", "set_num_threads", "set_default_dtype", "numpy"}
FUNCTIONS = [
    pytest.param(getattr(place, name), id=f"{where}.{name}")
    for where, place in PLACES.items()
    for name in sorted(dir(place))
    if not name.startswith("_") and name not in OTHERS and inspect.isfunction(getattr(place, name))
]


@pytest.mark.slow
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_on_impossible_operands(function, bounded):
    """Integers where a dim, a size or a window is meant, too."""
    for operands in OPERANDS:
        wrong = in_child(lambda o=operands: function(*o))
        shown = [x.shape if isinstance(x, Tensor) else x for x in operands]
        assert wrong is None, f"{shown}: {wrong}"


# --- every layer, with sizes that can't be --------------------------------------------------------

LAYERS = [
    value
    for name, value in sorted(vars(nn).items())
    if inspect.isclass(value) and issubclass(value, nn.Module) and value is not nn.Module
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("size", [-1, 0, 1 << 40, 1 << 62, 1 << 70, 2.5, "3", None])
def test_layers_of_impossible_sizes(layer, size, bounded):
    needed = [
        p
        for p in inspect.signature(layer).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    for i in range(max(len(needed), 1)):
        arguments = [size if j == i else 3 for j in range(len(needed))]
        wrong = in_child(lambda a=arguments: layer(*a))
        assert wrong is None, f"{arguments}: {wrong}"

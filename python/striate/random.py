# SPDX-License-Identifier: Apache-2.0
"""Random numbers: NumPy's Philox. One seeded stream for the process, and Generators beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from striate.creation import _made, _shape
from striate.device import expect_cpu
from striate.dtypes import as_dtype, get_default_dtype
from striate.tensor import Array, Tensor

_lock = threading.Lock()
_stream: np.random.Generator | None = None  # made at first use: importing NumPy's random is slow


def _seeded(seed: Any) -> np.random.Generator:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"manual_seed: seed: expected an integer of 0 or more, got {seed!r}")
    return np.random.Generator(np.random.Philox(int(seed)))


def manual_seed(seed: int) -> None:
    """Starts the random stream anew. The same seed gives the same numbers on every machine."""
    global _stream
    fresh = _seeded(seed)
    with _lock:
        _stream = fresh


def seed() -> int:
    """Starts the random stream anew from the system's entropy, and returns the seed."""
    value = int(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]
    manual_seed(value)
    return value


def generator() -> np.random.Generator:
    """The process's random stream, as NumPy's Generator."""
    global _stream
    if _stream is None:
        with _lock:
            if _stream is None:
                _stream = np.random.Generator(np.random.Philox())
    return _stream


def _state_of(stream: np.random.Generator) -> dict[str, Any]:
    state: Any = stream.bit_generator.state
    words = {k: [int(v) for v in a] for k, a in state["state"].items()}
    return {**state, "state": words, "buffer": [int(v) for v in state["buffer"]]}


def _set_state(stream: np.random.Generator, state: dict[str, Any]) -> None:
    words = {k: np.array(a, np.uint64) for k, a in state["state"].items()}
    full = {**state, "state": words, "buffer": np.array(state["buffer"], np.uint64)}
    stream.bit_generator.state = full


def get_rng_state() -> dict[str, Any]:
    """The state of the stream, of plain integers and lists, for a checkpoint."""
    return _state_of(generator())


def set_rng_state(state: dict[str, Any]) -> None:
    """Continues a stream from `get_rng_state`."""
    _set_state(generator(), state)


class Generator:
    """A random stream of its own, for `generator=` of the functions that draw.

    Two of the same seed give the same numbers, whatever else is drawn in the process.
    """

    def __init__(self, device: Any = "cpu") -> None:
        expect_cpu("Generator", device)
        self._seed = 67280421310721  # PyTorch's: a generator that nobody seeded repeats, too
        self._stream = _seeded(self._seed)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream anew from `seed`."""
        self._stream, self._seed = _seeded(seed), int(seed)
        return self

    def seed(self) -> int:
        """Starts the stream anew from the system's entropy, and returns the seed."""
        value = int(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Where the stream is, of plain integers and lists."""
        return _state_of(self._stream)

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Continues from `get_state`."""
        _set_state(self._stream, state)
        return self


def stream_of(name: str, given: Generator | None) -> np.random.Generator:
    """The stream that `generator=` names: the process's if None."""
    if given is None:
        return generator()
    if not isinstance(given, Generator):
        raise TypeError(
            f"{name}: generator: expected a striate.Generator, got {type(given).__name__}"
        )
    return given._stream


def _floating(name: str, dtype: Any) -> Any:
    wanted = as_dtype(get_default_dtype() if dtype is None else dtype)
    if wanted.kind != "f":
        raise TypeError(f"{name}: dtype: expected float32 or float64, got {wanted}")
    return wanted


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1)."""
    expect_cpu("rand", device)
    wanted = _floating("rand", dtype)
    values = stream_of("rand", generator).random(_shape("rand", size), dtype=wanted.type)
    return _made(np.asarray(values), requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1."""
    expect_cpu("randn", device)
    wanted = _floating("randn", dtype)
    stream = stream_of("randn", generator)
    values = stream.standard_normal(_shape("randn", size), dtype=wanted.type)
    return _made(np.asarray(values), requires_grad)


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """randint(low, high, size) or randint(high, size): integers from low, or 0, to high - 1."""
    expect_cpu("randint", device)
    if size is None:  # two positional arguments
        low, high, size = 0, low, high
    low = 0 if low is None else low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size: expected a tuple of integers, got {size!r}")
    for argument, value in (("low", low), ("high", high)):
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"randint: {argument}: expected an integer, got {value!r}")
    wanted = as_dtype(np.int64 if dtype is None else dtype)
    if high <= low:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    if low < -(2**63) or high > 2**63:
        raise ValueError(f"randint: expected limits within int64, got {low} and {high}")
    values = stream_of("randint", generator).integers(low, high, _shape("randint", (size,)))
    return _made(np.asarray(values).astype(wanted, copy=False), requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    expect_cpu("randperm", device)
    (n,) = _shape("randperm", (n,))
    order = stream_of("randperm", generator).permutation(n)
    return Tensor._wrap(order.astype(as_dtype(np.int64 if dtype is None else dtype)))


def rand_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in the shape and dtype of `input`."""
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers in the shape and dtype of `input`."""
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: Any = None) -> Tensor:
    """`randint` in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, dtype=dtype or input.dtype)


# --- from distributions ---------------------------------------------------------------------------


def _probabilities(name: str, values: Array) -> Array:
    if values.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {values.dtype}")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"{name}: input: expected probabilities from 0 to 1")
    return values


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element is, else 0."""
    p = _probabilities("bernoulli", input._array)
    drawn = stream_of("bernoulli", generator).random(p.shape, dtype=p.dtype.type)
    return Tensor._wrap(np.asarray(drawn < p).astype(p.dtype))


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers with these means and standard deviations: tensors, broadcast, or numbers.

    Two numbers need a `size`.
    """
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not tensors and size is None:
        raise TypeError("normal: size: expected a shape where mean and std are numbers")
    dtype = tensors[0].dtype if tensors else get_default_dtype()
    m, s = (np.asarray(getattr(x, "_array", x), dtype) for x in (mean, std))
    if np.any(s < 0):
        raise ValueError("normal: std: expected 0 or more")
    shape = _shape("normal", (size,)) if size is not None else np.broadcast_shapes(m.shape, s.shape)
    stream = stream_of("normal", generator)
    drawn = stream.standard_normal(shape, dtype=_floating("normal", dtype).type)
    return Tensor._wrap(np.asarray(drawn * s + m))


def poisson(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """How many events happen where each element says how many do on average."""
    rates = input._array
    if rates.dtype.kind != "f" or not np.all(rates >= 0):
        raise ValueError("poisson: input: expected floating-point rates of 0 or more")
    drawn = stream_of("poisson", generator).poisson(rates)
    return Tensor._wrap(np.asarray(drawn).astype(rates.dtype))


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """`num_samples` indices a row, drawn in proportion to the weights of the row.

    Weights (N,) or (B, N) are 0 or more and need not sum to 1. Without replacement an index comes
    once at most: each waits an exponential time over its weight, and the first ones are taken
    (Efraimidis and Spirakis 2006).
    """
    weights = input._array.astype(np.float64)
    if weights.ndim not in (1, 2) or input.dtype.kind != "f":
        raise ValueError(
            f"multinomial: input: expected floating-point weights (N,) or (B, N), got {input.shape}"
            f" of {input.dtype}"
        )
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not np.all(weights.sum(-1) > 0):
        raise ValueError("multinomial: input: expected finite weights of 0 or more, not all 0")
    if num_samples < 1:
        raise ValueError(f"multinomial: num_samples: expected 1 or more, got {num_samples}")
    stream = stream_of("multinomial", generator)
    if not replacement:
        least = int(np.min(np.count_nonzero(weights, -1)))
        if num_samples > least:
            raise ValueError(
                f"multinomial: num_samples: expected at most {least}, the weights that are not 0, "
                f"got {num_samples}; or replacement=True"
            )
        with np.errstate(divide="ignore"):
            waits = stream.standard_exponential(weights.shape) / weights
        return Tensor._wrap(np.argsort(waits, -1)[..., :num_samples].astype(np.int64))
    edges = np.cumsum(weights, -1).reshape(-1, weights.shape[-1])
    edges /= edges[:, -1:]
    drawn = stream.random((len(edges), num_samples))
    last = weights.shape[-1] - 1 - np.argmax(weights.reshape(len(edges), -1)[:, ::-1] > 0, -1)
    found = [np.searchsorted(e, d, "right") for e, d in zip(edges, drawn, strict=True)]
    index = np.minimum(np.array(found, np.int64), last[:, None])
    return Tensor._wrap(index.reshape(*weights.shape[:-1], num_samples))


# --- what the in-place methods draw ---------------------------------------------------------------


def _uniform(t: Tensor, generator: Any, from_: float = 0.0, to: float = 1.0) -> Array:
    if not from_ <= to:
        raise ValueError(f"uniform_: expected from_ <= to, got {from_} and {to}")
    drawn = stream_of("uniform_", generator).random(t.shape, dtype=t.dtype.type)
    return np.asarray(drawn * t.dtype.type(to - from_) + t.dtype.type(from_))


def _normal(t: Tensor, generator: Any, mean: float = 0.0, std: float = 1.0) -> Array:
    if not std >= 0:
        raise ValueError(f"normal_: std: expected 0 or more, got {std}")
    drawn = stream_of("normal_", generator).standard_normal(t.shape, dtype=t.dtype.type)
    return np.asarray(drawn * t.dtype.type(std) + t.dtype.type(mean))


def _log_normal(t: Tensor, generator: Any, mean: float = 1.0, std: float = 2.0) -> Array:
    return np.asarray(np.exp(_normal(t, generator, mean, std)))


def _exponential(t: Tensor, generator: Any, lambd: float = 1.0) -> Array:
    if not lambd > 0:
        raise ValueError(f"exponential_: lambd: expected above 0, got {lambd}")
    drawn = stream_of("exponential_", generator).standard_exponential(t.shape, dtype=t.dtype.type)
    return np.asarray(drawn / t.dtype.type(lambd))


def _bernoulli(t: Tensor, generator: Any, p: Any = 0.5) -> Array:
    share = _probabilities("bernoulli_", np.asarray(getattr(p, "_array", p), np.float64))
    return np.asarray(stream_of("bernoulli_", generator).random(t.shape) < share)


def _geometric(t: Tensor, generator: Any, p: float) -> Array:
    if not 0 < p < 1:
        raise ValueError(f"geometric_: p: expected between 0 and 1, got {p}")
    return np.asarray(stream_of("geometric_", generator).geometric(p, t.shape))


def _integers(t: Tensor, generator: Any, *limits: int) -> Array:
    if t.dtype.kind == "f":
        most = 2 ** (np.finfo(t.dtype).nmant + 1) + 1  # integers that the dtype holds exactly
    else:
        most = 2 if t.dtype.kind == "b" else int(np.iinfo(t.dtype).max) + 1
    low, high = {0: (0, most), 1: (0, *limits), 2: limits}.get(len(limits), (0, 0))
    if not low < high:
        raise ValueError(f"random_: expected from_ < to, got {limits}")
    return np.asarray(stream_of("random_", generator).integers(low, high, t.shape, np.int64))


DRAWS: dict[str, Callable[..., Array]] = {
    "uniform_": _uniform,
    "normal_": _normal,
    "log_normal_": _log_normal,
    "exponential_": _exponential,
    "bernoulli_": _bernoulli,
    "geometric_": _geometric,
    "random_": _integers,
}

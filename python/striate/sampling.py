# SPDX-License-Identifier: Apache-2.0
"""Random numbers from distributions, as new tensors and for the methods that fill one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.arrays import Array
from striate.creation import _shape
from striate.dtypes import get_default_dtype
from striate.explain import explained
from striate.random import Generator, floating, stream_of
from striate.tensor import Tensor


def _probabilities(name: str, values: Array) -> Array:
    if values.dtype.kind != "f":
        raise TypeError(f"{name}: input: expected float32 or float64, got {values.dtype}")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"{name}: input: expected probabilities from 0 to 1")
    return values


@explained
def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element is, else 0."""
    p = _probabilities("bernoulli", input._array)
    drawn = stream_of("bernoulli", generator).random(p.shape, dtype=p.dtype.type)
    return Tensor._wrap(np.asarray(drawn < p).astype(p.dtype))


@explained
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
    drawn = stream.standard_normal(shape, dtype=floating("normal", dtype).type)
    return Tensor._wrap(np.asarray(drawn * s + m))


@explained
def poisson(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """How many events happen where each element says how many do on average."""
    rates = input._array
    if rates.dtype.kind != "f" or not np.all(rates >= 0):
        raise ValueError("poisson: input: expected floating-point rates of 0 or more")
    drawn = stream_of("poisson", generator).poisson(rates)
    return Tensor._wrap(np.asarray(drawn).astype(rates.dtype))


@explained
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


def _number(name: str, argument: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: {argument}: expected a number, got {value!r}")
    return value


def _uniform(t: Tensor, generator: Any, from_: float = 0.0, to: float = 1.0) -> Array:
    from_, to = _number("uniform_", "from_", from_), _number("uniform_", "to", to)
    if not from_ <= to:
        raise ValueError(f"uniform_: expected from_ <= to, got {from_} and {to}")
    drawn = stream_of("uniform_", generator).random(t.shape, dtype=t.dtype.type)
    return np.asarray(drawn * t.dtype.type(to - from_) + t.dtype.type(from_))


def _normal(t: Tensor, generator: Any, mean: float = 0.0, std: float = 1.0) -> Array:
    mean, std = _number("normal_", "mean", mean), _number("normal_", "std", std)
    if not std >= 0:
        raise ValueError(f"normal_: std: expected 0 or more, got {std}")
    drawn = stream_of("normal_", generator).standard_normal(t.shape, dtype=t.dtype.type)
    return np.asarray(drawn * t.dtype.type(std) + t.dtype.type(mean))


def _log_normal(t: Tensor, generator: Any, mean: float = 1.0, std: float = 2.0) -> Array:
    return np.asarray(np.exp(_normal(t, generator, mean, std)))


def _exponential(t: Tensor, generator: Any, lambd: float = 1.0) -> Array:
    if not _number("exponential_", "lambd", lambd) > 0:
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

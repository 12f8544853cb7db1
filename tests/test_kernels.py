# SPDX-License-Identifier: Apache-2.0
"""Every row of every table by name against float64 NumPy: tails, strides, alignment, pages."""

import os

import numpy as np
import pytest
from striate import _C
from striate.testing import guarded, misaligned, strided
from striate.testing.cases import CASES

ROWS = _C.rows()
DTYPES = {"float32": np.float32, "float64": np.float64}
try:
    import ml_dtypes

    DTYPES["bfloat16"] = ml_dtypes.bfloat16
except ImportError:
    pass


def runnable(row):
    if row["why_not"]:
        pytest.skip(row["why_not"])
    if row["dtype"] not in DTYPES or (row["op"] == "cast" and len(DTYPES) < 3):
        pytest.skip("needs ml_dtypes")


# How many samples of a case are tried, spread over all of them: fewer under a sanitizer.
MOST = int(os.environ.get("STRIATE_TEST_SAMPLES", "1000000"))


def some(samples, most):
    """Some of the samples, spread over all of them; and the last twelve, or `most` if fewer."""
    most = min(most, MOST)
    if len(samples) <= most:
        return list(samples)
    return [*samples[:: len(samples) // most + 1], *samples[-min(most, 12) :]]


def pairs():
    for row in ROWS:
        for case in CASES:
            if case.serves(row["name"]):
                yield pytest.param(row, case, id=f"{row['name']}-{case.name}")


def close(case, got, arrays, sample, reference, where):
    eps = np.finfo(got.dtype).eps
    wide = [a if a is None else a.astype(np.float64) for a in arrays]
    with np.errstate(all="ignore"):
        bound = case.bound(reference, eps, *wide, **sample.parameters)
    error = np.abs(got.astype(np.float64) - reference)
    tiny = np.finfo(got.dtype).tiny
    bad = ~(error <= bound + tiny)
    assert got.shape == np.shape(reference), f"{where}: shape {got.shape}"
    assert not np.any(bad), (
        f"{where}: {np.sum(bad)} of {bad.size} elements off, error "
        f"{np.max(np.where(bad, error, 0)):.3g} at {tuple(np.argwhere(bad)[0])}"
    )


def reference_of(case, arrays, sample):
    wide = [a if a is None else a.astype(np.float64) for a in arrays]
    with np.errstate(all="ignore"):
        return np.asarray(case.reference(*wide, **sample.parameters))


def test_every_row_has_a_case():
    orphans = [r["name"] for r in ROWS if not any(c.serves(r["name"]) for c in CASES)]
    assert not orphans


def test_row_names_are_unique():
    names = [r["name"] for r in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("row", "case"), list(pairs()))
def test_row(row, case):
    runnable(row)
    dtype = DTYPES[row["dtype"]]
    with _C.pin_rows([row["name"]]):
        for seed, sample in enumerate(some(case.samples, MOST)):
            arrays = case.arrays(sample, dtype, seed)
            reference = reference_of(case, arrays, sample)
            got = case.kernel(*arrays, **sample.parameters)
            close(case, np.asarray(got), arrays, sample, reference, f"{sample} (seed {seed})")


@pytest.mark.parametrize(("row", "case"), list(pairs()))
@pytest.mark.parametrize("place", ["end", "start", "misaligned", "strided"])
def test_row_in_place(row, case, place):
    """Operands against closed pages, off any alignment, or with gaps; the result over NaN."""
    runnable(row)
    dtype = DTYPES[row["dtype"]]
    put = {"misaligned": misaligned, "strided": strided}.get(place) or (lambda a: guarded(a, place))
    with _C.pin_rows([row["name"]]):
        for seed, sample in enumerate(some(case.samples, 60)):  # still meets each tail
            arrays = case.arrays(sample, dtype, seed)
            reference = reference_of(case, arrays, sample)
            placed = [a if a is None else put(a) for a in arrays]
            options = dict(sample.parameters)
            if case.takes_out and reference.dtype.kind == "f":
                fresh = case.kernel(*arrays, **sample.parameters)
                options["out"] = put(np.full_like(np.asarray(fresh), np.nan))
            got = np.asarray(case.kernel(*placed, **options))
            close(case, got, arrays, sample, reference, f"{sample} {place} (seed {seed})")

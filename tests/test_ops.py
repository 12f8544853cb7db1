# SPDX-License-Identifier: Apache-2.0
"""Every public operation against float64 NumPy, and its gradient against finite differences."""

import numpy as np
import pytest
from striate import _C, Tensor
from striate.testing import gradcheck
from striate.testing.cases import CASES
from test_kernels import close, reference_of

PUBLIC = [c for c in CASES if c.function is not None]


@pytest.mark.parametrize("case", PUBLIC, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward(case, dtype):
    for seed, sample in enumerate(case.samples):
        arrays = case.arrays(sample, dtype, seed)
        reference = reference_of(case, arrays, sample)
        tensors = [a if a is None else Tensor(a) for a in arrays]
        got = case.function(*tensors, **sample.parameters)
        assert got.dtype == dtype
        close(case, got.numpy(), arrays, sample, reference, f"{sample} (seed {seed})")


@pytest.mark.parametrize("case", [c for c in PUBLIC if c.gradient], ids=lambda c: c.name)
def test_gradient(case):
    samples = [s for s in case.samples if all(x is None or np.prod(x) < 5000 for x in s.shapes)]
    samples = samples[:: len(samples) // 60 + 1]
    for seed, sample in enumerate(samples):
        arrays = case.arrays(sample, np.float64, seed)
        given = [a for a in arrays if a is not None]

        def call(*tensors, sample=sample, arrays=arrays):
            left = iter(tensors)
            full = [None if a is None else next(left) for a in arrays]
            return case.function(*full, **sample.parameters)

        try:
            gradcheck(call, given, seed=seed)
        except AssertionError as error:
            raise AssertionError(f"{case.name} {sample}: {error}") from None


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_threads_do_not_change_results(case):
    for seed, sample in enumerate(case.samples[-8:]):
        arrays = case.arrays(sample, np.float32, seed)
        results = []
        for threads in (1, 2, 3):
            _C.set_num_threads(threads)
            results.append(np.asarray(case.kernel(*arrays, **sample.parameters)))
        for other in results[1:]:
            assert np.array_equal(results[0], other, equal_nan=True), f"{sample} (seed {seed})"


def misuses():
    for case in CASES:
        for i, misuse in enumerate(case.misuses):
            yield pytest.param(misuse, id=f"{case.name}-{i}")


@pytest.mark.parametrize("misuse", list(misuses()))
def test_misuse(misuse):
    with pytest.raises(misuse.error) as caught:
        misuse.call()
    message = str(caught.value)
    for word in misuse.words:
        assert word in message, f"{word!r} is not in {message!r}"

# SPDX-License-Identifier: Apache-2.0
"""Every operation of the table of cases: on a GPU as on the CPU, or refused in clear words."""

import numpy as np
import pytest
import striate
from striate.testing.cases import CASES

NOT_YET: set[str] = set()  # operations that have nothing for GPUs
CASES_HERE = [c for c in CASES if c.function is not None]


def test_names_are_those_of_the_table():
    assert {c.name for c in CASES} >= NOT_YET


def small(case):
    samples = [s for s in case.samples if all(x is None or np.prod(x) < 3000 for x in s.shapes)]
    return samples[:: len(samples) // 8 + 1]


def computed(case, arrays, sample, device):
    """Result and gradients, as NumPy arrays."""
    tensors = [None if a is None else striate.tensor(a, device=device) for a in arrays]
    leaves = [t for t in tensors if t is not None and t.is_floating_point()]
    if case.gradient:
        for leaf in leaves:
            leaf.requires_grad_()
    y = case.function(*tensors, **sample.parameters)
    assert y.device.type == device, "result"
    results = [y]
    if case.gradient and y.requires_grad:
        weights = np.cos(np.arange(y.numel())).reshape(y.shape)
        y.backward(striate.tensor(weights, y.dtype, device))
        results += [leaf.grad for leaf in leaves if leaf.grad is not None]
        assert all(r.device.type == device for r in results), "gradients"
    return [r.detach().cpu().numpy() for r in results]


@pytest.mark.parametrize("case", CASES_HERE, ids=lambda c: c.name)
def test_case(case):
    refused = False
    for seed, sample in enumerate(small(case)):
        arrays = case.arrays(sample, np.float32, seed)
        here = computed(case, arrays, sample, "cpu")
        try:
            there = computed(case, arrays, sample, "cuda")
        except TypeError as error:
            assert case.name in NOT_YET and "on a GPU" in str(error), error
            refused = True
            continue
        assert len(here) == len(there)
        for a, b in zip(here, there, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype, f"{sample} (seed {seed})"
            scale = np.abs(a[np.isfinite(a)]).max(initial=1)
            np.testing.assert_allclose(b, a, 2e-4, 2e-5 * scale, err_msg=f"{sample} (seed {seed})")
    assert refused == (case.name in NOT_YET)

# SPDX-License-Identifier: Apache-2.0
"""Every rule of an optimizer's step on a GPU, against float64 NumPy."""

import numpy as np
import pytest
import striate
from striate import _C
from striate.testing.cases import optim
from test_kernels import close, reference_of


def there(array, misaligned):
    """The array on the GPU; `misaligned`, an element behind what is aligned to 16 bytes."""
    if not misaligned:
        return striate.tensor(array, device="cuda")._array
    flat = striate.zeros(array.size + 1, dtype=array.dtype, device="cuda")._array[1:]
    turned = flat.reshape(array.shape[::-1]).transpose()
    turned[...] = striate.tensor(array, device="cuda")._array
    return turned


@pytest.mark.parametrize("case", optim.CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rule(case, dtype):
    samples = [s for s in case.samples if all(np.prod(shape) < 3000 for shape in s.shapes)]
    for seed, sample in enumerate(samples):
        arrays = case.arrays(sample, dtype, seed)
        p, grad, *states = (there(a, seed % 2) for a in arrays)
        states = tuple(abs(s) if not seed % 2 else s for s in states)
        for state, host in zip(states, arrays[2:], strict=True):
            state[...] = striate.tensor(np.abs(host), device="cuda")._array
        _C.optimizer_step(case.name, p, grad, states, **sample.parameters)
        got = np.stack([a.get() for a in (p, *states)])
        close(case, got, arrays, sample, reference_of(case, arrays, sample), f"{sample}")


def test_refusals():
    p, grad = (striate.ones(3, 4, device="cuda")._array for _ in range(2))
    with pytest.raises(ValueError, match="param: expected one without gaps in memory on a GPU"):
        _C.optimizer_step("sgd_plain", p[:, ::2], grad[:, ::2], (), rate=0.1)
    with pytest.raises(ValueError, match="states: expected the parameter's memory order"):
        _C.optimizer_step("adagrad", p, grad, (grad.reshape(4, 3).T,), rate=0.1)
    with pytest.raises(ValueError, match="grad: expected shape"):
        _C.optimizer_step("sgd_plain", p, grad.T, (), rate=0.1)
    with pytest.raises(TypeError, match=r"param .* on cuda:0 and grad .* on cpu"):
        _C.optimizer_step("sgd_plain", p, np.ones((3, 4), np.float32), (), rate=0.1)

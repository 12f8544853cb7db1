# SPDX-License-Identifier: Apache-2.0
"""Pictures that lie channels-last in memory stay so through operations that copy."""

import numpy as np
import pytest
import striate
from striate import Tensor

X = np.random.default_rng(0).standard_normal((4, 5, 6, 3)).astype(np.float32)
CALLS = {
    "clamp": lambda x: x.clamp(0, 1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "flip": lambda x: x.flip(1, 3),
    "gather": lambda x: x.gather(1, striate.zeros(4, 2, 5, 6, dtype=striate.int64)),
    "getitem": lambda x: x[[0, 2, 0]],
    "getitem of channels": lambda x: x[:, [1, 0, 1]],
    "index_add": lambda x: x.index_add(0, striate.tensor([1]), x[:1]),
    "index_select": lambda x: x.index_select(1, striate.tensor([2, 0])),
    "lerp": lambda x: x.lerp(x, 0.5),
    "masked_fill": lambda x: x.masked_fill(x > 0, 1),
    "pow": lambda x: x**3,
    "remainder": lambda x: x % 0.3,
    "repeat": lambda x: x.repeat(2, 1, 1, 2),
    "roll": lambda x: x.roll(1, 2),
    "round": lambda x: x.round(),
    "scatter": lambda x: x.scatter(1, striate.zeros(4, 1, 5, 6, dtype=striate.int64), 1.0),
    "sort": lambda x: x.sort(1).values,
    "sin": lambda x: x.sin(),
    "topk": lambda x: x.topk(2, 1).values,
    "tril": lambda x: x.tril(),
    "where": lambda x: striate.where(x > 0, x, 0.0),
    "erf": lambda x: x.erf(),
    "nan_to_num": lambda x: x.nan_to_num(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_results_stay_channels_last(call):
    x = Tensor(X.transpose(0, 3, 1, 2))
    y = call(x).numpy()
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(y, call(Tensor(np.ascontiguousarray(x.numpy()))).numpy())

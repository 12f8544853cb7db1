# SPDX-License-Identifier: Apache-2.0
"""The same computation on the CPU device and on the GPU, with gradients."""

import numpy as np
import striate

RNG = np.random.default_rng(6)
TOLERANCE = {"highest": 1e-5, "high": 1e-5, "medium": 2e-2}  # of products, by precision


def normal(shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def both(f, *hosts):
    """f's result and gradients on either device, as [NumPy arrays, NumPy arrays]."""
    results = []
    for device in ("cpu", "cuda"):
        leaves = [
            striate.tensor(h, device=device, requires_grad=h.dtype.kind == "f") for h in hosts
        ]
        y = f(*leaves)
        assert y.device.type == device
        y.backward(striate.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), y.dtype, device))
        grads = [leaf.grad for leaf in leaves if leaf.requires_grad]
        assert all(g.device.type == device for g in grads)
        results.append([t.detach().cpu().numpy() for t in (y, *grads)])
    return results


def alike(f, *hosts, rtol=1e-6, atol=1e-6):
    for here, there in zip(*both(f, *hosts), strict=True):
        assert here.dtype == there.dtype and here.shape == there.shape
        np.testing.assert_allclose(there, here, rtol, atol)

# SPDX-License-Identifier: Apache-2.0
"""What a GPU's tensor cores make of fixed operands, to compare the shim's model of them with.

    python benchmarks/mma_tiles.py FILE.json

For each unit, and 1, 4 and 64 rounds: the sum of eight tiles d = i + rounds times a b, a [16, K]
and b [K, 8] normal (csrc/ops/peak/peak_cuda.cu). The shim adds in double and cuts off; where
hardware does otherwise, last bits differ. Beside each tile stands how far it is from float64 at
most, in float32's spacing at the largest sum (`off`).
"""

import json
import sys
from pathlib import Path

import numpy as np
import striate
from striate import _C, cuda

UNITS = {"tf32": 8, "bf16": 16, "f16": 16}
ROUNDS = (1, 4, 64)
CHAINS = 8


def operands(k: int) -> np.ndarray:
    """a and b, of 8 significant bits, which every unit holds exactly."""
    x = np.random.default_rng(k).standard_normal(24 * k, np.float32)
    x = np.where(np.abs(x) < 2**-8, np.float32(2**-8), x)
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def tile(unit: str, rounds: int) -> dict[str, object]:
    """A warp's tile, and how far off it is."""
    k = UNITS[unit]
    host = operands(k)
    out = striate.zeros(8, 16, 8, device="cuda")
    _C.peak_mma(striate.tensor(host, device="cuda")._array, unit, rounds, out._array)
    got = out.cpu().numpy()
    assert np.array_equal(got, np.broadcast_to(got[0], got.shape)), "warps differ"
    a, b = host[: 16 * k].reshape(16, k).astype("f8"), host[16 * k :].reshape(k, 8).astype("f8")
    exact = sum(range(CHAINS)) + CHAINS * rounds * (a @ b)
    unit_of_sum = np.spacing(np.float32(np.max(np.abs(exact))))
    off = float(np.max(np.abs(got[0] - exact)) / unit_of_sum)
    return {"unit": unit, "rounds": rounds, "off": off, "tile": got[0].tolist()}


def main(path: str) -> None:
    tiles = [tile(unit, rounds) for unit in UNITS for rounds in ROUNDS]
    Path(path).write_text(json.dumps({"gpu": cuda.get_device_name(), "tiles": tiles}) + "\n")
    print(", ".join(f"{t['unit']} {t['rounds']}: {t['off']:.2g}" for t in tiles))


if __name__ == "__main__":
    main(*sys.argv[1:])

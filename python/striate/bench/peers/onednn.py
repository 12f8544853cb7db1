# SPDX-License-Identifier: Apache-2.0
"""oneDNN's matrix product, through PyTorch, which by itself would ask MKL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable

from striate.bench.peers.peer import Absent, Peer, Rival, package
from striate.bench.task import Task

_ASK = (
    "import torch; torch.ops.mkldnn._linear_pointwise(*torch.ones(2, 8, 8), None, 'none', [], '')"
)


class PEER(Peer):
    name = "onednn"
    columns = ("onednn",)

    def __init__(self, threads: int) -> None:
        self.t = package("torch")
        if not self.t.backends.mkldnn.is_available():
            raise Absent("this PyTorch is built without oneDNN")
        self.t.set_num_threads(threads)
        self.f = self.t.ops.mkldnn._linear_pointwise
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            env={**os.environ, "ONEDNN_VERBOSE": "1"},
            capture_output=True,
            text=True,
        )
        found = re.findall(r"info,oneDNN v([\d.]+)|info,cpu,isa:(.*)", done.stdout)
        said = [version or path for version, path in found]
        self.version, self.path = [*said, "", ""][:2]

    # Capped and threaded by the variables in torch.py.

    def gemm(self, task: Task) -> Iterable[Rival]:
        """y = x W^T + nothing: W is B turned, in whatever order B lies."""
        dense = all(x.T.flags.c_contiguous or x.flags.c_contiguous for x in task.arrays.values())
        if task["a"].ndim != 2 or not dense:  # with gaps it falls back to plain loops
            return
        x, w, f = self.t.from_numpy(task["a"]), self.t.from_numpy(task["b"]).t(), self.f
        yield Rival("onednn", lambda: f(x, w, None, "none", [], ""))

    def gemm_packed(self, task: Task) -> Iterable[Rival]:
        x, w, f = self.t.from_numpy(task["a"]), self.t.from_numpy(task["b"]).t(), self.f
        packed = self.t.ops.mkldnn._reorder_linear_weight(w.contiguous(), x.shape[0])
        yield Rival("onednn", lambda: f(x, packed, None, "none", [], ""))

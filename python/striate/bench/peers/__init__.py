# SPDX-License-Identifier: Apache-2.0
"""Whom striate is compared with. A peer is one file here: see peer.py for what it holds."""

from importlib import import_module
from pkgutil import iter_modules

from striate.bench.peers.peer import Absent, Peer, Rival

ORDER = ("torch", "cupy", "numpy", "onednn", "onnxruntime", "jax")  # of the columns; others follow


def classes(device: str = "") -> list[type[Peer]]:
    """Every peer there is a file for, whether or not its package is installed; of one device, if
    that is named."""
    found = []
    for module in iter_modules(__path__):
        if module.name != "peer":
            found.append(import_module(f"{__name__}.{module.name}").PEER)
    rank = {name: i for i, name in enumerate(ORDER)}
    found = [p for p in found if device in ("", *p.devices)]
    return sorted(found, key=lambda p: (rank.get(p.name, len(rank)), p.name))


__all__ = ["Absent", "Peer", "Rival", "classes"]

# SPDX-License-Identifier: Apache-2.0
"""The environment of a worker: threads and instruction caps, which libraries read as they load."""

from __future__ import annotations

import os
from collections.abc import Sequence

from striate.bench.peers import Peer


def variables(isa: str, threads: int, peers: Sequence[type[Peer]]) -> dict[str, str]:
    """Equal threads for everybody; where STRIATE_ISA caps us, the peers are capped as well."""
    found = {
        "STRIATE_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    for peer in peers:
        found.update(peer.environment(isa, threads))
    return found


def merged(isa: str, threads: int, peers: Sequence[type[Peer]]) -> dict[str, str]:
    """This process's environment with those variables; an empty one unsets it."""
    both = {**os.environ, **variables(isa, threads, peers)}
    return {name: value for name, value in both.items() if value}

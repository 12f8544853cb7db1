# SPDX-License-Identifier: Apache-2.0
"""What programs ask before they use a GPU. There is none here."""

from __future__ import annotations

__all__ = [
    "device_count",
    "is_available",
    "manual_seed",
    "manual_seed_all",
]


def is_available() -> bool:
    """False: this build has no CUDA support."""
    return False


def device_count() -> int:
    """0: this build has no CUDA support."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no GPU whose stream could start anew."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no GPU whose stream could start anew."""

# SPDX-License-Identifier: Apache-2.0
"""Where tensors live: the CPU. Names of other devices are understood, and refused where used."""

from __future__ import annotations

from typing import Any

_KINDS = ("cpu", "cuda")


class device(str):
    """A device's name, "cpu" or "cuda:0", with its `type` and `index`. Equal to the plain str."""

    type: str
    index: int | None  # type: ignore[assignment]

    def __new__(cls, type: str = "cpu", index: int | None = None) -> device:
        if not isinstance(type, str):
            raise TypeError(f"device: type: expected a str such as 'cpu', got {type!r}")
        kind, colon, number = type.partition(":")
        if colon:
            if index is not None or not (number.isascii() and number.isdigit()):
                raise ValueError(f"device: expected a name such as 'cpu' or 'cuda:0', got {type!r}")
            index = int(number)
        if kind not in _KINDS:
            raise ValueError(f"device: expected 'cpu' or 'cuda', got {type!r}")
        made = str.__new__(cls, kind if index is None else f"{kind}:{index}")
        made.type, made.index = kind, index
        return made

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"


CPU = device("cpu")


def is_device(value: Any) -> bool:
    """Whether `value` names a device, rather than a dtype."""
    return isinstance(value, str) and value.partition(":")[0] in _KINDS


def expect_cpu(name: str, value: Any) -> None:
    """Raises where `value` is a device other than the CPU; None is the CPU."""
    if value is None or device(value).type == "cpu":
        return
    from striate import cuda  # asks the driver, which nobody needs who stays on the CPU

    raise RuntimeError(cuda.refusal(f"{name}: device '{value}'", device(value).index))

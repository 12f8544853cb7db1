# SPDX-License-Identifier: Apache-2.0
"""support.toml: what of PyTorch is here, the same, different, or absent, and which test proves it.

The pages "Coming from PyTorch" and "Support matrix" are written from it, and tests/test_support.py
holds it against both libraries. `python docs/support.py` prints what torch has and the table lacks.
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE / "support.toml"
# Arguments that PyTorch has for other devices, layouts and compilers, or keeps for old programs.
PASSED_OVER = {
    "args", "kwargs", "device", "layout", "pin_memory", "memory_format", "out", "size_average",
    "reduce", "foreach", "fused", "capturable", "differentiable", "_weight", "_freeze",
    "_stacklevel", "only_inputs", "non_blocking", "self", "input", "is_grads_batched",
}  # fmt: skip
STATUSES = ("same", "different", "own", "absent")


@dataclass(frozen=True)
class Item:
    """One name: `what` differs, or why it is absent; `lacks` are arguments that are refused."""

    section: str
    name: str
    status: str
    test: str = ""
    what: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def difference(self) -> str:
        """What differs, in words."""
        missing = f"without {', '.join(f'``{name}``' for name in self.lacks)}" if self.lacks else ""
        return "; ".join(filter(None, (missing, rst(self.what))))


@dataclass(frozen=True)
class Section:
    """A namespace of PyTorch's with the one here that answers to it, or a list of features."""

    key: str
    title: str
    theirs: str
    ours: str
    items: tuple[Item, ...]

    def of(self, status: str) -> list[Item]:
        """The items of one status, by name."""
        found = [item for item in self.items if item.status == status]
        return sorted(found, key=lambda item: item.name.lower())


def load() -> list[Section]:
    """The table. ValueError where it has keys that nothing reads."""
    with TABLE.open("rb") as file:
        table = tomllib.load(file)
    sections = []
    for key, value in table.items():
        unknown = set(value) - {"title", "theirs", "ours", *STATUSES}
        if unknown:
            raise ValueError(f"{TABLE}: {key}: expected {', '.join(STATUSES)}, got {unknown}")
        items = [
            _item(key, name, status, entry)
            for status in STATUSES
            for name, entry in value.get(status, {}).items()
        ]
        theirs, ours = value.get("theirs", ""), value.get("ours", "")
        sections.append(Section(key, value["title"], theirs, ours, tuple(items)))
    return sections


def _item(section: str, name: str, status: str, entry: Any) -> Item:
    if isinstance(entry, str):  # the test, or for what is absent the reason
        entry = {"what" if status == "absent" else "test": entry}
    unknown = set(entry) - {"test", "what", "lacks"}
    if unknown:
        raise ValueError(f"{TABLE}: {section}.{name}: expected test, what or lacks, got {unknown}")
    entry["lacks"] = tuple(entry.get("lacks", ()))
    return Item(section, name, status, **entry)


def resolve(path: str) -> Any:
    """What a dotted path names; None where there is nothing."""
    parts = path.split(".")
    found: Any = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join(parts[:i]))
            except ImportError:
                return None
        found = getattr(found, part, None)
    return found


def rst(line: str) -> str:
    """A line of prose with `code` as code, and everything else as it stands."""
    parts = re.split(r"`([^`]+)`", line)
    plain = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts[::2]]
    code = [f"``{part.strip()}``" for part in parts[1::2]]
    text = plain[0]
    for c, p in zip(code, plain[1:], strict=True):
        text += c + ("\\ " if p[:1].isalnum() else "") + p
    return text


# --- pages ----------------------------------------------------------------------------------------


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], widths: str) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return [*lines, ""]


def coming_from_pytorch(sections: list[Section]) -> str:
    """The page for PyTorch's users."""
    lines = _heading("Coming from PyTorch", "=")
    lines += [
        "Change ``import torch`` to ``import striate``, and what stands under *same* below behaves",
        "as it did. Where an argument is missing it is refused, not ignored. Each line is held",
        "against PyTorch by a test; :doc:`support_matrix` names it.",
        "",
    ]
    for section in sections:
        if not section.theirs:
            continue
        lines += _heading(section.title, "-")
        same = ", ".join(f"``{item.name}``" for item in section.of("same"))
        if same:
            lines += [f"**Same as in** ``{section.theirs}``: {same}.", ""]
        different = [(f"``{i.name}``", i.difference) for i in section.of("different")]
        if different:
            lines += ["**Different:**", ""]
            lines += _table(("Name", "What differs"), different, "25 75")
        own = [(f"``{i.name}``", rst(i.what)) for i in section.of("own")]
        if own:
            lines += ["**Only here:**", "", *_table(("Name", "What it is"), own, "25 75")]
        absent = [(f"``{i.name}``", rst(i.what)) for i in section.of("absent")]
        if absent:
            lines += ["**Absent:**", "", *_table(("Name", "Why, or what instead"), absent, "25 75")]
    return "\n".join(lines)


def support_matrix(sections: list[Section]) -> str:
    """The page with every item, its state and its test."""
    lines = _heading("Support matrix", "=")
    counts = {s: sum(len(section.of(s)) for section in sections) for s in STATUSES}
    lines += [
        f"{counts['same']} names are the same as in PyTorch, {counts['different']} differ, "
        f"{counts['own']} exist only here, {counts['absent']} are absent. The test in the last",
        "column fails where a line is not true.",
        "",
    ]
    for section in sections:
        lines += _heading(section.title, "-")
        rows = [
            (f"``{item.name}``", item.status, f"``{item.test}``" if item.test else "")
            for status in STATUSES
            for item in section.of(status)
        ]
        lines += _table(("Name", "State", "Test"), rows, "35 15 50")
    return "\n".join(lines)


def write_pages(folder: Path) -> None:
    """Writes both pages, where they are not as they should be already."""
    sections = load()
    folder.mkdir(exist_ok=True)
    for page in (coming_from_pytorch, support_matrix):
        path, text = folder / f"{page.__name__}.rst", page(sections)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# --- what the table lacks -------------------------------------------------------------------------

# Modules and helpers that are no part of PyTorch's documented interface, by section.
_NOT_PUBLIC = {
    "nn": {"Container", "NLLLoss2d", "RNNBase", "RNNCellBase", "LinearCrossEntropyOptions"},
    "functional": {
        "assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function",
        "has_torch_function_unary", "has_torch_function_variadic", "native_channel_shuffle",
    },
    "lr_scheduler": {"Any", "Counter", "Literal", "Optimizer", "Self", "SupportsFloat", "Tensor",
                     "TypedDict", "TYPE_CHECKING", "EPOCH_DEPRECATION_WARNING"},
    "optim": {"Optimizer"},
}  # fmt: skip


def untold() -> dict[str, list[str]]:
    """By section, the names of torch's layers, functions and optimizers that the table lacks."""
    sections = {section.key: section for section in load()}
    missing = {}
    for key in ("nn", "functional", "optim", "lr_scheduler"):
        section = sections[key]
        space = resolve(section.theirs)
        names = {n for n in dir(space) if not n.startswith("_") and callable(getattr(space, n))}
        names = {n for n in names if n[0].islower() == (key == "functional")}
        told = {item.name for item in section.items}
        missing[key] = sorted(names - told - _NOT_PUBLIC.get(key, set()))
    return missing


def unlisted(section: Section) -> list[str]:
    """What a namespace of layers, functions or optimizers here offers, and no line tells of."""
    if section.key not in ("nn", "functional", "optim", "lr_scheduler"):
        return []
    told = {item.name for item in section.items} | _NOT_PUBLIC.get(section.key, set()) | {"Summary"}
    space = vars(resolve(section.ours))
    return sorted(
        name
        for name, value in space.items()
        if callable(value)
        and not name.startswith("_")
        and (getattr(value, "__module__", None) or "").startswith("striate")
        and name not in told
    )


if __name__ == "__main__":
    lacking = untold()
    for key, names in lacking.items():
        print(f"{key}: {', '.join(names) or 'complete'}")
    sys.exit(any(lacking.values()))

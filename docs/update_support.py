# SPDX-License-Identifier: Apache-2.0
"""Brings support.toml up to date: `python docs/update_support.py`, with torch at hand.

Names that have come move from absent to same or different, with the arguments that they lack and a
test that mentions them; names that torch or this library have besides are added. Notes stay. Read
what changed: a test that mentions a name is a guess at the one that proves it.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import support

TESTS = support.HERE.parent / "tests"
OTHERS = {"test_support.py", "test_docs.py", "test_documents.py", "test_bench.py"}
LISTS = {"test_every_layer_with_arguments_of_torchs_is_tried"}  # tests that mention, and don't try
OP_TEST = "test_ops.py::test_forward"  # reads the table of cases
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# What of PyTorch is here. docs/support.py reads this, tests/test_support.py holds it against both
# libraries, docs/update_support.py keeps it up to date.
#
#   [section.same]       name = "the test that proves it"
#   [section.different]  name = { test, lacks = [arguments that are refused], what = "the rest" }
#   [section.own]        name = { test, what = "what it is" }: here alone
#   [section.absent]     name = "why, or what to use instead"
"""


class Tests:
    """Which test mentions a name."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[list[tuple[str, str]], dict[str, str]]] = {}
        for path in sorted(TESTS.glob("test_*.py")):
            if path.name not in OTHERS:
                self.files[path.name] = self._read(path.read_text(encoding="utf-8"))
        cases = support.HERE.parent / "python/striate/testing/cases"
        self.cases = "".join(p.read_text(encoding="utf-8") for p in cases.glob("*.py"))

    def _read(self, text: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """The tests, and what else the file defines, by name and source."""
        tests, others = [], {}
        for node in ast.parse(text).body:
            source = ast.get_source_segment(text, node) or ""
            if isinstance(node, ast.FunctionDef):
                source += "".join(
                    ast.get_source_segment(text, d) or "" for d in node.decorator_list
                )
                if node.name in LISTS:
                    continue
                if node.name.startswith("test_"):
                    tests.append((node.name, source))
                else:
                    others[node.name] = source
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.ClassDef)):
                targets = node.targets if isinstance(node, ast.Assign) else [node]
                for target in targets:
                    name = getattr(target, "id", None) or getattr(target, "name", None)
                    name = name or getattr(getattr(target, "target", None), "id", None)
                    if name:
                        others[name] = source
        return tests, others

    def _in(self, file: str, pattern: str) -> str | None:
        tests, others = self.files[file]
        for name, source in tests:
            if re.search(pattern, source):
                return f"{file}::{name}"
        hit = {name for name, source in others.items() if re.search(pattern, source)}
        while True:  # tables of tables, and functions that read them
            more = {n for n, s in others.items() if n not in hit and _mentions(s, hit)}
            if not more:
                break
            hit |= more
        for name, source in tests:
            if hit and _mentions(source, hit):
                return f"{file}::{name}"
        return None

    def of(self, section: str, name: str) -> str:
        """The likeliest test; ValueError where no test mentions the name."""
        last = re.escape(name.rpartition(".")[2])
        calls = {"tensor": r"\.", "torch": r"\b(?:striate|torch|t|m)\.", "nn": r"\bnn\."}
        calls["functional"] = r"\b(?:F|functional)\."
        patterns = [calls.get(section, r"\.") + last + r"\b", rf"[\"']{last}[\"']", rf"\b{last}\b"]
        if last.endswith("_"):
            patterns.append(rf"\b{last[:-1]}\b")
        first = {"nn": "test_torch", "optim": "test_torch_optim", "data": "test_data"}.get(
            section, "test_torch"
        )
        files = sorted(self.files, key=lambda f: (not f.startswith(first), "opinfo" in f, f))
        if section in ("torch", "tensor"):  # the tests made to compare these come first
            for pattern in patterns[:2]:
                for file in ("test_torch_tensor.py", "test_torch_small.py"):
                    found = self._in(file, pattern)
                    if found:
                        return found
        for pattern in patterns:
            for file in files:
                found = self._in(file, pattern)
                if found:
                    return found
            if re.search(rf"[\"']{last}[\"']", self.cases):
                return OP_TEST
        raise ValueError(f"{section}.{name}: no test mentions it; write one")

    def exists(self, test: str) -> bool:
        """Whether there is such a test."""
        file, _, name = test.partition("::")
        return file in self.files and name in [n for n, _ in self.files[file][0]]


def _mentions(source: str, names: set[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", source) for name in names)


def arguments(function: Any) -> set[str] | None:
    """The names of a function's arguments; None where it does not tell."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return set(parameters)


def lacking(theirs: str, ours: str) -> list[str]:
    """Arguments of torch's function that the one here refuses, as far as both tell."""
    import torch

    found = support.resolve(theirs)
    told = arguments(found)
    if told is None:
        told = arguments(torch.overrides.get_testing_overrides().get(found))
    here = arguments(support.resolve(ours))
    if told is None or here is None:
        return []
    return sorted(told - here - support.PASSED_OVER)


def updated(section: support.Section, tests: Tests, lines: list[str]) -> dict[str, dict[str, Any]]:
    """The section's entries by status; what it was unsure of in `lines`."""
    made: dict[str, dict[str, Any]] = {status: {} for status in support.STATUSES}
    names = {item.name: item for item in section.items}
    missing = support.untold().get(section.key, []) if section.theirs else []
    here = support.unlisted(section) if section.theirs else []
    for name in [*names, *missing, *here]:
        item = names.get(name, support.Item(section.key, name, "absent", what="not here yet"))
        is_here = not section.ours or support.resolve(f"{section.ours}.{name}") is not None
        if not is_here:
            made["absent"][name] = item.what if item.status == "absent" else "not here yet"
            continue
        try:
            test = item.test if tests.exists(item.test) else tests.of(section.key, name)
        except ValueError as error:
            lines.append(str(error))
            test = "?"
        what = "" if item.status == "absent" else item.what
        if not section.theirs or support.resolve(f"{section.theirs}.{name}") is None:
            doc = inspect.getdoc(support.resolve(f"{section.ours}.{name}")) if section.ours else ""
            first = (doc or "").split("\n")[0].rstrip(".")
            made["own"][name] = {"test": test, "what": what or first}
            continue
        lacks = lacking(f"{section.theirs}.{name}", f"{section.ours}.{name}")
        if not lacks and not what:
            made["same"][name] = test
        else:
            made["different"][name] = {"test": test, "lacks": lacks, "what": what}
    return made


def _value(entry: Any) -> str:
    if isinstance(entry, str):
        return json.dumps(entry, ensure_ascii=False)
    parts = []
    for key, value in entry.items():
        if isinstance(value, list) and value:
            parts.append(f"{key} = [{', '.join(map(json.dumps, value))}]")
        elif isinstance(value, str) and value:
            parts.append(f"{key} = {_value(value)}")
    return f"{{ {', '.join(parts)} }}"


def main() -> int:
    """Writes the table; exit status 1 where a name has no test."""
    tests, unsure = Tests(), []
    text = [HEAD]
    for section in support.load():
        made = updated(section, tests, unsure)
        text.append(f"[{section.key}]\ntitle = {_value(section.title)}")
        if section.theirs:
            text.append(f"theirs = {_value(section.theirs)}\nours = {_value(section.ours)}")
        for status in support.STATUSES:
            if not made[status]:
                continue
            text.append(f"\n[{section.key}.{status}]")
            for name, entry in sorted(made[status].items()):
                key = name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
                text.append(f"{key} = {_value(entry)}")
        text.append("")
    support.TABLE.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(unsure) or "up to date")
    return 1 if unsure else 0


if __name__ == "__main__":
    sys.exit(main())

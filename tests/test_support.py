# SPDX-License-Identifier: Apache-2.0
"""docs/support.toml tells the truth: names, arguments, tests."""

import ast
import functools
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import striate

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("support", ROOT / "docs" / "support.py")
support = importlib.util.module_from_spec(spec)
import sys  # noqa: E402

sys.modules["support"] = support  # dataclasses look their module up
spec.loader.exec_module(support)

SECTIONS = support.load()
ITEMS = [(section, item) for section in SECTIONS for item in section.items]
CODE = [(s, i) for s, i in ITEMS if s.ours]
# Arguments that PyTorch has for other devices, layouts and compilers, or keeps for old programs.
PASSED_OVER = {
    "args", "kwargs", "device", "layout", "pin_memory", "memory_format", "out", "size_average",
    "reduce", "foreach", "fused", "capturable", "differentiable", "_weight", "_freeze",
    "_stacklevel", "only_inputs", "non_blocking", "self", "input", "is_grads_batched",
}  # fmt: skip


def ids(pairs):
    return [f"{s.key}-{i.name}" for s, i in pairs]


@functools.cache
def tree(file):
    return ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))


@functools.cache
def all_words():
    """Every word in the tests and in the table of cases."""
    files = [*(ROOT / "tests").glob("*.py"), *(ROOT / "python/striate/testing").rglob("*.py")]
    return {f.name: set(re.findall(r"\w+", f.read_text(encoding="utf-8"))) for f in files}


def test_the_table_is_whole():
    assert len(ITEMS) > 300
    seen = set()
    for section, item in ITEMS:
        assert (section.key, item.name) not in seen, f"{section.key}: {item.name} twice"
        seen.add((section.key, item.name))
        if item.status == "absent":
            assert item.what and not item.test, f"{item.name}: absent needs a reason, and no test"
        else:
            assert item.test, f"{item.name}: no test"
        assert bool(item.difference) == (item.status == "different") or item.status != "different"


@pytest.mark.parametrize(("section", "item"), CODE, ids=ids(CODE))
def test_names_exist_or_are_absent_as_claimed(section, item):
    found = support.resolve(f"{section.ours}.{item.name}")
    if item.status == "absent":
        assert found is None, f"{section.ours}.{item.name} is there: move it in support.toml"
    else:
        assert found is not None, f"{section.ours}.{item.name} is not there"


TESTED = [(s, i) for s, i in ITEMS if i.test]


def test_every_test_exists():
    wrong = []
    for _, item in TESTED:
        file, _, name = item.test.partition("::")
        path = ROOT / "tests" / file
        names = {n.name for n in ast.walk(tree(file)) if isinstance(n, ast.FunctionDef)}
        if not path.is_file() or name not in names:
            wrong.append(f"{item.section}.{item.name}: {item.test}")
    assert not wrong


def test_every_name_is_in_its_tests_file():
    """Or in the table of cases, which the tests of operations and of torch's samples read."""
    wrong = []
    cases = set().union(*(w for f, w in all_words().items() if not f.startswith("test_")))
    for _, item in TESTED:
        word = re.split(r"[. ]", item.name)[-1].rstrip("_") or item.name
        words = all_words()[item.test.partition("::")[0]] | cases
        if not {word, f"{word}_", item.name} & words and " " not in item.name:
            wrong.append(f"{item.section}.{item.name}: {item.test}")
    assert not wrong


def arguments(function):
    """The names of a function's arguments; None where it does not tell."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return set(parameters)


def theirs_arguments(path):
    torch = pytest.importorskip("torch")
    found = support.resolve(path)
    told = arguments(found)
    if told is None:
        told = arguments(torch.overrides.get_testing_overrides().get(found))
    return found, told


COMPARED = [(s, i) for s, i in CODE if s.theirs and i.status in ("same", "different")]


@pytest.mark.parametrize(("section", "item"), COMPARED, ids=ids(COMPARED))
def test_arguments_are_lacking_exactly_as_told(section, item):
    found, theirs = theirs_arguments(f"{section.theirs}.{item.name}")
    assert found is not None, f"there is no {section.theirs}.{item.name}"
    ours = arguments(support.resolve(f"{section.ours}.{item.name}"))
    if theirs is None or ours is None:
        return  # one of the two does not tell
    assert sorted(theirs - ours - PASSED_OVER) == sorted(item.lacks)


def test_torch_has_nothing_that_is_not_told():
    pytest.importorskip("torch")
    lacking = {key: names for key, names in support.untold().items() if names}
    assert lacking == {}


def test_what_the_table_does_not_tell_of_here():
    """Layers, optimizers and functions of layers that are here and in no line."""
    told = {(s.ours, i.name) for s, i in CODE}
    missing = []
    for space in ("striate.nn", "striate.nn.functional", "striate.optim"):
        for name, value in vars(support.resolve(space)).items():
            public = callable(value) and not name.startswith("_")
            if public and (space, name) not in told and name not in ("Summary",):
                missing.append(f"{space}.{name}")
    assert not missing


def test_pages(tmp_path):
    support.write_pages(tmp_path)
    text = (tmp_path / "coming_from_pytorch.rst").read_text(encoding="utf-8")
    assert "``Linear``" in text and "Absent" in text
    matrix = (tmp_path / "support_matrix.rst").read_text(encoding="utf-8")
    assert all(f"``{item.name}``" in matrix for _, item in ITEMS)
    before = (tmp_path / "support_matrix.rst").stat().st_mtime_ns
    support.write_pages(tmp_path)
    assert (tmp_path / "support_matrix.rst").stat().st_mtime_ns == before
    assert striate.__version__

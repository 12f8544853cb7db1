# SPDX-License-Identifier: Apache-2.0
"""docs/support.toml tells the truth: names, arguments, tests."""

import ast
import functools
import re
import sys
from pathlib import Path

import pytest
import striate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import support  # noqa: E402
import update_support  # noqa: E402

SECTIONS = support.load()
ITEMS = [(section, item) for section in SECTIONS for item in section.items]
CODE = [(s, i) for s, i in ITEMS if s.ours]


def ids(pairs):
    return [f"{s.key}-{i.name}" for s, i in pairs]


@functools.cache
def tree(file):
    return ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))


@functools.cache
def all_words():
    """Every word in the tests and in the table of cases."""
    tests = ROOT / "tests"
    named = {
        str(f.relative_to(tests)): f for f in [*tests.glob("*.py"), *tests.glob("device/*.py")]
    }
    named |= {f.name: f for f in (ROOT / "python/striate/testing").rglob("*.py")}
    return {n: set(re.findall(r"\w+", f.read_text(encoding="utf-8"))) for n, f in named.items()}


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
    cases = set().union(*(w for f, w in all_words().items() if "test_" not in f))
    for _, item in TESTED:
        word = re.split(r"[. ]", item.name)[-1].rstrip("_") or item.name
        words = all_words()[item.test.partition("::")[0]] | cases
        if not {word, f"{word}_", item.name} & words and " " not in item.name:
            wrong.append(f"{item.section}.{item.name}: {item.test}")
    assert not wrong


COMPARED = [(s, i) for s, i in CODE if s.theirs and i.status in ("same", "different")]


@pytest.mark.parametrize(("section", "item"), COMPARED, ids=ids(COMPARED))
def test_arguments_are_lacking_exactly_as_told(section, item):
    pytest.importorskip("torch")
    theirs, ours = f"{section.theirs}.{item.name}", f"{section.ours}.{item.name}"
    assert support.resolve(theirs) is not None, f"there is no {theirs}"
    assert update_support.lacking(theirs, ours) == sorted(item.lacks)


def test_torch_has_nothing_that_is_not_told():
    pytest.importorskip("torch")
    lacking = {key: names for key, names in support.untold().items() if names}
    assert lacking == {}


def test_nothing_here_is_not_told():
    assert {s.key: support.unlisted(s) for s in SECTIONS if support.unlisted(s)} == {}


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

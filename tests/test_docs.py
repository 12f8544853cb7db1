# SPDX-License-Identifier: Apache-2.0
"""The documents build without a warning, what they show runs, and so do docstrings' examples."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import striate
from subprocesses import succeeds

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(p.name for p in DOCS.glob("*.rst"))
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(striate.__path__, "striate.")
    if not m.name.rpartition(".")[2].startswith("_")
)


def test_it_builds(tmp_path):
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in ("index", "generated/support_matrix", "generated/api_striate_nn"):
        assert (tmp_path / f"{page}.html").is_file()


def blocks(text):
    """The Python of a page, its blocks one behind the other."""
    found = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
    return "\n".join(re.sub(r"^   ", "", block, flags=re.M) for block in found)


@pytest.mark.parametrize("page", PAGES)
def test_what_the_pages_show_runs(page, tmp_path):
    code = blocks((DOCS / page).read_text(encoding="utf-8"))
    if not code:
        pytest.skip("no code on this page")
    out = succeeds(f"import os\nos.chdir({str(tmp_path)!r})\n{code}")
    if page == "errors.rst":  # the message stands on the page
        shown = (DOCS / page).read_text(encoding="utf-8").partition("prints::\n\n")[2]
        shown = re.sub(r"^    ", "", shown.partition("\n\n")[0], flags=re.M)
        assert out.startswith(shown)
        assert "the gradient of sqrt for operand 0 is NaN" in out


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}")
    found = [t for t in doctest.DocTestFinder().find(module, name) if t.examples]
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    output = []
    for test in found:
        runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


def test_there_are_examples():
    from striate.autograd import Function, grad

    assert ">>>" in str(Function.__doc__) and ">>>" in str(grad.__doc__)

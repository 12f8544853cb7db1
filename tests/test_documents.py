# SPDX-License-Identifier: Apache-2.0
"""What the documents say is there is there, and what they show runs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from subprocesses import succeeds

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "docs/benchmarks.md", "docs/decisions.md"]
FOLDERS = ("csrc/", "python/", "tests/", "docs/", "benchmarks/", "examples/", ".ci/")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"[`(]([\w./]+)[`)]", text)
    paths = [p for p in named if p.startswith(FOLDERS) or p.endswith(".md")]
    here = [ROOT, (ROOT / document).parent]
    missing = [p for p in paths if not any((folder / p).exists() for folder in here)]
    assert paths
    assert not missing


def test_the_walkthroughs_still_apply():
    """The diffs of CONTRIBUTING.md fit the files that they are shown for."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diffs = re.findall(r"```diff\n(.*?)```", text, re.S)
    assert len(diffs) == 2
    for diff in diffs:
        command = [git, "apply", "--check", "-C1", "-"]
        done = subprocess.run(command, input=diff, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_readmes_example_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    out = succeeds(example)
    right = float(re.search(r"right ([\d.]+)%", out).group(1))
    assert right > 90, out

# SPDX-License-Identifier: Apache-2.0
"""Files of one ISA are sealed: nothing of them can stand in for code that runs elsewhere.

A weak symbol (an inline function, a template of the standard library) that was compiled with
AVX-512 may be the copy that the linker keeps for everyone, and then the library crashes on a CPU
without it. So object files of an ISA export the kernels of their table and nothing else.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from striate import _C

ROOT = Path(__file__).parent.parent
ISAS = [isa for isa in _C.isas() if any(r["isa"] == isa for r in _C.rows())]


def build_folder():
    chosen = os.environ.get("STRIATE_BUILD_DIR")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}-*"
    found = [Path(chosen)] if chosen else sorted((ROOT / "build").glob(tag))
    found = [f for f in found if (f / "CMakeFiles").is_dir()]
    if not found:
        pytest.skip("no build folder here; build in this tree or set STRIATE_BUILD_DIR")
    if "STRIATE_SANITIZE:STRING=\n" not in (found[0] / "CMakeCache.txt").read_text():
        pytest.skip("sanitizers add symbols of their own")
    return found[0]


def objects(isa):
    folder = build_folder() / "CMakeFiles" / f"kernels_{isa}.dir"
    every = sorted(folder.rglob("*.o"))
    # An object whose source is gone is left over from an earlier build.
    live = [o for o in every if (ROOT / o.relative_to(folder).with_suffix("")).exists()]
    assert live, f"no objects of {isa} in {folder}"
    return live


def symbols(isa, *options):
    """(type, name, object) of every symbol."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm here")
    for path in objects(isa):
        command = [nm, *options, str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            kind, name = re.fullmatch(r"(?:[0-9a-f]+)? +(\w) (.+)", line).groups()
            yield kind, name, path.name


@pytest.mark.parametrize("isa", ISAS)
def test_no_weak_symbols(isa):
    assert not [s for s in symbols(isa, "-C") if s[0] in "VvWwu"]


@pytest.mark.parametrize("isa", ISAS)
def test_every_global_symbol_is_a_row_and_every_row_a_symbol(isa):
    rows = {r["name"] for r in _C.rows() if r["isa"] == isa and r["kind"] == "kernel"}
    exported = [s[1] for s in symbols(isa, "-C", "-g", "--defined-only")]
    names = [re.sub(r"\(.*", "", s).split("::")[-1] for s in exported]
    assert sorted(names) == sorted(rows)


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_is_called_but_c(isa):
    """A kernel needs memcpy, memset and libm from outside: no C++ runtime, no allocation."""
    needed = {s[1] for s in symbols(isa, "-u")}
    foreign = {n for n in needed if n.startswith("_Z") or n in {"malloc", "free", "calloc"}}
    assert not foreign

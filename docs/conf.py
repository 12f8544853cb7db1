# SPDX-License-Identifier: Apache-2.0
"""Sphinx: `sphinx-build -W docs build/docs` (extra [docs]). It writes generated/ first."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import reference
import striate
import support

project = "striate"
author = "the striate authors"
copyright = author
release = version = striate.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "alabaster"
html_theme_options = {"description": striate.__doc__, "page_width": "1080px"}
exclude_patterns = ["_build", "decisions.md"]
autodoc_typehints = "none"
autodoc_member_order = "alphabetical"
default_role = "code"

_GENERATED = Path(__file__).parent / "generated"
support.write_pages(_GENERATED)
reference.write_pages(_GENERATED)


def _as_rst(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: prose, indented formulas, lists with -, examples with >>>."""
    made: list[str] = []
    paragraph: list[str] = []

    def finish() -> None:
        if not paragraph:
            return
        if paragraph[0].lstrip().startswith(">>>"):
            indent = len(paragraph[0]) - len(paragraph[0].lstrip())
            made.extend(line[indent:] for line in paragraph)
        else:
            literal = False
            for line in paragraph:
                indented = line.startswith("    ")
                if indented and not literal:
                    made.extend(["", "::", ""])
                elif literal and not indented:
                    made.append("")
                literal = indented
                made.append(line if indented else support.rst(line))
        made.append("")
        paragraph.clear()

    for line in lines:
        if line.strip():
            paragraph.append(line)
        else:
            finish()
    finish()
    lines[:] = made


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _as_rst)

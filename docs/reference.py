# SPDX-License-Identifier: Apache-2.0
"""The pages of the API reference: every public name of every public module, by its own list."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

# (module, title, what its page begins with)
MODULES = [
    ("striate", "Tensors", "Functions that make and combine tensors."),
    ("striate.nn", "Layers", "Modules with parameters."),
    ("striate.nn.functional", "Functions of layers", "What layers compute, without parameters."),
    ("striate.nn.init", "Initialisation", "Values for parameters to begin with."),
    ("striate.nn.utils", "Helpers for parameters", "Gradient norms, and parameters as one vector."),
    ("striate.optim", "Optimizers", "What changes parameters by their gradients."),
    ("striate.optim.lr_scheduler", "Schedules", "Learning rates that change over time."),
    ("striate.autograd", "Gradients", "The tape, and what can be asked of it."),
    ("striate.profiler", "Profiler", "Where the time goes."),
    ("striate.cuda", "GPUs", "What there is of CUDA, and the devices that tensors can be on."),
    ("striate.data", "Data", "Datasets, loaders, transforms."),
    ("striate.models", "Models", "Networks that are ready to train."),
    ("striate.interop", "Interoperation", "Networks of other frameworks."),
    ("striate.testing.gradcheck", "Gradient checks", "Gradients against finite differences."),
]


def public(module: Any) -> list[str]:
    """The names a module offers: its own list, or what has no underscore and is defined there."""
    gathers = module.__name__ in ("striate", "striate.nn.functional")
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    found = []
    for name in names:
        value = getattr(module, name)
        home = getattr(value, "__module__", None) or ""
        if callable(value) and home.startswith("striate" if gathers else module.__name__):
            found.append(name)
    return sorted(set(found), key=lambda n: (n.lower(), n))


def page(name: str, title: str, about: str, seen: set[int]) -> str:
    """One module's page. What another page has already is left out of the index."""
    module = importlib.import_module(name)
    head = f"{title}: {name}"
    lines = [head, "=" * len(head), "", about, ""]
    for entry in public(module):
        value = getattr(module, entry)
        again = ["   :no-index:"] if id(value) in seen else []
        seen.add(id(value))
        if inspect.isclass(value):
            lines += [f".. autoclass:: {name}.{entry}", "   :members:", *again, ""]
        else:
            lines += [f".. autofunction:: {name}.{entry}", *again, ""]
    return "\n".join(lines)


def write_pages(folder: Path) -> None:
    """Writes the pages and their index, where they are not as they should be already."""
    folder.mkdir(exist_ok=True)
    pages: dict[str, str] = {}
    seen: set[int] = set()
    for name, title, about in MODULES:
        try:
            pages[f"api_{name.replace('.', '_')}"] = page(name, title, about, seen)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or "?"):
                raise
    head = ["API reference", "=" * 13, "", ".. toctree::", "   :maxdepth: 1", ""]
    pages["api"] = "\n".join([*head, *(f"   {stem}" for stem in pages), ""])
    for stem, text in pages.items():
        path = folder / f"{stem}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

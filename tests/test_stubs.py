# SPDX-License-Identifier: Apache-2.0
"""The stub of the extension says what the extension is: names, parameters, defaults.

stubtest can't look into compiled functions; their docstrings, which pybind11 begins with the
signature, can be read.
"""

import ast
import re
from pathlib import Path

import pytest
import striate
from striate import _C

STUB = Path(striate.__file__).with_name("_C.pyi")


def stubs():
    """name -> node of every function and class in the stub."""
    nodes = ast.parse(STUB.read_text(encoding="utf-8")).body
    return {n.name: n for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def public_names():
    return [n for n in dir(_C) if not n.startswith("_")]


FUNCTIONS = [n for n, node in stubs().items() if isinstance(node, ast.FunctionDef)]


def signature(name):
    """The signature that pybind11 wrote, as one that Python can parse."""
    line = (getattr(_C, name).__doc__ or "").split("\n")[0]
    line = re.sub(r"<[^>]*>", "0", line)
    return line if re.fullmatch(rf"{name}\(.*\)( -> .*)?", line) else None


def parameters(function):
    """(name, default as text) of every parameter of `def function: ...`."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + function.args.defaults
    pairs = [*zip(arguments, defaults, strict=True)]
    pairs += zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return [(a.arg, None if d is None else ast.unparse(d)) for a, d in pairs]


def activations():
    """Bindings of the activation table, which are alike and need no stub of their own."""
    kernels = [r["name"] for r in _C.rows() if r["op"] == "activation"]
    return {name.rsplit("_", 2)[0] for name in kernels}


def test_activations_are_alike():
    for name in activations():
        names = [n for n, _ in parameters(ast.parse(f"def {signature(name)}: ...").body[0])]
        operands = ["saved", "dy"] if name.endswith("_backward") else ["x"]
        assert names == [*operands, "parameter", "out"]


def test_every_public_name_has_a_stub():
    missing = [n for n in public_names() if n not in stubs() and n not in activations()]
    lines = [f"def {signature(n)}: ..." if signature(n) else n for n in missing]
    assert not missing, "python/striate/_C.pyi lacks:\n" + "\n".join(lines)


def test_every_stub_has_a_name():
    assert not [n for n in stubs() if not n.startswith("_") and not hasattr(_C, n)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters(name):
    line = signature(name)
    assert line, f"{name} has no signature in its docstring"
    assert parameters(stubs()[name]) == parameters(ast.parse(f"def {line}: ...").body[0])

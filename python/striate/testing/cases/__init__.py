# SPDX-License-Identifier: Apache-2.0
"""The one table of operations that tests and benchmarks read: the CASES of every module here."""

from importlib import import_module
from pkgutil import iter_modules

from striate.testing.cases.case import Case, Misuse, Sample

CASES: list[Case] = [
    case
    for module in iter_modules(__path__)
    for case in getattr(import_module(f"{__name__}.{module.name}"), "CASES", [])
]

__all__ = ["CASES", "Case", "Misuse", "Sample"]

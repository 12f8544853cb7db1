# SPDX-License-Identifier: Apache-2.0
"""The one table of operations that tests and benchmarks read. A new op adds its cases here."""

from striate.testing.cases import activation, elementwise, gemm, loss, softmax
from striate.testing.cases.case import Case, Misuse, Sample

CASES: list[Case] = [
    *elementwise.CASES,
    *gemm.CASES,
    *activation.CASES,
    *loss.CASES,
    *softmax.CASES,
]

__all__ = ["CASES", "Case", "Misuse", "Sample"]

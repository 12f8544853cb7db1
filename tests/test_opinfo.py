# SPDX-License-Identifier: Apache-2.0
"""torch's own samples and error inputs, for every operation and module that striate has.

`pytest -k opinfo -s` prints how many ran and passed, and why others did not apply. What is allowed
to differ stands in opinfo/deviations.py.
"""

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="torch's databases import it")

from opinfo import samples
from opinfo.names import variants
from torch.testing._internal.common_methods_invocations import op_db

BY_NAME = {}
for info in op_db:
    BY_NAME.setdefault(info.name, []).append(info)
PRESENT = sorted(name for name, infos in BY_NAME.items() if any(variants(i) for i in infos))
ABSENT = sorted(set(BY_NAME) - set(PRESENT))


@pytest.mark.parametrize("name", PRESENT)
def test_operation(name, record_property):
    tally = samples.Tally()
    for info in BY_NAME[name]:
        if variants(info):
            samples.run_samples(info, name, tally)
            samples.run_errors(info, name, tally)
    record_property("opinfo", tally.record(name))
    shown = "\n".join(tally.failures[:20])
    assert not tally.failures, (
        f"{len(tally.failures)} samples differ from torch; put it right, or say why in "
        f"opinfo/deviations.py:\n{shown}"
    )
    stale = tally.stale([name])
    assert not [line for line in stale if line.ops == name], f"lines that cover nothing: {stale}"


def test_absent_operations_are_counted(record_property):
    record_property("opinfo", {"absent_ops": ABSENT})
    assert "matmul" in PRESENT and "special.airy_ai" in ABSENT

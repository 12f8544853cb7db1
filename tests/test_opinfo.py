# SPDX-License-Identifier: Apache-2.0
"""torch's own samples and error inputs, for every operation, module and optimizer we have.

`pytest -k opinfo -s` prints how many ran and passed, and why others did not apply. What is allowed
to differ stands in opinfo/deviations.py.
"""

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="torch's databases import it")

from opinfo import modules, optimizers, samples
from opinfo.deviations import DEVIATIONS
from opinfo.names import variants
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db

OPERATIONS = {}
for info in op_db:
    OPERATIONS.setdefault(info.name, []).append(info)
MODULES = {info.name: info for info in module_db}
OPTIMIZERS = {f"optim.{info.optim_cls.__name__}": info for info in optim_db}

PRESENT = [n for n, infos in sorted(OPERATIONS.items()) if any(variants(i) for i in infos)]
PRESENT_MODULES = [n for n, info in sorted(MODULES.items()) if modules.ours(info)]
PRESENT_OPTIMIZERS = [n for n, info in sorted(OPTIMIZERS.items()) if optimizers.ours(info)]


def settled(tally, name):
    """Fails where a sample differs without a reason, or a reason without a sample."""
    if tally.failures:
        shown = "\n".join(tally.failures[:20])
        pytest.fail(
            f"{len(tally.failures)} samples differ from torch; put it right, or say why in "
            f"opinfo/deviations.py:\n{shown}",
            pytrace=False,
        )
    stale = tally.stale(name)
    if stale:
        pytest.fail(f"no sample of {name} differs in this way (any more): {stale}", pytrace=False)


@pytest.mark.parametrize("name", PRESENT)
def test_operation(name, record_property):
    tally = samples.Tally()
    for info in OPERATIONS[name]:
        if variants(info):
            samples.run_samples(info, name, tally)
            samples.run_errors(info, name, tally)
    record_property("opinfo", tally.record("op", name))
    settled(tally, name)


@pytest.mark.parametrize("name", PRESENT_MODULES)
def test_module(name, record_property):
    tally = samples.Tally()
    modules.run(MODULES[name], tally)
    record_property("opinfo", tally.record("module", name))
    settled(tally, name)


@pytest.mark.parametrize("name", PRESENT_OPTIMIZERS)
def test_optimizer(name, record_property):
    tally = samples.Tally()
    optimizers.run(OPTIMIZERS[name], tally)
    record_property("opinfo", tally.record("optimizer", name))
    settled(tally, name)


def test_what_is_absent_is_counted(record_property):
    absent = {
        "absent_ops": sorted(set(OPERATIONS) - set(PRESENT)),
        "absent_modules": sorted(set(MODULES) - set(PRESENT_MODULES)),
        "absent_optimizers": sorted(set(OPTIMIZERS) - set(PRESENT_OPTIMIZERS)),
    }
    record_property("opinfo", absent)
    assert "matmul" in PRESENT and "special.airy_ai" in absent["absent_ops"]


def test_deviations_name_what_we_have():
    known = {*PRESENT, *PRESENT_MODULES, *PRESENT_OPTIMIZERS}
    unknown = [name for line in DEVIATIONS for name in line.ops.split() if name not in known]
    assert not unknown

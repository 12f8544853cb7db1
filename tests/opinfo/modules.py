# SPDX-License-Identifier: Apache-2.0
"""torch's samples for modules: constructed with the same arguments, loaded with torch's values."""

from typing import Any

import torch
from striate import nn

from opinfo import compare, deviations
from opinfo.deviations import Sample
from opinfo.samples import Reference, Tally, _compare, quietly, settle

DTYPES = [torch.float32, torch.float64]


def ours(info: Any) -> Any:
    """striate's class for a module of torch's, or None."""
    return getattr(nn, info.module_cls.__name__, None)


def _same_state(theirs: torch.nn.Module, module: Any) -> None:
    """Raises unless buffers are torch's after the forward pass."""
    mine = dict(module.named_buffers())
    for name, buffer in theirs.named_buffers():
        try:
            compare.check(buffer, mine[name])
        except compare.Mismatch as error:
            raise compare.Mismatch(error.kind, f"buffer {name}: {error}") from None


def _one(tally: Tally, info: Any, one: Any, dtype: torch.dtype, training: bool, name: str) -> None:
    made, given = one.constructor_input, one.forward_input
    if given is None:
        return
    kwargs = {"constructor": (*made.args, made.kwargs), **given.kwargs}
    first, *rest = given.args if given.args else (None,)
    sample = Sample(name, "module", str(dtype)[6:], first, tuple(rest), kwargs)
    settle()
    theirs = quietly(lambda: info.module_cls(*made.args, **made.kwargs).to(dtype))
    theirs.train(training)
    # What the module is before the forward pass, which may move its buffers.
    state = {k: v.detach().clone() for k, v in theirs.state_dict().items()}
    parameters = list(theirs.parameters())
    reference = Reference(
        lambda: theirs(*given.args, **given.kwargs),
        [*compare.leaves([list(given.args), given.kwargs]), *parameters],
    )
    values = deviations.is_determined(name)
    try:
        args, options = compare.ours((made.args, made.kwargs))
        module = ours(info)(*args, **options).to(compare.DTYPES[dtype])
        module.load_state_dict({k: compare.ours(v) for k, v in state.items()})
        module.train(training)
        inputs, named = compare.ours((given.args, given.kwargs))
        operands = [*compare.leaves([list(inputs), named]), *module.parameters()]
        had = _compare(reference, module(*inputs, **named), operands, values)
        _same_state(theirs, module)
    except compare.NoSuchValue as error:
        tally.reasons[deviations.NO_SUCH_VALUE.format(error)] += 1
    except compare.Mismatch as error:
        tally.differs(sample, error.kind, str(error))
    except Exception as error:
        tally.differs(sample, "refused", f"{type(error).__name__}: {error}")
    else:
        tally.passed += 1
        tally.gradients += had
        tally.undetermined += not values


def run(info: Any, tally: Tally) -> None:
    """Every sample, in float32 and float64, in training and in evaluation."""
    name = info.name
    for dtype in DTYPES:
        if dtype not in info.supported_dtypes("cpu"):
            continue
        for training in (True, False) if info.train_and_eval_differ else (True,):
            settle()
            made = quietly(
                lambda d=dtype, t=training: list(
                    info.module_inputs_func(
                        info, device="cpu", dtype=d, requires_grad=d == torch.float64, training=t
                    )
                )
            )
            for one in made:
                _one(tally, info, one, dtype, training, name)
    if info.module_error_inputs_func is not None:
        _errors(info, tally, name)


def _errors(info: Any, tally: Tally, name: str) -> None:
    """Error inputs, of the constructor or of the forward pass."""
    settle()
    made = quietly(
        lambda: list(
            info.module_error_inputs_func(
                info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
            )
        )
    )
    for error in made:
        one = error.module_error_input
        built, given = one.constructor_input, one.forward_input
        first, *rest = given.args if given is not None and given.args else (None,)
        kwargs = {"constructor": (*built.args, built.kwargs)}
        sample = Sample(name, "error input", "float32", first, tuple(rest), kwargs)
        try:
            args, options = compare.ours((built.args, built.kwargs))
            module = ours(info)(*args, **options)
            if given is not None:
                inputs, named = compare.ours((given.args, given.kwargs))
                module(*inputs, **named)
        except compare.NoSuchValue as missing:
            tally.reasons[deviations.NO_SUCH_VALUE.format(missing)] += 1
        except (ValueError, TypeError, RuntimeError, IndexError):
            tally.errors += 1
        except Exception as unclear:
            tally.differs(sample, "refused", f"an error input ends in {unclear!r}")
        else:
            tally.differs(sample, "accepted", f"torch refuses ({error.error_regex:.150})")

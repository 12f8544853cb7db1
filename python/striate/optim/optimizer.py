# SPDX-License-Identifier: Apache-2.0
"""What all optimizers share: parameter groups, state by parameter, and saving both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from striate import _C
from striate.autograd import enable_grad
from striate.device import placed
from striate.tensor import Tensor, as_array

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]

_SCALARS = ("step", "mu_product")  # states that are one number, whatever the parameter's shape


def _of_schedule(option: str) -> bool:
    """Whether a group holds this for its schedule: initial_lr, max_lr, base_momentum, ..."""
    return option.endswith(("_lr", "_momentum"))


def check_number(
    optimizer: str, argument: str, value: Any, low: float = 0.0, high: float = math.inf
) -> None:
    """Raises ValueError unless `value` is a finite number from low to high."""
    known = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or not low <= value <= high:
        least = "a finite number" if low == -math.inf else f"a finite number of at least {low:g}"
        if high < math.inf:
            least = f"a number from {low:g} to {high:g}"
        raise ValueError(f"{optimizer}: {argument}: expected {least}, got {value!r}")


def check_numbers(optimizer: str, group: Mapping[str, Any], *options: str) -> None:
    """Raises ValueError unless each of these options is a finite number of at least 0."""
    for option in options:
        check_number(optimizer, option, group[option])


def check_betas(optimizer: str, betas: Any) -> None:
    """Raises ValueError unless `betas` is a pair of numbers in [0, 1)."""
    pair = tuple(betas) if isinstance(betas, (tuple, list)) else ()
    if len(pair) != 2:
        raise ValueError(f"{optimizer}: betas: expected a pair of numbers, got {betas!r}")
    for i, beta in enumerate(pair):
        check_number(optimizer, f"betas[{i}]", beta)
        if beta >= 1:
            raise ValueError(f"{optimizer}: betas[{i}]: expected a number below 1, got {beta!r}")


def fused_step(
    rule: str,
    p: Tensor,
    grad: Tensor,
    states: tuple[Any, ...],
    *,
    rate: float,
    rate_grad: float = 0.0,
    first: float = 0.0,
    first_in: float = 0.0,
    second: float = 0.0,
    second_in: float = 0.0,
    root: float = 1.0,
    eps: float = 0.0,
    weight_decay: float = 0.0,
    keep: float = 1.0,
    maximize: bool = False,
) -> None:
    """One step of a rule of csrc/ops/optimizer, whose head says what the factors are.

    The binding takes them by position: reading a dozen keywords costs more than a small parameter's
    whole step.
    """
    _C.optimizer_step(
        rule, p._array, grad._array, states, rate, rate_grad, first, first_in, second, second_in,
        root, eps, weight_decay, keep, maximize,
    )  # fmt: skip


class Optimizer:
    """Base class. A subclass gives `defaults`, checks them in `check_group`, and defines `update`.

    `param_groups` is a list of dicts: "params", and each option, which may differ by group and may
    be changed between steps. `state[p]` holds what the optimizer remembers of a parameter.
    """

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Tensor, Mapping, str)) or not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params: expected an iterable of parameters or of dicts, got "
                f"{type(params).__name__}"
            )
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        given = list(params)
        if not given:
            raise ValueError(f"{name}: params: expected at least one parameter, got an empty list")
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError where an option of the group makes no sense."""

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        """Changes one parameter by its gradient."""
        raise NotImplementedError(f"{type(self).__name__} defines no update()")

    def add_param_group(self, param_group: Any) -> None:
        """Adds a group: a dict of "params" and the options that differ from the defaults."""
        name = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{name}: params: expected a dict with 'params', got {param_group!r}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        unknown = {k for k in param_group if k not in self.defaults and not _of_schedule(k)}
        unknown -= {"params"}
        if unknown:
            known = ", ".join(self.defaults)
            raise ValueError(
                f"{name}: parameter group: expected the options {known}, got {sorted(unknown)}"
            )
        group = {**self.defaults, **param_group, "params": params}
        held = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: params: expected tensors, got {type(p).__name__} at {i}")
            if not p.is_leaf or p.dtype.kind != "f":
                what = "the result of an operation" if not p.is_leaf else str(p.dtype)
                raise ValueError(f"{name}: params: expected floating leaves, got {what} at {i}")
            if id(p) in held:
                raise ValueError(f"{name}: params: parameter {i} is in the groups already")
            held.add(id(p))
        self.check_group(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every parameter's gradient, or fills it with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    p._grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes every parameter that has a gradient. Returns what `closure` returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.check_group(group)
            for p in group["params"]:
                if p._grad is not None:
                    self.update(p, p._grad, group)
                    p._touch()
        return loss

    # --- state --------------------------------------------------------------------------------

    def count_step(self, p: Tensor) -> float:
        """One more step of this parameter: which one it is, from 1."""
        step = self.scalar_of(p, "step", 0.0)
        t = float(step.item()) + 1
        step[()] = t
        return t

    def scalar_of(self, p: Tensor, name: str, start: float) -> Any:
        """The number that the state holds under `name`, as an array without axes."""
        state = self.state.setdefault(p, {})
        if name not in state:
            state[name] = Tensor._wrap(np.array(start, np.float32))
        return state[name]._array

    def arrays_of(self, p: Tensor, *names: str, start: float = 0.0) -> tuple[Any, ...]:
        """The arrays that the state holds under these names; new ones are like p, of `start`."""
        state = self.state.setdefault(p, {})
        for name in names:
            if state.get(name) is None:
                state[name] = Tensor._wrap(np.full_like(p._array, start))
        return tuple(state[name]._array for name in names)

    def state_dict(self) -> dict[str, Any]:
        """State and groups with parameters as numbers, counted through the groups."""
        numbers: dict[int, int] = {}
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {
            "state": {numbers[id(p)]: dict(s) for p, s in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over state and options. Nothing changes unless all of it fits.

        Raises ValueError where groups or shapes differ from the parameters'.
        """
        name = type(self).__name__
        try:
            groups, state = state_dict["param_groups"], state_dict["state"]
            sizes = [len(g["params"]) for g in groups]
            state = {int(k): dict(v) for k, v in state.items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError(
                f"{name}.load_state_dict: expected a dict of 'state' and 'param_groups', as "
                "state_dict() gives"
            ) from None
        own = [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise ValueError(
                f"{name}.load_state_dict: expected groups of {own} parameters, got {sizes}"
            )
        numbers = [n for g in groups for n in g["params"]]
        params = [p for g in self.param_groups for p in g["params"]]
        by_number = dict(zip(numbers, params, strict=True))
        loaded = {by_number[n]: self._owned(n, by_number, s) for n, s in state.items()}
        merged = []
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            options = {k: v for k, v in theirs.items() if k in self.defaults or _of_schedule(k)}
            group = {**mine, **options, "params": mine["params"]}
            self.check_group(group)
            merged.append(group)
        self.param_groups = merged
        self.state = loaded

    def _owned(self, n: int, by_number: dict[int, Tensor], state: Any) -> dict[str, Any]:
        """Copies of a parameter's state, tensors of its shape in its dtype and memory order."""
        place = f"{type(self).__name__}.load_state_dict: state {n}"
        own: dict[str, Any] = {}
        for key, value in state.items():
            if key in _SCALARS:
                try:
                    value = Tensor._wrap(np.array(float(value), np.float32))
                except (TypeError, ValueError) as error:
                    raise ValueError(f"{place}: {key}: expected a number: {error}") from None
            elif isinstance(value, Tensor):
                array = as_array(value)
                like = by_number[n]._array
                if array.shape != like.shape:
                    raise ValueError(f"{place}: {key}: expected {like.shape}, got {array.shape}")
                copy = np.empty_like(like)
                copy[...] = placed("load_state_dict", array, by_number[n].device)
                value = Tensor._wrap(copy)
            own[key] = value
        return own

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"

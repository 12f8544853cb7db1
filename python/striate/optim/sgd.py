# SPDX-License-Identifier: Apache-2.0
"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.optim.optimizer import Optimizer, Parameters, check_number, fused_step
from striate.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay, one fused pass a parameter.

        g = grad (-grad with maximize) + weight_decay p
        b = momentum b + (1 - dampening) g      (b = g at the first step)
        p = p - lr b                            (p - lr g without momentum)
        p = p - lr (g + momentum b)             (nesterov)

    Momentum as in Sutskever et al. 2013, with PyTorch's place of lr. The momentum buffer lies in
    the parameter's memory order. Raises ValueError on a learning rate, momentum or weight decay
    that is negative or not finite, and on nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for option in ("lr", "momentum", "weight_decay"):
            check_number("SGD", option, group[option])
        check_number("SGD", "dampening", group["dampening"], low=-np.inf)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov: expected momentum above 0 and no dampening, got momentum="
                f"{group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        momentum, dampening = group["momentum"], group["dampening"]
        rule, states = "sgd_plain", ()
        if momentum != 0:
            rule = "sgd_nesterov" if group["nesterov"] else "sgd_momentum"
            if self.state.get(p, {}).get("momentum_buffer") is None:
                dampening = 0.0
            states = self.arrays_of(p, "momentum_buffer")
        fused_step(
            rule,
            p,
            grad,
            states,
            rate=group["lr"],
            first=momentum,
            first_in=1 - dampening,
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )

# SPDX-License-Identifier: Apache-2.0
"""Optimizers that divide by the size of past gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from striate.optim.optimizer import Optimizer, Parameters, check_number, check_numbers, fused_step
from striate.tensor import Tensor


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011), one fused pass a parameter.

        g = grad (-grad with maximize) + weight_decay p
        s = s + g^2                                   (at first initial_accumulator_value)
        p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    State: "step" t, "sum" s.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        options = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        check_numbers("Adagrad", group, *options)

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        t = self.count_step(p)
        fused_step(
            "adagrad",
            p,
            grad,
            self.arrays_of(p, "sum", start=group["initial_accumulator_value"]),
            rate=group["lr"] / (1 + (t - 1) * group["lr_decay"]),
            second=1.0,
            second_in=1.0,
            eps=group["eps"],
            maximize=group["maximize"],
            weight_decay=group["weight_decay"],
        )


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1), with PyTorch's learning rate.

        g = grad (-grad with maximize) + weight_decay p
        v = rho v + (1 - rho) g^2
        d = sqrt(a + eps) / sqrt(v + eps) g
        a = rho a + (1 - rho) d^2
        p = p - lr d

    State: "step", "square_avg" v, "acc_delta" a.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers("Adadelta", group, "lr", "eps", "weight_decay")
        check_number("Adadelta", "rho", group["rho"], high=1.0)

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        self.count_step(p)
        fused_step(
            "adadelta",
            p,
            grad,
            self.arrays_of(p, "square_avg", "acc_delta"),
            rate=group["lr"],
            second=group["rho"],
            second_in=1 - group["rho"],
            eps=group["eps"],
            maximize=group["maximize"],
            weight_decay=group["weight_decay"],
        )


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012), centered as in Graves 2013.

        g = grad (-grad with maximize) + weight_decay p
        v = alpha v + (1 - alpha) g^2
        d = g / (sqrt(v) + eps)              sqrt(v - a^2) if centered, a = alpha a + (1 - alpha) g
        p = p - lr d                         p - lr b with momentum, b = momentum b + d

    State: "step", "square_avg" v, "grad_avg" a, "momentum_buffer" b.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers("RMSprop", group, "lr", "eps", "weight_decay", "momentum")
        check_number("RMSprop", "alpha", group["alpha"], high=1.0)

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        self.count_step(p)
        rule, names = "rmsprop", ["square_avg"]
        if group["centered"]:
            rule, names = f"{rule}_centered", [*names, "grad_avg"]
        if group["momentum"] > 0:
            rule, names = f"{rule}_momentum", [*names, "momentum_buffer"]
        fused_step(
            rule,
            p,
            grad,
            self.arrays_of(p, *names),
            rate=group["lr"],
            first=group["momentum"],
            second=group["alpha"],
            second_in=1 - group["alpha"],
            eps=group["eps"],
            maximize=group["maximize"],
            weight_decay=group["weight_decay"],
        )

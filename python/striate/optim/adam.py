# SPDX-License-Identifier: Apache-2.0
"""Optimizers with running means of the gradient and of its square: Adam and its relatives."""

from __future__ import annotations

import math
from typing import Any

from striate.optim.optimizer import Optimizer, Parameters, check_betas, check_numbers, fused_step
from striate.tensor import Tensor

Betas = tuple[float, float]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), one fused pass a parameter.

        g = grad (-grad with maximize) + weight_decay p
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        p = p - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)

    `amsgrad` divides by the largest v so far (Reddi, Kale and Kumar 2018).
    `decoupled_weight_decay` makes it AdamW. State: "step" t, "exp_avg" m, "exp_avg_sq" v and
    "max_exp_avg_sq", in the parameter's memory order. Raises ValueError on options that are
    negative, not finite, or on betas outside [0, 1).
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers(type(self).__name__, group, "lr", "eps", "weight_decay")
        check_betas(type(self).__name__, group["betas"])

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        t = self.count_step(p)
        beta1, beta2 = group["betas"]
        rule, names = "adam", ["exp_avg", "exp_avg_sq"]
        if group["amsgrad"]:
            rule, names = "adam_amsgrad", [*names, "max_exp_avg_sq"]
        fused_step(
            rule,
            p,
            grad,
            self.arrays_of(p, *names),
            rate=group["lr"] / (1 - beta1**t),
            first=beta1,
            first_in=1 - beta1,
            second=beta2,
            second_in=1 - beta2,
            root=1 / math.sqrt(1 - beta2**t),
            eps=group["eps"],
            maximize=group["maximize"],
            **decay(group),
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

        p = p - lr weight_decay p

    comes before Adam's step, whose g is the gradient alone.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016).

        mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2),  M(t) = mu(1) ... mu(t)
        p = p - lr ((1 - mu(t)) / (1 - M(t)) g + mu(t + 1) / (1 - M(t + 1)) m)
                / (sqrt(v / (1 - beta2^t)) + eps)

    with g, m and v as in Adam. State: "step", "mu_product" M, "exp_avg", "exp_avg_sq".
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers("NAdam", group, "lr", "eps", "weight_decay", "momentum_decay")
        check_betas("NAdam", group["betas"])

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        t = self.count_step(p)
        beta1, beta2 = group["betas"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * group["momentum_decay"]))
        product = self.scalar_of(p, "mu_product", 1.0)
        product *= mu
        so_far = float(product)
        lr = group["lr"]
        fused_step(
            "nadam",
            p,
            grad,
            self.arrays_of(p, "exp_avg", "exp_avg_sq"),
            rate=lr * mu_next / (1 - so_far * mu_next),
            rate_grad=lr * (1 - mu) / (1 - so_far),
            first=beta1,
            first_in=1 - beta1,
            second=beta2,
            second_in=1 - beta2,
            root=1 / math.sqrt(1 - beta2**t),
            eps=group["eps"],
            maximize=group["maximize"],
            **decay(group),
        )


class RAdam(Optimizer):
    """Adam whose adaptive rate is rectified while its variance is large (Liu et al. 2020).

    With r(inf) = 2 / (1 - beta2) - 1 and r(t) = r(inf) - 2 t beta2^t / (1 - beta2^t):

        p = p - lr m / (1 - beta1^t)                                          where r(t) <= 5
        p = p - lr R m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps)    elsewhere
        R = sqrt((r(t) - 4)(r(t) - 2) r(inf) / ((r(inf) - 4)(r(inf) - 2) r(t)))

    with g, m and v as in Adam. State: "step", "exp_avg", "exp_avg_sq".
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers("RAdam", group, "lr", "eps", "weight_decay")
        check_betas("RAdam", group["betas"])

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        t = self.count_step(p)
        beta1, beta2 = group["betas"]
        rate, root, eps = group["lr"] / (1 - beta1**t), 0.0, 1.0
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / (1 - beta2**t)
        if length > 5:
            share = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            rate *= math.sqrt(share * (1 - beta2**t))
            root, eps = 1.0, group["eps"]
        fused_step(
            "adam",
            p,
            grad,
            self.arrays_of(p, "exp_avg", "exp_avg_sq"),
            rate=rate,
            first=beta1,
            first_in=1 - beta1,
            second=beta2,
            second_in=1 - beta2,
            root=root,
            eps=eps,
            maximize=group["maximize"],
            **decay(group),
        )


class Adamax(Optimizer):
    """Adam with the infinity norm (Kingma and Ba 2015, algorithm 2).

        u = max(beta2 u, |g| + eps)
        p = p - lr / (1 - beta1^t) m / u

    with g and m as in Adam. State: "step", "exp_avg" m, "exp_inf" u.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_numbers("Adamax", group, "lr", "eps", "weight_decay")
        check_betas("Adamax", group["betas"])

    def update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        t = self.count_step(p)
        beta1, beta2 = group["betas"]
        fused_step(
            "adamax",
            p,
            grad,
            self.arrays_of(p, "exp_avg", "exp_inf"),
            rate=group["lr"] / (1 - beta1**t),
            first=beta1,
            first_in=1 - beta1,
            second=beta2,
            eps=group["eps"],
            maximize=group["maximize"],
            weight_decay=group["weight_decay"],
        )


def decay(group: dict[str, Any]) -> dict[str, float]:
    """Weight decay as the kernel takes it: in the gradient, or apart from it."""
    weight_decay = group["weight_decay"]
    if group["decoupled_weight_decay"]:
        return {"keep": 1 - group["lr"] * weight_decay}
    return {"weight_decay": weight_decay}

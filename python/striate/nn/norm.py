# SPDX-License-Identifier: Apache-2.0
"""Normalisation layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from striate import ops
from striate.nn.arguments import flag, integer, number, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.operand import check_tensor
from striate.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LocalResponseNorm",
]


def reset(weight: Parameter | None, bias: Parameter | None) -> None:
    """Weight 1, bias 0."""
    if weight is not None:
        weight.data.fill_(1)
    if bias is not None:
        bias.data.zero_()


class _BatchNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel (Ioffe and Szegedy 2015).

    In training mean and var are the batch's (var over n), and the running ones move towards them:
    running = (1 - momentum) running + momentum batch, with var over n - 1. In evaluation they are
    the running ones. `momentum=None` averages over all batches; `track_running_stats=False` always
    takes the batch's; `affine=False` leaves out weight and bias, `bias=False` the bias.
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    ranks: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features)
        self.eps = number(name, "eps", eps, 0.0, open_low=True)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, 0.0, 1.0)
        self.affine = flag(name, "affine", affine)
        self.track_running_stats = flag(name, "track_running_stats", track_running_stats)
        wanted, n = floating(dtype), self.num_features
        for part, there in (("weight", affine), ("bias", affine and flag(name, "bias", bias))):
            self.register_parameter(
                part, Parameter(uninitialised(name, (n,), wanted)) if there else None
            )
        kept = self.track_running_stats
        for part in ("running_mean", "running_var"):
            self.register_buffer(part, Tensor(uninitialised(name, (n,), wanted)) if kept else None)
        self.register_buffer("num_batches_tracked", Tensor(np.array(0)) if kept else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running statistics as they began."""
        self.reset_running_stats()
        reset(self.weight, self.bias)

    def _check(self, input: Tensor) -> None:
        check_tensor("batch_norm", "input", input)
        if input.ndim not in self.ranks or input.shape[1] != self.num_features:
            c = self.num_features
            refuse("batch_norm", "input", self.layout.replace("C", str(c)), f"shape {input.shape}")

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        factor = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if factor is None:
                factor = 1.0 / self.num_batches_tracked.item()
        return ops.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if factor is None else factor,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = f"Batch normalisation of (N, C) or (N, C, L).\n\n    {_BatchNorm.__doc__}"
    ranks = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = f"Batch normalisation of (N, C, H, W).\n\n    {_BatchNorm.__doc__}"
    ranks = (4,)
    layout = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    __doc__ = f"Batch normalisation of (N, C, D, H, W).\n\n    {_BatchNorm.__doc__}"
    ranks = (5,)
    layout = "(N, C, D, H, W)"


class _InstanceNorm(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per sample and channel.

    mean and var are the sample's own (var over n). With `track_running_stats` the running ones
    move towards their average over the batch, and are used in evaluation instead; with `affine`
    there are weight and bias (without `bias`, only weight). A missing batch axis is fine (Ulyanov,
    Vedaldi and Lempitsky 2016).
    """

    momentum: float

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        number(type(self).__name__, "momentum", momentum, 0.0, 1.0)
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        check_tensor("instance_norm", "input", input)
        x = input.unsqueeze(0) if input.ndim == self.ranks[0] - 1 else input
        if x.ndim not in self.ranks or x.shape[1] != self.num_features:
            layout = self.layout.replace("C", str(self.num_features))
            refuse("instance_norm", "input", layout, f"shape {input.shape}")
        y = ops.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
        )
        return y if x is input else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = f"Instance normalisation of (N, C, L) or (C, L).\n\n    {_InstanceNorm.__doc__}"
    ranks = (3,)
    layout = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    __doc__ = f"Instance normalisation of (N, C, H, W) or (C, H, W).\n\n    {_InstanceNorm.__doc__}"
    ranks = (4,)
    layout = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    __doc__ = (
        f"Instance normalisation of (N, C, D, H, W) or (C, D, H, W).\n\n    {_InstanceNorm.__doc__}"
    )
    ranks = (5,)
    layout = "(N, C, D, H, W) or (C, D, H, W)"


class LocalResponseNorm(Module):
    """y[c] = x[c] / (k + alpha / size * sum of x[c']^2 over the `size` channels around c)^beta.

    Krizhevsky et al. 2012, section 3.3, with alpha divided by size as in PyTorch.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        name = "LocalResponseNorm"
        self.size = integer(name, "size", size)
        self.alpha = number(name, "alpha", alpha)
        self.beta = number(name, "beta", beta)
        self.k = number(name, "k", k)

    def forward(self, input: Tensor) -> Tensor:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"

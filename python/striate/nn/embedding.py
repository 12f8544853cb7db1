# SPDX-License-Identifier: Apache-2.0
"""Tables of vectors, looked up by number."""

from __future__ import annotations

from typing import Any, TypeVar

from striate import ops
from striate.nn import init
from striate.nn.arguments import choice, flag, integer, number, refuse
from striate.nn.linear import floating, uninitialised
from striate.nn.module import Module
from striate.nn.parameter import Parameter
from striate.ops.embedding import padding_row
from striate.ops.operand import check_tensor
from striate.tensor import Tensor

__all__ = [
    "Embedding",
    "EmbeddingBag",
]

Layer = TypeVar("Layer", bound="_Table")


class _Table(Module):
    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        _weight: Tensor | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_embeddings = integer(name, "num_embeddings", num_embeddings)
        self.embedding_dim = integer(name, "embedding_dim", embedding_dim)
        row = padding_row(name, padding_idx, self.num_embeddings)
        self.padding_idx = None if padding_idx is None else row
        self.max_norm = None if max_norm is None else number(name, "max_norm", max_norm, 0.0)
        self.norm_type = number(name, "norm_type", norm_type, 0.0, open_low=True)
        self.scale_grad_by_freq = flag(name, "scale_grad_by_freq", scale_grad_by_freq)
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(uninitialised(name, shape, floating(dtype)))
            self.reset_parameters()
            return
        check_tensor(name, "_weight", _weight)
        if _weight.shape != shape:
            refuse(name, "_weight", f"shape {shape}", f"shape {_weight.shape}")
        self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        """Draws the table anew from N(0, 1), and zeros for the padding row."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._array[self.padding_idx] = 0
            self.weight._touch()

    @classmethod
    def from_pretrained(
        cls: type[Layer], embeddings: Tensor, freeze: bool = True, **options: Any
    ) -> Layer:
        """A layer over a table (V, D), which is shared, and not trained if `freeze`.

        `options` are the constructor's.
        """
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2:
            got = getattr(embeddings, "shape", type(embeddings).__name__)
            refuse(cls.__name__, "embeddings", "a tensor (V, D)", got)
        rows, columns = embeddings.shape
        layer = cls(rows, columns, _weight=embeddings, **options)
        layer.weight.requires_grad = not flag(cls.__name__, "freeze", freeze)
        return layer

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for key, default in (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2.0),
            ("scale_grad_by_freq", False),
        ):
            value = getattr(self, key)
            if value != default:
                parts.append(f"{key}={value}")
        return ", ".join(parts)


class Embedding(_Table):
    """y[..., :] = weight[x[...], :]: integers (...) -> (..., embedding_dim).

    `weight` is (num_embeddings, embedding_dim), drawn from N(0, 1). The row `padding_idx` begins as
    zeros and gets no gradient. `max_norm`, `norm_type` and `scale_grad_by_freq` as in
    `functional.embedding`, which says what is raised too.
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )


class EmbeddingBag(_Table):
    """The sum, mean or maximum of table rows in a bag: integers (B, n) -> (B, embedding_dim).

    Or integers (n,) with `offsets` (B,), where each bag begins. `weight` is (num_embeddings,
    embedding_dim), drawn from N(0, 1). Other arguments as in `functional.embedding_bag`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        _weight: Tensor | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            _weight,
            dtype,
        )
        self.mode = choice("EmbeddingBag", "mode", mode, ("sum", "mean", "max"))
        self.include_last_offset = flag("EmbeddingBag", "include_last_offset", include_last_offset)

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return ops.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"

# SPDX-License-Identifier: Apache-2.0
"""Classifiers that read an image row by row, as a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from striate import nn
from striate.models.small import check_sizes, image_size
from striate.tensor import Tensor

_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RowClassifier(nn.Module):
    """Images (N, C, H, W) as sequences of H rows of C W values -> scores (N, classes).

    A recurrent layer reads the rows from the top; a linear layer gives the scores from its state
    after the last one. The task is that of Le, Jaitly and Hinton, A Simple Way to Initialize
    Recurrent Networks of Rectified Linear Units, 2015, section 4.2, with rows for pixels.
    """

    def __init__(self, cell: str, rows: int, width: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.rows, self.width = rows, width
        self.recurrent = _CELLS[cell](width, hidden, batch_first=True)
        self.scores = nn.Linear(hidden, classes)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4 or input.shape[1] * input.shape[3] != self.width:
            raise ValueError(
                f"rows: input: expected (N, C, H, W) with C W = {self.width}, got {input.shape}"
            )
        rows = input.transpose(1, 2).reshape(input.shape[0], input.shape[2], self.width)
        output, _ = self.recurrent(rows)
        scores: Tensor = self.scores(output[:, -1])
        return scores


def _by_rows(
    cell: str, input: Sequence[int] = (1, 28, 28), classes: int = 10, hidden: int = 128
) -> RowClassifier:
    depth, height, width = image_size(cell, input, least=1)
    check_sizes(cell, "classes", [classes], 1)
    check_sizes(cell, "hidden", [hidden], 1)
    return RowClassifier(cell, height, depth * width, classes, hidden)


lstm, gru, rnn = (partial(_by_rows, cell) for cell in _CELLS)

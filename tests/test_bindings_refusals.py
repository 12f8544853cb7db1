# SPDX-License-Identifier: Apache-2.0
"""Each check of the bindings: the exact words that a wrong argument meets."""

import numpy as np
import pytest
from striate import _C


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def zeros(*shape):
    return np.zeros(shape, np.int64)


def images(*shape, dtype=np.float32):
    """Ones (N, C, …) in channels-last memory."""
    return np.moveaxis(np.ones((shape[0], *shape[2:], shape[1]), dtype), -1, 1)


def strided(*shape, dtype=np.float32):
    return np.ones((*shape, 2), dtype)[..., 0]


def misaligned(n):
    return np.zeros(4 * n + 1, np.uint8)[1:].view(np.float32)


def half_an_item_apart():
    """NumPy calls it aligned, since there is no second item."""
    return np.ndarray((1,), np.float32, np.zeros(4, np.float32), 0, (6,))


def conv2d(x=None, w=None, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1, **k):
    x = images(1, 4, 5, 5) if x is None else x
    w = images(2, 4, 3, 3) if w is None else w
    return _C.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, **k)


def conv3d(
    x=None, w=None, stride=(1,) * 3, padding=((0, 0),) * 3, dilation=(1,) * 3, groups=1, **k
):
    x = images(1, 4, 3, 5, 5) if x is None else x
    w = images(2, 4, 1, 3, 3) if w is None else w
    return _C.conv3d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, **k)


def rnn(cell="lstm", x=None, w_ih=None, w_hh=None, **k):
    gates = {"lstm": 8, "gru": 6}.get(cell, 2)
    x = ones(3, 2, 4) if x is None else x
    w_ih = ones(gates, 4) if w_ih is None else w_ih
    w_hh = ones(gates, 2) if w_hh is None else w_hh
    return _C.rnn_forward(cell, x, w_ih, w_hh, **k)


def rnn_backward(**k):
    x, w = ones(3, 2, 4), (ones(2, 4), ones(2, 2))
    y, _, _, kept = _C.rnn_forward("rnn_tanh", x, *w, keep=True)
    return _C.rnn_backward("rnn_tanh", ones(3, 2, 2), None, None, x, y, kept, *w, **k)


def ctc(log_probs=None, targets=None, input_lengths=None, target_lengths=None, **k):
    return _C.ctc_loss(
        ones(4, 2, 3) if log_probs is None else log_probs,
        zeros(2) + 1 if targets is None else targets,
        zeros(2) + 4 if input_lengths is None else input_lengths,
        zeros(2) + 1 if target_lengths is None else target_lengths,
        **k,
    )


def bag(function, indices, begin, **k):
    return function(ones(3, 2), np.array(indices), np.array(begin), **k)


def resample(*axes, x=None):
    return _C.interpolate(ones(1, 1, 4) if x is None else x, axes)


LINEAR = ("linear", 8, 0.0, False)
WINDOW = (2, 2, 2, 2, 0, 0, 1, 1, 0)
OTHER = ones(2, dtype=np.float64)

# The words, by exception and call.
REFUSED = [
    # --- what every operand must be
    (TypeError, "relu: x: expected a NumPy array, got list", lambda: _C.relu([1.0])),
    (TypeError, "relu: x: expected float32 or float64, got int64", lambda: _C.relu(zeros(2))),
    (
        TypeError,
        "relu: x: expected float32 or float64, got >f4",
        lambda: _C.relu(np.ones(2, ">f4")),
    ),
    (
        ValueError,
        "relu: x: expected an aligned array, got one whose items are misaligned; copy it first",
        lambda: _C.relu(misaligned(3)),
    ),
    (ValueError, "relu: x: expected at most 8 axes, got 9", lambda: _C.relu(ones(*[1] * 9))),
    (
        ValueError,
        "relu: out: expected a writable array, got a read-only one",
        lambda: _C.relu(ones(2), out=np.broadcast_to(np.float32(1), (2,))),
    ),
    (TypeError, "relu: out: expected float32, got float64", lambda: _C.relu(ones(2), out=OTHER)),
    (
        TypeError,
        "gemm: b: expected float32 like the first operand, got float64",
        lambda: _C.gemm(ones(1, 2), ones(2, 1, dtype=np.float64)),
    ),
    (OverflowError, "int too large to convert to float", lambda: _C.add(ones(2), 10**400)),
    (
        ValueError,
        f"a result of shape (1, 1, {2**31}, {2**31}) is larger than the address space",
        lambda: _C.max_unpool2d(ones(1, 1, 0, 0), zeros(1, 0, 0, 1), (2**31, 2**31)),
    ),
    # --- indices
    (
        TypeError,
        "embedding: input: expected int64, got float32",
        lambda: _C.embedding(ones(2, 2), ones(1)),
    ),
    (
        ValueError,
        "embedding: input: expected an aligned array in C order, got a strided one; copy it first",
        lambda: _C.embedding(ones(2, 2), zeros(4)[::2]),
    ),
    (
        ValueError,
        "embedding: input: expected at most 8 axes, got 9",
        lambda: _C.embedding(ones(2, 2), zeros(*[1] * 9)),
    ),
    (
        ValueError,
        "embedding: input: expected at most 7 axes, got 8",
        lambda: _C.embedding(ones(2, 2), zeros(*[1] * 8)),
    ),
    (
        ValueError,
        "embedding: weight: expected a matrix (rows, columns), got (2,)",
        lambda: _C.embedding(ones(2), zeros(1)),
    ),
    (
        ValueError,
        "embedding_bag: input: expected indices (n,) and begin (bags + 1,), got (1, 1) and (2,)",
        lambda: _C.embedding_sum(ones(2, 2), zeros(1, 1), zeros(2)),
    ),
    (
        ValueError,
        "embedding_bag: input: expected indices (n,) and begin (bags + 1,), got (1,) and (0,)",
        lambda: _C.embedding_max(ones(2, 2), zeros(1), zeros(0)),
    ),
    *(
        (
            ValueError,
            f"embedding_bag: begin: expected ascending numbers from 0 to {most}, got {got}",
            lambda begin=begin: _C.embedding_sum(ones(2, 2), zeros(3), np.array(begin)),
        )
        for begin, most, got in (
            ([1, 3], "the count of indices", "1 at index 0"),
            ([0, 2], "3", "2 at the end"),
            ([0, 2, 1, 3], "the count of indices", "1 at index 2"),
        )
    ),
    (
        ValueError,
        "embedding_max_backward: dy: expected a matrix (bags, columns), got (2,)",
        lambda: _C.embedding_max_backward(ones(2), zeros(2), 3),
    ),
    (
        ValueError,
        "embedding_max_backward: rows: expected 0 or more, got -1",
        lambda: _C.embedding_max_backward(ones(2, 2), zeros(2, 2), -1),
    ),
    (
        ValueError,
        "embedding_backward: rows: expected 0 or more, got -1",
        lambda: _C.embedding_backward(ones(2, 2), zeros(2), -1),
    ),
    (
        ValueError,
        "embedding_backward: positions: expected 2 numbers, got 3",
        lambda: _C.embedding_backward(ones(2, 2), zeros(2), 3, zeros(3)),
    ),
    (
        ValueError,
        "embedding_backward: dy: expected 3 rows, got (2, 2)",
        lambda: _C.embedding_backward(ones(2, 2), zeros(3), 3),
    ),
    # --- products and their epilogues
    (
        ValueError,
        "gemm: a: expected rank 2 (rows, columns) or 3 (batch, rows, columns), got shape (2,)",
        lambda: _C.gemm(ones(2), ones(2, 2)),
    ),
    (
        ValueError,
        "gemm: b: expected 3 rows, as many as a (2, 3) has columns, got shape (2, 3)",
        lambda: _C.gemm(ones(2, 3), ones(2, 3)),
    ),
    (
        ValueError,
        "gemm: b: expected a batch of 2 or 1, as a (2, 2, 3) has, got shape (4, 3, 2)",
        lambda: _C.gemm(ones(2, 2, 3), ones(4, 3, 2)),
    ),
    (
        ValueError,
        "gemm: beta: expected 0 where no `out` is given to be added to, got 1.000000",
        lambda: _C.gemm(ones(2, 3), ones(3, 2), beta=1.0),
    ),
    (
        ValueError,
        "gemm_pack_b: b: expected rank 2 (rows, columns), got shape (2,)",
        lambda: _C.gemm_pack_b(ones(2)),
    ),
    (
        ValueError,
        "gemm_packed: a: expected rank 2 (rows, columns), got shape (2,)",
        lambda: _C.gemm_packed(ones(2), ones(2), 1),
    ),
    (
        ValueError,
        "gemm_packed: columns: expected 0 or more, got -1",
        lambda: _C.gemm_packed(ones(2, 2), ones(2), -1),
    ),
    (
        ValueError,
        "gemm_packed: packed: expected what gemm_pack_b made, got a strided array",
        lambda: _C.gemm_packed(ones(2, 3), strided(_C.gemm_pack_b(ones(3, 2)).size), 2),
    ),
    (
        TypeError,
        "gemm: activation: expected a name or None, got int",
        lambda: _C.gemm(ones(2, 3), ones(3, 2), activation=3),
    ),
    *(
        (
            TypeError,
            f"gemm: parameter: expected a number or a pair of numbers, got {wrong!r}",
            lambda wrong=wrong: _C.gemm(ones(2, 3), ones(3, 2), parameter=wrong),
        )
        for wrong in ("x", (1.0, "x"), (1.0,))
    ),
    # --- convolutions
    (
        ValueError,
        "conv2d: input: expected (N, C, H, W), got shape (5, 5)",
        lambda: conv2d(ones(5, 5)),
    ),
    (
        ValueError,
        "conv2d: input: expected channels-last memory, got shape (1, 4, 5, 5) in another order",
        lambda: conv2d(ones(1, 4, 5, 5)),
    ),
    (
        ValueError,
        "conv2d: weight: expected (K, 2, R, S) for an input of 4 channels in 2 groups, "
        "got shape (2, 4, 3, 3)",
        lambda: conv2d(groups=2),
    ),
    (
        ValueError,
        "conv2d: groups: expected a divisor of 4 channels and 2 filters, got 4",
        lambda: conv2d(groups=4),
    ),
    (
        ValueError,
        "conv2d: groups: expected a divisor of 4 channels and 2 filters, got 3",
        lambda: conv2d(groups=3),
    ),
    (
        ValueError,
        "conv2d: weight: expected sizes of 1 or more, got (2, 4, 0, 3)",
        lambda: conv2d(w=images(2, 4, 0, 3)),
    ),
    (
        ValueError,
        "conv2d: weight: expected sizes of 1 or more, got (2, 4, 3, 0)",
        lambda: conv2d(w=images(2, 4, 3, 0)),
    ),
    (
        ValueError,
        "conv2d: weight: expected sizes of 1 or more, got (0, 4, 3, 3)",
        lambda: conv2d(w=images(0, 4, 3, 3)),
    ),
    (ValueError, "conv2d: stride: expected a pair of integers, got 1", lambda: conv2d(stride=1)),
    (
        ValueError,
        "conv2d: stride: expected a pair of integers, got (1, 1, 1)",
        lambda: conv2d(stride=(1,) * 3),
    ),
    (ValueError, "conv2d: stride: expected 1 or more, got (0, 1)", lambda: conv2d(stride=(0, 1))),
    (ValueError, "conv2d: stride: expected 1 or more, got (1, 0)", lambda: conv2d(stride=(1, 0))),
    (
        ValueError,
        f"conv2d: dilation: expected 1 or more, got ({2**40}, 1)",
        lambda: conv2d(dilation=(2**40, 1)),
    ),
    (
        ValueError,
        f"conv2d: dilation: expected 1 or more, got (1, {2**40})",
        lambda: conv2d(dilation=(1, 2**40)),
    ),
    (ValueError, "conv2d: padding: expected two pairs, got 1", lambda: conv2d(padding=1)),
    (
        ValueError,
        "conv2d: padding: expected two pairs, got ((0, 0),)",
        lambda: conv2d(padding=((0, 0),)),
    ),
    (
        ValueError,
        "conv2d: padding: expected 0 or more, got (-1, 0)",
        lambda: conv2d(padding=((-1, 0), (0, 0))),
    ),
    (
        ValueError,
        f"conv2d: padding: expected 0 or more, got (0, {2**40})",
        lambda: conv2d(padding=((0, 0), (0, 2**40))),
    ),
    (ValueError, "conv2d: groups: expected 1 or more, got 0", lambda: conv2d(groups=0)),
    (
        TypeError,
        "conv2d: activation: expected a name or None, got float",
        lambda: conv2d(activation=1.0),
    ),
    (
        ValueError,
        "conv3d: input: expected (N, C, D, H, W), got shape (1, 4, 5, 5)",
        lambda: conv3d(images(1, 4, 5, 5)),
    ),
    (
        ValueError,
        "conv3d: input: expected channels-last memory, got shape (1, 4, 3, 5, 5) in another order",
        lambda: conv3d(ones(1, 4, 3, 5, 5)),
    ),
    (
        ValueError,
        "conv3d: weight: expected (K, 2, T, R, S) for an input of 4 channels in 2 groups, "
        "got shape (2, 4, 1, 3, 3)",
        lambda: conv3d(groups=2),
    ),
    *(
        (
            ValueError,
            f"conv3d: groups: expected a divisor of 4 channels and 2 filters, got {groups}",
            lambda groups=groups: conv3d(groups=groups),
        )
        for groups in (3, 4)
    ),
    (
        ValueError,
        "conv3d: weight: expected sizes of 1 or more, got (2, 4, 0, 3, 3)",
        lambda: conv3d(w=images(2, 4, 0, 3, 3)),
    ),
    (ValueError, "conv3d: stride: expected three integers, got 1", lambda: conv3d(stride=1)),
    (
        ValueError,
        "conv3d: stride: expected three integers, got (1, 1)",
        lambda: conv3d(stride=(1, 1)),
    ),
    (
        ValueError,
        "conv3d: stride: expected 1 or more, got (1, 1, 0)",
        lambda: conv3d(stride=(1, 1, 0)),
    ),
    (ValueError, "conv3d: padding: expected three pairs, got 0", lambda: conv3d(padding=0)),
    (
        ValueError,
        "conv3d: padding: expected three pairs, got (0, 0)",
        lambda: conv3d(padding=(0, 0)),
    ),
    *(
        (
            ValueError,
            f"conv3d: padding: expected a pair of integers, got {wrong}",
            lambda wrong=wrong: conv3d(padding=((0, 0), (0, 0), wrong)),
        )
        for wrong in (0, (0,))
    ),
    (
        ValueError,
        "conv3d: padding: expected 0 or more, got (0, -1, 0)",
        lambda: conv3d(padding=((0, 0), (-1, 0), (0, 0))),
    ),
    (
        ValueError,
        f"conv3d: padding: expected 0 or more, got (0, 0, {2**40})",
        lambda: conv3d(padding=((0, 0), (0, 0), (0, 2**40))),
    ),
    (ValueError, "conv3d: groups: expected 1 or more, got 0", lambda: conv3d(groups=0)),
    # --- CTC
    (
        ValueError,
        "ctc_loss: log_probs: expected (T, N, C), got shape (4, 2)",
        lambda: ctc(ones(4, 2)),
    ),
    (ValueError, "ctc_loss: blank: expected a class from 0 to 2, got 3", lambda: ctc(blank=3)),
    (ValueError, "ctc_loss: blank: expected a class from 0 to 2, got -1", lambda: ctc(blank=-1)),
    (
        ValueError,
        "ctc_loss: targets: expected one axis here, got shape (1, 2)",
        lambda: ctc(targets=zeros(1, 2)),
    ),
    *(
        (
            ValueError,
            "ctc_loss: input_lengths: expected shape (2,), one for each sample, got shape " + text,
            lambda shape=shape: ctc(input_lengths=zeros(*shape)),
        )
        for shape, text in (((3,), "(3,)"), ((1, 2), "(1, 2)"))
    ),
    # --- dropout
    *(
        (
            ValueError,
            f"dropout: p: expected a probability of at least 0 and below 1, got {p:f}",
            lambda p=p: _C.dropout(ones(2), p, 1, 1.0),
        )
        for p in (-0.5, 1.0)
    ),
    (ValueError, "philox: n: expected 0 or more, got -1", lambda: _C.philox(1, 0, 0, -1)),
    # --- interpolation
    (
        ValueError,
        "interpolate: x: expected rank 3 to 5, such as (N, C, H, W), got shape (4,)",
        lambda: _C.interpolate(ones(4), ()),
    ),
    (
        ValueError,
        "interpolate: axes: expected one for each of the 1 axes behind (N, C), got 2",
        lambda: _C.interpolate(ones(1, 1, 4), (LINEAR, LINEAR)),
    ),
    (
        ValueError,
        'interpolate: mode: expected nearest, nearest-exact, linear or cubic, got "lanczos"',
        lambda: _C.interpolate(ones(1, 1, 4), (("lanczos", 1, 1),)),
    ),
    (
        ValueError,
        "interpolate: size: expected 1 or more, got 0",
        lambda: _C.interpolate(ones(1, 1, 4), (("linear", 0, 0.0, False),)),
    ),
    (
        ValueError,
        "interpolate: x: expected axes of 1 or more behind (N, C), got 0",
        lambda: _C.interpolate(ones(1, 1, 0), (LINEAR,)),
    ),
    *(
        (
            ValueError,
            f"interpolate: pad: expected at most {most} for an axis of 4, got {(before, after)}",
            lambda m=mode, b=before, a=after: _C.interpolate(ones(1, 1, 4), ((m, b, a),)),
        )
        for mode, most, before, after in (
            ("reflect", 3, 4, 0),
            ("reflect", 3, 0, 4),
            ("circular", 4, 5, 0),
            ("circular", 3, -1, 4),
        )
    ),
    *(
        (
            ValueError,
            "interpolate: pad: expected widths that leave 1 or more of 4 elements, got "
            f"{(before, after)}",
            lambda b=before, a=after: _C.interpolate(ones(1, 1, 4), (("replicate", b, a),)),
        )
        for before, after in ((-2, -2), (2**63 - 1, 0), (2**62, 2**62))
    ),
    (
        ValueError,
        "interpolate_backward: size: expected 1 numbers, got 2",
        lambda: _C.interpolate_backward(ones(1, 1, 8), (4, 4), (LINEAR,)),
    ),
    # --- layout, sums and views
    (
        ValueError,
        "to_channels_last: x: expected rank 3 to 5, such as (N, C, H, W), got shape (2,)",
        lambda: _C.to_channels_last(ones(2)),
    ),
    (
        ValueError,
        "pad: pad: expected pairs (before, after), one an axis from the last, at most 1, "
        "got 3 numbers for shape (2,)",
        lambda: _C.pad(ones(2), (1, 1, 1)),
    ),
    (
        ValueError,
        "pad: pad: expected pairs (before, after), one an axis from the last, at most 1, "
        "got 4 numbers for shape (2,)",
        lambda: _C.pad(ones(2), (1, 1, 1, 1)),
    ),
    *(
        (
            ValueError,
            "pad: pad: expected at most 4 elements cropped from axis 0 of shape (4,), got "
            f"{cropped}",
            lambda b=before, a=after: _C.pad(ones(4), (b, a)),
        )
        for before, after, cropped in (
            (-3, -2, 5),
            (-5, 9, 5),
            (-(2**63), -(2**63), 2**63 - 2),
        )
    ),
    *(
        (
            ValueError,
            "pad: pad: expected sizes within the address space, got larger ones",
            lambda w=widths: _C.pad(ones(4), w),
        )
        for widths in ((2**63 - 1, 0), (2**62, 2**62))
    ),
    (IndexError, "sum: axes: expected 0 to 1, got 2", lambda: _C.sum(ones(2, 2), (2,))),
    (IndexError, "sum: axes: expected 0 to 1, got -1", lambda: _C.sum(ones(2, 2), (-1,))),
    (
        ValueError,
        "broadcast_to: shape: expected at most 8 axes, got 9",
        lambda: _C.broadcast_to(ones(1), (1,) * 9),
    ),
    (
        ValueError,
        "broadcast_to: shape: expected sizes of 0 or more, got -1",
        lambda: _C.broadcast_to(ones(1), (-1,)),
    ),
    *(
        (
            ValueError,
            f"broadcast_to: x: expected a shape that repeats to {shape}, got {x.shape}",
            lambda x=x, shape=shape: _C.broadcast_to(x, shape),
        )
        for x, shape in ((ones(3), (2,)), (ones(2, 2), (2,)), (ones(3), ()), (ones(1), ()))
    ),
    # --- losses
    (
        ValueError,
        'cross_entropy: reduction: expected "mean", "sum" or "none", got "most"',
        lambda: _C.cross_entropy(ones(4, 3), zeros(4), reduction="most"),
    ),
    (
        ValueError,
        "cross_entropy: input: expected (C,), (N, C) or (N, C, d1, …), got shape ()",
        lambda: _C.cross_entropy(ones(), zeros(4)),
    ),
    (
        ValueError,
        "cross_entropy: input: expected at least one class, got shape (4, 0)",
        lambda: _C.cross_entropy(ones(4, 0), zeros(4)),
    ),
    (
        ValueError,
        "cross_entropy: target: expected shape (4,), a class for each row of input (4, 3), "
        "got shape (3,)",
        lambda: _C.cross_entropy(ones(4, 3), zeros(3)),
    ),
    *(
        (
            ValueError,
            f"cross_entropy: label_smoothing: expected a number from 0 to 1, got {smoothing:f}",
            lambda s=smoothing: _C.cross_entropy(ones(4, 3), zeros(4), label_smoothing=s),
        )
        for smoothing in (-0.5, 1.5)
    ),
    (
        ValueError,
        'vector_norm: what: expected "squares", "absolute" or "largest", got "least"',
        lambda: _C.vector_norm(ones(4), "least"),
    ),
    # --- recurrent layers
    (
        ValueError,
        "rnn: cell: expected lstm, gru, rnn_tanh or rnn_relu, got 'elman'",
        lambda: rnn("elman"),
    ),
    (ValueError, "lstm: x: expected (T, N, I), got shape (3, 4)", lambda: rnn(x=ones(3, 4))),
    (
        ValueError,
        "lstm: x: expected at least one step, got shape (0, 2, 4)",
        lambda: rnn(x=ones(0, 2, 4)),
    ),
    (
        ValueError,
        "lstm: b_hh: expected both biases or none, got one of them",
        lambda: rnn(b_ih=ones(8)),
    ),
    (
        ValueError,
        "gru: c0: expected None: only an LSTM has one, got an array",
        lambda: rnn("gru", c0=ones(2, 2)),
    ),
    (
        ValueError,
        "gru: w_hr: expected None: only an LSTM has one, got an array",
        lambda: rnn("gru", w_hr=ones(1, 2)),
    ),
    (
        ValueError,
        "lstm: w_hr: expected rank 2 (projection, hidden), got shape (2,)",
        lambda: rnn(w_hr=ones(2)),
    ),
    (
        ValueError,
        "lstm: w_hr: expected rank 2 (projection, hidden), got shape (0, 2)",
        lambda: rnn(w_hr=ones(0, 2)),
    ),
    (
        ValueError,
        "lstm: w_hh: expected rank 2 (gates, hidden), got shape (8,)",
        lambda: rnn(w_hh=ones(8)),
    ),
    *(
        (
            ValueError,
            f"lstm: w_hh: expected rows for 4 gates, got shape ({rows}, 2)",
            lambda rows=rows: rnn(w_hh=ones(rows, 2)),
        )
        for rows in (3, 9)
    ),
    (
        ValueError,
        "lstm: x: expected packed rows (R, I), got shape (3, 2, 4)",
        lambda: rnn(batch_sizes=zeros(2) + 1),
    ),
    *(
        (
            ValueError,
            "lstm: batch_sizes: expected one number a step, at least one, got shape " + text,
            lambda shape=shape: rnn(x=ones(3, 4), batch_sizes=zeros(*shape)),
        )
        for shape, text in (((0,), "(0,)"), ((1, 1), "(1, 1)"))
    ),
    *(
        (
            ValueError,
            "lstm: batch_sizes: expected numbers from 1 that never grow and add up to x's 3 rows, "
            "got " + text,
            lambda sizes=sizes: rnn(x=ones(3, 4), batch_sizes=np.array(sizes)),
        )
        for sizes, text in (
            ([0, 3], "0 at step 0"),
            ([1, 2], "2 at step 1"),
            ([2, 2], "2 at step 1"),
        )
    ),
    (
        ValueError,
        "lstm: batch_sizes: expected a sum of 3, x's rows, got 2",
        lambda: rnn(x=ones(3, 4), batch_sizes=np.array([1, 1])),
    ),
    (
        ValueError,
        "rnn_tanh_backward: beta: expected 0 or 1, got 0.500000",
        lambda: rnn_backward(beta=0.5),
    ),
    (
        ValueError,
        "rnn_tanh_backward: beta: expected 0 where no `out` is given, got 1",
        lambda: rnn_backward(beta=1.0),
    ),
    (
        ValueError,
        "rnn_tanh_backward: out: expected an array in C order, got a strided one",
        lambda: rnn_backward(beta=1.0, out=strided(3, 2, 4)),
    ),
    # --- normalisation
    (
        ValueError,
        "batch_norm: x: expected (N, C), (N, C, L) or (N, C, H, W), got shape (2,)",
        lambda: _C.batch_norm_train(ones(2)),
    ),
    (
        ValueError,
        "batch_norm: running_mean: expected an array in C order, got a strided one",
        lambda: _C.batch_norm_train(ones(2, 4), running_mean=strided(4)),
    ),
    (
        ValueError,
        "batch_norm: x: expected more than one value a channel in training, "
        "got 1 value in each of 4",
        lambda: _C.batch_norm_train(ones(1, 4)),
    ),
    *(
        (
            ValueError,
            "batch_norm: mean: expected a vector and an invstd, got None",
            lambda m=mean, s=invstd: _C.batch_norm_infer(ones(2, 4), m, s),
        )
        for mean, invstd in ((None, ones(4)), (ones(4), None))
    ),
    *(
        (
            ValueError,
            "batch_norm_backward: mean: expected a vector and an invstd, got None",
            lambda m=mean, s=invstd: _C.batch_norm_backward(ones(2, 4), ones(2, 4), m, s),
        )
        for mean, invstd in ((None, ones(4)), (ones(4), None))
    ),
    (
        ValueError,
        'batch_norm_backward: statistics: expected "batch" or "given", got old',
        lambda: _C.batch_norm_backward(ones(2, 4), ones(2, 4), ones(4), ones(4), statistics="old"),
    ),
    *(
        (
            ValueError,
            f"group_norm: groups: expected a divisor of the 4 channels of x, got {groups}",
            lambda groups=groups: _C.group_norm(ones(2, 4), groups, 1e-5),
        )
        for groups in (0, 3)
    ),
    (
        ValueError,
        "group_norm_backward: mean: expected (N, groups), got shape (2,)",
        lambda: _C.group_norm_backward(ones(2, 4), ones(2, 4), ones(2), ones(2, 2)),
    ),
    *(
        (
            ValueError,
            "group_norm_backward: mean: expected arrays in C order, got a strided one",
            lambda m=mean, s=invstd: _C.group_norm_backward(ones(2, 4), ones(2, 4), m, s),
        )
        for mean, invstd in ((strided(2, 2), ones(2, 2)), (ones(2, 2), strided(2, 2)))
    ),
    (
        ValueError,
        "local_response_norm: size: expected 1 or more, got 0",
        lambda: _C.local_response_norm(ones(2, 4), 0),
    ),
    # --- pooling
    (
        ValueError,
        "max_pool2d: window: expected 2 or 9 numbers, got 3",
        lambda: _C.max_pool2d(ones(1, 1, 4, 4), (1, 1, 1)),
    ),
    (
        ValueError,
        "max_pool2d: x: expected rank 4 (N, C, H, W), got shape (4, 4)",
        lambda: _C.max_pool2d(ones(4, 4), WINDOW),
    ),
    (
        ValueError,
        "max_pool2d: kernel_size: expected at most 16777216 taps a window, got (4097, 4097)",
        lambda: _C.max_pool2d_taps(ones(0, 1, 4097, 4097), (4097, 4097, 1, 1, 0, 0, 1, 1, 0)),
    ),
    (
        TypeError,
        "max_pool2d_backward: taps: expected uint8, got int64",
        lambda: _C.max_pool2d_backward(ones(1, 1, 2, 2), zeros(1, 2, 2, 1), (4, 4), WINDOW),
    ),
    *(
        (
            ValueError,
            "max_pool2d_backward: taps: expected shape (1, 2, 2, 1) in C order, got another",
            lambda t=taps: _C.max_pool2d_backward(ones(1, 1, 2, 2), t, (4, 4), WINDOW),
        )
        for taps in (
            np.zeros((1, 2, 2), np.uint8),
            np.zeros((1, 2, 3, 1), np.uint8),
            np.zeros((1, 2, 4, 1), np.uint8)[:, :, ::2],
        )
    ),
    *(
        (
            ValueError,
            "max_pool2d_backward: taps: expected what max_pool2d_taps gave, got another array",
            lambda t=taps: _C.max_pool2d_backward(
                ones(1, 1, 1, 2), t, (20, 21), (20, 20, 1, 1, 0, 0, 1, 1, 0)
            ),
        )
        for taps in (ones(1, 1, 2, 1, dtype=np.float64), strided(1, 1, 2, 1))
    ),
    (
        ValueError,
        "sum_pool2d: divisor: expected a number other than 0, got 0",
        lambda: _C.sum_pool2d(ones(1, 1, 4, 4), WINDOW, 0.0),
    ),
    (
        ValueError,
        'sum_pool2d: divisor: expected a number, "inside" or "padded", got half',
        lambda: _C.sum_pool2d(ones(1, 1, 4, 4), WINDOW, "half"),
    ),
    *(
        (
            ValueError,
            "max_unpool2d: indices: expected shape (1, 2, 2, 1) (N, P, Q, C), got " + text,
            lambda shape=shape: _C.max_unpool2d(ones(1, 1, 2, 2), zeros(*shape), (4, 4)),
        )
        for shape, text in (((4,), "(4,)"), ((1, 1, 2, 2), "(1, 1, 2, 2)"))
    ),
    *(
        (
            ValueError,
            f"max_unpool2d: size: expected two sizes of 0 or more, got {size}",
            lambda size=size: _C.max_unpool2d(ones(1, 1, 2, 2), zeros(1, 2, 2, 1), size),
        )
        for size in ((-1, 4), (4, -1))
    ),
    (
        ValueError,
        "max_unpool2d_backward: indices: expected rank 4 (N, P, Q, C), got 1",
        lambda: _C.max_unpool2d_backward(ones(1, 1, 4, 4), zeros(4)),
    ),
    # --- the rest
    (
        ValueError,
        "prelu: weight: expected a shape that repeats to (2, 3), got (2,)",
        lambda: _C.prelu(ones(2, 3), ones(2)),
    ),
    (
        ValueError,
        "sgd_momentum: states: expected 1 arrays, got 0",
        lambda: _C.optimizer_step("sgd_momentum", ones(4), ones(4), (), rate=0.1),
    ),
    (IndexError, "softmax: axis: expected 0 to 1, got 2", lambda: _C.softmax(ones(2, 2), 2)),
    (IndexError, "softmax: axis: expected 0 to 1, got -1", lambda: _C.softmax(ones(2, 2), -1)),
    (
        TypeError,
        "set_num_threads: count: expected an integer, got True",
        lambda: _C.set_num_threads(True),
    ),
]


@pytest.mark.parametrize(("kind", "words", "call"), REFUSED, ids=[w for _, w, _ in REFUSED])
def test_a_wrong_argument_is_told_so(kind, words, call):
    with pytest.raises(Exception) as error:
        call()
    assert (error.type, str(error.value)) == (kind, words)


@pytest.mark.parametrize(("rule", "shown"), [(None, "None"), ("lion", '"lion"')])
def test_a_rule_that_there_is_not(rule, shown):
    with pytest.raises(ValueError, match=f"optimizer_step: rule: expected one of .*got {shown}$"):
        _C.optimizer_step(rule, ones(4), ones(4), (), rate=0.1)


def test_strides_that_are_no_multiple_of_the_item():
    with pytest.raises(ValueError, match="strides that are multiples of the item size, got 6 byt"):
        _C.relu(half_an_item_apart())


@pytest.mark.parametrize("number", ["x", 2**70])
def test_numbers_that_are_none_keep_their_own_error(number):
    kind = TypeError if number == "x" else OverflowError
    for call in (
        lambda: _C.sum(ones(2), (number,)),
        lambda: _C.broadcast_to(ones(2), (number,)),
        lambda: _C.pad(ones(2), (number, 0)),
        lambda: _C.max_pool2d(ones(1, 1, 4, 4), (number, 1)),
    ):
        with pytest.raises(kind):
            call()

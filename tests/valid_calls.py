# SPDX-License-Identifier: Apache-2.0
"""One valid call of every public function, layer, optimizer, schedule and distribution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import striate
from striate import data, distributions, linalg, nn, ops, optim
from striate.nn import functional, init, utils
from striate.nn.utils import rnn
from striate.optim import lr_scheduler

Make = Callable[[], Any]
Arguments = list[tuple[inspect.Parameter, Make | None]]


def some(*shape: int) -> striate.Tensor:
    return striate.rand(*(shape or (3, 4)))


def listed(*values: float) -> striate.Tensor:
    return striate.tensor(list(values))


def optimizer() -> optim.Optimizer:
    return optim.SGD([nn.Parameter(striate.ones(2))], 0.1)


def packed() -> Any:
    return rnn.pack_sequence([some(4, 3), some(2, 3)])


# By the name of the parameter, where a function has no more to say.
TENSORS = """
    input other target tensor x1 x2 input1 input2 anchor positive negative x data obj elements
    test_elements A end tensor1 tensor2
"""
BY_NAME: dict[str, Make] = dict.fromkeys(TENSORS.split(), some)
BY_NAME |= {
    "dim": lambda: 1,
    "tensors": lambda: [some(), some()],
    "mat2": partial(some, 4, 3),
    "vec": partial(some, 4),
    "optimizer": optimizer,
    "params": lambda: [nn.Parameter(striate.ones(2))],
    "parameters": lambda: [nn.Parameter(striate.ones(2))],
    "condition": lambda: some() > 0.5,
    "dtype": lambda: striate.float32,
    "p": lambda: distributions.Normal(0.0, 1.0),
    "q": lambda: distributions.Normal(0.0, 1.0),
}
BY_FUNCTION: dict[str, dict[str, Any]] = {}


def call(names: str, **arguments: Any) -> None:
    """What the functions take: makers, or what needs no making."""
    for name in names.split():
        BY_FUNCTION[name] = {k: v if callable(v) else lambda v=v: v for k, v in arguments.items()}


def recurrent(cell: str, gates: int) -> None:
    """Calls of a recurrent layer and its cell."""
    states = 2 if cell == "lstm" else 1

    def state(*shape: int) -> Any:
        given = tuple(some(*shape) for _ in range(states))
        return given if states > 1 else given[0]

    def weights() -> list[striate.Tensor]:
        return [some(4 * gates, n) if n else some(4 * gates) for n in (3, 4, 0, 0)]

    call(
        cell, input=partial(some, 5, 2, 3), hx=partial(state, 1, 2, 4), params=weights,
        has_biases=True, num_layers=1, dropout=0.0, train=True, bidirectional=False,
    )  # fmt: skip
    call(
        f"{cell}_cell",
        input=partial(some, 2, 3),
        hx=partial(state, 2, 4),
        w_ih=partial(some, 4 * gates, 3),
        w_hh=partial(some, 4 * gates, 4),
    )


def spatial(n: int) -> None:
    """Calls of what works on n spatial axes."""
    images = partial(some, 2, 4, *[6] * n)

    def taps() -> striate.Tensor:
        return getattr(functional, f"max_pool{n}d")(images(), 2, return_indices=True)[1]

    call(f"adaptive_avg_pool{n}d adaptive_max_pool{n}d", input=images, output_size=2)
    call(f"avg_pool{n}d max_pool{n}d sum_pool{n}d", input=images, kernel_size=2)
    call(f"lp_pool{n}d", input=images, kernel_size=2, norm_type=2.0)
    call(f"dropout{n}d", input=images)
    call(f"conv{n}d", input=images, weight=partial(some, 2, 4, *[3] * n))
    call(f"conv_transpose{n}d", input=images, weight=partial(some, 4, 2, *[3] * n))
    call(f"max_unpool{n}d", input=partial(some, 2, 4, *[3] * n), indices=taps, kernel_size=2)
    call(f"AdaptiveAvgPool{n}d AdaptiveMaxPool{n}d", output_size=2)
    call(f"AvgPool{n}d MaxPool{n}d SumPool{n}d MaxUnpool{n}d", kernel_size=2)
    call(f"LPPool{n}d", kernel_size=2, norm_type=2.0)
    call(f"BatchNorm{n}d InstanceNorm{n}d", num_features=3)
    call(f"Conv{n}d ConvTranspose{n}d", in_channels=3, out_channels=4, kernel_size=3)
    call(f"ConstantPad{n}d", padding=1, value=1.0)
    call(f"CircularPad{n}d ReflectionPad{n}d ReplicationPad{n}d ZeroPad{n}d", padding=1)


for axes in (1, 2, 3):
    spatial(axes)
for cell, gates in (("gru", 3), ("lstm", 4), ("rnn_tanh", 1), ("rnn_relu", 1)):
    recurrent(cell, gates)
image, square = partial(some, 2, 4, 6, 6), partial(some, 3, 3)
indices, signs = partial(listed, 0, 1), partial(listed, 1.0, -1.0, 1.0)
places = partial(striate.zeros, 3, 4, dtype=striate.int64)

call("addbmm", input=square, batch1=partial(some, 2, 3, 4), batch2=partial(some, 2, 4, 3))
call("baddbmm", input=square, batch1=partial(some, 2, 3, 4), batch2=partial(some, 2, 4, 3))
call("addmm", input=square, mat1=some, mat2=partial(some, 4, 3))
call("addmv", input=partial(some, 3), mat=some, vec=partial(some, 4))
call("addr ger", input=some, vec1=partial(some, 3), vec2=partial(some, 4))
call("ger", input=partial(some, 3), vec2=partial(some, 4))
call(
    "batch_norm",
    input=image,
    running_mean=lambda: striate.zeros(4),
    running_var=lambda: striate.ones(4),
)
call("instance_norm divisive_norm subtractive_norm local_contrast_norm", input=image)
call("local_response_norm", input=image, size=3)
call("bincount one_hot bitwise_not", input=indices)
call("bitwise_and bitwise_or bitwise_xor", input=indices, other=indices)
call("bitwise_left_shift bitwise_right_shift", input=indices, other=indices)
call("bmm", input=partial(some, 2, 3, 4), mat2=partial(some, 2, 4, 3))
call("broadcast_to", shape=(3, 4))
call("bucketize", boundaries=partial(listed, 0.1, 0.5))
call("chunk", chunks=2)
call("clamp clamp_min", min=0)
call("clamp_max", max=1)
call("combinations", input=partial(some, 4))
call("cosine_embedding_loss", target=signs)
call("contrastive_loss", target=partial(listed, 1.0, 0.0, 1.0))
call("cross_entropy nll_loss", target=partial(listed, 0, 1, 2))
call("multi_margin_loss", target=partial(listed, 0, 1, 2), p=1)
call("multilabel_margin_loss", target=places)
call("hinge_embedding_loss soft_margin_loss", target=lambda: striate.ones(3, 4))
call("gaussian_nll_loss", var=lambda: striate.ones(3, 4))
call(
    "ctc_loss",
    log_probs=lambda: some(6, 2, 5).log_softmax(2),
    targets=lambda: striate.ones(2, 2).long(),
    input_lengths=(6, 6),
    target_lengths=(2, 2),
)
call("dot", input=partial(some, 4), tensor=partial(some, 4))
call("einsum", equation="ij,ij->i", operands=lambda: (some(), some()))
call("embedding embedding_bag", input=places, weight=partial(some, 5, 3))
call("flip", dims=(0,))
call("fold", input=partial(some, 2, 12, 4), output_size=(4, 4), kernel_size=2, stride=2)
call("unfold", input=image, kernel_size=2)
call("gather", index=places)
call("getitem setitem", index=0, values=1.0)
call("group_norm", input=image, num_groups=2)
call("layer_norm rms_norm LayerNorm RMSNorm", normalized_shape=4)
call("index_add index_copy", index=indices, source=partial(some, 3, 2))
call("index_fill", index=indices, value=1.0)
call("index_put", indices=lambda: (listed(0, 1),), values=1.0)
call("index_select take", index=indices)
call("interpolate upsample", input=image, scale_factor=2)
call("kthvalue topk", k=2)
call("lerp", weight=0.5)
call("linear", weight=partial(some, 5, 4))
call("masked_fill", mask=lambda: some() > 0.5, value=1.0)
call("masked_scatter masked_select", mask=lambda: some() > 0.5, source=some)
call("matmul", other=partial(some, 4, 3))
call("maxout Maxout", pieces=2)
call("meshgrid cartesian_prod", tensors=lambda: (some(3), some(2)))
call("broadcast_tensors atleast_1d atleast_2d atleast_3d", tensors=lambda: (some(), some()))
call("moveaxis", source=0, destination=1)
call("mv", vec=partial(some, 4))
call("narrow", start=0, length=2)
call("norm", p=2)
call("pad", pad=(1, 1))
call("pairwise_distance cdist triplet_margin_loss", p=2.0)
call("permute", dims=(1, 0))
call(
    "pixel_shuffle pixel_unshuffle PixelShuffle PixelUnshuffle",
    input=partial(some, 2, 4, 4, 4),
    upscale_factor=2,
    downscale_factor=2,
)
call("pow", other=2)
call("prelu", weight=partial(some, 1))
call("put", index=indices, source=partial(some, 2))
call("quantile", q=0.5)
call("repeat_interleave", repeats=2)
call("reshape", shape=(4, 3))
call("roll", shifts=1)
call("scatter scatter_add scatter_reduce", index=places, src=some, reduce="sum")
call("searchsorted", sorted_sequence=partial(listed, 0.1, 0.5))
call("select", index=0)
call("split", split_size=2)
call("swapaxes", dim0=0, dim1=1)
call("take_along_dim", indices=places, dim=1)
call("tensor_split", indices_or_sections=2)
call("tensordot", a=some, b=partial(some, 4, 3), dims=1)
call("threshold Threshold", threshold=0.1, value=0.2)
call("tile", dims=(2,))
call("trace", input=square)
call("tril_indices triu_indices", row=3, col=4)
call("unflatten", sizes=(2, 2))
call("vector_norm", ord=2)
call("where", input=some, other=some)

call("arange", start=3, end=9)
call("can_cast", from_=striate.float32, to=striate.float64)
call("eye randperm", n=3)
call("finfo", type=striate.float32)
call("frombuffer", buffer=b"12345678", dtype=striate.float32)
call("from_numpy", array=lambda: np.ones(3))
call("from_dlpack", x=lambda: np.ones(3))
call("full full_like", size=(2, 3), fill_value=1.0)
call("iinfo", type=striate.int64)
call("is_nonzero", input=partial(listed, 1))
call("linspace logspace", start=0, end=1, steps=3)
call("manual_seed", seed=1)
call("multinomial", num_samples=2)
call("normal", mean=0.0, size=(2,))
call("promote_types", type1=striate.float32, type2=striate.int64)
call("randint randint_like", low=0, high=5, size=(2,))
call("result_type", operands=lambda: (some(), some()))
call("save", obj=dict, path="x.safetensors")
call("set_grad_enabled", mode=True)
call("zeros ones empty rand randn", size=(2, 3))

call("calculate_gain", nonlinearity="relu")
call("constant_", val=1.0)
call("clip_grad_norm_", max_norm=1.0)
call("clip_grads_with_norm_", max_norm=1.0, total_norm=lambda: striate.tensor(1.0))
call("clip_grad_value_", clip_value=1.0)
call("invert_permutation", permutation=partial(listed, 1, 0))
call("pack_padded_sequence", input=partial(some, 4, 2, 3), lengths=[4, 2])
call("pack_sequence pad_sequence", sequences=lambda: [some(4, 3), some(2, 3)])
call("pad_packed_sequence", sequence=packed)
call("unpack_sequence", packed_sequences=packed)
call("unpad_sequence", padded_sequences=partial(some, 4, 2, 3), lengths=[4, 2])
call("vector_to_parameters", vec=partial(some, 2))

call("Embedding EmbeddingBag", num_embeddings=5, embedding_dim=3)
call("Fold Unfold", output_size=4, kernel_size=2)
call("GRU LSTM RNN GRUCell LSTMCell RNNCell", input_size=3, hidden_size=4)
call("GroupNorm", num_groups=2, num_channels=4)
call("Linear", in_features=3, out_features=4)
call("MultiheadAttention", embed_dim=4, num_heads=2)
call("LocalResponseNorm", size=3)
call("ModuleList", modules=lambda: [nn.ReLU()])
call("ModuleDict", modules=lambda: {"a": nn.ReLU()})
call("MultiMarginLoss", p=1)
call("PairwiseDistance TripletMarginLoss", p=2.0)
call("Sequential", args=lambda: (nn.ReLU(),))
call("Upsample UpsamplingBilinear2d UpsamplingNearest2d", scale_factor=2)
call("summary", model=lambda: nn.Linear(3, 4), inputs=((2, 3),))

call("ChainedScheduler", schedulers=lambda: [lr_scheduler.ConstantLR(optimizer())])
call("CosineAnnealingLR", T_max=5)
call("CosineAnnealingWarmRestarts", T_0=5)
call("CyclicLR", base_lr=0.1, max_lr=0.2, cycle_momentum=False)
call("ExponentialLR", gamma=0.9)
call("LambdaLR MultiplicativeLR", lr_lambda=lambda: lambda epoch: 1.0)
call("MultiStepLR", milestones=[2, 3])
call("OneCycleLR", max_lr=0.1, total_steps=10, cycle_momentum=False)
call("StepLR", step_size=2)
call("Normal", loc=0.0, scale=1.0)
call("Bernoulli Categorical", probs=partial(listed, 0.5, 0.5))

call("conv_algorithm", input=(1, 2, 4, 4), weight=(3, 2, 3, 3))
call("set_autotune", on=False)
call("set_conv_workspace", bytes=2**26)
call("Compose", transforms=lambda: (lambda images, random: images,))
call("DataLoader", dataset=[1, 2, 3])
call("Normalize", mean=0.0, std=1.0)
call("Subset", dataset=[1, 2, 3], indices=[0])
call("TensorDataset", tensors=lambda: (some(),))
call("default_collate", samples=lambda: [some(2), some(2)])
call("random_split", dataset=[1, 2, 3], lengths=[1, 2])
call(
    "stratified_split",
    dataset=lambda: data.TensorDataset(some(4, 2), listed(0, 1, 0, 1)),
    fraction=0.5,
)

# What has no arguments of its own to check: bases, types, and what reads the machine or a file.
NO_CALL = """
    Dataset Distribution Generator Identity LRScheduler Module NotFound Optimizer PackedSequence
    RNNBase RNNCellBase SequentialLR Size Summary as_index cast clone contiguous default_ digits
    explained fans get_cmake_dir get_include get_library get_float32_precision get_num_threads
    is_tensor load mnist read_idx seed set_default_dtype set_float32_precision set_num_threads
    set_printoptions set_rng_state
"""
APART = set(NO_CALL.split())
HELPERS = ("striate.nn.arguments", "striate.random")  # what init imports for itself


def everything() -> Iterator[tuple[str, Callable[..., Any]]]:
    """(name, function or class) of all that is public, once each."""
    seen = set()
    for place in (
        ops, functional, striate, linalg, init, utils, rnn, nn, optim, lr_scheduler,
        distributions, data,
    ):  # fmt: skip
        for name in sorted(getattr(place, "__all__", None) or vars(place)):
            thing = getattr(place, name)
            ours = getattr(thing, "__module__", "") or ""
            if name.startswith("_") or name in APART or not callable(thing) or id(thing) in seen:
                continue
            if ours.startswith("striate") and not (place is init and ours in HELPERS):
                seen.add(id(thing))
                yield name, thing


def arguments(name: str, function: Callable[..., Any]) -> Arguments:
    """Every parameter, and what makes a valid argument for it: None where its default serves."""
    own = BY_FUNCTION.get(name, {})
    found: Arguments = []
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.VAR_KEYWORD:
            continue
        needed = p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        made = own.get(p.name) or (BY_NAME[p.name] if needed else None)
        found.append((p, made or (tuple if p.kind is p.VAR_POSITIONAL else None)))
    return found


def invoke(function: Callable[..., Any], given: Arguments, *wrong: Any) -> Any:
    """function(…) with valid arguments, but for `wrong`: (parameter, value)."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    skipped = False
    for p, make in given:
        mine = bool(wrong) and p is wrong[0]
        if make is None and not mine:
            skipped = True
        elif p.kind is p.VAR_POSITIONAL:
            positional += [wrong[1]] if mine else list(make() if make else ())
        elif skipped or p.kind is p.KEYWORD_ONLY:
            named[p.name] = wrong[1] if mine else make() if make else None
        else:
            positional.append(wrong[1] if mine else make() if make else None)
    return function(*positional, **named)

# SPDX-License-Identifier: Apache-2.0
"""The operations that layers are made of, as functions, under PyTorch's names."""

from striate.ops.activation import *
from striate.ops.contrast import *
from striate.ops.conv import *
from striate.ops.conv2d import *
from striate.ops.ctc import *
from striate.ops.distance import *
from striate.ops.dropout import *
from striate.ops.embedding import *
from striate.ops.gemm import linear
from striate.ops.group_norm import *
from striate.ops.interpolate import *
from striate.ops.layer_norm import *
from striate.ops.loss import *
from striate.ops.loss_distribution import *
from striate.ops.loss_embedding import *
from striate.ops.loss_margin import *
from striate.ops.loss_pointwise import *
from striate.ops.maxout import *
from striate.ops.norm import *
from striate.ops.pad import *
from striate.ops.patches import *
from striate.ops.piecewise import *
from striate.ops.pool import *
from striate.ops.pool_nd import *
from striate.ops.prelu import *
from striate.ops.softmax import *
from striate.ops.unpool_nd import *

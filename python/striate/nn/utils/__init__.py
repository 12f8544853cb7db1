# SPDX-License-Identifier: Apache-2.0
"""Helpers around parameters: clipping of gradients, and parameters as one vector."""

from striate.nn.utils.clip_grad import *
from striate.nn.utils.convert_parameters import *

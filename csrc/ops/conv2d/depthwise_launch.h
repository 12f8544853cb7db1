// SPDX-License-Identifier: Apache-2.0
// What the launcher of convolutions and that of depthwise ones tell each other.
#pragma once
#include "cuda/driver/stream.h"
#include "ops/conv2d/conv2d.h"

namespace striate {

// Whether filters of a channel each have kernels of their own for the pass: more than one channel,
// and weights that shared memory holds.
bool depthwise_launch_takes(ConvPass pass, const ConvShape& shape, Dtype dtype);
// Of the gradient of weights, whose parts take at most so many sums.
SumParts depthwise_parts(const ConvShape& shape, ptrdiff_t most);
template <class R>
void depthwise_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& shape,
                      const SumParts& parts, const ConvLaunch<R>& operands);

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// What the launcher of convolutions and that of depthwise ones tell each other.
#pragma once
#include "cuda/driver/stream.h"
#include "ops/conv2d/conv2d.h"

namespace striate {

// Whether filters of a channel each have kernels of their own for the pass: more than one channel,
// and weights that shared memory holds.
bool depthwise_launch_takes(ConvPass pass, const ConvShape& shape);
// Of `most` parts at most; their memory is not counted.
ConvParts depthwise_parts(const ConvShape& shape, ptrdiff_t most);
void depthwise_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& shape,
                      const ConvParts& parts, const ConvLaunch& operands);

// o.out [m, n] from the parts in o.space, with its epilogue.
void add_conv_parts(const cuda::Stream& stream, ptrdiff_t m, ptrdiff_t n, const ConvParts& parts,
                    const ConvLaunch& o);

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// Numbers of rows or classes that lie on a GPU: checked there, before a kernel goes by them.
#pragma once
#include <optional>

#include "core/indices.h"
#include "ops/indices/indices_cuda.h"

namespace striate {

namespace cuda {
struct Stream;
}

constexpr int kIndexParts = 64;  // at most

struct IndexCheck {
  ptrdiff_t place;  // of the first that is wrong; -1 if none is
  int64_t value;    // what stands there
  double weight;    // of the rest, added up
};

// Of indices that are to be from 0 to below - 1, or `ignored`, if there is such; weight is null for
// 1, or [below] of the dtype. parts: [kIndexParts], on the device. Waits for the stream.
IndexCheck check_indices_launch(const cuda::Stream& stream, const Indices& indices, ptrdiff_t below,
                                std::optional<int64_t> ignored, Dtype dtype, const void* weight,
                                IndexPart* parts);

}  // namespace striate

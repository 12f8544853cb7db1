// SPDX-License-Identifier: Apache-2.0
#include "bindings/device_indices.h"

namespace striate {

IndexCheck check_on_device(const Indices& indices, ptrdiff_t below, std::optional<int64_t> ignored,
                           Dtype dtype, const void* weight) {
  static_assert(sizeof(IndexPart) == 3 * sizeof(double), "parts lie in an array of float64");
  const ptrdiff_t shape[] = {kIndexParts, 3};
  const Result parts = result("indices", py::none(), Dtype::f64, shape, 2, indices.device);
  IndexCheck found;
  on_stream(indices.device, [&](const cuda::Stream& s) {
    found = check_indices_launch(s, indices, below, ignored, dtype, weight,
                                 static_cast<IndexPart*>(parts.operand.data));
  });
  return found;
}

void expect_on_device(const char* op, const char* argument, const Indices& indices,
                      ptrdiff_t below) {
  const IndexCheck found = check_on_device(indices, below, std::nullopt, Dtype::f32, nullptr);
  if (found.place >= 0) refuse_index(op, argument, indices, found.place, found.value, below);
}

}  // namespace striate

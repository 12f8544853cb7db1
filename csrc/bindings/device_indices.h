// SPDX-License-Identifier: Apache-2.0
// Indices on a GPU, checked before a kernel goes by them. It takes a wait for the stream: what is
// wrong has to be known here.
#pragma once
#include "bindings/device_array.h"
#include "ops/indices/indices.h"

namespace striate {

// Which of them are from 0 to below - 1, or `ignored`. weight: null for 1, or [below] of the dtype.
IndexCheck check_on_device(const Indices& indices, ptrdiff_t below, std::optional<int64_t> ignored,
                           Dtype dtype, const void* weight);
// Throws std::out_of_range for one that is not from 0 to below - 1.
void expect_on_device(const char* op, const char* argument, const Indices& indices,
                      ptrdiff_t below);

}  // namespace striate

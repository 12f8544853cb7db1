// SPDX-License-Identifier: Apache-2.0
#include "core/precision.h"

#include <atomic>
#include <stdexcept>

namespace striate {
namespace {

constexpr const char* kNames[] = {"highest", "high", "medium"};
std::atomic<Precision> precision{Precision::high};

}  // namespace

Precision float32_precision() { return precision.load(std::memory_order_relaxed); }
void set_float32_precision(Precision wanted) { precision.store(wanted, std::memory_order_relaxed); }

const char* precision_name(Precision wanted) { return kNames[int(wanted)]; }

Precision precision_of(const std::string& name) {
  for (int i = 0; i < 3; ++i)
    if (name == kNames[i]) return Precision(i);
  throw std::invalid_argument(
      "set_float32_precision: precision: expected 'highest', 'high' or 'medium', got '" + name +
      "'");
}

}  // namespace striate

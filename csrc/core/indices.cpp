// SPDX-License-Identifier: Apache-2.0
#include "core/indices.h"

namespace striate {
namespace {

[[noreturn]] void refuse(const char* op, const char* argument, const Indices& indices, ptrdiff_t at,
                         int64_t value, ptrdiff_t below) {
  ptrdiff_t place[kMaxRank];
  for (int a = indices.rank - 1; a >= 0; --a) {
    place[a] = at % indices.shape[a];
    at /= indices.shape[a];
  }
  const std::string range =
      below > 0 ? "0 to " + std::to_string(below - 1) : "no number at all, the table being empty";
  throw std::out_of_range(std::string(op) + ": " + argument + ": expected " + range + ", got " +
                          std::to_string(value) + " at index " + shape_text(place, indices.rank));
}

}  // namespace

CheckedIndices::CheckedIndices(const char* op, const char* argument, const Indices& indices,
                               ptrdiff_t below)
    : space_(size_t(indices.size)), data_(space_.data()), size_(indices.size) {
  for (ptrdiff_t i = 0; i < size_; ++i) {
    const int64_t value = read_once(indices.data + i);
    if (value < 0 || value >= below) refuse(op, argument, indices, i, value, below);
    space_[size_t(i)] = value;
  }
}

}  // namespace striate

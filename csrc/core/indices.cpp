// SPDX-License-Identifier: Apache-2.0
#include "core/indices.h"

namespace striate {

void same_place(const char* op, const char* a_name, const Operand& a, const char* b_name,
                const Indices& b) {
  Operand like{};
  like.rank = b.rank, like.device = b.device;
  for (int i = 0; i < b.rank; ++i) like.shape[i] = b.shape[i];
  same_place(op, a_name, a, b_name, like);
}

void refuse_index(const char* op, const char* argument, const Indices& indices, ptrdiff_t at,
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

CheckedIndices::CheckedIndices(const char* op, const char* argument, const Indices& indices,
                               ptrdiff_t below)
    : space_(size_t(indices.size)), data_(space_.data()), size_(indices.size) {
  for (ptrdiff_t i = 0; i < size_; ++i) {
    const int64_t value = read_once(indices.data + i);
    if (value < 0 || value >= below) refuse_index(op, argument, indices, i, value, below);
    space_[size_t(i)] = value;
  }
}

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// Numbers of rows, classes or places that a caller gives.
#pragma once
#include "core/memory.h"
#include "core/operand.h"

namespace striate {

// int64 in C order. The memory is the caller's: another thread may be writing to it.
struct Indices {
  const int64_t* data;
  int rank;
  ptrdiff_t shape[kMaxRank];
  ptrdiff_t size;
  int device = kCpu;
};

// Throws TypeMismatch unless both lie in the same place.
void same_place(const char* op, const char* a_name, const Operand& a, const char* b_name,
                const Indices& b);

// Throws std::out_of_range: indices[at] is `value`, not from 0 to below - 1.
[[noreturn]] void refuse_index(const char* op, const char* argument, const Indices& indices,
                               ptrdiff_t at, int64_t value, ptrdiff_t below);

// *p, read once: what is checked is what is used.
inline int64_t read_once(const int64_t* p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }

// A copy of indices of which each is in [0, below), whatever becomes of the
// original. Throws std::out_of_range that names value and place.
class CheckedIndices {
 public:
  CheckedIndices(const char* op, const char* argument, const Indices& indices, ptrdiff_t below);
  const int64_t* data() const { return data_; }
  int64_t operator[](ptrdiff_t i) const { return data_[i]; }
  ptrdiff_t size() const { return size_; }

 private:
  Workspace<int64_t> space_;
  const int64_t* data_;
  ptrdiff_t size_;
};

}  // namespace striate

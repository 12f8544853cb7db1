// SPDX-License-Identifier: Apache-2.0
// Operands and results for drivers that read and write C order and nothing else.
#pragma once
#include "bindings/array.h"
#include "core/memory.h"
#include "ops/layout/layout.h"

namespace striate {

// x in C order: where it lies, or a copy.
class DenseInput {
 public:
  explicit DenseInput(const Operand& x)
      : space_(is_c_order(x) ? 0 : size_t(x.size()) * item_size(x.dtype)), data_(x.data) {
    if (space_.size() == 0) return;
    Operand dense = x;
    dense.data = space_.data();
    c_order(x.shape, x.rank, dense.stride);
    copy(x, dense);
    data_ = space_.data();
  }
  const void* data() const { return data_; }

 private:
  Workspace<char> space_;
  const void* data_;
};

// A result made in C order, then copied to an `out` that is in another.
class DenseResult {
 public:
  DenseResult(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank)
      : wanted_(result(op, out, dtype, shape, rank)),
        made_(is_c_order(wanted_.operand) ? wanted_ : result(op, py::none(), dtype, shape, rank)) {}
  const Operand& operand() const { return made_.operand; }
  py::object finish() {
    if (made_.operand.data != wanted_.operand.data) copy(made_.operand, wanted_.operand);
    return std::move(wanted_.object);
  }

 private:
  Result wanted_, made_;
};

}  // namespace striate

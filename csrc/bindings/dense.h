// SPDX-License-Identifier: Apache-2.0
// Results of drivers that write C order and nothing else.
#pragma once
#include "bindings/array.h"
#include "ops/layout/dense.h"

namespace striate {

// A result made in C order, then copied to an `out` that is in another.
class DenseResult {
 public:
  DenseResult(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank)
      : wanted_(result(op, out, dtype, shape, rank)), made_(wanted_.operand) {}
  const Operand& operand() const { return made_.operand(); }
  py::object finish() {
    made_.finish();
    return std::move(wanted_.object);
  }

 private:
  Result wanted_;
  DenseOutput made_;
};

}  // namespace striate

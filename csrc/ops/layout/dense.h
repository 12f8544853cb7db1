// SPDX-License-Identifier: Apache-2.0
// Operands and results for drivers that read and write C order and nothing else.
#pragma once
#include "ops/layout/layout.h"

namespace striate {

// x in C order: where it lies, or a copy.
class DenseInput {
 public:
  explicit DenseInput(const Operand& x)
      : operand_(x), space_(is_c_order(x) ? 0 : size_t(x.size()) * item_size(x.dtype)) {
    if (is_c_order(x)) return;
    operand_.data = space_.data();
    c_order(x.shape, x.rank, operand_.stride);
    copy(x, operand_);
  }
  const void* data() const { return operand_.data; }
  const Operand& operand() const { return operand_; }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(operand_.data);
  }

 private:
  Operand operand_;
  Workspace<char> space_;
};

// C order for such a result: out's own memory, or scratch that finish() copies to it.
class DenseOutput {
 public:
  explicit DenseOutput(const Operand& out)
      : out_(out),
        operand_(out),
        space_(is_c_order(out) ? 0 : size_t(out.size()) * item_size(out.dtype)) {
    if (is_c_order(out)) return;
    operand_.data = space_.data();
    c_order(out.shape, out.rank, operand_.stride);
  }
  const Operand& operand() const { return operand_; }
  void* data() const { return operand_.data; }
  template <class T>
  T* as() const {
    return static_cast<T*>(operand_.data);
  }
  void finish() const {
    if (operand_.data != out_.data) copy(operand_, out_);
  }

 private:
  Operand out_, operand_;
  Workspace<char> space_;
};

}  // namespace striate

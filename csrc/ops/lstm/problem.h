// SPDX-License-Identifier: Apache-2.0
// A recurrent layer made of arrays, checked: what every way to call it has to do first.
#pragma once
#include <optional>
#include <vector>

#include "core/indices.h"
#include "ops/lstm/lstm.h"

namespace striate {

const char* cell_name(Cell cell);
Cell cell_by_name(const char* name);  // throws std::invalid_argument with the choices

// x is (T, N, I), or packed rows (R, I) with the number of rows of each step in batch_sizes. Where
// one is left out, there is nothing.
struct RnnOperands {
  Operand x, w_ih, w_hh;
  std::optional<Operand> b_ih, b_hh, w_hr, h0, c0;
  std::optional<Indices> batch_sizes;
};

// Every operand must be in C order; the constructor checks dtypes and shapes and throws
// TypeMismatch or std::invalid_argument, naming `op`, which must outlive this.
class RnnProblem {
 public:
  RnnProblem(const char* op, Cell cell, Direction direction, const RnnOperands& operands);

  template <class T>
  RnnLayer<T> layer(Rows<T> y, Rows<T> kept) const {
    auto at = [](const std::optional<Operand>& o) { return o ? o->as<const T>() : nullptr; };
    const RnnOperands& o = operands_;
    return {cell_,
            direction_,
            input_,
            hidden_,
            output_,
            o.w_ih.as<const T>(),
            o.w_hh.as<const T>(),
            at(o.b_ih),
            at(o.b_hh),
            at(o.w_hr),
            batch_,
            offset_,
            o.x.as<const T>(),
            at(o.h0),
            at(o.c0),
            y,
            kept};
  }

  const char* op() const { return op_; }
  const RnnOperands& operands() const { return operands_; }
  Cell cell() const { return cell_; }
  Dtype dtype() const { return operands_.x.dtype; }
  int device() const { return operands_.x.device; }
  ptrdiff_t rows() const { return offset_.back(); }
  ptrdiff_t batch() const { return batch_; }
  ptrdiff_t input() const { return input_; }
  ptrdiff_t hidden() const { return hidden_; }
  ptrdiff_t output() const { return output_; }
  ptrdiff_t gates() const { return gates_; }
  ptrdiff_t kept() const;      // columns of what forward keeps; 0 for none
  double nanoseconds() const;  // an estimate of forward

  // The shape of x with `last` values a row; returns the rank.
  int shape_of(ptrdiff_t last, ptrdiff_t* shape) const;

 private:
  void read_steps();
  void read_sizes();
  void expect(const char* argument, const Operand& x, ptrdiff_t first, ptrdiff_t second) const;

  const char* op_;
  Cell cell_;
  Direction direction_;
  RnnOperands operands_;
  ptrdiff_t input_ = 0, hidden_ = 0, output_ = 0, gates_ = 0, batch_ = 0;
  std::vector<ptrdiff_t> offset_;
};

// An operand of rank 2 or 3 as rows [R, last], where it is dense but for its rows' distance. False
// where it lies otherwise.
template <class T>
bool as_rows(const Operand& o, Rows<T>* rows) {
  const ptrdiff_t last = o.shape[o.rank - 1];
  if (o.stride[o.rank - 1] != 1 && last != 1) return false;
  ptrdiff_t row = o.stride[o.rank - 2];
  if (o.rank == 3) {
    if (o.shape[1] == 1)
      row = o.stride[0];
    else if (o.shape[0] != 1 && o.stride[0] != o.shape[1] * row)
      return false;
  }
  *rows = {o.as<T>(), row};
  return row >= last || o.size() == last;
}

}  // namespace striate

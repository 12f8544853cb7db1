// SPDX-License-Identifier: Apache-2.0
#include "ops/lstm/problem.h"

#include <cstring>

namespace striate {
namespace {

constexpr const char* kCells[] = {"lstm", "gru", "rnn_tanh", "rnn_relu"};

}  // namespace

const char* cell_name(Cell cell) { return kCells[int(cell)]; }

Cell cell_by_name(const char* name) {
  for (int i = 0; i < 4; ++i)
    if (std::strcmp(name, kCells[i]) == 0) return Cell(i);
  fail("rnn", "cell", "lstm, gru, rnn_tanh or rnn_relu", "'" + std::string(name) + "'");
}

RnnProblem::RnnProblem(const char* op, Cell cell, Direction direction, const RnnOperands& operands)
    : op_(op), cell_(cell), direction_(direction), operands_(operands) {
  const RnnOperands& o = operands_;
  read_steps();
  read_sizes();
  expect("w_ih", o.w_ih, gates_, input_);
  expect("w_hh", o.w_hh, gates_, output_);
  if (o.b_ih.has_value() != o.b_hh.has_value())
    fail(op, "b_hh", "both biases or none", "one of them");
  if (o.b_ih) expect("b_ih", *o.b_ih, gates_, -1), expect("b_hh", *o.b_hh, gates_, -1);
  if (o.w_hr) expect("w_hr", *o.w_hr, output_, hidden_);
  if (o.h0) expect("h0", *o.h0, batch_, output_);
  if (o.c0) {
    if (cell != Cell::lstm) fail(op, "c0", "None: only an LSTM has one", "an array");
    expect("c0", *o.c0, batch_, hidden_);
  }
}

void RnnProblem::expect(const char* argument, const Operand& x, ptrdiff_t first,
                        ptrdiff_t second) const {
  const ptrdiff_t shape[2] = {first, second};
  same_dtype(op_, argument, operands_.x, x);
  same_place(op_, "x", operands_.x, argument, x);
  expect_shape(op_, argument, x, shape, second < 0 ? 1 : 2);
}

void RnnProblem::read_steps() {
  const Operand& x = operands_.x;
  if (!operands_.batch_sizes) {
    if (x.rank != 3) fail(op_, "x", "(T, N, I)", "shape " + x.text());
    if (x.shape[0] == 0) fail(op_, "x", "at least one step", "shape " + x.text());
    batch_ = x.shape[1];
    offset_.resize(size_t(x.shape[0]) + 1);
    for (size_t t = 0; t < offset_.size(); ++t) offset_[t] = ptrdiff_t(t) * batch_;
    return;
  }
  if (x.rank != 2) fail(op_, "x", "packed rows (R, I)", "shape " + x.text());
  const Indices& sizes = *operands_.batch_sizes;
  if (sizes.rank != 1 || sizes.size == 0)
    fail(op_, "batch_sizes", "one number a step, at least one",
         "shape " + shape_text(sizes.shape, sizes.rank));
  offset_.push_back(0);
  ptrdiff_t most = batch_ = read_once(sizes.data);
  for (ptrdiff_t t = 0; t < sizes.size; ++t) {
    const ptrdiff_t n = t ? read_once(sizes.data + t) : batch_;
    if (n < 1 || n > most || n > x.shape[0] - offset_.back())
      fail(op_, "batch_sizes",
           "numbers from 1 that never grow and add up to x's " + std::to_string(x.shape[0]) +
               " rows",
           std::to_string(n) + " at step " + std::to_string(t));
    offset_.push_back(offset_.back() + n);
    most = n;
  }
  if (rows() != x.shape[0])
    fail(op_, "batch_sizes", "a sum of " + std::to_string(x.shape[0]) + ", x's rows",
         std::to_string(rows()));
}

void RnnProblem::read_sizes() {
  const Operand &x = operands_.x, &w_hh = operands_.w_hh;
  const std::optional<Operand>& w_hr = operands_.w_hr;
  if (w_hh.rank != 2) fail(op_, "w_hh", "rank 2 (gates, hidden)", "shape " + w_hh.text());
  input_ = x.shape[x.rank - 1];
  gates_ = w_hh.shape[0];
  hidden_ = gates_ / gate_count(cell_);
  output_ = hidden_;
  if (hidden_ < 1 || hidden_ * gate_count(cell_) != gates_)
    fail(op_, "w_hh", "rows for " + std::to_string(gate_count(cell_)) + " gates",
         "shape " + w_hh.text());
  if (w_hr) {
    if (cell_ != Cell::lstm) fail(op_, "w_hr", "None: only an LSTM has one", "an array");
    if (w_hr->rank != 2 || w_hr->shape[0] < 1)
      fail(op_, "w_hr", "rank 2 (projection, hidden)", "shape " + w_hr->text());
    output_ = w_hr->shape[0];
  }
  const ptrdiff_t most[3] = {rows(), 8, hidden_ + 16};  // what is kept a row is less than that
  checked_product(op_, "x", most, 3);
}

ptrdiff_t RnnProblem::kept() const {
  ptrdiff_t columns = 0;
  dispatch(dtype(), [&](auto* t) {
    columns = kept_columns<pointee<decltype(t)>>(cell_, hidden_, operands_.w_hr.has_value());
  });
  return columns;
}

double RnnProblem::nanoseconds() const {
  return 0.04 * double(rows()) * double(gates_) * double(input_ + output_);
}

int RnnProblem::shape_of(ptrdiff_t last, ptrdiff_t* shape) const {
  const Operand& x = operands_.x;
  for (int i = 0; i < x.rank; ++i) shape[i] = x.shape[i];
  shape[x.rank - 1] = last;
  return x.rank;
}

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// Recurrent layers on a GPU: products by gemm_launch.cpp, a step's cells in one launch.
//
//   forward    gates = x W_ih^T + b                        one product over all rows
//              for each step: gates += h' W_hh^T, cells, with a projection h = m W_hr^T
//   backward   for each step: dh (+)= dgates W_hh of the step before, with a projection
//              dm = (dh + dy) W_hr, cells
//              dx = dgates W_ih, dW_ih = dgates^T x, dW_hh = dgates^T h', db   over all rows
//
// h' lies in y where the step before made it, and in h0 behind those rows: sequences that begin
// later, in reverse. So a step has one or two blocks of rows, and no state is copied.
//
// A step waits for the one before: with few rows its two launches are the time, some 10 us.
#include <algorithm>
#include <climits>
#include <vector>

#include "core/blocks.h"
#include "core/check.h"
#include "cuda/driver/kernel.h"
#include "ops/elementwise/elementwise.h"
#include "ops/gemm/problem.h"
#include "ops/lstm/lstm.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/lstm/lstm_cuda.cu");
// In the order of Cell.
cuda::Kernel<CellForward<float>> forward_cells[] = {{module, "lstm_cell_fwd_f32_cuda"},
                                                    {module, "gru_cell_fwd_f32_cuda"},
                                                    {module, "rnn_tanh_cell_fwd_f32_cuda"},
                                                    {module, "rnn_relu_cell_fwd_f32_cuda"}};
cuda::Kernel<CellBackward<float>> backward_cells[] = {{module, "lstm_cell_bwd_f32_cuda"},
                                                      {module, "gru_cell_bwd_f32_cuda"},
                                                      {module, "rnn_tanh_cell_bwd_f32_cuda"},
                                                      {module, "rnn_relu_cell_bwd_f32_cuda"}};

using Layer = RnnLayer<float>;

// Hands out working space piece by piece, 256 bytes aligned; without memory it only counts.
class Space {
 public:
  explicit Space(float* memory) : memory_(memory) {}
  float* take(ptrdiff_t floats) {
    float* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += ceil_div(floats, 64) * 64;
    return piece;
  }
  ptrdiff_t used() const { return used_; }

 private:
  float* memory_;
  ptrdiff_t used_ = 0;
};

// Room for products that are made in parts: sixteen of the largest result of a step or of a
// weight's gradient, but no more than 8 MiB, which is what parts take that fill a chip.
ptrdiff_t room_for_parts(const Layer& l, bool backward) {
  const ptrdiff_t of_step = l.batch * gate_count(l.cell) * l.hidden;
  const ptrdiff_t of_weight = gate_count(l.cell) * l.hidden * std::max(l.input, l.output);
  return std::min<ptrdiff_t>(16 * std::max(of_step, backward ? of_weight : 0), 1 << 21);
}

// Operations on matrices of a stream's device.
class Matrices {
 public:
  Matrices(const cuda::Stream& stream, float* room, ptrdiff_t floats)
      : stream_(stream), room_(room), floats_(floats) {}

  Operand of(Rows<const float> x, ptrdiff_t rows, ptrdiff_t columns) const {
    return {const_cast<float*>(x.data), Dtype::f32, 2, {rows, columns}, {x.row, 1}, stream_.device};
  }
  Operand turned(Rows<const float> x, ptrdiff_t rows, ptrdiff_t columns) const {
    const Operand m = of(x, rows, columns);
    return {m.data, m.dtype, 2, {columns, rows}, {1, x.row}, m.device};
  }
  // c = a b + beta c + bias
  void multiply(const Operand& a, const Operand& b, const Operand& c, float beta,
                const float* bias = nullptr) const {
    Epilogue<float> e;
    if (bias) e.bias = bias, e.bias_axis = BiasAxis::column;
    const ptrdiff_t m = c.shape[0], n = c.shape[1];
    const GemmSizes sizes{1, m, n, a.shape[1], 2, {m, n, 0}};
    const SumParts parts =
        gemm_launch_parts(stream_.device, sizes, floats_ * ptrdiff_t(sizeof(float)));
    gemm_launch(stream_, sizes, a, b, c, 1, beta, e, parts, room_);
  }
  void add(const Operand& a, const Operand& b, const Operand& c) const {
    binary_launch(stream_, Binary::add, a, b, c);
  }
  void copy(const Operand& from, const Operand& to) const {
    float zero = 0;
    add(from, Operand{&zero, Dtype::f32, 0, {}, {}}, to);
  }
  const cuda::Stream& stream() const { return stream_; }

 private:
  const cuda::Stream& stream_;
  float* room_;
  ptrdiff_t floats_;
};

// Rows of a step whose h' lie together.
struct Block {
  ptrdiff_t first, rows;
  Rows<const float> h;
};
std::vector<Block> blocks_of(const Layer& l, ptrdiff_t t) {
  const ptrdiff_t other = l.direction == Direction::forward ? t - 1 : t + 1, rows = l.rows_of(t);
  ptrdiff_t there = 0;
  if (other >= 0 && other < l.steps()) there = std::min(rows, l.rows_of(other));
  std::vector<Block> blocks;
  if (there > 0) {
    const Rows<float> h = l.y.from(l.offset[other], 0);
    blocks.push_back({0, there, {h.data, h.row}});
  }
  if (there < rows)
    blocks.push_back({there, rows - there, Rows<const float>{l.h0, l.output}.from(there, 0)});
  return blocks;
}

// The GRU keeps its last gate in two halves.
ptrdiff_t gates_columns(const Layer& l) {
  return (l.cell == Cell::gru ? 4 : gate_count(l.cell)) * l.hidden;
}
// Columns of gates that h' meets as x does: the GRU's last one is apart.
ptrdiff_t columns_with_x(const Layer& l) {
  return (l.cell == Cell::gru ? 2 : gate_count(l.cell)) * l.hidden;
}

void check_step(const Layer& l) {
  if (l.batch * l.hidden > INT_MAX)
    fail("rnn", "x", "fewer than 2^31 values of the state on a GPU",
         shape_text({l.batch, l.hidden}));
}

class Forward {
 public:
  Forward(const Layer& layer, Space& space)
      : l_(layer),
        keeps_(layer.kept.data != nullptr),
        all_(gate_count(layer.cell) * layer.hidden),
        gates_(keeps_ ? layer.kept : Rows<float>{nullptr, gates_columns(layer)}) {
    if (!keeps_) gates_.data = space.take(l_.rows() * gates_.row);
    if (l_.b_ih) bias_ = space.take(all_);
    if (l_.w_hr && !keeps_) m_ = space.take(l_.batch * l_.hidden);
  }

  void run(const Matrices& on, float* h_n, float* c_n) {
    inputs(on);
    const ptrdiff_t steps = l_.steps();
    const bool forward = l_.direction == Direction::forward;
    for (ptrdiff_t i = 0; i < steps; ++i) step(on, forward ? i : steps - 1 - i, c_n);
    finish(on, h_n);
  }

 private:
  // gates = x W_ih^T + b for all rows; the GRU's b_hn meets h' alone.
  void inputs(const Matrices& on) {
    if (bias_) {
      const ptrdiff_t with_x = columns_with_x(l_);
      const auto part = [&](const float* b, ptrdiff_t first, ptrdiff_t n) {
        return on.of({b + first, n}, 1, n);
      };
      on.add(part(l_.b_ih, 0, with_x), part(l_.b_hh, 0, with_x), part(bias_, 0, with_x));
      if (with_x < all_)
        on.copy(part(l_.b_ih, with_x, all_ - with_x), part(bias_, with_x, all_ - with_x));
    }
    on.multiply(on.of({l_.x, l_.input}, l_.rows(), l_.input),
                on.turned({l_.w_ih, l_.input}, all_, l_.input),
                on.of({gates_.data, gates_.row}, l_.rows(), all_), 0, bias_);
  }

  // The block's gates += h' W_hh^T. The GRU's n_h has nothing else in it but its bias.
  void recur(const Matrices& on, const Block& b, Rows<float> gates) const {
    const ptrdiff_t with_x = columns_with_x(l_), h = l_.hidden, p = l_.output;
    const auto part = [&](ptrdiff_t column, ptrdiff_t row, ptrdiff_t n, float beta,
                          const float* bias) {
      const Rows<float> to = gates.from(0, column);
      on.multiply(on.of(b.h, b.rows, p), on.turned({l_.w_hh + row * p, p}, n, p),
                  on.of({to.data, to.row}, b.rows, n), beta, bias);
    };
    part(0, 0, with_x, 1, nullptr);
    if (with_x < all_) part(3 * h, with_x, h, 0, l_.b_hh ? l_.b_hh + with_x : nullptr);
  }

  void step(const Matrices& on, ptrdiff_t t, float* c_n) const {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    for (const Block& b : blocks_of(l_, t)) {
      const ptrdiff_t at = l_.offset[t] + b.first;
      const Rows<float> gates = gates_.from(at, 0), y = l_.y.from(at, 0);
      recur(on, b, gates);
      CellForward<float> a{b.rows, h, h, gates, {nullptr, 0}, {nullptr, 0}, b.h, y, {nullptr, 0}};
      if (c_n) a.c = {c_n + b.first * h, h};
      if (l_.cell == Cell::lstm && keeps_) a.c_kept = gates.from(0, 4 * h);
      if (l_.w_hr) a.out = keeps_ ? gates.from(0, 5 * h) : Rows<float>{m_, h};
      const ptrdiff_t count = b.rows * h;
      forward_cells[int(l_.cell)].launch(
          on.stream(), {{cuda::blocks_to_fill(on.stream(), count, kThreads)}, {kThreads}},
          {{"h", {b.rows, h}}}, a);
      if (l_.w_hr)
        on.multiply(on.of({a.out.data, a.out.row}, b.rows, h), on.turned({l_.w_hr, h}, p, h),
                    on.of({y.data, y.row}, b.rows, p), 0);
    }
  }

  // The state where each sequence ended: its last row in the order of the steps.
  void finish(const Matrices& on, float* h_n) const {
    const ptrdiff_t steps = l_.steps(), p = l_.output;
    const auto put = [&](ptrdiff_t row, ptrdiff_t first, ptrdiff_t n) {
      on.copy(on.of({l_.y.at(row), l_.y.row}, n, p), on.of({h_n + first * p, p}, n, p));
    };
    if (l_.direction == Direction::reverse) return put(0, 0, l_.batch);
    for (ptrdiff_t t = 0; t < steps; ++t) {
      const ptrdiff_t goes_on = t + 1 < steps ? l_.rows_of(t + 1) : 0;
      if (goes_on < l_.rows_of(t)) put(l_.offset[t] + goes_on, goes_on, l_.rows_of(t) - goes_on);
    }
  }

  const Layer& l_;
  const bool keeps_;
  const ptrdiff_t all_;  // columns of W_ih x
  Rows<float> gates_;    // [R, gates_columns()]
  float *bias_ = nullptr, *m_ = nullptr;
};

class Backward {
 public:
  Backward(const Layer& layer, const RnnGradients<float>& gradients, Space& space)
      : l_(layer),
        g_(gradients),
        columns_(gates_columns(layer)),
        all_(gate_count(layer.cell) * layer.hidden),
        dgates_{space.take(layer.rows() * columns_), columns_},
        before_{needs_before() ? space.take(layer.rows() * layer.output) : nullptr, layer.output},
        dh_{gradients.dh0, layer.output},
        dc_{gradients.dc0, layer.hidden} {
    if (l_.w_hr) dm_ = {space.take(l_.batch * l_.hidden), l_.hidden};
    if (l_.w_hr) dy_ = {space.take(l_.rows() * l_.output), l_.output};
    if (!g_.db_ih) return;
    for (ptrdiff_t rows = l_.rows(), parts; parts_.empty() || rows > 1; rows = parts) {
      parts = sum_step(true, rows, columns_).parts;
      parts_.push_back(space.take(parts * columns_));
    }
  }

  void run(const Matrices& on) {
    const ptrdiff_t steps = l_.steps();
    const bool forward = l_.direction == Direction::forward;
    if (before_.data) gather(on);
    ptrdiff_t last = -1;
    for (ptrdiff_t i = 0; i < steps; ++i) {
      const ptrdiff_t t = forward ? steps - 1 - i : i;
      if (last >= 0) recur(on, last);
      step(on, t);
      last = t;
    }
    recur(on, last);  // dh0
    inputs(on);
    weights(on);
    biases(on);
  }

 private:
  bool needs_before() const { return g_.dw_hh || l_.cell == Cell::gru; }

  // h' of every row. What lies behind each other on both sides is copied at one time: with
  // sequences of one length all that y holds.
  void gather(const Matrices& on) const {
    const ptrdiff_t p = l_.output;
    ptrdiff_t to = 0, rows = 0;
    Rows<const float> from{nullptr, 0};
    const auto flush = [&] {
      if (rows > 0) on.copy(on.of(from, rows, p), on.of({before_.at(to), p}, rows, p));
    };
    for (ptrdiff_t t = 0; t < l_.steps(); ++t)
      for (const Block& b : blocks_of(l_, t)) {
        const bool goes_on = rows > 0 && from.row == b.h.row && from.at(rows) == b.h.data;
        if (!goes_on) flush(), to = l_.offset[t] + b.first, from = b.h, rows = 0;
        rows += b.rows;
      }
    flush();
  }

  // dh (+)= dgates W_hh of step t. The GRU's W_hn meets the fourth part.
  void recur(const Matrices& on, ptrdiff_t t) const {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, p = l_.output;
    const bool gru = l_.cell == Cell::gru;
    const auto part = [&](ptrdiff_t column, ptrdiff_t row, ptrdiff_t n) {
      on.multiply(dgates(on, l_.offset[t], rows, column, n), on.of({l_.w_hh + row * p, p}, n, p),
                  on.of({dh_.data, p}, rows, p), gru ? 1 : 0);
    };
    part(0, 0, columns_with_x(l_));
    if (gru) part(3 * h, 2 * h, h);
  }

  void step(const Matrices& on, ptrdiff_t t) const {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, p = l_.output, at = l_.offset[t];
    CellBackward<float> a{rows, h, h, {}, {}, g_.dy.from(at, 0), dh_, dc_, dgates_.from(at, 0)};
    if (l_.kept.data) a.gates = {l_.kept.at(at), l_.kept.row};
    if (l_.cell == Cell::gru)
      a.h = {before_.at(at), p};
    else
      a.h = {l_.y.at(at), l_.y.row};
    if (l_.w_hr) {
      const Operand total = on.of({dy_.at(at), p}, rows, p), dh = on.of({dh_.data, p}, rows, p);
      if (g_.dy.data)
        on.add(on.of(a.dy, rows, p), dh, total);
      else
        on.copy(dh, total);
      on.multiply(total, on.of({l_.w_hr, h}, p, h), on.of({dm_.data, h}, rows, h), 0);
      a.dh = dm_, a.dy = {};
    }
    const ptrdiff_t count = rows * h;
    backward_cells[int(l_.cell)].launch(
        on.stream(), {{cuda::blocks_to_fill(on.stream(), count, kThreads)}, {kThreads}},
        {{"dh", {rows, h}}}, a);
  }

  // Columns [first, first + n) of a few rows of dgates.
  Operand dgates(const Matrices& on, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t first,
                 ptrdiff_t n) const {
    const Rows<float> d = dgates_.from(row, first);
    return on.of({d.data, d.row}, rows, n);
  }

  // The GRU's n_x is the third part, as W_in is.
  void inputs(const Matrices& on) const {
    const ptrdiff_t rows = l_.rows(), i = l_.input;
    if (!g_.dx) return;
    on.multiply(dgates(on, 0, rows, 0, all_), on.of({l_.w_ih, i}, all_, i),
                on.of({g_.dx, i}, rows, i), g_.dx_beta);
  }

  void weights(const Matrices& on) const {
    const ptrdiff_t rows = l_.rows(), h = l_.hidden, i = l_.input, p = l_.output;
    const ptrdiff_t with_x = columns_with_x(l_);
    // dw [n, k] = columns [first, first + n) of d, turned, times x [R, k]
    const auto weight = [&](Rows<const float> d, ptrdiff_t first, ptrdiff_t n, Rows<const float> x,
                            ptrdiff_t k, float* dw) {
      on.multiply(on.turned(d.from(0, first), rows, n), on.of(x, rows, k), on.of({dw, k}, n, k), 0);
    };
    const Rows<const float> d{dgates_.data, dgates_.row}, before{before_.data, p};
    if (g_.dw_ih) weight(d, 0, all_, {l_.x, i}, i, g_.dw_ih);
    if (g_.dw_hh) weight(d, 0, with_x, before, p, g_.dw_hh);
    if (g_.dw_hh && with_x < all_) weight(d, 3 * h, h, before, p, g_.dw_hh + with_x * p);
    if (g_.dw_hr) weight({dy_.data, p}, 0, p, {l_.kept.data + 5 * h, l_.kept.row}, h, g_.dw_hr);
  }

  void biases(const Matrices& on) const {
    if (!g_.db_ih) return;
    const ptrdiff_t with_x = columns_with_x(l_);
    Operand x = dgates(on, 0, l_.rows(), 0, columns_);
    for (float* to : parts_) {
      const SumStep step = sum_step(true, x.shape[0], columns_);
      const Operand sums = on.of({to, columns_}, step.parts, columns_);
      sum_launch(on.stream(), step, x, sums);
      x = sums;
    }
    const auto put = [&](ptrdiff_t first, ptrdiff_t n, float* db) {
      on.copy(on.of({x.as<float>() + first, n}, 1, n), on.of({db, n}, 1, n));
    };
    put(0, all_, g_.db_ih);
    put(0, with_x, g_.db_hh);
    if (with_x < all_) put(3 * l_.hidden, l_.hidden, g_.db_hh + with_x);
  }

  const Layer& l_;
  const RnnGradients<float>& g_;
  const ptrdiff_t columns_, all_;
  const Rows<float> dgates_, before_, dh_, dc_;
  Rows<float> dm_{nullptr, 0}, dy_{nullptr, 0};
  std::vector<float*> parts_;  // of the sums of columns, step by step; the last has one row
};

}  // namespace

ptrdiff_t rnn_forward_space(const RnnLayer<float>& layer) {
  Space space(nullptr);
  space.take(room_for_parts(layer, false));
  Forward(layer, space);
  return space.used();
}

void rnn_forward_launch(const cuda::Stream& stream, const RnnLayer<float>& layer, float* h_n,
                        float* c_n, float* space) {
  check_step(layer);
  const cuda::OnDevice here(stream.device);
  Space pieces(space);
  const ptrdiff_t room = room_for_parts(layer, false);
  const Matrices on(stream, pieces.take(room), room);
  Forward(layer, pieces).run(on, h_n, c_n);
}

ptrdiff_t rnn_backward_space(const RnnLayer<float>& layer, const RnnGradients<float>& gradients) {
  Space space(nullptr);
  space.take(room_for_parts(layer, true));
  Backward(layer, gradients, space);
  return space.used();
}

void rnn_backward_launch(const cuda::Stream& stream, const RnnLayer<float>& layer,
                         const RnnGradients<float>& gradients, float* space) {
  check_step(layer);
  const cuda::OnDevice here(stream.device);
  Space pieces(space);
  const ptrdiff_t room = room_for_parts(layer, true);
  const Matrices on(stream, pieces.take(room), room);
  Backward(layer, gradients, pieces).run(on);
}

}  // namespace striate

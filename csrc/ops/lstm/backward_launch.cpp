// SPDX-License-Identifier: Apache-2.0
// Backpropagation through time on a GPU; lstm_launch.cpp tells of both ways.
#include "ops/lstm/lstm_launch.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

using namespace recurrent;

template <class T>
class Backward {
 public:
  Backward(const RnnLayer<T>& layer, const RnnGradients<T>& gradients, Space<T>& space)
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

  void run(const Matrices<T>& on) {
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
  void gather(const Matrices<T>& on) const {
    const ptrdiff_t p = l_.output;
    ptrdiff_t to = 0, rows = 0;
    Rows<const T> from{nullptr, 0};
    const auto flush = [&] {
      if (rows > 0) on.copy(on.of(from, rows, p), on.of({before_.at(to), p}, rows, p));
    };
    for (ptrdiff_t t = 0; t < l_.steps(); ++t)
      for (const Block<T>& b : blocks_of(l_, t)) {
        const bool goes_on = rows > 0 && from.row == b.h.row && from.at(rows) == b.h.data;
        if (!goes_on) flush(), to = l_.offset[t] + b.first, from = b.h, rows = 0;
        rows += b.rows;
      }
    flush();
  }

  // dh (+)= dgates W_hh of step t. The GRU's W_hn meets the fourth part.
  void recur(const Matrices<T>& on, ptrdiff_t t) const {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, p = l_.output;
    const bool gru = l_.cell == Cell::gru;
    const auto part = [&](ptrdiff_t column, ptrdiff_t row, ptrdiff_t n) {
      on.multiply(dgates(on, l_.offset[t], rows, column, n), on.of({l_.w_hh + row * p, p}, n, p),
                  on.of({dh_.data, p}, rows, p), gru ? 1 : 0);
    };
    part(0, 0, columns_with_x(l_));
    if (gru) part(3 * h, 2 * h, h);
  }

  void step(const Matrices<T>& on, ptrdiff_t t) const {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, p = l_.output, at = l_.offset[t];
    CellBackward<T> a{rows, h, h, {}, {}, g_.dy.from(at, 0), dh_, dc_, dgates_.from(at, 0)};
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
    launch_cells(on.stream(), l_.cell, a);
  }

  // Columns [first, first + n) of a few rows of dgates.
  Operand dgates(const Matrices<T>& on, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t first,
                 ptrdiff_t n) const {
    const Rows<T> d = dgates_.from(row, first);
    return on.of({d.data, d.row}, rows, n);
  }

  // The GRU's n_x is the third part, as W_in is.
  void inputs(const Matrices<T>& on) const {
    const ptrdiff_t rows = l_.rows(), i = l_.input;
    if (!g_.dx) return;
    on.multiply(dgates(on, 0, rows, 0, all_), on.of({l_.w_ih, i}, all_, i),
                on.of({g_.dx, i}, rows, i), g_.dx_beta);
  }

  void weights(const Matrices<T>& on) const {
    const ptrdiff_t rows = l_.rows(), h = l_.hidden, i = l_.input, p = l_.output;
    const ptrdiff_t with_x = columns_with_x(l_);
    // dw [n, k] = columns [first, first + n) of d, turned, times x [R, k]
    const auto weight = [&](Rows<const T> d, ptrdiff_t first, ptrdiff_t n, Rows<const T> x,
                            ptrdiff_t k, T* dw) {
      on.multiply(on.turned(d.from(0, first), rows, n), on.of(x, rows, k), on.of({dw, k}, n, k), 0);
    };
    const Rows<const T> d{dgates_.data, dgates_.row}, before{before_.data, p};
    if (g_.dw_ih) weight(d, 0, all_, {l_.x, i}, i, g_.dw_ih);
    if (g_.dw_hh) weight(d, 0, with_x, before, p, g_.dw_hh);
    if (g_.dw_hh && with_x < all_) weight(d, 3 * h, h, before, p, g_.dw_hh + with_x * p);
    if (g_.dw_hr) weight({dy_.data, p}, 0, p, {l_.kept.data + 5 * h, l_.kept.row}, h, g_.dw_hr);
  }

  void biases(const Matrices<T>& on) const {
    if (!g_.db_ih) return;
    const ptrdiff_t with_x = columns_with_x(l_);
    Operand x = dgates(on, 0, l_.rows(), 0, columns_);
    for (T* to : parts_) {
      const SumStep step = sum_step(true, x.shape[0], columns_);
      const Operand sums = on.of({to, columns_}, step.parts, columns_);
      sum_launch(on.stream(), step, x, sums);
      x = sums;
    }
    const auto put = [&](ptrdiff_t first, ptrdiff_t n, T* db) {
      on.copy(on.of({x.as<T>() + first, n}, 1, n), on.of({db, n}, 1, n));
    };
    put(0, all_, g_.db_ih);
    put(0, with_x, g_.db_hh);
    if (with_x < all_) put(3 * l_.hidden, l_.hidden, g_.db_hh + with_x);
  }

  const RnnLayer<T>& l_;
  const RnnGradients<T>& g_;
  const ptrdiff_t columns_, all_;
  const Rows<T> dgates_, before_, dh_, dc_;
  Rows<T> dm_{nullptr, 0}, dy_{nullptr, 0};
  std::vector<T*> parts_;  // of the sums of columns, step by step; the last has one row
};

template <class T>
cuda::GraphKey key_of(const RnnLayer<T>& layer, const RnnGradients<T>& g) {
  cuda::GraphKey key = recurrent::key_of(layer);
  key.add(g.dy.data, g.dy.row, g.dh_n, g.dc_n, g.dx, g.dx_beta, g.dw_ih, g.dw_hh);
  return key.add(g.db_ih, g.db_hh, g.dw_hr, g.dh0, g.dc0);
}

}  // namespace

template <class T>
ptrdiff_t rnn_backward_space(const RnnLayer<T>& layer, const RnnGradients<T>& gradients) {
  Space<T> space(nullptr);
  space.take(room_for_parts(layer, true));
  Backward<T>(layer, gradients, space);
  return space.used();
}

template <class T>
void rnn_backward_launch(const cuda::Stream& stream, const RnnLayer<T>& layer,
                         const RnnGradients<T>& gradients, T* space) {
  check_step(layer);
  const cuda::OnDevice here(stream.device);
  launch_sequence(stream, "rnn_backward", layer.steps(), key_of(layer, gradients).add(space),
                  [&](const cuda::Stream& to) {
                    Space<T> pieces(space);
                    const ptrdiff_t room = room_for_parts(layer, true);
                    const Matrices<T> on(to, pieces.take(room), room);
                    Backward<T>(layer, gradients, pieces).run(on);
                  });
}

#define OF(T)                                                                        \
  template ptrdiff_t rnn_backward_space(const RnnLayer<T>&, const RnnGradients<T>&); \
  template void rnn_backward_launch(const cuda::Stream&, const RnnLayer<T>&,         \
                                    const RnnGradients<T>&, T*);
OF(float)
OF(double)
#undef OF

}  // namespace striate

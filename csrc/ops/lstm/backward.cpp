// SPDX-License-Identifier: Apache-2.0
// Backpropagation through time (Werbos 1990), steps in the order opposite to forward's:
//
//   W_hh into panels, once, if there is more than one step
//   for each step
//     for each NR units x tile of rows       one task, any thread
//       dh = dgates of the step before, W_hh (register tile [m, NR], all of G H at once)
//       the cell: dgates from dh + dy        on the block just made
//     with a projection, between the two: dm = (dh + dy) W_hr
//   dx = dgates W_ih,  dW_ih = dgates^T x,  dW_hh = dgates^T h',  db = sums of dgates
//                                            one product each, over all steps
//
// The gradient that comes by the recurrence lies in one buffer [N, P], begun with dh_n. A step
// makes the rows of its sequences anew; what is left at the end is dh0.
//
// Floor: 4 R G H (I + P) flops at the peak (forward has half), W_hh from L3 at every step. A step's
// product sums over G H, so its tiles are long and their beginning and end cost little.
#include <cstring>

#include "ops/layout/layout.h"
#include "ops/lstm/step.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

constexpr ptrdiff_t kTransposedRows = 1024;  // of dgates at a time

template <class T>
class Backward {
 public:
  Backward(const RnnLayer<T>& layer, const RnnGradients<T>& gradients)
      : l_(layer),
        g_(gradients),
        gates_count_(gate_count(layer.cell)),
        columns_((layer.cell == Cell::gru ? 4 : gates_count_) * layer.hidden),
        cell_(cell_backward_kernel<T>(layer.cell)),
        dgates_row_(padded<T>(columns_)),
        h_row_(padded<T>(layer.output)),
        cell_row_(padded<T>(layer.hidden)),
        packs_(layer.steps() > 1),
        w_hh_(packs_ ? gates_count_ * layer.hidden : 0, layer.output),
        w_hr_(layer.output, layer.w_hr ? layer.hidden : 0),
        dgates_space_(size_t(layer.rows() * dgates_row_)),
        before_space_(needs_h_before() ? size_t(layer.rows() * layer.output) : 0),
        dh_space_(size_t(layer.batch * h_row_)),
        dc_space_(layer.cell == Cell::lstm ? size_t(layer.batch * cell_row_) : 0),
        dm_space_(layer.w_hr ? size_t(layer.batch * cell_row_) : 0),
        dy_space_(layer.w_hr ? size_t(layer.rows() * h_row_) : 0),
        dgates_{dgates_space_.data(), dgates_row_},
        dh_{dh_space_.data(), h_row_},
        dc_{dc_space_.data(), cell_row_},
        dm_{dm_space_.data(), cell_row_},
        dy_{dy_space_.data(), h_row_} {}

  void run() {
    begin();
    const ptrdiff_t steps = l_.steps();
    const bool forward = l_.direction == Direction::forward;
    ptrdiff_t last = -1;
    for (ptrdiff_t s = 0; s < steps; ++s) {
      ptrdiff_t t = forward ? steps - 1 - s : s;
      step(t, last, s);
      last = t;
    }
    states(last, steps);
    inputs();
    weights();
  }

 private:
  bool needs_h_before() const { return g_.dw_hh != nullptr || l_.cell == Cell::gru; }

  static void put(T* to, const T* from, ptrdiff_t n) {
    if (from)
      std::memcpy(to, from, size_t(n) * sizeof(T));
    else
      std::memset(to, 0, size_t(n) * sizeof(T));
  }

  void begin() {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    if (packs_) w_hh_.pack(0, l_.w_hh, p, 1);
    if (l_.w_hr) w_hr_.pack(0, l_.w_hr, h, 1);
    for (ptrdiff_t n = 0; n < l_.batch; ++n) {
      put(dh_.at(n), g_.dh_n ? g_.dh_n + n * p : nullptr, p);
      if (l_.cell == Cell::lstm) put(dc_.at(n), g_.dc_n ? g_.dc_n + n * h : nullptr, h);
    }
    if (before_space_.size()) h_before();
  }

  // h' of every row: the row of the same sequence one step earlier (later, in reverse), or h0's.
  void h_before() {
    const ptrdiff_t steps = l_.steps(), p = l_.output;
    const ptrdiff_t back = l_.direction == Direction::forward ? -1 : 1;
    parallel_ranges(steps, 1 + (1 << 15) / (l_.batch * p), 1, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (ptrdiff_t t = begin; t < end; ++t) {
        const ptrdiff_t other = t + back;
        const ptrdiff_t there = other < 0 || other >= steps ? 0 : l_.rows_of(other);
        for (ptrdiff_t n = 0; n < l_.rows_of(t); ++n) {
          const T* from = l_.h0 ? l_.h0 + n * p : nullptr;
          if (n < there) from = l_.y.at(l_.offset[other] + n);
          put(before_space_.data() + (l_.offset[t] + n) * p, from, p);
        }
      }
    });
  }

  // dh (+)= dgates W_hh of the step `last`, for a block. The GRU's W_hn meets the fourth part.
  void multiply(ptrdiff_t last, ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
    const ptrdiff_t h = l_.hidden, nr = product_.nr, r = l_.offset[last] + i;
    const StepTile<T> tile{{dgates_.at(r), dgates_.row}, dh_.from(i, j), tall, wide,
                           T(l_.cell == Cell::gru),      nullptr};
    if (l_.cell == Cell::gru)
      product_(tile,
               {{0, w_hh_.panel(0, j, 0, nr), 2 * h}, {3 * h, w_hh_.panel(0, j, 2 * h, nr), h}});
    else
      product_(tile, {{0, w_hh_.panel(0, j, 0, nr), w_hh_.k()}});
  }

  double flops(ptrdiff_t rows) const {
    return 2.0 * double(rows * gates_count_) * double(l_.hidden) * double(l_.output);
  }

  // Step t, the index-th to be taken; `last` is the one before, or -1.
  void step(ptrdiff_t t, ptrdiff_t last, ptrdiff_t index) {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, at = l_.offset[t];
    const ptrdiff_t rows_last = last < 0 ? 0 : l_.rows_of(last);
    CellBackward<T> a{0, 0, h, {}, {}, g_.dy.from(at, 0), dh_, dc_, dgates_.from(at, 0)};
    if (l_.kept.data) a.gates = {l_.kept.at(at), l_.kept.row};
    if (l_.cell == Cell::gru)
      a.h = {before_space_.data() + at * l_.output, l_.output};
    else
      a.h = {l_.y.at(at), l_.y.row};
    auto cell = [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
      CellBackward<T> block = a;
      block.rows = std::min(tall, rows - i), block.units = wide;
      block.gates = a.gates.from(i, j), block.h = a.h.from(i, j), block.dy = a.dy.from(i, j);
      block.dh = a.dh.from(i, j), block.dc = a.dc.from(i, j);
      block.dgates = a.dgates.from(i, j);
      if (block.rows > 0) cell_(block);
    };
    // Rows of either step: some end here, others begin.
    const StepGrid grid(std::max(rows, rows_last), l_.output, product_.mr, product_.nr);
    over_step(grid, index, flops(grid.rows),
              [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
                if (i < rows_last) multiply(last, i, std::min(tall, rows_last - i), j, wide);
                if (!l_.w_hr) return cell(i, tall, j, wide);
                for (ptrdiff_t r = i; r < std::min(i + tall, rows); ++r) total(r, at, j, wide);
              });
    if (!l_.w_hr) return;
    a.dh = dm_, a.dy = {};
    over_step(StepGrid(rows, h, product_.mr, product_.nr), index,
              flops(rows) / double(gates_count_),
              [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
                product_({{dy_.at(at + i), dy_.row}, dm_.from(i, j), tall, wide, T(0), nullptr},
                         {{0, w_hr_.panel(0, j, 0, product_.nr), l_.output}});
                cell(i, tall, j, wide);
              });
  }

  // dy + dh of a row, which W_hr and its gradient want.
  void total(ptrdiff_t r, ptrdiff_t at, ptrdiff_t j, ptrdiff_t wide) {
    const T* dh = dh_.at(r) + j;
    T* to = dy_.at(at + r) + j;
    if (!g_.dy.data) return put(to, dh, wide);
    const T* dy = g_.dy.at(at + r) + j;
    for (ptrdiff_t k = 0; k < wide; ++k) to[k] = dy[k] + dh[k];
  }

  // dh0 and dc0: what is left when every step has been.
  void states(ptrdiff_t last, ptrdiff_t index) {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    if (g_.dh0 && !packs_) single_step(last);
    if (g_.dh0 && packs_) {
      over_step(StepGrid(l_.rows_of(last), p, product_.mr, product_.nr), index,
                flops(l_.rows_of(last)),
                [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
                  multiply(last, i, tall, j, wide);
                });
    }
    for (ptrdiff_t n = 0; g_.dh0 && n < l_.batch; ++n) put(g_.dh0 + n * p, dh_.at(n), p);
    if (g_.dc0)
      for (ptrdiff_t n = 0; n < l_.batch; ++n) put(g_.dc0 + n * h, dc_.at(n), h);
  }

  // dh (+)= dgates W_hh, as multiply() does, with W_hh where it lies: of a sequence of one step it
  // is read once, and panels would cost a copy for that. The product takes it by unit-stride rows.
  void single_step(ptrdiff_t last) {
    const ptrdiff_t h = l_.hidden, p = l_.output, rows = l_.rows_of(last);
    const bool gru = l_.cell == Cell::gru;
    auto add = [&](ptrdiff_t column, ptrdiff_t row, ptrdiff_t k, T beta) {
      GemmProblem<T> product{1,
                             rows,
                             p,
                             k,
                             {dgates_.at(l_.offset[last]) + column, dgates_.row, 1, 0},
                             {l_.w_hh + row * p, p, 1, 0},
                             {dh_.data, dh_.row, 1, 0}};
      product.beta = beta;
      gemm(product);
    };
    add(0, 0, gru ? 2 * h : gates_count_ * h, T(gru));
    if (gru) add(3 * h, 2 * h, h, T(1));
  }

  // dx = dgates W_ih. The GRU's n_x is the third part, as W_in is.
  void inputs() {
    if (!g_.dx) return;
    GemmProblem<T> p{1,
                     l_.rows(),
                     l_.input,
                     gates_count_ * l_.hidden,
                     {dgates_.data, dgates_.row, 1, 0},
                     {l_.w_ih, l_.input, 1, 0},
                     {g_.dx, l_.input, 1, 0}};
    p.beta = g_.dx_beta;
    gemm(p);
  }

  // dw [n, k] (+)= columns [first, first + n) of `d`, transposed, by `rows` [R, k].
  void weight(Rows<const T> d, ptrdiff_t first, ptrdiff_t n, Rows<const T> rows, ptrdiff_t k,
              T* dw) {
    gemm(GemmProblem<T>{1,
                        n,
                        k,
                        l_.rows(),
                        {d.data + first, 1, d.row, 0},
                        {rows.data, rows.row, 1, 0},
                        {dw, k, 1, 0}});
  }

  // dW_ih and dW_hh from one copy of dgates, transposed a block of rows at a time: in place a tile
  // would read 14 values from a line, and the next ones from another page. (400 x 2048 x 512 on
  // Emerald Rapids: 87 to 90 GF/s, 63 to 65 in place.)
  void weights() {
    const ptrdiff_t h = l_.hidden, p = l_.output, all = gates_count_ * h;
    const ptrdiff_t with_h = l_.cell == Cell::gru ? 2 * h : all;  // gates that h' meets as x does
    const ptrdiff_t block = std::min(l_.rows(), kTransposedRows), row = padded<T>(block);
    Workspace<T> space(g_.dw_ih || g_.dw_hh ? size_t(columns_ * row) : 0);
    for (ptrdiff_t r = 0; space.size() && r < l_.rows(); r += block) {
      const ptrdiff_t k = std::min(block, l_.rows() - r);
      parallel_ranges(columns_, 1 + (1 << 16) / k, 16, [&](ptrdiff_t begin, ptrdiff_t end) {
        transpose_kernel<T>()(dgates_.at(r) + begin, dgates_row_, k, end - begin,
                              space.data() + begin * row, row);
      });
      auto add = [&](ptrdiff_t first, ptrdiff_t n, const T* with, ptrdiff_t wide, T* dw) {
        GemmProblem<T> product{1,
                               n,
                               wide,
                               k,
                               {space.data() + first * row, row, 1, 0},
                               {with + r * wide, wide, 1, 0},
                               {dw, wide, 1, 0}};
        product.beta = T(r > 0);
        gemm(product);
      };
      if (g_.dw_ih) add(0, all, l_.x, l_.input, g_.dw_ih);
      if (!g_.dw_hh) continue;
      add(0, with_h, before_space_.data(), p, g_.dw_hh);
      if (with_h < all) add(3 * h, h, before_space_.data(), p, g_.dw_hh + with_h * p);
    }
    biases(with_h, all);
    if (g_.dw_hr)
      weight({dy_.data, dy_.row}, 0, p, {l_.kept.data + 5 * h, l_.kept.row}, h, g_.dw_hr);
  }

  void biases(ptrdiff_t with_h, ptrdiff_t all) {
    if (g_.db_ih) bias(0, all, g_.db_ih);
    if (!g_.db_hh) return;
    bias(0, with_h, g_.db_hh);
    if (with_h < all) bias(3 * l_.hidden, l_.hidden, g_.db_hh + with_h);
  }

  void bias(ptrdiff_t first, ptrdiff_t n, T* to) {
    const Operand x{dgates_.data + first, dtype_of<T>, 2, {l_.rows(), n}, {dgates_.row, 1}};
    const bool over_rows[2] = {true, false};
    sum(x, over_rows, Operand{to, dtype_of<T>, 1, {n}, {1}});
  }

  const RnnLayer<T>& l_;
  const RnnGradients<T>& g_;
  const ptrdiff_t gates_count_, columns_;
  CellBackwardFn<T>* const cell_;
  const ptrdiff_t dgates_row_, h_row_, cell_row_;
  const bool packs_;
  PackedWeights<T> w_hh_, w_hr_;
  Workspace<T> dgates_space_, before_space_, dh_space_, dc_space_, dm_space_, dy_space_;
  const Rows<T> dgates_, dh_, dc_, dm_, dy_;
  const StepProduct<T> product_{};
};

// Those of no sequences: sums of nothing.
template <class T>
void no_gradients(const RnnLayer<T>& layer, const RnnGradients<T>& g) {
  const ptrdiff_t h = layer.hidden, p = layer.output, all = gate_count(layer.cell) * h;
  auto clear = [](T* to, ptrdiff_t n) {
    if (to) std::fill_n(to, n, T(0));
  };
  clear(g.dw_ih, all * layer.input), clear(g.dw_hh, all * p), clear(g.dw_hr, p * h);
  clear(g.db_ih, all), clear(g.db_hh, all);
}

}  // namespace

template <class T>
void rnn_backward(const RnnLayer<T>& layer, const RnnGradients<T>& gradients) {
  if (layer.batch == 0) return no_gradients(layer, gradients);
  FlushDenormals flush;
  Backward<T>(layer, gradients).run();
}
template void rnn_backward(const RnnLayer<float>&, const RnnGradients<float>&);
template void rnn_backward(const RnnLayer<double>&, const RnnGradients<double>&);

}  // namespace striate

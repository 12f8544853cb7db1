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
// A step waits for the one before: with few rows its two launches are the time. So a sequence that
// comes again is one launch, a CUDA graph (cuda/driver/graph.h), which holds for every cell,
// precision and order of rows, forward and backward. A kernel that goes through all steps itself,
// with W_hh in registers and shared memory and a barrier of the whole grid between steps
// (persistent RNNs: Diamos et al. 2016), would save the reading of W_hh too; but it is one for each
// cell and pass, takes layers that a chip's registers hold, and stands on blocks running at one
// time and seeing each other's writes, which nothing but a GPU can test.
#include "ops/lstm/lstm_launch.h"

namespace striate {
namespace {

using namespace recurrent;

constexpr unsigned kThreads = 256;

cuda::Module module("ops/lstm/lstm_cuda.cu");
// In the order of Cell.
template <class T>
struct Cells {
  cuda::Kernel<CellForward<T>> forward[4];
  cuda::Kernel<CellBackward<T>> backward[4];
};
#define PASS(pass)                                                                              \
  {                                                                                             \
    {module, "lstm_cell_" pass}, {module, "gru_cell_" pass}, {module, "rnn_tanh_cell_" pass}, { \
      module, "rnn_relu_cell_" pass                                                             \
    }                                                                                           \
  }
Cells<float> of_f32{PASS("fwd_f32_cuda"), PASS("bwd_f32_cuda")};
Cells<double> of_f64{PASS("fwd_f64_cuda"), PASS("bwd_f64_cuda")};
#undef PASS

Cells<float>& cells_of(float) { return of_f32; }
Cells<double>& cells_of(double) { return of_f64; }

template <class Block>
void launch(const cuda::Stream& stream, cuda::Kernel<Block>& cells, const Block& block) {
  const unsigned blocks = cuda::blocks_to_fill(stream, block.rows * block.units, kThreads);
  cells.launch(stream, {{blocks}, {kThreads}}, {{"h", {block.rows, block.units}}}, block);
}

template <class T>
class Forward {
 public:
  Forward(const RnnLayer<T>& layer, Space<T>& space)
      : l_(layer),
        keeps_(layer.kept.data != nullptr),
        all_(gate_count(layer.cell) * layer.hidden),
        gates_(keeps_ ? layer.kept : Rows<T>{nullptr, gates_columns(layer)}) {
    if (!keeps_) gates_.data = space.take(l_.rows() * gates_.row);
    if (l_.b_ih) bias_ = space.take(all_);
    if (l_.w_hr && !keeps_) m_ = space.take(l_.batch * l_.hidden);
  }

  void run(const Matrices<T>& on, T* h_n, T* c_n) {
    inputs(on);
    const ptrdiff_t steps = l_.steps();
    const bool forward = l_.direction == Direction::forward;
    for (ptrdiff_t i = 0; i < steps; ++i) step(on, forward ? i : steps - 1 - i, c_n);
    finish(on, h_n);
  }

 private:
  // gates = x W_ih^T + b for all rows; the GRU's b_hn meets h' alone.
  void inputs(const Matrices<T>& on) {
    if (bias_) {
      const ptrdiff_t with_x = columns_with_x(l_);
      const auto part = [&](const T* b, ptrdiff_t first, ptrdiff_t n) {
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
  void recur(const Matrices<T>& on, const Block<T>& b, Rows<T> gates) const {
    const ptrdiff_t with_x = columns_with_x(l_), h = l_.hidden, p = l_.output;
    const auto part = [&](ptrdiff_t column, ptrdiff_t row, ptrdiff_t n, T beta, const T* bias) {
      const Rows<T> to = gates.from(0, column);
      on.multiply(on.of(b.h, b.rows, p), on.turned({l_.w_hh + row * p, p}, n, p),
                  on.of({to.data, to.row}, b.rows, n), beta, bias);
    };
    part(0, 0, with_x, 1, nullptr);
    if (with_x < all_) part(3 * h, with_x, h, 0, l_.b_hh ? l_.b_hh + with_x : nullptr);
  }

  void step(const Matrices<T>& on, ptrdiff_t t, T* c_n) const {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    for (const Block<T>& b : blocks_of(l_, t)) {
      const ptrdiff_t at = l_.offset[t] + b.first;
      const Rows<T> gates = gates_.from(at, 0), y = l_.y.from(at, 0);
      recur(on, b, gates);
      CellForward<T> a{b.rows, h, h, gates, {nullptr, 0}, {nullptr, 0}, b.h, y, {nullptr, 0}};
      if (c_n) a.c = {c_n + b.first * h, h};
      if (l_.cell == Cell::lstm && keeps_) a.c_kept = gates.from(0, 4 * h);
      if (l_.w_hr) a.out = keeps_ ? gates.from(0, 5 * h) : Rows<T>{m_, h};
      launch_cells(on.stream(), l_.cell, a);
      if (l_.w_hr)
        on.multiply(on.of({a.out.data, a.out.row}, b.rows, h), on.turned({l_.w_hr, h}, p, h),
                    on.of({y.data, y.row}, b.rows, p), 0);
    }
  }

  // The state where each sequence ended: its last row in the order of the steps.
  void finish(const Matrices<T>& on, T* h_n) const {
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

  const RnnLayer<T>& l_;
  const bool keeps_;
  const ptrdiff_t all_;  // columns of W_ih x
  Rows<T> gates_;        // [R, gates_columns()]
  T *bias_ = nullptr, *m_ = nullptr;
};

}  // namespace

template <class T>
void recurrent::launch_cells(const cuda::Stream& stream, Cell cell, const CellForward<T>& block) {
  launch(stream, cells_of(T()).forward[int(cell)], block);
}
template <class T>
void recurrent::launch_cells(const cuda::Stream& stream, Cell cell, const CellBackward<T>& block) {
  launch(stream, cells_of(T()).backward[int(cell)], block);
}

template <class T>
ptrdiff_t rnn_forward_space(const RnnLayer<T>& layer) {
  Space<T> space(nullptr);
  space.take(room_for_parts(layer, false));
  Forward<T>(layer, space);
  return space.used();
}

template <class T>
void rnn_forward_launch(const cuda::Stream& stream, const RnnLayer<T>& layer, T* h_n, T* c_n,
                        T* space) {
  check_step(layer);
  const cuda::OnDevice here(stream.device);
  launch_sequence(stream, "rnn_forward", layer.steps(), key_of(layer).add(h_n, c_n, space),
                  [&](const cuda::Stream& to) {
                    Space<T> pieces(space);
                    const ptrdiff_t room = room_for_parts(layer, false);
                    const Matrices<T> on(to, pieces.take(room), room);
                    Forward<T>(layer, pieces).run(on, h_n, c_n);
                  });
}

#define OF(T)                                                                               \
  template void recurrent::launch_cells(const cuda::Stream&, Cell, const CellBackward<T>&); \
  template ptrdiff_t rnn_forward_space(const RnnLayer<T>&);                                 \
  template void rnn_forward_launch(const cuda::Stream&, const RnnLayer<T>&, T*, T*, T*);
OF(float)
OF(double)
#undef OF

}  // namespace striate

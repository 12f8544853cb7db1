// SPDX-License-Identifier: Apache-2.0
// A sequence forward:
//
//   W_hh into panels, a gate apart, if there is more than one step; up to four rows take large
//   weights where they lie; W_ih into panels, if there is more than one chunk
//   for each chunk of steps
//     gates = x W_ih^T + b                     one product over all rows of the chunk
//     for each step of it
//       for each NR units x tile of rows       one task, any thread
//         for each gate: gates += h' W_hh^T    register tile [m, NR], all of P at once
//         the cell, on the block just made     L1
//       with a projection, likewise: h = m W_hr^T
//
// h lies twice: in y, and in one of two state buffers that take turns, whose rows are a line more
// than a multiple of anything apart, so that a tile's rows do not share cache sets.
//
// Floor: 2 R G H (I + P) flops at the peak; W_hh from L3 at every step (4 G H P bytes) where it
// does not fit L2, which holds below some 8 rows (every other step sweeps backwards, so that what
// is left in L2 is not read again); packing W_hh and W_ih, a cycle an element.
// Prediction for T, N, I, H = 25, 16, 512, 512 on Zen 5: 85 % of the peak in the tiles, 4 % for the
// cells, 8 % for packing: some 190 GF/s. By a profile on Emerald Rapids: 87, 4 and 9 % of 132 GF/s.
//
// Tried and lost there, T x N x H in GF/s: one tile for x W_ih^T and h' W_hh^T, so that gates never
// leave L1: 64 x 128 x 128 at 130, against 132, 50 x 64 x 256 at 133, against 138, 25 x 16 x 512 at
// 122, against 133 (all of W_ih from L3 at every step). Chunks of 2^20 elements of gates: 64 x 128
// x 128 lost 3 %; of 2^16 25 x 64 x 512 lost 2 %; 2^17 and 2^18 are alike.
// Weights of 1 MB in place for few rows: 150 x N x 256 at 61, 68, 113 for N = 2 to 4, in panels 92,
// 101, 131, weights not aligned to lines. One row with aligned ones: 56 in panels, 61 to 70 in
// place (in different runs). Weights of 4 MB in panels for 2 rows: 51, in place 57.
#include <cstring>

#include "ops/lstm/step.h"

namespace striate {
namespace {

constexpr ptrdiff_t kChunkElements = 1 << 18;  // of gates: L2
constexpr ptrdiff_t kChunkRows = 112;          // at least, so that W_ih is not read for too few
constexpr ptrdiff_t kFewDepth = 64;            // of a sum, below which panels are faster
constexpr ptrdiff_t kPanelBytes = 1 << 20;     // of W_hh that L2 holds beside the gates
constexpr ptrdiff_t kPanelReadings = 32;       // rows in all steps that pay for panels

template <class T>
class Forward {
 public:
  explicit Forward(const RnnLayer<T>& layer)
      : l_(layer),
        keeps_(layer.kept.data != nullptr && layer.cell != Cell::rnn_tanh &&
               layer.cell != Cell::rnn_relu),
        gates_count_(gate_count(layer.cell)),
        cell_(cell_forward_kernel<T>(layer.cell)),
        width_(padded<T>((layer.cell == Cell::gru ? 4 : gates_count_) * layer.hidden)),
        plan_(chunks()),
        few_(layer.batch <= kDotRows && (layer.steps() == 1 || !panels_pay())),
        packs_(layer.steps() > 1 && !few_),
        dot_(dot_kernel<T>()),
        gates_space_(keeps_ ? 0 : size_t(plan_.most_rows * width_)),
        bias_(layer.b_ih ? size_t(gates_count_ * layer.hidden) : 0),
        w_hh_(layer.output, layer.hidden, packs_ ? gates_count_ : 0),
        w_hr_(layer.hidden, layer.w_hr ? layer.output : 0),
        state_row_(padded<T>(layer.output)),
        cell_row_(padded<T>(layer.hidden)),
        h_space_(size_t(2 * layer.batch * state_row_)),
        c_space_(layer.cell == Cell::lstm ? size_t(layer.batch * cell_row_) : 0),
        m_space_(layer.w_hr && !keeps_ ? size_t(layer.batch * cell_row_) : 0) {}

  void run(T* h_n, T* c_n) {
    begin();
    const ptrdiff_t steps = l_.steps();
    const bool forward = l_.direction == Direction::forward;
    Workspace<T> w_ih(plan_.count > 1 ? packed_b_size<T>(l_.input, gates_count_ * l_.hidden) : 0);
    if (plan_.count > 1)
      pack_b<T>({l_.w_ih, 1, l_.input, 0}, l_.input, gates_count_ * l_.hidden, w_ih.data());
    for (ptrdiff_t s = 0; s < steps; s += plan_.steps) {
      ptrdiff_t end = std::min(s + plan_.steps, steps);
      ptrdiff_t low = forward ? s : steps - end, high = forward ? end : steps - s;
      inputs(low, high, plan_.count > 1 ? w_ih.data() : nullptr);
      for (ptrdiff_t i = s; i < end; ++i) step(forward ? i : steps - 1 - i, i);
    }
    finish(h_n, c_n);
  }

 private:
  struct Chunks {
    ptrdiff_t steps, count, most_rows;  // steps of a chunk
  };

  // Whether up to four rows want panels: sums are short, or there are two rows or more, L2 holds
  // W_hh and steps are many.
  bool panels_pay() const {
    const ptrdiff_t bytes = gates_count_ * l_.hidden * l_.output * ptrdiff_t(sizeof(T));
    return l_.output < kFewDepth ||
           (l_.batch > 1 && bytes <= kPanelBytes && l_.steps() * l_.batch >= kPanelReadings);
  }

  // As many steps as have gates for a share of L2, in the longest case: the first ones.
  Chunks chunks() const {
    ptrdiff_t rows = std::max(kChunkElements / width_, kChunkRows);
    ptrdiff_t steps = std::max<ptrdiff_t>(rows / l_.batch, 1);
    if (2 * steps > l_.steps()) steps = l_.steps();
    ptrdiff_t most = 0;
    for (ptrdiff_t t = 0; t < l_.steps(); ++t)
      most = std::max(most, l_.offset[std::min(t + steps, l_.steps())] - l_.offset[t]);
    return {steps, ceil_div(l_.steps(), steps), most};
  }

  void begin() {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    if (packs_)
      for (ptrdiff_t g = 0; g < gates_count_; ++g) w_hh_.pack(g, l_.w_hh + g * h * p, 1, p);
    if (l_.w_hr) w_hr_.pack(0, l_.w_hr, 1, h);
    for (ptrdiff_t i = 0; i < ptrdiff_t(bias_.size()); ++i) {
      bool apart = l_.cell == Cell::gru && i >= 2 * h;  // the GRU's b_hn meets h' alone
      bias_[i] = apart ? l_.b_ih[i] : l_.b_ih[i] + l_.b_hh[i];
    }
    // Both buffers: in reverse, rows begin at different steps.
    for (ptrdiff_t i = 0; i < 2 * l_.batch; ++i)
      put(h_space_.data() + i * state_row_, l_.h0, i % l_.batch, p);
    if (c_space_.size())
      for (ptrdiff_t i = 0; i < l_.batch; ++i) put(c_space_.data() + i * cell_row_, l_.c0, i, h);
  }

  static void put(T* to, const T* from, ptrdiff_t row, ptrdiff_t n) {
    if (from)
      std::memcpy(to, from + row * n, size_t(n) * sizeof(T));
    else
      std::memset(to, 0, size_t(n) * sizeof(T));
  }

  // Where the gates of a step lie, from column 0 on.
  Rows<T> gates_of(ptrdiff_t step) {
    if (keeps_) return l_.kept.from(l_.offset[step], 0);
    return {gates_space_.data() + (l_.offset[step] - first_row_) * width_, width_};
  }

  // gates = x W_ih^T + b for the steps [low, high).
  void inputs(ptrdiff_t low, ptrdiff_t high, const T* packed) {
    first_row_ = l_.offset[low];
    Rows<T> gates = gates_of(low);
    const ptrdiff_t rows = l_.offset[high] - first_row_, columns = gates_count_ * l_.hidden;
    if (rows <= kDotRows) {
      const StepGrid grid(rows, columns, kDotRows, product_.nr);
      return over_step(grid, 0, 2.0 * double(rows) * double(columns) * double(l_.input),
                       [&](ptrdiff_t, ptrdiff_t, ptrdiff_t j, ptrdiff_t wide) {
                         dot_({l_.w_ih + j * l_.input,
                               l_.input,
                               wide,
                               l_.input,
                               {l_.x + first_row_ * l_.input, l_.input},
                               rows,
                               gates.from(0, j),
                               T(0),
                               bias_.size() ? bias_.data() + j : nullptr});
                       });
    }
    GemmProblem<T> p{1,
                     rows,
                     columns,
                     l_.input,
                     {l_.x + first_row_ * l_.input, l_.input, 1, 0},
                     {l_.w_ih, 1, l_.input, 0},
                     {gates.data, gates.row, 1, 0}};
    p.packed_b = packed;
    if (bias_.size()) p.epilogue.bias = bias_.data(), p.epilogue.bias_axis = BiasAxis::column;
    gemm(p);
  }

  Rows<T> state(ptrdiff_t turn) {
    return {h_space_.data() + (turn & 1) * l_.batch * state_row_, state_row_};
  }

  // Step t, the index-th to be taken.
  void step(ptrdiff_t t, ptrdiff_t index) {
    const ptrdiff_t rows = l_.rows_of(t), h = l_.hidden, p = l_.output;
    const bool has_h = index > 0 || l_.h0 != nullptr;
    Rows<T> gates = gates_of(t), y = l_.y.from(l_.offset[t], 0);
    Rows<T> m = keeps_ ? gates.from(0, 5 * h) : Rows<T>{m_space_.data(), cell_row_};
    CellForward<T> a{0, 0, h, gates, {c_space_.data(), cell_row_}, kNoRows<T>, {}, y, kNoRows<T>};
    if (l_.cell == Cell::lstm && keeps_) a.c_kept = gates.from(0, 4 * h);
    Rows<T> now = state(index), next = state(index + 1);
    a.h = {now.data, now.row};
    if (l_.w_hr)
      a.out = m;
    else
      a.out2 = next;
    if (!packs_ && !few_ && has_h) single_step(a, rows);
    const double flops = 2.0 * double(rows * gates_count_) * double(h) * double(p);
    over_step(StepGrid(rows, h, product_.mr, product_.nr), index, flops,
              [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
                multiply(a, i, tall, j, wide, has_h);
                CellForward<T> block = a;
                block.rows = tall, block.units = wide;
                block.gates = a.gates.from(i, j), block.c = a.c.from(i, j);
                block.c_kept = a.c_kept.from(i, j), block.h = a.h.from(i, j);
                block.out = a.out.from(i, j), block.out2 = a.out2.from(i, j);
                cell_(block);
              });
    if (l_.w_hr) project(index, rows, {m.data, m.row}, y, next);
  }

  // All gates += h' W_hh^T of a sequence of one step, as multiply() does. Panels are a copy that
  // pays from the second step on; gemm() reads W_hh where it lies for one row, which a cell in a
  // decoding loop has, and packs it itself where there are more.
  void single_step(const CellForward<T>& a, ptrdiff_t rows) {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    const bool gru = l_.cell == Cell::gru;
    auto add = [&](ptrdiff_t first, ptrdiff_t gates, ptrdiff_t column, T beta, const T* bias) {
      GemmProblem<T> product{1,
                             rows,
                             gates,
                             p,
                             {a.h.data, a.h.row, 1, 0},
                             {l_.w_hh + first * p, 1, p, 0},
                             {a.gates.data + column, a.gates.row, 1, 0}};
      product.beta = beta;
      if (bias) product.epilogue.bias = bias, product.epilogue.bias_axis = BiasAxis::column;
      gemm(product);
    };
    add(0, (gru ? 2 : gates_count_) * h, 0, T(1), nullptr);
    if (gru) add(2 * h, h, 3 * h, T(0), l_.b_hh ? l_.b_hh + 2 * h : nullptr);
  }

  // The block's gates += h' W_hh^T.
  void multiply(const CellForward<T>& a, ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide,
                bool has_h) {
    const ptrdiff_t h = l_.hidden, p = l_.output;
    if (has_h && !packs_ && !few_) return;  // single_step() has been
    for (ptrdiff_t g = 0; g < gates_count_; ++g) {
      bool apart = l_.cell == Cell::gru && g == 2;
      Rows<T> to = a.gates.from(i, (apart ? 3 : g) * h + j);
      const T* bias = apart && l_.b_hh ? l_.b_hh + 2 * h + j : nullptr;
      if (has_h && few_)
        dot_({l_.w_hh + (g * h + j) * p, p, wide, p, a.h.from(i, 0), tall, to, T(apart ? 0 : 1),
              bias});
      else if (has_h)
        product_({a.h.from(i, 0), to, tall, wide, T(apart ? 0 : 1), bias},
                 {{0, w_hh_.panel(g, j, 0, product_.nr), l_.output}});
      else if (apart)
        for (ptrdiff_t r = 0; r < tall; ++r) put(to.at(r), bias, 0, wide);
    }
  }

  // y = m W_hr^T, and the same into the next state.
  void project(ptrdiff_t index, ptrdiff_t rows, Rows<const T> m, Rows<T> y, Rows<T> next) {
    const double flops = 2.0 * double(rows) * double(l_.hidden) * double(l_.output);
    over_step(StepGrid(rows, l_.output, product_.mr, product_.nr), index, flops,
              [&](ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j, ptrdiff_t wide) {
                product_({m.from(i, 0), y.from(i, j), tall, wide, T(0), nullptr},
                         {{0, w_hr_.panel(0, j, 0, product_.nr), l_.hidden}});
                for (ptrdiff_t r = i; r < i + tall; ++r) put(next.at(r) + j, y.at(r) + j, 0, wide);
              });
  }

  // The state where each sequence ended: its last row in the order of the steps.
  void finish(T* h_n, T* c_n) {
    const ptrdiff_t steps = l_.steps(), p = l_.output;
    if (h_n == nullptr) return finish_memory(c_n);
    if (l_.direction == Direction::reverse)
      for (ptrdiff_t n = 0; n < l_.batch; ++n) put(h_n + n * p, l_.y.at(n), 0, p);
    else
      for (ptrdiff_t t = 0; t < steps; ++t)
        for (ptrdiff_t n = t + 1 < steps ? l_.rows_of(t + 1) : 0; n < l_.rows_of(t); ++n)
          put(h_n + n * p, l_.y.at(l_.offset[t] + n), 0, p);
    finish_memory(c_n);
  }
  void finish_memory(T* c_n) {
    for (ptrdiff_t n = 0; c_n && n < l_.batch; ++n)
      put(c_n + n * l_.hidden, c_space_.data() + n * cell_row_, 0, l_.hidden);
  }

  const RnnLayer<T>& l_;
  const bool keeps_;
  const ptrdiff_t gates_count_;
  CellForwardFn<T>* const cell_;
  const ptrdiff_t width_;  // of a row of gates that is not kept
  const Chunks plan_;
  const bool few_, packs_;
  DotFn<T>* const dot_;
  Workspace<T> gates_space_, bias_;
  PackedWeights<T> w_hh_, w_hr_;
  const ptrdiff_t state_row_, cell_row_;
  Workspace<T> h_space_, c_space_, m_space_;
  const StepProduct<T> product_{};
  ptrdiff_t first_row_ = 0;
};

}  // namespace

template <class T>
void rnn_forward(const RnnLayer<T>& layer, T* h_n, T* c_n) {
  if (layer.batch == 0) return;  // nothing to write
  FlushDenormals flush;
  Forward<T>(layer).run(h_n, c_n);
}
template void rnn_forward(const RnnLayer<float>&, float*, float*);
template void rnn_forward(const RnnLayer<double>&, double*, double*);

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// Recurrent layers: one layer in one direction over a whole sequence, forward and backward.
//
//   lstm      i, f, o = sigmoid, g = tanh of the gates;  c = f c' + i g;  m = o tanh(c)
//             h = m, or W_hr m with a projection to P < H values
//   gru       r, z = sigmoid of the gates;  n = tanh(n_x + r n_h);  h = n + z (h' - n)
//   rnn_tanh  h = tanh(gate)          rnn_relu  h = max(gate, 0)
//
//   gates = W_ih x + b_ih + W_hh h' + b_hh, in PyTorch's order (i f g o; r z n). The GRU's last
//   gate keeps its two halves apart: n_x = W_in x + b_in, n_h = W_hn h' + b_hn.
//   h' and c' are the step before (after, in reverse), h0 and c0 at the first one.
//
// Long short-term memory: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
// 2000; projection: Sak et al. 2014; GRU: Cho et al. 2014, in the variant of cuDNN and PyTorch.
//
// Sequences of different lengths lie packed, longest first: step t has a row for each sequence that
// is longer than t, rows offset[t] to offset[t + 1] of x, y and all that is kept by row. So a step
// always works on the first rows of the state, the others have ended (or, in reverse, not begun),
// and no kernel knows of lengths.
#pragma once
#include <cstddef>
#include <vector>

#include "core/registry.h"
#include "ops/dot/dot.h"
#include "ops/lstm/cell.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Cell { lstm, gru, rnn_tanh, rnn_relu };
enum class Direction { forward, reverse };

// --- kernels: one step, on a block of rows and units ---------------------------------------------

enum class CellPass {
  lstm_cell_fwd,
  gru_cell_fwd,
  rnn_tanh_cell_fwd,
  rnn_relu_cell_fwd,
  lstm_cell_bwd,
  gru_cell_bwd,
  rnn_tanh_cell_bwd,
  rnn_relu_cell_bwd,
};

template <class T>
using CellForwardFn = void(const CellForward<T>&);
template <class T>
using CellBackwardFn = void(const CellBackward<T>&);

#define FORWARD(name, T, isa, pass) STRIATE_WITH_##isa(CellForwardFn<T> name;)
#define BACKWARD(name, T, isa, pass) STRIATE_WITH_##isa(CellBackwardFn<T> name;)
#include "ops/lstm/kernels.inc"
#undef FORWARD
#undef BACKWARD

template <class T>
CellForwardFn<T>* cell_forward_kernel(Cell cell);
template <class T>
CellBackwardFn<T>* cell_backward_kernel(Cell cell);

// --- drivers -------------------------------------------------------------------------------------

// G, how many gates W_ih and W_hh have: they are (G H, I) and (G H, P).
inline ptrdiff_t gate_count(Cell cell) {
  return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
}

// Every matrix is dense in C order unless it has a stride of its own; null where it is left out.
template <class T>
struct RnnLayer {
  Cell cell;
  Direction direction;
  ptrdiff_t input, hidden, output;  // I, H, P
  const T *w_ih, *w_hh;             // [G H, I], [G H, P]
  const T *b_ih, *b_hh;             // [G H], both or none
  const T* w_hr;                    // [P, H]: the projection
  ptrdiff_t batch;                  // N
  std::vector<ptrdiff_t> offset;    // [T + 1], T >= 1: where a step's rows begin
  const T* x;                       // [R, I], R = offset[T]
  const T *h0, *c0;                 // [N, P], [N, H]; null: 0
  Rows<T> y;                        // [R, P]
  Rows<T> kept;                     // [R, kept_columns()]: what backward needs

  ptrdiff_t steps() const { return ptrdiff_t(offset.size()) - 1; }
  ptrdiff_t rows() const { return offset.back(); }
  ptrdiff_t rows_of(ptrdiff_t step) const { return offset[step + 1] - offset[step]; }
};

// The width of `kept`: lstm i f g o c' (m), gru r z n n_h, each H wide, and a line against rows
// that would share cache sets; 0 for the rnn cells, whose y says it all.
template <class T>
ptrdiff_t kept_columns(Cell cell, ptrdiff_t hidden, bool projected);

// y, h_n [N, P] and, for lstm, c_n [N, H]; null where they are not wanted. With null `kept` nothing
// is kept.
template <class T>
void rnn_forward(const RnnLayer<T>& layer, T* h_n, T* c_n);

// Gradients of all operands from dy [R, P], dh_n [N, P] and dc_n [N, H], each null for 0. Results
// that are null are left out; dx is added to if `dx_beta` is 1.
template <class T>
struct RnnGradients {
  Rows<const T> dy;
  const T *dh_n, *dc_n;
  T* dx;  // [R, I]
  T dx_beta;
  T *dw_ih, *dw_hh, *db_ih, *db_hh, *dw_hr, *dh0, *dc0;
};
template <class T>
void rnn_backward(const RnnLayer<T>& layer, const RnnGradients<T>& gradients);

// The same on a GPU, where what carries a state is always there: h0 is zeros if there
// is none; c_n holds c0, or zeros, when the call begins; dh0 and dc0 hold dh_n and dc_n, or zeros.
// `space` has as many T as the functions beside them say.
template <class T>
void rnn_forward_launch(const cuda::Stream& stream, const RnnLayer<T>& layer, T* h_n, T* c_n,
                        T* space);
template <class T>
ptrdiff_t rnn_forward_space(const RnnLayer<T>& layer);
template <class T>
void rnn_backward_launch(const cuda::Stream& stream, const RnnLayer<T>& layer,
                         const RnnGradients<T>& gradients, T* space);
template <class T>
ptrdiff_t rnn_backward_space(const RnnLayer<T>& layer, const RnnGradients<T>& gradients);

}  // namespace striate

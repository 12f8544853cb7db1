// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/lstm/cell.inl"

namespace striate {

#define KERNELS(dtype, T)                                                                         \
  void lstm_cell_fwd_##dtype##_avx2(const CellForward<T>& a) { lstm_cell_forward(a); }            \
  void lstm_cell_bwd_##dtype##_avx2(const CellBackward<T>& a) { lstm_cell_backward(a); }          \
  void gru_cell_fwd_##dtype##_avx2(const CellForward<T>& a) { gru_cell_forward(a); }              \
  void gru_cell_bwd_##dtype##_avx2(const CellBackward<T>& a) { gru_cell_backward(a); }            \
  void rnn_tanh_cell_fwd_##dtype##_avx2(const CellForward<T>& a) { rnn_cell_forward<Tanh>(a); }   \
  void rnn_tanh_cell_bwd_##dtype##_avx2(const CellBackward<T>& a) { rnn_cell_backward<Tanh>(a); } \
  void rnn_relu_cell_fwd_##dtype##_avx2(const CellForward<T>& a) { rnn_cell_forward<Relu>(a); }   \
  void rnn_relu_cell_bwd_##dtype##_avx2(const CellBackward<T>& a) { rnn_cell_backward<Relu>(a); }
KERNELS(f32, float)
KERNELS(f64, double)
#undef KERNELS

}  // namespace striate

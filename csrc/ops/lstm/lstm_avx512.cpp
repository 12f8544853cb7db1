// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/lstm/block.inl"

namespace striate {

#define KERNELS(dtype, T)                                                                         \
  void lstm_cell_fwd_##dtype##_avx512(const CellForward<T>& a) { each_vector<LstmForward>(a); }   \
  void lstm_cell_bwd_##dtype##_avx512(const CellBackward<T>& a) { each_vector<LstmBackward>(a); } \
  void gru_cell_fwd_##dtype##_avx512(const CellForward<T>& a) { each_vector<GruForward>(a); }     \
  void gru_cell_bwd_##dtype##_avx512(const CellBackward<T>& a) { each_vector<GruBackward>(a); }   \
  void rnn_tanh_cell_fwd_##dtype##_avx512(const CellForward<T>& a) {                              \
    each_vector<RnnForward<Tanh>>(a);                                                             \
  }                                                                                               \
  void rnn_tanh_cell_bwd_##dtype##_avx512(const CellBackward<T>& a) {                             \
    each_vector<RnnBackward<Tanh>>(a);                                                            \
  }                                                                                               \
  void rnn_relu_cell_fwd_##dtype##_avx512(const CellForward<T>& a) {                              \
    each_vector<RnnForward<Relu>>(a);                                                             \
  }                                                                                               \
  void rnn_relu_cell_bwd_##dtype##_avx512(const CellBackward<T>& a) {                             \
    each_vector<RnnBackward<Relu>>(a);                                                            \
  }
KERNELS(f32, float)
KERNELS(f64, double)
#undef KERNELS

}  // namespace striate

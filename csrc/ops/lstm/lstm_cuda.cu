// SPDX-License-Identifier: Apache-2.0
// One step of a recurrent cell, forward and backward (cell.h), by the functions of cell.inl: all
// gates of a unit in one thread, whose neighbours have the next units, so that rows are read and
// written in whole lines.
//
// The gates before their functions are those of the step's product, to which the product of the
// sequence's inputs, made once for all steps, was added by its beta. Bound: memory (an LSTM forward
// 40 bytes a float32 unit with what backward needs, backward 48), and at few rows the launch.
//
// {lstm,gru,rnn_tanh,rnn_relu}_cell_fwd_<dtype>_cuda(CellForward<T>)
// {lstm,gru,rnn_tanh,rnn_relu}_cell_bwd_<dtype>_cuda(CellBackward<T>)
//   block 256, grid any, ceil(rows * units / 256) or less; rows * units below 2^31. No shared
//   memory.
#include "cuda/device/vec.cuh"
#include "ops/lstm/cell.h"
//
#include "ops/lstm/cell.inl"

namespace striate {

template <class Step, class Args>
inline void cell(const Args& a) {
  const uint32 units = uint32(a.units), count = uint32(a.rows) * units;
  const uint32 step = gridDim.x * blockDim.x;
  for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
    const uint32 row = i / units;
    Step::run(a, ptrdiff_t(row), ptrdiff_t(i - row * units), 1);
  }
}

}  // namespace striate

#define KERNEL(name, Args, dtype, T, ...)                                                          \
  extern "C" __global__ void __launch_bounds__(256) name##_##dtype##_cuda(striate::Args<T> args) { \
    striate::cell<striate::__VA_ARGS__>(args);                                                     \
  }
#define KERNELS(dtype, T)                                                       \
  KERNEL(lstm_cell_fwd, CellForward, dtype, T, LstmForward)                     \
  KERNEL(lstm_cell_bwd, CellBackward, dtype, T, LstmBackward)                   \
  KERNEL(gru_cell_fwd, CellForward, dtype, T, GruForward)                       \
  KERNEL(gru_cell_bwd, CellBackward, dtype, T, GruBackward)                     \
  KERNEL(rnn_tanh_cell_fwd, CellForward, dtype, T, RnnForward<striate::Tanh>)   \
  KERNEL(rnn_tanh_cell_bwd, CellBackward, dtype, T, RnnBackward<striate::Tanh>) \
  KERNEL(rnn_relu_cell_fwd, CellForward, dtype, T, RnnForward<striate::Relu>)   \
  KERNEL(rnn_relu_cell_bwd, CellBackward, dtype, T, RnnBackward<striate::Relu>)
KERNELS(f32, float)
KERNELS(f64, double)

// SPDX-License-Identifier: Apache-2.0
// The table of cells; forward.cpp and backward.cpp drive them.
#include "ops/lstm/lstm.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define FORWARD(name, T, isa, pass) STRIATE_KERNEL(lstm, name, T, isa, int(CellPass::pass))
#define BACKWARD FORWARD
#include "ops/lstm/kernels.inc"
#undef FORWARD
#undef BACKWARD
};

template <class Fn, class T>
Fn* kernel_of(Cell cell, CellPass first) {
  return kernels.best(dtype_of<T>, int(first) + int(cell)).template as<Fn>();
}

}  // namespace

template <class T>
CellForwardFn<T>* cell_forward_kernel(Cell cell) {
  return kernel_of<CellForwardFn<T>, T>(cell, CellPass::lstm_cell_fwd);
}
template CellForwardFn<float>* cell_forward_kernel<float>(Cell);
template CellForwardFn<double>* cell_forward_kernel<double>(Cell);

template <class T>
CellBackwardFn<T>* cell_backward_kernel(Cell cell) {
  return kernel_of<CellBackwardFn<T>, T>(cell, CellPass::lstm_cell_bwd);
}
template CellBackwardFn<float>* cell_backward_kernel<float>(Cell);
template CellBackwardFn<double>* cell_backward_kernel<double>(Cell);

template <class T>
ptrdiff_t kept_columns(Cell cell, ptrdiff_t hidden, bool projected) {
  if (cell == Cell::rnn_tanh || cell == Cell::rnn_relu) return 0;
  ptrdiff_t parts = cell == Cell::gru ? 4 : projected ? 6 : 5;
  return parts * hidden + 64 / ptrdiff_t(sizeof(T));
}
template ptrdiff_t kept_columns<float>(Cell, ptrdiff_t, bool);
template ptrdiff_t kept_columns<double>(Cell, ptrdiff_t, bool);

}  // namespace striate

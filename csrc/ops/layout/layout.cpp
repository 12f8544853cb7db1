// SPDX-License-Identifier: Apache-2.0
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(layout, name, T, isa, 0)
#include "ops/layout/kernels.inc"
#undef ROW
};

}  // namespace

template <class T>
TransposeFn<T>* transpose_kernel() {
  return kernels.best(dtype_of<T>, 0).template as<TransposeFn<T>>();
}
template TransposeFn<float>* transpose_kernel<float>();
template TransposeFn<double>* transpose_kernel<double>();

}  // namespace striate

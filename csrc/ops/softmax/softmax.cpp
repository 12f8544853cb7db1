// SPDX-License-Identifier: Apache-2.0
#include "ops/softmax/softmax.h"

#include "ops/layout/rows.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what) STRIATE_KERNEL(softmax, name, T, isa, int(Softmax::what))
#include "ops/softmax/kernels.inc"
#undef ROW
};

}  // namespace

void softmax(Softmax what, const Operand& x, const Operand& dy, int axis, const Operand& out) {
  const Rows<3> rows({x, dy, out}, axis);
  const bool past = out.size() * ptrdiff_t(item_size(out.dtype)) >= kPastCachesBytes &&
                    out.stride[axis] == 1 && out.data != x.data && out.data != dy.data;
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(x.dtype, int(what)).template as<SoftmaxFn<T>>();
    rows.template run<T>([&](ptrdiff_t, ptrdiff_t n, T* const* data, const ptrdiff_t* row) {
      kernel({data[0], row[0], data[1], row[1], data[2], row[2], n, rows.length(), past});
    });
  });
}

}  // namespace striate

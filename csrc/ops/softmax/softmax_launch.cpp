// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/launchers.h"
#include "ops/softmax/softmax.h"

namespace striate {
namespace {

cuda::Module module("ops/softmax/softmax_cuda.cu");

template <class T>
using Forward = cuda::Kernel<const T*, long long, T*, long long, long long, long long>;
template <class T>
using Backward =
    cuda::Kernel<const T*, long long, const T*, long long, T*, long long, long long, long long>;

template <class T>
struct Kernels {  // of softmax and of log_softmax; a block a row, and a warp a row
  Forward<T> forward[2][2];
  Backward<T> backward[2][2];
};

#define PAIR(name) {{module, name}, {module, name "_warp"}}
#define KERNELS(dtype)                                                                     \
  {                                                                                        \
    {PAIR("softmax_" dtype "_cuda"), PAIR("log_softmax_" dtype "_cuda")}, {                \
      PAIR("softmax_backward_" dtype "_cuda"), PAIR("log_softmax_backward_" dtype "_cuda") \
    }                                                                                      \
  }
cuda::ByDtype<Kernels> kernels{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS
#undef PAIR

}  // namespace

void softmax_launch(const cuda::Stream& stream, Softmax what, const Operand& x, const Operand& dy,
                    const Operand& out) {
  const ptrdiff_t n = out.shape[out.rank - 1];
  if (out.size() == 0) return;
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t rows = out.size() / n;
  const int warp = cuda::warp_a_row(n);
  const int log = what == Softmax::log_softmax || what == Softmax::log_softmax_backward;
  const cuda::Grid grid = cuda::grid_of_rows(stream, rows, n);
  dispatch(out.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    if (dy.data == nullptr)
      kernels.of(t).forward[log][warp].launch(stream, grid, {{"x", x}}, x.as<const T>(), n,
                                              out.as<T>(), n, rows, n);
    else
      kernels.of(t).backward[log][warp].launch(stream, grid, {{"y", x}, {"dy", dy}},
                                               x.as<const T>(), n, dy.as<const T>(), n, out.as<T>(),
                                               n, rows, n);
  });
}

}  // namespace striate

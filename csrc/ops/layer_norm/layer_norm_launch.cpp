// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/layer_norm/layer_norm_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kRowsOfWarps = 8;
constexpr ptrdiff_t kLongestOfWarp = 1024;

cuda::Module module("ops/layer_norm/layer_norm_cuda.cu");

template <class T>
struct Kernels {  // a block a row, and a warp a row
  cuda::Kernel<LayerNormCuda<T>> layer[2], rms[2];
};
#define KERNELS(dtype)                                                                             \
  {                                                                                                \
    {{module, "layer_norm_fwd_" dtype "_cuda"}, {module, "layer_norm_fwd_" dtype "_cuda_warp"}}, { \
      {module, "rms_norm_fwd_" dtype "_cuda"}, {module, "rms_norm_fwd_" dtype "_cuda_warp"}        \
    }                                                                                              \
  }
Kernels<float> kernels_f32 = KERNELS("f32");
Kernels<double> kernels_f64 = KERNELS("f64");
#undef KERNELS

Kernels<float>& kernels_of(const float*) { return kernels_f32; }
Kernels<double>& kernels_of(const double*) { return kernels_f64; }

}  // namespace

void layer_norm_launch(const cuda::Stream& stream, const LayerNormProblem& p, double eps, void* y) {
  const cuda::OnDevice here(stream.device);
  const int warp = p.n <= kLongestOfWarp;
  const cuda::Grid grid{{cuda::blocks_to_fill(stream, p.rows, warp ? kRowsOfWarps : 1)},
                        {kThreads}};
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const LayerNormCuda<T> arguments{static_cast<const T*>(p.x),
                                     static_cast<const T*>(p.weight),
                                     static_cast<const T*>(p.bias),
                                     p.rows,
                                     p.n,
                                     T(eps),
                                     static_cast<T*>(p.mean),
                                     static_cast<T*>(p.invstd),
                                     static_cast<T*>(y)};
    auto& kernels = p.mean ? kernels_of(t).layer : kernels_of(t).rms;
    kernels[warp].launch(stream, grid, {{"x", {p.rows, p.n}}}, arguments);
  });
}

}  // namespace striate

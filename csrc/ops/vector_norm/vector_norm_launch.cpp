// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/kernel.h"
#include "ops/vector_norm/vector_norm.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;
constexpr ptrdiff_t kPart = 16384;  // elements that a block adds up

cuda::Module module("ops/vector_norm/vector_norm_cuda.cu");

template <class T>
using Norm = cuda::Kernel<const T*, long long, long long, T*>;

// In the order of NormSum.
Norm<float> kernels_f32[] = {{module, "norm_squares_f32_cuda"},
                             {module, "norm_absolute_f32_cuda"},
                             {module, "norm_largest_f32_cuda"}};
Norm<double> kernels_f64[] = {{module, "norm_squares_f64_cuda"},
                              {module, "norm_absolute_f64_cuda"},
                              {module, "norm_largest_f64_cuda"}};

Norm<float>& kernel_of(NormSum what, const float*) { return kernels_f32[int(what)]; }
Norm<double>& kernel_of(NormSum what, const double*) { return kernels_f64[int(what)]; }

}  // namespace

ptrdiff_t vector_norm_parts(ptrdiff_t n) {
  return std::max<ptrdiff_t>(n / kPart + (n % kPart != 0), 1);
}

void vector_norm_launch(const cuda::Stream& stream, NormSum what, const Operand& x,
                        const Operand& parts) {
  const cuda::OnDevice here(stream.device);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernel_of(what, t).launch(
        stream, {{cuda::blocks_to_fill(stream, vector_norm_parts(x.size()), 1)}, {kThreads}},
        {{"x", x}}, x.as<const T>(), x.size(), kPart, parts.as<T>());
  });
}

}  // namespace striate

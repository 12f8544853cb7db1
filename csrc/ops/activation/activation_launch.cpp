// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"
#include "ops/activation/activation.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kAccess = 16;  // bytes

cuda::Module module("ops/activation/activation_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<const T*, T*, long long, T, T> forward;
  cuda::Kernel<const T*, const T*, T*, long long, T, T> backward;
};

#define ACTIVATION(f, F, saved) {{module, #f "_f32_cuda"}, {module, #f "_backward_f32_cuda"}},
Kernels<float> kernels_f32[] = {
#include "ops/activation/names.inc"
};
#undef ACTIVATION
#define ACTIVATION(f, F, saved) {{module, #f "_f64_cuda"}, {module, #f "_backward_f64_cuda"}},
Kernels<double> kernels_f64[] = {
#include "ops/activation/names.inc"
};
#undef ACTIVATION

Kernels<float>& kernels_of(Activation f, const float*) { return kernels_f32[int(f)]; }
Kernels<double>& kernels_of(Activation f, const double*) { return kernels_f64[int(f)]; }

template <class T>
cuda::Grid grid_of(const cuda::Stream& stream, ptrdiff_t n) {
  return {{cuda::blocks_to_fill(stream, n, kThreads * kAccess / sizeof(T))}, {kThreads}};
}

// Kernels run through memory from the first element on.
void expect_one_run(Activation f, const char* argument, const Operand& x, const Operand& y) {
  if (y.size() > 0 && (!is_dense(x) || !same_strides(x, y)))
    fail(activation_name(f), argument, "memory without gaps, in the result's order, on a GPU",
         "another order");
}

}  // namespace

void activation_launch(const cuda::Stream& stream, Activation f, const Operand& x,
                       Parameters<double> p, const Operand& y) {
  expect_one_run(f, "x", x, y);
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = y.size();
  dispatch(y.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernels_of(f, t).forward.launch(stream, grid_of<T>(stream, n), {{"x", x}}, x.as<const T>(),
                                    y.as<T>(), n, T(p.a), T(p.b));
  });
}

void activation_backward_launch(const cuda::Stream& stream, Activation f, const Operand& saved,
                                const Operand& dy, Parameters<double> p, const Operand& dx) {
  expect_one_run(f, "saved", saved, dx), expect_one_run(f, "dy", dy, dx);
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = dx.size();
  dispatch(dx.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernels_of(f, t).backward.launch(stream, grid_of<T>(stream, n), {{"saved", saved}, {"dy", dy}},
                                     saved.as<const T>(), dy.as<const T>(), dx.as<T>(), n, T(p.a),
                                     T(p.b));
  });
}

}  // namespace striate

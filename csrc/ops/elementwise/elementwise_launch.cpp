// SPDX-License-Identifier: Apache-2.0
#include "core/loops.h"
#include "cuda/driver/kernel.h"
#include "ops/elementwise/elementwise.h"
#include "ops/elementwise/elementwise_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kAccess = 16;  // bytes

cuda::Module module("ops/elementwise/elementwise_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<const T*, long long, const T*, long long, T*, long long, T> dense;
  cuda::Kernel<const T*, const T*, T*, StridedPair, T> strided;
};

// In the order of Binary.
#define KERNELS(T, dtype)                                                                \
  Kernels<T> kernels_##dtype[] = {ROW(add, dtype), ROW(sub, dtype),     ROW(mul, dtype), \
                                  ROW(div, dtype), ROW(maximum, dtype), ROW(minimum, dtype)};
#define ROW(op, dtype) {{module, #op "_" #dtype "_cuda"}, {module, #op "_" #dtype "_cuda_strided"}}
KERNELS(float, f32)
KERNELS(double, f64)
#undef ROW
#undef KERNELS

Kernels<float>& kernels_of(Binary op, const float*) { return kernels_f32[int(op)]; }
Kernels<double>& kernels_of(Binary op, const double*) { return kernels_f64[int(op)]; }

StridedPair strided_pair(const Loops<3>& loops, ptrdiff_t n) {
  StridedPair s{};
  s.rank = loops.rank(), s.n = n;
  for (int i = 0; i < s.rank; ++i) {
    s.shape[i] = loops.size(i);
    s.a_stride[i] = loops.stride(i, 0);
    s.b_stride[i] = loops.stride(i, 1);
    s.out_stride[i] = loops.stride(i, 2);
  }
  return s;
}

}  // namespace

void binary_launch(const cuda::Stream& stream, Binary op, const Operand& a, const Operand& b,
                   const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = out.size();
  const Loops<3> loops({a, b, out});
  const auto flat = [&](int k) { return loops.stride(0, k) == 0 || loops.stride(0, k) == 1; };
  const bool dense = loops.rank() == 1 && flat(0) && flat(1) && loops.stride(0, 2) == 1;
  dispatch(out.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Kernels<T>& kernels = kernels_of(op, t);
    T number = 0;
    const auto pointer = [&](const Operand& x) -> const T* {
      if (x.device != kCpu) return x.as<const T>();
      number = *x.as<const T>();
      return nullptr;
    };
    const T *x = pointer(a), *y = pointer(b);
    // In one with a single element steps are of no account, but a number must be taken for one.
    const auto step = [&](const T* p, int operand) { return p ? loops.stride(0, operand) : 0; };
    const cuda::Operands shown = {{"a", a}, {"b", b}, {"out", out}};
    if (dense)
      kernels.dense.launch(
          stream, {{blocks_to_fill(stream, n, kThreads * kAccess / sizeof(T))}, {kThreads}}, shown,
          x, step(x, 0), y, step(y, 1), out.as<T>(), n, number);
    else
      kernels.strided.launch(stream, {{blocks_to_fill(stream, n, kThreads)}, {kThreads}}, shown, x,
                             y, out.as<T>(), strided_pair(loops, n), number);
  });
}

}  // namespace striate

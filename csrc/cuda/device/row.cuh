// SPDX-License-Identifier: Apache-2.0
// Loops over arrays and over the rows of a matrix, in accesses of 16 bytes where addresses allow.
#pragma once
#include "cuda/device/memory.cuh"
#include "cuda/device/reduce.cuh"

namespace striate {

// out[i] = f(in[i]…) for i < n, by all threads of the grid; out may be one of the inputs.
template <class T, class F, class... In>
inline void map(T* out, int64 n, F f, const In*... in) {
  constexpr int kWide = Pack<T>::size;
  const int64 first = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 step = int64(gridDim.x) * blockDim.x;
  int64 done = 0;
  if ((aligned16(out) && ... && aligned16(in))) {
    auto apply = [&](const Pack<In>&... x) {
      Pack<T> y;
#pragma unroll
      for (int e = 0; e < kWide; ++e) y.at[e] = f(x.at[e]...);
      return y;
    };
    for (int64 i = first; i < n / kWide; i += step)
      store16(out + i * kWide, apply(load16(in + i * kWide)...));
    done = n / kWide * kWide;
  }
  for (int64 i = done + first; i < n; i += step) out[i] = f(in[i]...);
}

// The elements of a row from i on, `otherwise` past its n; they lie in the same places whether 16
// bytes can be read at once or not, so a sum does not depend on alignment.
template <class T>
inline Pack<T> load_row(const T* row, int64 i, int64 n, T otherwise) {
  constexpr int kWide = Pack<T>::size;
  if (aligned16(row) && i + kWide <= n) return load16(row + i);
  Pack<T> x;
#pragma unroll
  for (int e = 0; e < kWide; ++e) x.at[e] = i + e < n ? row[i + e] : otherwise;
  return x;
}

template <class T>
inline void store_row(T* row, int64 i, int64 n, Pack<T> x) {
  constexpr int kWide = Pack<T>::size;
  if (aligned16(row) && i + kWide <= n) return store16(row + i, x);
#pragma unroll
  for (int e = 0; e < kWide; ++e)
    if (i + e < n) row[i + e] = x.at[e];
}

// The threads that share a row: a block of 256, or a warp, eight of which are in such a block.
template <int kThreads>
struct Team {
  static_assert(kThreads == 32 || kThreads == 256, "a warp or a block");
  static constexpr int rows = 256 / kThreads;  // of a block

  static int thread() { return int(threadIdx.x) % kThreads; }
  static int64 first_row() { return int64(blockIdx.x) * rows + threadIdx.x / kThreads; }
  static int64 row_step() { return int64(gridDim.x) * rows; }

  template <class Op, class T>
  static T reduce(T x) {
    return block_reduce<Op, kThreads>(x);
  }

  // f(i) for every sixteen bytes of a row that are this thread's.
  template <class T, class F>
  static void each(int64 n, F f) {
    constexpr int kWide = Pack<T>::size;
    for (int64 i = int64(thread()) * kWide; i < n; i += kThreads * kWide) f(i);
  }

  // The reduction of value(elements…) over a row of n; a chain of operations for each element of a
  // Pack, which meet at the end.
  template <class Op, class T, class F, class... In>
  static T reduce_row(int64 n, F value, const In*... in) {
    constexpr int kWide = Pack<T>::size;
    T part[kWide];
#pragma unroll
    for (int e = 0; e < kWide; ++e) part[e] = Op::template none<T>();
    auto take = [&](int64 i, const Pack<In>&... x) {
#pragma unroll
      for (int e = 0; e < kWide; ++e)
        if (i + e < n) part[e] = Op::of(part[e], value(x.at[e]...));
    };
    each<T>(n, [&](int64 i) { take(i, load_row(in, i, n, In(0))...); });
#pragma unroll
    for (int step = kWide / 2; step > 0; step /= 2)
      for (int e = 0; e < step; ++e) part[e] = Op::of(part[e], part[e + step]);
    return reduce<Op>(part[0]);
  }

  // out[i] = f(in[i]…) for i < n
  template <class T, class F, class... In>
  static void map_row(T* out, int64 n, F f, const In*... in) {
    auto apply = [&](const Pack<In>&... x) {
      Pack<T> y;
#pragma unroll
      for (int e = 0; e < Pack<T>::size; ++e) y.at[e] = f(x.at[e]...);
      return y;
    };
    each<T>(n, [&](int64 i) { store_row(out, i, n, apply(load_row(in, i, n, In(0))...)); });
  }
};

}  // namespace striate

// The two kernels of an operation on rows: `name`, a block a row, and `name`_warp, a warp a row.
// `body` is a statement that knows kThreads, the threads of a row.
#define STRIATE_ROW_KERNEL(name, threads, parameters, body)           \
  extern "C" __global__ void __launch_bounds__(256) name parameters { \
    constexpr int kThreads = threads;                                 \
    body;                                                             \
  }
#define STRIATE_ROW_KERNELS(name, parameters, body) \
  STRIATE_ROW_KERNEL(name, 256, parameters, body)   \
  STRIATE_ROW_KERNEL(name##_warp, 32, parameters, body)

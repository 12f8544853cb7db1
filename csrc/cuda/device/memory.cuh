// SPDX-License-Identifier: Apache-2.0
// Wide accesses, and arrays in shared memory.
//
//   Pack<T>                     16 bytes of T
//   load16(p), store16(p, x)    p aligned to 16 bytes, in global or shared memory
//   Run<W, T>                   W of T, a power of 2
//   load_run<W>(p), store_run(p, x)   p aligned to a Run, in global memory
//   Shared<T>                   a place in an array in shared memory: a pointer, for which
//                               tests/cuda_shim has something that sees every access
//   STRIATE_SHARED(T, name, n)  Shared<T> name: an array of n elements for the block
//   dynamic_shared<T>(first_byte, n)   n elements of the memory whose size the launch gives
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

template <class T>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};

template <class T>
inline bool aligned16(const T* p) {
  return reinterpret_cast<uint64>(p) % 16 == 0;
}

template <class T>
inline Pack<T> load16(const T* p) {
  return *reinterpret_cast<const Pack<T>*>(p);
}
template <class T>
inline void store16(T* p, Pack<T> x) {
  *reinterpret_cast<Pack<T>*>(p) = x;
}

template <int W, class T>
struct alignas(sizeof(T) * W) Run {
  T at[W];
};

template <int W, class T>
inline Run<W, T> load_run(const T* p) {
  return *reinterpret_cast<const Run<W, T>*>(p);
}
template <int W, class T>
inline void store_run(T* p, Run<W, T> x) {
  *reinterpret_cast<Run<W, T>*>(p) = x;
}

template <class T>
using Shared = T*;

#define STRIATE_SHARED(T, name, count) __shared__ alignas(16) T name[count]

template <class T>
inline Shared<T> dynamic_shared(int first_byte, int) {
  extern __shared__ Pack<unsigned char> striate_dynamic_shared[];
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(striate_dynamic_shared) +
                              first_byte);
}

}  // namespace striate

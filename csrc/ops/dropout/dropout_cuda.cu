// SPDX-License-Identifier: Apache-2.0
// Dropout (dropout.h): masks are those of the CPU, bit by bit, by the same Philox and the same rule
// (simd/philox.h, rule.inl).
//
// A call of Philox makes four words, of neighbours in logical order (N, C, H, W). In C order these
// are neighbours in memory. Channels last they are pixels of a channel; a thread takes four of
// them, and neighbouring threads neighbouring channels, so memory is read in whole lines all the
// same; where a channel's first pixel has no index that is a multiple of 4, four pixels take two
// calls. Bound: memory, one stream in and one out; a call of Philox is some 60 integer
// instructions.
//
// dropout_<dtype>_cuda(DropoutCuda<T>)
//   block 256, grid any, ceil(n / 1024) or less
// dropout_<dtype>_cuda_channels_last(the same)
//   block 256, grid any, ceil(images * ceil(pixels / 4) * channels / 256) or less
// philox_cuda(key, block, high, n, words)
//   words of the counters {block, high}, {block + 1, high}, …
//   block 256, grid any, ceil(n / 1024) or less
// No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/dropout/dropout_cuda.h"
#include "simd/philox.h"
//
#include "ops/dropout/rule.inl"

namespace striate {

template <class T>
inline void dropout(const DropoutCuda<T>& a) {
  constexpr int kPack = Pack<T>::size;
  const PhiloxKeys keys(a.key);
  const Rule<T> rule(a.rule);
  const int64 step = int64(gridDim.x) * blockDim.x * 4;
  for (int64 i = (int64(blockIdx.x) * blockDim.x + threadIdx.x) * 4; i < a.n; i += step) {
    uint32 words[4];
    philox(keys, (a.index + uint64(i)) / 4, 0, words);
#pragma unroll
    for (int first = 0; first < 4; first += kPack) {
      Pack<T> x = load_row(a.x, i + first, a.n, T(0));
#pragma unroll
      for (int e = 0; e < kPack; ++e) x.at[e] = rule(Vec<T>{x.at[e]}, words + first + e).v;
      store_row(a.y, i + first, a.n, x);
    }
  }
}

template <class T>
inline void dropout_channels_last(const DropoutCuda<T>& a) {
  const PhiloxKeys keys(a.key);
  const Rule<T> rule(a.rule);
  const int64 fours = ceil_div(a.pixels, 4ll), count = a.images * fours * a.channels;
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 k = int64(blockIdx.x) * blockDim.x + threadIdx.x; k < count; k += step) {
    const int64 line = k / a.channels, c = k - line * a.channels;
    const int64 image = line / fours, pixel = (line - image * fours) * 4;
    const uint64 index = uint64((image * a.channels + c) * a.pixels + pixel);
    const int skip = int(index % 4);
    uint32 words[8];
    philox(keys, index / 4, 0, words);
    if (skip != 0) philox(keys, index / 4 + 1, 0, words + 4);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (pixel + e >= a.pixels) break;
      uint32 word = words[e];  // word skip + e; an index that varies would put words in memory
#pragma unroll
      for (int s = 1; s < 4; ++s) word = skip == s ? words[s + e] : word;
      const int64 at = (image * a.pixels + pixel + e) * a.channels + c;
      a.y[at] = rule(Vec<T>{a.x[at]}, &word).v;
    }
  }
}

inline void philox_words(uint64 key, uint64 block, uint64 high, int64 n, uint32* words) {
  const PhiloxKeys keys(key);
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i * 4 < n; i += step) {
    Pack<uint32> made;
    philox(keys, block + uint64(i), high, made.at);
    store_row(words, i * 4, n, made);
  }
}

}  // namespace striate

#define KERNELS(dtype, T)                                                  \
  extern "C" __global__ void __launch_bounds__(256)                        \
      dropout_##dtype##_cuda(striate::DropoutCuda<T> args) {               \
    striate::dropout(args);                                                \
  }                                                                        \
  extern "C" __global__ void __launch_bounds__(256)                        \
      dropout_##dtype##_cuda_channels_last(striate::DropoutCuda<T> args) { \
    striate::dropout_channels_last(args);                                  \
  }
KERNELS(f32, float)
KERNELS(f64, double)

extern "C" __global__ void __launch_bounds__(256)
    philox_cuda(unsigned long long key, unsigned long long block, unsigned long long high,
                long long n, unsigned* words) {
  striate::philox_words(key, block, high, n, words);
}

// SPDX-License-Identifier: Apache-2.0
// A CUDA kernel on the CPU, to test it where there is no GPU.
//
// A .cu file is included after this header, which stands for what NVRTC predefines; the headers of
// csrc/cuda/device/ that hold PTX have namesakes in cuda/device/ beside this file, found first.
// What differs from a GPU, on purpose:
//   - a block's threads are fibers that run one at a time, from one meeting point to the next, so
//     every run is the same, and what would be undefined is an error that tells kernel and thread;
//   - blocks run one after the other, in either direction;
//   - shared memory is seen byte by byte (shared_memory.h): races between barriers, what was never
//     written, what cp.async has not been waited for, bank conflicts;
//   - an access to global memory outside a launch's buffers is caught (global_memory.h).
// What it can't see: races in global memory (beyond those that another order of blocks and threads
// brings to light), cache and speed, the hardware's own rounding inside mma.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "global_memory.h"
#include "launch.h"
#include "shared_memory.h"

#define __global__ __attribute__((visibility("default")))
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::shim::self().index)
#define blockIdx (::shim::block().index)
#define blockDim (::shim::block().size)
#define gridDim (::shim::block().grid)

inline float __uint_as_float(unsigned bits) { return shim::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float x) { return shim::bit_cast<unsigned>(x); }

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  shim::block().barrier(file, line);
}

// Whether any thread votes for it.
inline int __syncthreads_or(int vote, const char* file = __builtin_FILE(),
                            int line = __builtin_LINE()) {
  return shim::block().barrier_or(vote != 0, file, line);
}

inline void __syncwarp(unsigned mask = 0xffffffff) {
  shim::meet("__syncwarp", mask, nullptr, [mask](void**) { shim::block().warp_synced(mask); });
}

namespace shim {

// Lane i gets the value of lane source(i), or its own where that is not in 0 … width - 1 of its
// part.
template <class T, class Source>
T shuffle(const char* what, unsigned mask, T value, int width, Source source) {
  struct Operand {
    T value, result;
  } mine{value, value};
  meet(what, mask, &mine, [=](void** lanes) {
    for (int lane = 0; lane < kWarp; ++lane) {
      if (!lanes[lane]) continue;
      const int begin = lane / width * width, from = source(lane - begin);
      if (from < 0 || from >= width) continue;
      if (!lanes[begin + from])
        fail("%s reads lane %d, which is not in its mask", what, begin + from);
      static_cast<Operand*>(lanes[lane])->result =
          static_cast<Operand*>(lanes[begin + from])->value;
    }
  });
  return mine.result;
}

inline unsigned ballot(const char* what, unsigned mask, bool vote) {
  struct Operand {
    bool vote;
    unsigned result;
  } mine{vote, 0};
  meet(what, mask, &mine, [](void** lanes) {
    unsigned votes = 0;
    for (int lane = 0; lane < kWarp; ++lane)
      if (lanes[lane] && static_cast<Operand*>(lanes[lane])->vote) votes |= 1u << lane;
    for (int lane = 0; lane < kWarp; ++lane)
      if (lanes[lane]) static_cast<Operand*>(lanes[lane])->result = votes;
  });
  return mine.result;
}

}  // namespace shim

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return shim::shuffle("__shfl_sync", mask, value, width, [=](int) { return lane & (width - 1); });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  return shim::shuffle("__shfl_xor_sync", mask, value, width, [=](int i) { return i ^ bits; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  return shim::shuffle("__shfl_down_sync", mask, value, width, [=](int i) { return i + int(by); });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  return shim::shuffle("__shfl_up_sync", mask, value, width, [=](int i) { return i - int(by); });
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  return shim::ballot("__ballot_sync", mask, vote);
}
inline int __any_sync(unsigned mask, bool vote) {
  return shim::ballot("__any_sync", mask, vote) != 0;
}
inline int __all_sync(unsigned mask, bool vote) {
  return shim::ballot("__all_sync", mask, !vote) == 0;
}

// SPDX-License-Identifier: Apache-2.0
// A warp transposes 32 x 32: straight, padded, swizzled, and with the wrong swizzle.
#include "cuda/device/memory.cuh"

namespace {

template <class Place>
void transpose(const float* x, float* y, Place place) {
  STRIATE_SHARED(float, s, 32 * 33);
  const int lane = threadIdx.x;
  for (int i = 0; i < 32; ++i) s[place(i, lane)] = x[i * 32 + lane];
  __syncwarp();
  for (int i = 0; i < 32; ++i) y[i * 32 + lane] = s[place(lane, i)];
}

}  // namespace

extern "C" __global__ void transpose_straight(const float* x, float* y) {
  transpose(x, y, [](int i, int j) { return i * 32 + j; });
}
extern "C" __global__ void transpose_padded(const float* x, float* y) {
  transpose(x, y, [](int i, int j) { return i * 33 + j; });
}
extern "C" __global__ void transpose_swizzled(const float* x, float* y) {
  transpose(x, y, [](int i, int j) { return i * 32 + (j ^ i); });
}
extern "C" __global__ void transpose_wrong_swizzle(const float* x, float* y) {
  transpose(x, y, [](int i, int j) { return i * 32 + (j ^ (i / 4)); });
}
// Eight lanes read 16 bytes each at a distance of 128 bytes: all from the same four banks.
extern "C" __global__ void wide_column(const float* x, float* y) {
  STRIATE_SHARED(float, s, 32 * 32);
  const int lane = threadIdx.x;
  for (int i = 0; i < 32; ++i) s[i * 32 + lane] = x[i * 32 + lane];
  __syncwarp();
  striate::store16(y + 4 * lane, striate::load16(s + 32 * lane));
}

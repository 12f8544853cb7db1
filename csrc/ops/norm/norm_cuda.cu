// SPDX-License-Identifier: Apache-2.0
// Batch and group norm (norm_cuda.h), without atomics: equal bits in every run.
//
//   training    norm_stats, norm_join, norm_fwd    x is read twice from L2 or memory, then once
//   inference   norm_fwd                           with the mean and invstd that are given
//   backward    norm_sums, norm_slopes, norm_weights, norm_bwd
//
//   norm_stats    part_a = mean of a part's rows, as a difference from the image's first row;
//                 part_b = sum of squares of differences from that mean
//   norm_join     the parts and a group's channels joined: mean, invstd, var, running statistics
//   norm_fwd      y = (x - mean) invstd weight + bias
//   norm_sums     part_a = sum of dy, part_b = sum of dy (x - mean), of a part's rows
//   norm_slopes   slope = -invstd^3 / M sum of weight part_b,
//                 shift = -invstd / M sum of weight part_a
//   norm_weights  dweight = sum of part_b invstd, dbias = sum of part_a
//   norm_bwd      dx = dy invstd weight + (x - mean) slope + shift
//
// Means are kept as differences from the first row, so neither a large mean nor many rows cost
// digits; parts are joined in double by the formula of Chan, Golub and LeVeque (1983). Bound:
// memory. Parts of some 256 rows of 32 channels stay in L1 between the two passes of norm_stats.
//
// norm_{stats,sums}_<dtype>_cuda(NormCuda<T>)   block (32, 8), grid (ceil(channels / 32), parts,
//                                               images)
// norm_{join,slopes}_<dtype>_cuda(the same)     a warp a group: block 256, grid any, at most
//                                               ceil(images * groups / 8)
// norm_weights_<dtype>_cuda(the same)           block (32, 8), grid (ceil(channels / 32))
// norm_{fwd,bwd}_<dtype>_cuda(the same)         block 256, grid any, at most ceil(images * rows *
//                                               packs / 256); y may be x, dx may be dy or x
// Shared memory: static, 4 KiB at most.
#include "cuda/device/column.cuh"
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/norm/norm_cuda.h"

namespace striate {

template <class T>
inline T multiply_add(T a, T b, T c) {
  return fma(Vec<T>{a}, Vec<T>{b}, Vec<T>{c}).v;
}

// The rows of a column that are this thread's, of this block's part.
template <class T>
struct PartOfColumn {
  int column, begin, end;
  int64 first, at;  // of the column's first element, and of its place in part_a and part_b

  explicit PartOfColumn(const NormCuda<T>& a)
      : column(int(blockIdx.x) * 32 + int(threadIdx.x)),
        begin(int(blockIdx.y) * a.part),
        end(column < a.channels ? smaller(begin + a.part, a.rows) : 0),
        first(int64(blockIdx.z) * a.rows * a.channels + column),
        at((int64(blockIdx.z) * gridDim.y + blockIdx.y) * a.channels + column) {}
  bool writes(const NormCuda<T>& a) const { return threadIdx.y == 0 && column < a.channels; }
  int64 group(const NormCuda<T>& a) const {
    return int64(blockIdx.z) * a.group.quotient(a.channels) + a.group.quotient(column);
  }
};

// f(element) summed over the column's rows of this block; all threads of the block get the sum.
template <int K, class T, class F>
inline void column_sums(const NormCuda<T>& a, const PartOfColumn<T>& p, T (&sum)[K], F add) {
  STRIATE_SHARED(T, of_column, K * 32);
#pragma unroll 4
  for (int i = p.begin + int(threadIdx.y); i < p.end; i += kWays)
    add(p.first + int64(i) * a.channels, sum);
  reduce_ways<Sum>(sum);
  if (threadIdx.y == 0)
    for (int k = 0; k < K; ++k) of_column[k * 32 + int(threadIdx.x)] = sum[k];
  __syncthreads();
  for (int k = 0; k < K; ++k) sum[k] = of_column[k * 32 + int(threadIdx.x)];
}

template <class T>
inline void norm_stats(const NormCuda<T>& a) {
  const PartOfColumn<T> p(a);
  const T base = p.column < a.channels ? a.x[p.first] : T(0);
  T off[1] = {}, squares[1] = {};
  column_sums(a, p, off, [&](int64 i, T(&sum)[1]) { sum[0] += a.x[i] - base; });
  const T mean = off[0] / T(p.end - p.begin);
  column_sums(a, p, squares, [&](int64 i, T(&sum)[1]) {
    const T d = (a.x[i] - base) - mean;
    sum[0] = multiply_add(d, d, sum[0]);
  });
  if (p.writes(a)) a.part_a[p.at] = mean, a.part_b[p.at] = squares[0];
}

template <class T>
inline void norm_sums(const NormCuda<T>& a) {
  const PartOfColumn<T> p(a);
  const T mean = p.column < a.channels ? a.mean[p.group(a)] : T(0);
  T sums[2] = {};
  column_sums(a, p, sums, [&](int64 i, T(&sum)[2]) {
    const T d = a.dy[i];
    sum[0] += d;
    sum[1] = multiply_add(d, a.x[i] - mean, sum[1]);
  });
  if (p.writes(a)) a.part_a[p.at] = sums[0], a.part_b[p.at] = sums[1];
}

// The parts and channels of a group, which the lanes of a warp share.
template <class T>
struct PartsOfGroup {
  const NormCuda<T>& a;
  int parts, groups;

  explicit PartsOfGroup(const NormCuda<T>& a)
      : a(a), parts(ceil_div(a.rows, a.part)), groups(a.group.quotient(a.channels)) {}

  // The sum over a group of f(channel, place in part_a and part_b, rows of the part), in double.
  template <class F>
  double sum(int64 group, F f) const {
    const int64 image = group / groups;
    const int first = int(group - image * groups) * a.group.value;
    double total = 0;
    for (int i = int(threadIdx.x) % 32; i < parts * a.group.value; i += 32) {
      const int part = a.group.quotient(i), c = first + i - part * a.group.value;
      total +=
          f(c, (image * parts + part) * a.channels + c, smaller(a.part, a.rows - part * a.part));
    }
    return warp_reduce<Sum>(total);
  }
  double count() const { return double(a.rows) * a.group.value; }
};

template <class T>
inline void move_towards(T* running, int64 i, double momentum, double value) {
  if (running) running[i] = T((1 - momentum) * double(running[i]) + momentum * value);
}

template <class T>
inline void norm_join(const NormCuda<T>& a) {
  using Row = Team<32>;
  const PartsOfGroup<T> of(a);
  const double count = of.count();
  for (int64 g = Row::first_row(); g < int64(a.images) * of.groups; g += Row::row_step()) {
    const T* first = a.x + g / of.groups * a.rows * a.channels;
    auto mean_of = [&](int c, int64 at) { return double(first[c]) + double(a.part_a[at]); };
    const double mean =
        of.sum(g, [&](int c, int64 at, int rows) { return mean_of(c, at) * rows; }) / count;
    const double squares = of.sum(g, [&](int c, int64 at, int rows) {
      const double off = mean_of(c, at) - mean;
      return a.part_b[at] + rows * off * off;
    });
    if (Row::thread() != 0) continue;
    a.mean[g] = T(mean);
    a.invstd[g] = T(1 / sqrt(Vec<double>{squares / count + double(a.eps)}).v);
    if (a.var) a.var[g] = T(squares / count);
    move_towards(a.running_mean, g, a.momentum, mean);
    move_towards(a.running_var, g, a.momentum, squares / (count - 1));
  }
}

template <class T>
inline void norm_slopes(const NormCuda<T>& a) {
  using Row = Team<32>;
  const PartsOfGroup<T> of(a);
  for (int64 g = Row::first_row(); g < int64(a.images) * of.groups; g += Row::row_step()) {
    auto weighted = [&](const T* part) {
      return of.sum(g, [&](int c, int64 at, int) {
        return double(part[at]) * (a.weight ? double(a.weight[c]) : 1);
      });
    };
    const double sum = weighted(a.part_a), product = weighted(a.part_b);
    if (Row::thread() != 0) continue;
    const double invstd = a.invstd[g], per = a.given ? 0 : invstd / of.count();
    a.slope[g] = T(-per * invstd * invstd * product);
    a.shift[g] = T(-per * sum);
  }
}

template <class T>
inline void norm_weights(const NormCuda<T>& a) {
  const PartsOfGroup<T> of(a);
  const int c = int(blockIdx.x) * 32 + int(threadIdx.x);
  double sums[2] = {};  // of dy x^ and of dy
  if (c < a.channels)
    for (int i = int(threadIdx.y); i < a.images * of.parts; i += kWays) {
      const int64 at = int64(i) * a.channels + c;
      const int64 group = int64(i / of.parts) * of.groups + a.group.quotient(c);
      sums[0] += double(a.part_b[at]) * double(a.invstd[group]);
      sums[1] += double(a.part_a[at]);
    }
  reduce_ways<Sum>(sums);
  if (threadIdx.y != 0 || c >= a.channels) return;
  if (a.dweight) a.dweight[c] = T(sums[0]);
  if (a.dbias) a.dbias[c] = T(sums[1]);
}

// What belongs to a channel of an image.
template <class T>
struct ChannelOf {
  int64 group;
  T mean, scale;
  ChannelOf(const NormCuda<T>& a, int64 first_group, int c)
      : group(first_group + a.group.quotient(c)),
        mean(a.mean[group]),
        scale(a.invstd[group] * (a.weight ? a.weight[c] : T(1))) {}
};

// f(channel, first group of its image, pixel's elements…) for each element of each pixel.
template <class T, class F, class... In>
inline void each_channel(const NormCuda<T>& a, F f, const In*... in) {
  constexpr int kPack = Pack<T>::size;
  const int groups = a.group.quotient(a.channels);
  const int64 count = int64(a.images) * a.rows * a.packs.value;
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 k = int64(blockIdx.x) * blockDim.x + threadIdx.x; k < count; k += step) {
    const int pixel = a.packs.quotient(int(k)), c = (int(k) - pixel * a.packs.value) * kPack;
    const int64 first = int64(pixel) * a.channels, group = int64(pixel / a.rows) * groups;
    auto apply = [&](const Pack<In>&... x) {
      Pack<T> y = {};
#pragma unroll
      for (int e = 0; e < kPack; ++e)
        if (c + e < a.channels) y.at[e] = f(c + e, group, x.at[e]...);
      return y;
    };
    store_row(a.y + first, c, a.channels, apply(load_row(in + first, c, a.channels, In(0))...));
  }
}

template <class T>
inline void norm_fwd(const NormCuda<T>& a) {
  each_channel(
      a,
      [&](int c, int64 group, T x) {
        const ChannelOf<T> channel(a, group, c);
        return multiply_add(x - channel.mean, channel.scale, a.bias ? a.bias[c] : T(0));
      },
      a.x);
}

template <class T>
inline void norm_bwd(const NormCuda<T>& a) {
  each_channel(
      a,
      [&](int c, int64 group, T x, T dy) {
        const ChannelOf<T> channel(a, group, c);
        const T by_x =
            multiply_add(x - channel.mean, a.slope[channel.group], a.shift[channel.group]);
        return multiply_add(dy, channel.scale, by_x);
      },
      a.x, a.dy);
}

}  // namespace striate

#define KERNEL(name, dtype, T)                           \
  extern "C" __global__ void __launch_bounds__(256)      \
      name##_##dtype##_cuda(striate::NormCuda<T> args) { \
    striate::name(args);                                 \
  }
#define KERNELS(dtype, T)        \
  KERNEL(norm_stats, dtype, T)   \
  KERNEL(norm_join, dtype, T)    \
  KERNEL(norm_fwd, dtype, T)     \
  KERNEL(norm_sums, dtype, T)    \
  KERNEL(norm_slopes, dtype, T)  \
  KERNEL(norm_weights, dtype, T) \
  KERNEL(norm_bwd, dtype, T)
KERNELS(f32, float)
KERNELS(f64, double)

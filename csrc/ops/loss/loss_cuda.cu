// SPDX-License-Identifier: Apache-2.0
// Losses with their gradients (loss.h): cross entropy of rows, and losses element by element, whose
// functions are those of functions.inl.
//
// Cross entropy passes over a row for its maximum, its exponentials' sum, where there are
// distributions or smoothing the sums over classes, and the gradient; from the second on a row is
// in L1 or L2. Exponentials are computed twice rather than kept. A label that is no class makes
// loss and gradient of its row NaN, and reads nothing. Bound: memory, two streams in and one out.
//
// cross_entropy_<dtype>_cuda(CrossEntropyCuda<T>)
//   a block a row: block 256, grid at most rows
// cross_entropy_<dtype>_cuda_warp(the same)
//   a warp a row, classes <= 1024: block 256, grid at most ceil(rows / 8)
// {squared_error,absolute_error,huber,binary_logits}_<dtype>_cuda(PointwiseCuda<T>)
//   block 256, grid at most parts; the parts' sums are added up by sum_row_<dtype>_cuda. Parts of
//   16384 elements keep rounding errors as small as on the CPU.
// Shared memory: static, 64 bytes.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/loss/loss_cuda.h"
//
#include "ops/loss/functions.inl"

namespace striate {

template <class T>
inline T exp_of(T x) {
  return exp(Vec<T>{x}).v;
}

// What a row's classes count: a[c] = weight[c] t[c], from a target or a label.
template <class T>
class ClassWeights {
 public:
  ClassWeights(const CrossEntropyCuda<T>& a, int64 row)
      : weight_(a.weight),
        target_(a.labels ? nullptr : a.target + row * a.target_row),
        keep_(T(1) - a.smoothing),
        each_(a.smoothing / T(a.classes)),
        label_(a.labels ? a.labels[row] : -1) {}
  int64 label() const { return label_; }
  // Of a label without smoothing all others are 0.
  bool only_label() const { return !target_ && each_ == T(0); }
  T operator()(int64 c) const {
    const T t = target_ ? target_[c] * keep_ + each_ : c == label_ ? keep_ + each_ : each_;
    // What does not count is 0 whatever its weight, an infinite one too.
    return weight_ && (c == label_ || !only_label()) ? t * weight_[c] : t;
  }

 private:
  const T *weight_, *target_;
  T keep_, each_;
  int64 label_;
};

template <int kThreads, class T>
inline void cross_entropy_row(const CrossEntropyCuda<T>& a, int64 r) {
  using Row = Team<kThreads>;
  constexpr int kPack = Pack<T>::size;
  const T* x = a.x + r * a.x_row;
  T* dx = a.dx ? a.dx + r * a.dx_row : nullptr;
  const ClassWeights<T> weights(a, r);
  const int64 n = a.classes, label = weights.label();
  // The row's dx, from f(x[i], i).
  auto write = [&](auto f) {
    if (dx)
      Row::template each<T>(n, [&](int64 i) {
        Pack<T> v = load_row(x, i, n, T(0));
#pragma unroll
        for (int e = 0; e < kPack; ++e) v.at[e] = i + e < n ? f(v.at[e], i + e) : T(0);
        store_row(dx, i, n, v);
      });
  };
  const bool ignored = a.labels && label == a.ignored;
  if (ignored || (a.labels && (label < 0 || label >= n))) {
    const T all = ignored ? T(0) : T(__uint_as_float(0x7fc00000u));
    if (Row::thread() == 0) a.loss[r] = a.factor * all;
    return write([all](T, int64) { return all; });
  }
  const T top = Row::template reduce_row<Max, T>(n, [](T v) { return v; }, x);
  const T total = Row::template reduce_row<Sum, T>(n, [top](T v) { return exp_of(v - top); }, x);
  T sum, distance;  // over c of a[c], and of a[c] (x[c] - top)
  if (weights.only_label()) {
    sum = weights(label);
    distance = sum * (x[label] - top);
  } else {
    T part[2] = {};
    for (int64 c = Row::thread(); c < n; c += kThreads) {
      const T one = weights(c);
      part[0] += one;
      part[1] += one * (x[c] - top);
    }
    sum = Row::template reduce<Sum>(part[0]);
    distance = Row::template reduce<Sum>(part[1]);
  }
  if (Row::thread() == 0) a.loss[r] = a.factor * (sum * log(Vec<T>{total}).v - distance);
  const T factor = a.scale * sum / total, scale = a.scale;
  write([=](T v, int64 c) { return exp_of(v - top) * factor - weights(c) * scale; });
}

template <int kThreads, class T>
inline void cross_entropy(const CrossEntropyCuda<T>& a) {
  using Row = Team<kThreads>;
  for (int64 r = Row::first_row(); r < a.rows; r += Row::row_step())
    cross_entropy_row<kThreads>(a, r);
}

template <class F, class T>
inline void pointwise(const PointwiseCuda<T>& a) {
  using Block = Team<256>;
  constexpr int kPack = Pack<T>::size;
  for (int64 p = blockIdx.x; p * a.part < a.n; p += gridDim.x) {
    const int64 begin = p * a.part, n = smaller(a.part, a.n - begin);
    T sum[kPack] = {};
    Block::each<T>(n, [&](int64 i) {
      const Pack<T> x = load_row(a.x + begin, i, n, T(0));
      const Pack<T> target = load_row(a.target + begin, i, n, T(0));
      Pack<T> loss, dx;
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        Vec<T> slope;
        const Vec<T> parameter{a.parameter};
        loss.at[e] = F::value(Vec<T>{x.at[e]}, Vec<T>{target.at[e]}, parameter, slope).v * a.factor;
        dx.at[e] = slope.v * a.scale;
        if (i + e < n) sum[e] += loss.at[e];
      }
      if (a.loss) store_row(a.loss + begin, i, n, loss);
      if (a.dx) store_row(a.dx + begin, i, n, dx);
    });
#pragma unroll
    for (int step = kPack / 2; step > 0; step /= 2)
      for (int e = 0; e < step; ++e) sum[e] += sum[e + step];
    const T total = Block::reduce<Sum>(sum[0]);
    if (a.sums && Block::thread() == 0) a.sums[p] = total;
  }
}

}  // namespace striate

#define POINTWISE(name, F, dtype, T)                          \
  extern "C" __global__ void __launch_bounds__(256)           \
      name##_##dtype##_cuda(striate::PointwiseCuda<T> args) { \
    striate::pointwise<striate::F>(args);                     \
  }
#define KERNELS(dtype, T)                                                                \
  STRIATE_ROW_KERNELS(cross_entropy_##dtype##_cuda, (striate::CrossEntropyCuda<T> args), \
                      (striate::cross_entropy<kThreads>(args)))                          \
  POINTWISE(squared_error, SquaredError, dtype, T)                                       \
  POINTWISE(absolute_error, AbsoluteError, dtype, T)                                     \
  POINTWISE(huber, Huber, dtype, T)                                                      \
  POINTWISE(binary_logits, BinaryLogits, dtype, T)
KERNELS(f32, float)
KERNELS(f64, double)

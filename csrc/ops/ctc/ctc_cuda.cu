// SPDX-License-Identifier: Apache-2.0
// Connectionist temporal classification (ctc.h): a block a sample, a thread every 256th state, a
// barrier a step. A class' share of the gradient is summed by one thread along the list of its
// labels, the blank's by the block: no atomics, equal bits in every run. Bound: the barriers and
// the latency of memory, some microsecond a step; samples run side by side.
//
// ctc_<dtype>_cuda(CtcCuda<T>)   block 256, grid at most samples
// Shared memory: static, 64 bytes.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/ctc/ctc_cuda.h"

namespace striate {

template <class T>
inline T never() {
  return T(__uint_as_float(0xff800000u));  // -inf
}

template <class T>
inline T exp_of(T x) {
  return exp(Vec<T>{x}).v;
}

// log(e^a + e^b + e^c)
template <class T>
inline T log_sum(T a, T b, T c) {
  T top = a > b ? a : b;
  top = c > top ? c : top;
  if (!(top > never<T>())) return top;
  return top + log(Vec<T>{exp_of(a - top) + exp_of(b - top) + exp_of(c - top)}).v;
}

template <class T>
class CtcSample {
 public:
  CtcSample(const CtcCuda<T>& a, int64 n)
      : a_(a),
        n_(n),
        labels_(a.label + a.start[n]),
        count_(a.start[n + 1] - a.start[n]),
        length_(2 * count_ + 1),
        steps_(a.length[n]),
        alpha_(a.alpha + n * a.steps * a.most),
        rows_(a.rows + n * 3 * a.most) {}

  // log_z, in every thread.
  T forward() const {
    if (steps_ == 0) return count_ == 0 ? T(0) : never<T>();
    for (int64 t = 0; t < steps_; ++t) {
      const T* from = alpha_ + (t - 1) * a_.most;
      for (int64 s = threadIdx.x; s < length_; s += blockDim.x) {
        T seen = s == 0 ? T(0) : never<T>();  // before the first step
        if (t == 0 && s == 1) seen = T(0);
        if (t > 0)
          seen = log_sum(from[s], s >= 1 ? from[s - 1] : never<T>(),
                         skips(s) ? from[s - 2] : never<T>());
        alpha_[t * a_.most + s] = log_probs(t)[label(s)] + seen;
      }
      __syncthreads();
    }
    const T* last = alpha_ + (steps_ - 1) * a_.most;
    return log_sum(last[length_ - 1], count_ ? last[length_ - 2] : never<T>(), never<T>());
  }

  void backward(T log_z) const {
    T* gamma = rows_ + 2 * a_.most;
    for (int64 t = steps_ - 1; t >= 0; --t) {
      const T* from = rows_ + (t + 1) % 2 * a_.most;
      T* to = rows_ + t % 2 * a_.most;
      T of_blank = 0;
      for (int64 s = threadIdx.x; s < length_; s += blockDim.x) {
        T ahead = s >= length_ - 2 ? T(0) : never<T>();  // behind the last step
        if (t < steps_ - 1)
          ahead = log_sum(from[s], s + 1 < length_ ? from[s + 1] : never<T>(),
                          s + 2 < length_ && skips(s + 2) ? from[s + 2] : never<T>());
        gamma[s] = exp_of(alpha_[t * a_.most + s] + ahead - log_z);
        to[s] = log_probs(t)[label(s)] + ahead;
        if (s % 2 == 0) of_blank += gamma[s];
      }
      T* out = gradient(t);
      for (int64 c = threadIdx.x; c < a_.classes; c += blockDim.x) out[c] = exp_of(log_probs(t)[c]);
      of_blank = block_reduce<Sum, 256>(of_blank);
      if (threadIdx.x == 0) out[a_.blank] -= of_blank;
      for (int64 i = threadIdx.x; i < count_; i += blockDim.x) {
        if (!a_.first[a_.start[n_] + i]) continue;
        T total = 0;
        for (int64 k = i; k >= 0; k = a_.next[a_.start[n_] + k]) total += gamma[2 * k + 1];
        out[labels_[i]] -= total;
      }
      __syncthreads();
    }
  }

  // Zeros from step t on.
  void clear(int64 t) const {
    for (; t < a_.steps; ++t)
      for (int64 c = threadIdx.x; c < a_.classes; c += blockDim.x) gradient(t)[c] = T(0);
  }
  int64 steps() const { return steps_; }

 private:
  int64 label(int64 s) const { return s % 2 ? labels_[s / 2] : a_.blank; }
  bool skips(int64 s) const { return s >= 3 && s % 2 && label(s) != label(s - 2); }
  const T* log_probs(int64 t) const { return a_.log_probs + (t * a_.samples + n_) * a_.classes; }
  T* gradient(int64 t) const { return a_.gradient + (t * a_.samples + n_) * a_.classes; }

  const CtcCuda<T>& a_;
  int64 n_;
  const long long* labels_;
  int64 count_, length_, steps_;
  T *alpha_, *rows_;
};

template <class T>
inline void ctc(const CtcCuda<T>& a) {
  for (int64 n = blockIdx.x; n < a.samples; n += gridDim.x) {
    const CtcSample<T> sample(a, n);
    const T log_z = sample.forward();
    const bool zero = a.zero_infinity && (log_z == never<T>() || log_z == -never<T>());
    if (threadIdx.x == 0) a.loss[n] = zero ? T(0) : -log_z;
    if (!a.gradient) continue;
    if (!zero) sample.backward(log_z);
    sample.clear(zero ? 0 : sample.steps());
  }
}

}  // namespace striate

extern "C" __global__ void __launch_bounds__(256) ctc_f32_cuda(striate::CtcCuda<float> args) {
  striate::ctc(args);
}
extern "C" __global__ void __launch_bounds__(256) ctc_f64_cuda(striate::CtcCuda<double> args) {
  striate::ctc(args);
}

// SPDX-License-Identifier: Apache-2.0
// The loops of an element-wise operation over N strided operands of one (broadcast) shape.
#pragma once
#include "core/operand.h"
#include "core/threads.h"

namespace striate {

// One set of axes for all operands, innermost last: by descending stride of the last operand (the
// result), axes of size 1 dropped, neighbours merged where every operand runs through them as one.
template <int N>
class Loops {
 public:
  // Operands of fewer axes, or of size 1 along one, repeat there.
  explicit Loops(const Operand (&operands)[N]) {
    const Operand& out = operands[N - 1];
    for (int i = 0; i < out.rank; ++i) {
      if (out.shape[i] == 1) continue;
      Axis a{out.shape[i], {}};
      for (int k = 0; k < N; ++k) a.stride[k] = stride_of(operands[k], i, out.rank);
      push(a);
    }
    merge();
  }

  // The axes: 1 at least.
  int rank() const { return rank_; }
  ptrdiff_t size(int axis) const { return axis_[axis].n; }
  ptrdiff_t stride(int axis, int operand) const { return axis_[axis].stride[operand]; }

  // Calls body(offsets, strides, n), both [N], for every run of n elements along the innermost
  // axis: shared between the threads where there is more than `grain` elements to do, cut anywhere.
  template <class F>
  void run(ptrdiff_t grain, F&& body) const {
    const Axis& inner = axis_[rank_ - 1];
    ptrdiff_t rows = 1;
    for (int i = 0; i < rank_ - 1; ++i) rows *= axis_[i].n;
    if (rows == 0 || inner.n == 0) return;
    auto row = [&](ptrdiff_t index, ptrdiff_t begin, ptrdiff_t end) {
      ptrdiff_t at[N];
      for (int k = 0; k < N; ++k) at[k] = begin * inner.stride[k];
      for (int i = rank_ - 2; i >= 0; --i) {
        ptrdiff_t along = index % axis_[i].n;
        index /= axis_[i].n;
        for (int k = 0; k < N; ++k) at[k] += along * axis_[i].stride[k];
      }
      body(at, inner.stride, end - begin);
    };
    if (rows * inner.n <= grain) {
      FlushDenormals flush;
      for (ptrdiff_t r = 0; r < rows; ++r) row(r, 0, inner.n);
    } else if (rows == 1) {
      parallel_ranges(inner.n, grain, 64,
                      [&](ptrdiff_t begin, ptrdiff_t end) { row(0, begin, end); });
    } else {
      parallel_ranges(rows, grain / inner.n + 1, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t r = begin; r < end; ++r) row(r, 0, inner.n);
      });
    }
  }

 private:
  struct Axis {
    ptrdiff_t n, stride[N];
  };

  static ptrdiff_t stride_of(const Operand& x, int i, int rank) {
    int own = i - (rank - x.rank);
    return own < 0 || x.shape[own] == 1 ? 0 : x.stride[own];
  }

  void push(const Axis& a) {
    int at = rank_++;
    for (; at > 0 && axis_[at - 1].stride[N - 1] < a.stride[N - 1]; --at) axis_[at] = axis_[at - 1];
    axis_[at] = a;
  }

  void merge() {
    int kept = 0;
    for (int i = 1; i < rank_; ++i) {
      const Axis& a = axis_[i];
      bool joined = true;
      for (int k = 0; k < N; ++k) joined &= axis_[kept].stride[k] == a.stride[k] * a.n;
      ptrdiff_t n = joined ? axis_[kept].n * a.n : a.n;
      if (!joined) ++kept;
      axis_[kept] = a;
      axis_[kept].n = n;
    }
    if (rank_ == 0) {
      axis_[0] = {1, {}};
      for (ptrdiff_t& s : axis_[0].stride) s = 1;
    }
    rank_ = kept + 1;
  }

  int rank_ = 0;
  Axis axis_[kMaxRank];
};

// n elements of p, unit stride: where they lie, or gathered into `buffer`.
template <class T>
const T* gathered(const T* p, ptrdiff_t step, ptrdiff_t n, T* buffer) {
  if (step == 1) return p;
  for (ptrdiff_t i = 0; i < n; ++i) buffer[i] = p[i * step];
  return buffer;
}

}  // namespace striate

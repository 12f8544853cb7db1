// SPDX-License-Identifier: Apache-2.0
// The rows of N operands along one axis, for kernels that want a row's elements side by side.
#pragma once
#include "core/memory.h"
#include "core/operand.h"
#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {

// Operands of one shape, any strides; the last is the result. Rows are numbered in C order of the
// other axes. Where `axis` is not unit-stride in an operand, blocks of rows are copied aside.
template <int N>
class Rows {
 public:
  Rows(const Operand (&operands)[N], int axis) : count_(1) {
    const Operand& first = operands[0];
    n_ = first.shape[axis];
    for (int k = 0; k < N; ++k) {
      data_[k] = operands[k].data;
      step_[k] = n_ == 1 ? 1 : operands[k].stride[axis];
    }
    for (int i = 0; i < first.rank; ++i) {
      if (i == axis || first.shape[i] == 1) continue;
      Axis a{first.shape[i], {}};
      for (int k = 0; k < N; ++k) a.stride[k] = operands[k].stride[i];
      push(a);
      count_ *= a.n;
    }
  }

  ptrdiff_t count() const { return count_; }
  ptrdiff_t length() const { return n_; }

  // Calls body(first, rows, data, row) for blocks of rows that lie data[k] + r * row[k]. An operand
  // without data stays null. Blocks have a fixed size, so nothing depends on the threads.
  template <class T, class F>
  void run(F&& body) const {
    if (count_ == 0) return;
    ptrdiff_t block = n_ < kBlock ? kBlock / (n_ > 0 ? n_ : 1) : 1;
    if (block < kAside && copies() > 0) block = kAside;
    const ptrdiff_t parts = (count_ + block - 1) / block;
    auto one = [&](ptrdiff_t part) {
      ptrdiff_t begin = part * block, end = begin + block < count_ ? begin + block : count_;
      run_block<T>(begin, end, body);
    };
    if (parts > 1) return parallel_for(parts, one);
    FlushDenormals flush;
    one(0);
  }

 private:
  struct Axis {
    ptrdiff_t n, stride[N];
  };
  // A block has kBlock elements, or one row; where rows are copied aside at least kAside of them,
  // so that cache lines are used whole.
  static constexpr ptrdiff_t kBlock = 1 << 14, kAside = 32;

  void push(const Axis& a) {
    bool joined = rank_ > 0;
    for (int k = 0; k < N && joined; ++k) joined = axis_[rank_ - 1].stride[k] == a.stride[k] * a.n;
    if (!joined) {
      axis_[rank_++] = a;
      return;
    }
    ptrdiff_t outer = axis_[rank_ - 1].n;
    axis_[rank_ - 1] = a;
    axis_[rank_ - 1].n *= outer;
  }

  bool aside(int k) const { return data_[k] && step_[k] != 1; }

  int copies() const {
    int count = 0;
    for (int k = 0; k < N; ++k) count += aside(k);
    return count;
  }

  template <class T, class F>
  void run_block(ptrdiff_t begin, ptrdiff_t end, F&& body) const {
    ptrdiff_t inner = rank_ ? axis_[rank_ - 1].n : 1,
              most = end - begin < inner ? end - begin : inner;
    Workspace<T> space(size_t(copies()) * size_t(most) * size_t(n_));
    while (begin < end) {
      ptrdiff_t rows = inner - begin % inner;
      if (rows > end - begin) rows = end - begin;
      T *data[N], *place[N], *free = space.data();
      ptrdiff_t row[N];
      for (int k = 0; k < N; ++k) {
        place[k] = data_[k] ? static_cast<T*>(data_[k]) + offset(begin, k) : nullptr;
        data[k] = place[k];
        row[k] = row_stride(k);
        if (!aside(k)) continue;
        data[k] = free, row[k] = n_, free += most * n_;
        if (k < N - 1) copy(place[k], row_stride(k), step_[k], data[k], n_, 1, rows);
      }
      body(begin, rows, data, row);
      if (aside(N - 1))
        copy(data[N - 1], n_, 1, place[N - 1], row_stride(N - 1), step_[N - 1], rows);
      begin += rows;
    }
  }

  ptrdiff_t row_stride(int k) const { return rank_ ? axis_[rank_ - 1].stride[k] : 0; }

  ptrdiff_t offset(ptrdiff_t row, int k) const {
    ptrdiff_t at = 0;
    for (int i = rank_ - 1; i >= 0; --i) {
      at += row % axis_[i].n * axis_[i].stride[k];
      row /= axis_[i].n;
    }
    return at;
  }

  // to[r, i] = from[r, i]      r < rows, i < n
  template <class T>
  void copy(const T* from, ptrdiff_t from_row, ptrdiff_t from_step, T* to, ptrdiff_t to_row,
            ptrdiff_t to_step, ptrdiff_t rows) const {
    if (from_row == 1 && to_step == 1)
      return transpose_kernel<T>()(from, from_step, n_, rows, to, to_row);
    if (from_step == 1 && to_row == 1)
      return transpose_kernel<T>()(from, from_row, rows, n_, to, to_step);
    for (ptrdiff_t r = 0; r < rows; ++r)
      for (ptrdiff_t i = 0; i < n_; ++i)
        to[r * to_row + i * to_step] = from[r * from_row + i * from_step];
  }

  void* data_[N];
  ptrdiff_t step_[N];
  ptrdiff_t count_, n_;
  int rank_ = 0;
  Axis axis_[kMaxRank];
};

}  // namespace striate

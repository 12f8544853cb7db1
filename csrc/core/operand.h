// SPDX-License-Identifier: Apache-2.0
// A strided array as a driver sees it.
#pragma once
#include <cstddef>
#include <string>
#include <type_traits>

#include "core/check.h"
#include "core/registry.h"

namespace striate {

constexpr int kMaxRank = 8;
constexpr int kCpu = -1;  // where memory lies, if not on a GPU, of which there are 0 and so on

struct Operand {
  void* data;
  Dtype dtype;
  int rank;
  ptrdiff_t shape[kMaxRank];
  ptrdiff_t stride[kMaxRank];  // in elements; 0 repeats
  int device = kCpu;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  ptrdiff_t size() const {
    ptrdiff_t n = 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
  std::string text() const { return shape_text(shape, rank); }
};

// Strides of a dense array in C order (the last axis is unit stride), and in channels-last order:
// (N, C, L), (N, C, H, W) or (N, C, D, H, W) with C innermost in memory.
void c_order(const ptrdiff_t* shape, int rank, ptrdiff_t* stride);
void channels_last(const ptrdiff_t* shape, ptrdiff_t* stride, int rank = 4);

// Whether x is dense in that order. Axes of size 1 have no stride worth the name; an empty array is
// dense.
bool is_c_order(const Operand& x);
bool is_channels_last(const Operand& x);  // false unless rank 3, 4 or 5

// Whether x fills its memory without gaps or repeats, in any order of its axes.
bool is_dense(const Operand& x);

// Whether two operands of one shape lie in one memory order.
bool same_strides(const Operand& a, const Operand& b);

// Calls f with a null T* of the dtype: dispatch(x.dtype, [&](auto* t) { using T = …; });
template <class F>
void dispatch(Dtype dtype, F&& f) {
  if (dtype == Dtype::f32)
    f(static_cast<float*>(nullptr));
  else
    f(static_cast<double*>(nullptr));
}
template <class Pointer>
using pointee = std::remove_pointer_t<Pointer>;

// Throws TypeMismatch unless x has the dtype of the first operand.
void same_dtype(const char* op, const char* argument, const Operand& first, const Operand& x);

// Throws TypeMismatch unless both lie in the same place.
void same_place(const char* op, const char* a_name, const Operand& a, const char* b_name,
                const Operand& b);
std::string place_text(int device);  // "cpu", "cuda:0"

// Throws std::invalid_argument unless x has this shape.
void expect_shape(const char* op, const char* argument, const Operand& x, const ptrdiff_t* shape,
                  int rank);

// n elements of NaN: the statistics of nothing.
void fill_nan(Dtype dtype, void* data, ptrdiff_t n);

}  // namespace striate

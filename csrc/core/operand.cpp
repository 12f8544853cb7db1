// SPDX-License-Identifier: Apache-2.0
#include "core/operand.h"

#include <algorithm>
#include <limits>

namespace striate {
namespace {

bool has_strides(const Operand& x, const ptrdiff_t* stride) {
  for (int i = 0; i < x.rank; ++i)
    if (x.shape[i] == 0) return true;
  for (int i = 0; i < x.rank; ++i)
    if (x.shape[i] != 1 && x.stride[i] != stride[i]) return false;
  return true;
}

}  // namespace

void c_order(const ptrdiff_t* shape, int rank, ptrdiff_t* stride) {
  ptrdiff_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    stride[i] = step;
    step *= shape[i] > 1 ? shape[i] : 1;
  }
}

void channels_last(const ptrdiff_t* shape, ptrdiff_t* stride, int rank) {
  ptrdiff_t step = stride[1] = 1;
  for (int i = 1, axis = 1; i < rank; ++i, axis = rank - i + 1) {  // C, then W, H, …
    step *= shape[axis] > 1 ? shape[axis] : 1;
    stride[i + 1 < rank ? rank - i : 0] = step;
  }
}

bool is_c_order(const Operand& x) {
  ptrdiff_t stride[kMaxRank];
  c_order(x.shape, x.rank, stride);
  return has_strides(x, stride);
}

bool is_channels_last(const Operand& x) {
  if (x.rank < 3 || x.rank > 5) return false;
  ptrdiff_t stride[5];
  channels_last(x.shape, stride, x.rank);
  return has_strides(x, stride);
}

bool is_dense(const Operand& x) {
  if (is_c_order(x)) return true;
  bool used[kMaxRank] = {};
  ptrdiff_t step = 1;
  for (int round = 0; round < x.rank; ++round) {  // axes by ascending stride
    int next = -1;
    for (int i = 0; i < x.rank && next < 0; ++i)
      if (!used[i] && x.shape[i] != 1 && x.stride[i] == step) next = i;
    if (next < 0) break;
    used[next] = true;
    step *= x.shape[next];
  }
  for (int i = 0; i < x.rank; ++i)
    if (!used[i] && x.shape[i] != 1) return false;
  return true;
}

void same_dtype(const char* op, const char* argument, const Operand& first, const Operand& x) {
  if (x.dtype != first.dtype)
    throw TypeMismatch(std::string(op) + ": " + argument + ": expected " + dtype_name(first.dtype) +
                       " like the first operand, got " + dtype_name(x.dtype));
}

bool same_strides(const Operand& a, const Operand& b) {
  for (int i = 0; i < a.rank; ++i)
    if (a.shape[i] > 1 && a.stride[i] != b.stride[i]) return false;
  return true;
}

std::string place_text(int device) {
  return device == kCpu ? "cpu" : "cuda:" + std::to_string(device);
}

void same_place(const char* op, const char* a_name, const Operand& a, const char* b_name,
                const Operand& b) {
  if (a.device == b.device) return;
  auto text = [](const char* name, const Operand& x) {
    return std::string(name) + " " + x.text() + " on " + place_text(x.device);
  };
  throw TypeMismatch(std::string(op) + ": expected operands on one device, got " + text(a_name, a) +
                     " and " + text(b_name, b) + "; move one with .to()");
}

void expect_shape(const char* op, const char* argument, const Operand& x, const ptrdiff_t* shape,
                  int rank) {
  bool same = x.rank == rank;
  for (int i = 0; same && i < rank; ++i) same = x.shape[i] == shape[i];
  if (!same) fail(op, argument, "shape " + shape_text(shape, rank), x.text());
}

void fill_nan(Dtype dtype, void* data, ptrdiff_t n) {
  dispatch(dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    std::fill_n(static_cast<T*>(data), n, std::numeric_limits<T>::quiet_NaN());
  });
}

}  // namespace striate

// SPDX-License-Identifier: Apache-2.0
// Copies, padding, element-wise operations and sums.
#include <cstring>

#include "capi/capi.h"
#include "ops/elementwise/elementwise.h"
#include "ops/reduce/reduce.h"
#include "ops/vector_norm/vector_norm.h"

using namespace striate;

namespace {

Binary binary_by_name(const char* name) {
  constexpr const char* names[] = {"add", "sub", "mul", "div", "maximum", "minimum"};
  for (int i = 0; i < 6; ++i)
    if (std::strcmp(name, names[i]) == 0) return Binary(i);
  fail("binary", "op", "add, sub, mul, div, maximum or minimum", "\"" + std::string(name) + "\"");
}

}  // namespace

extern "C" {

striate_status striate_copy(const striate_tensor* from, const striate_tensor* to) {
  return capi::guarded([&] {
    Operand x = capi::read("copy", "from", from);
    copy(x, capi::written_like("copy", "to", to, x));
  });
}

striate_status striate_pad(const striate_tensor* x_tensor, const int64_t* before,
                           const int64_t* after, double value, const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "pad";
    Operand x = capi::read(op, "x", x_tensor);
    if (x.rank > 0) capi::given(op, "before", before), capi::given(op, "after", after);
    ptrdiff_t shape[kMaxRank], first[kMaxRank], last[kMaxRank];
    for (int i = 0; i < x.rank; ++i) first[i] = before[i], last[i] = after[i];
    padded_shape(x, first, last, shape);
    Operand out = capi::written(op, "y", y);
    same_dtype(op, "y", x, out);
    expect_shape(op, "y", out, shape, x.rank);
    pad(x, first, last, value, out);
  });
}

striate_status striate_binary(const char* name, const striate_tensor* a, const striate_tensor* b,
                              const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "binary";
    const Binary what = binary_by_name(&capi::given(op, "op", name));
    Operand left = capi::read(op, "a", a), right = capi::read(op, "b", b);
    same_dtype(op, "b", left, right);
    ptrdiff_t shape[kMaxRank];
    const int rank = broadcast_shape(op, left, right, shape);
    Operand out = capi::written(op, "y", y);
    same_dtype(op, "y", left, out);
    expect_shape(op, "y", out, shape, rank);
    binary(what, left, right, out);
  });
}

striate_status striate_sum(const striate_tensor* x_tensor, const int32_t* axes, int32_t count,
                           const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "sum";
    Operand x = capi::read(op, "x", x_tensor);
    if (count < 0) fail(op, "count", "0 or more", std::to_string(count));
    if (count > 0) capi::given(op, "axes", axes);
    bool reduced[kMaxRank] = {};
    for (int32_t i = 0; i < count; ++i) {
      if (axes[i] < 0 || axes[i] >= x.rank)
        fail(op, "axes", "0 to " + std::to_string(x.rank - 1), std::to_string(axes[i]));
      reduced[axes[i]] = true;
    }
    ptrdiff_t shape[kMaxRank];
    int rank = 0;
    for (int i = 0; i < x.rank; ++i)
      if (!reduced[i]) shape[rank++] = x.shape[i];
    Operand out = capi::written(op, "y", y);
    same_dtype(op, "y", x, out);
    expect_shape(op, "y", out, shape, rank);
    sum(x, reduced, out);
  });
}

striate_status striate_vector_norm(const char* what, const striate_tensor* x_tensor,
                                   const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "vector_norm";
    const NormSum norm = norm_sum_by_name(&capi::given(op, "what", what));
    Operand x = capi::read(op, "x", x_tensor);
    capi::Output out(op, "y", y, x, {}, capi::Null::refused);
    if (is_dense(x)) {
      vector_norm(norm, x, out.operand());
    } else {
      DenseInput dense(x);
      vector_norm(norm, dense.operand(), out.operand());
    }
    out.finish();
  });
}

}  // extern "C"

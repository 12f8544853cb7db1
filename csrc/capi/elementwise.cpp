// SPDX-License-Identifier: Apache-2.0
// Batch normalisation, softmax and activations.
#include <cmath>

#include "capi/capi.h"
#include "core/memory.h"
#include "ops/norm/norm.h"
#include "ops/softmax/softmax.h"

using namespace striate;

namespace {

// x and y of one shape and dtype.
struct Pair {
  Operand x, y;
};

Pair alike(const char* op, const striate_tensor* x, const striate_tensor* y) {
  Pair p{capi::read(op, "x", x), capi::written(op, "y", y)};
  capi::same_dtype(op, "y", p.x, p.y);
  expect_shape(op, "y", p.y, p.x.shape, p.x.rank);
  return p;
}

// (N, C), (N, C, L) or (N, C, H, W), seen as an image.
Operand as_image(const char* op, Operand x) {
  if (x.rank < 2 || x.rank > 4)
    fail(op, "x", "(N, C), (N, C, L) or (N, C, H, W)", "shape " + x.text());
  for (; x.rank < 4; ++x.rank) x.shape[x.rank] = x.stride[x.rank] = 1;
  return x;
}

striate_status softmax_of(Softmax what, const char* op, const striate_tensor* x, int32_t axis,
                          const striate_tensor* y) {
  return capi::guarded([&] {
    Pair p = alike(op, x, y);
    if (axis < 0 || axis >= p.x.rank)
      fail(op, "axis", "0 to " + std::to_string(p.x.rank - 1), std::to_string(axis));
    Operand none = p.x;
    none.data = nullptr;
    softmax(what, p.x, none, axis, p.y);
  });
}

}  // namespace

extern "C" {

striate_status striate_batch_norm_inference(const striate_tensor* x, const striate_tensor* mean,
                                            const striate_tensor* var, const striate_tensor* weight,
                                            const striate_tensor* bias, double eps,
                                            const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "batch_norm_inference";
    Pair p = alike(op, x, y);
    Operand image = as_image(op, p.x);
    ptrdiff_t c = image.shape[1];
    const void* m = capi::vector(op, "mean", &capi::given(op, "mean", mean), p.x, c);
    const void* v = capi::vector(op, "var", &capi::given(op, "var", var), p.x, c);
    const void* w = capi::vector(op, "weight", weight, p.x, c);
    const void* b = capi::vector(op, "bias", bias, p.x, c);
    dispatch(p.x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      Workspace<T> invstd(size_t(c) + 1);
      for (ptrdiff_t i = 0; i < c; ++i)
        invstd[size_t(i)] = T(1) / std::sqrt(static_cast<const T*>(v)[i] + T(eps));
      batch_norm_infer(image, {w, b, const_cast<void*>(m), invstd.data()}, as_image(op, p.y));
    });
  });
}

striate_status striate_softmax(const striate_tensor* x, int32_t axis, const striate_tensor* y) {
  return softmax_of(Softmax::softmax, "softmax", x, axis, y);
}

striate_status striate_log_softmax(const striate_tensor* x, int32_t axis, const striate_tensor* y) {
  return softmax_of(Softmax::log_softmax, "log_softmax", x, axis, y);
}

striate_status striate_activation(const char* name, double parameter, const striate_tensor* x,
                                  const striate_tensor* y) {
  return capi::guarded([&] {
    capi::given("activation", "name", name);
    Activation f = activation_by_name(name);
    Pair p = alike("activation", x, y);
    activation(f, p.x, {capi::one_parameter("activation", f, parameter), 0}, p.y);
  });
}

const char* striate_activation_name(int32_t index) {
  constexpr int kCount = 0
#define ACTIVATION(f, F) +1
#include "ops/activation/names.inc"
#undef ACTIVATION
      ;
  return index < 0 || index >= kCount ? nullptr : activation_name(Activation(index));
}

}  // extern "C"

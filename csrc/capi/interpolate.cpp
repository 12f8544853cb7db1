// SPDX-License-Identifier: Apache-2.0
#include "ops/interpolate/interpolate.h"

#include <cmath>

#include "capi/capi.h"

using namespace striate;

namespace {

// The matrices of depth, height and width from images of shape `from` to those of shape `to`.
struct Axes {
  ResampleAxis axis[3];

  Axes(const char* op, const char* mode, const double* scales, bool align_corners,
       const Operand& from, const Operand& to) {
    const Interpolation how = interpolation_by_name(op, &capi::given(op, "mode", mode));
    if (from.rank < 3 || from.rank > 5 || to.rank != from.rank)
      fail(op, "x", "rank 3 to 5, such as (N, C, H, W), of both arrays",
           "shapes " + from.text() + " and " + to.text());
    if (from.shape[0] != to.shape[0] || from.shape[1] != to.shape[1])
      fail(op, "y", "as many images and channels as x " + from.text(), "shape " + to.text());
    for (int i = 2; i < from.rank; ++i) {
      const double given = scales == nullptr ? 0 : scales[i - 2];
      if (!(given >= 0 && std::isfinite(given)))
        fail(op, "scales", "0 or a positive number", std::to_string(given));
      if (from.shape[i] < 1 || to.shape[i] < 1)
        fail(op, "x", "axes of 1 or more behind (N, C)",
             "shapes " + from.text() + " and " + to.text());
      axis[i + 3 - from.rank] = interpolation_axis(how, from.shape[i], to.shape[i],
                                                   given > 0 ? 1 / given : 0, align_corners);
    }
    for (int i = 0; i < 5 - from.rank; ++i) axis[i] = identity_axis(1);
  }
};

}  // namespace

extern "C" {

striate_status striate_interpolate_forward(const char* mode, const double* scales,
                                           int32_t align_corners, const striate_tensor* x_tensor,
                                           const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "interpolate_forward";
    Operand x = capi::read(op, "x", x_tensor), y = capi::written(op, "y", y_tensor);
    same_dtype(op, "y", x, y);
    const Axes axes(op, mode, scales, align_corners != 0, x, y);
    resample(x, axes.axis, y);
  });
}

striate_status striate_interpolate_backward(const char* mode, const double* scales,
                                            int32_t align_corners, const striate_tensor* dy_tensor,
                                            const striate_tensor* dx_tensor) {
  return capi::guarded([&] {
    const char* op = "interpolate_backward";
    Operand dy = capi::read(op, "dy", dy_tensor), dx = capi::written(op, "dx", dx_tensor);
    same_dtype(op, "dx", dy, dx);
    Axes axes(op, mode, scales, align_corners != 0, dx, dy);
    for (ResampleAxis& axis : axes.axis) axis = transposed(axis);
    resample(dy, axes.axis, dx);
  });
}

}  // extern "C"

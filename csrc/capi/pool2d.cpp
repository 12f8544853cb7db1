// SPDX-License-Identifier: Apache-2.0
#include "ops/pool2d/pool2d.h"

#include "capi/capi.h"

using namespace striate;

namespace {

PoolShape shape_of(const char* op, const striate_pool2d* p, ptrdiff_t h, ptrdiff_t w) {
  capi::given(op, "p", p);
  bool ceil_mode = p->ceil_mode != 0;
  return {pool_axis(op, h, {p->kernel[0], p->stride[0], p->padding[0], p->dilation[0]}, ceil_mode),
          pool_axis(op, w, {p->kernel[1], p->stride[1], p->padding[1], p->dilation[1]}, ceil_mode)};
}

// Images in and out, whose shapes are checked against the windows.
struct Call {
  Operand in, out;
  PoolShape shape;
};

Call forward(const char* op, const striate_pool2d* p, const striate_tensor* x,
             const striate_tensor* y) {
  Operand in = capi::images(op, "x", capi::read(op, "x", x));
  Operand out = capi::images(op, "y", capi::written(op, "y", y));
  capi::same_dtype(op, "y", in, out);
  PoolShape shape = shape_of(op, p, in.shape[2], in.shape[3]);
  ptrdiff_t made[4] = {in.shape[0], in.shape[1], shape.h.out, shape.w.out};
  expect_shape(op, "y", out, made, 4);
  return {in, out, std::move(shape)};
}

Call backward(const char* op, const striate_pool2d* p, const striate_tensor* dy,
              const striate_tensor* dx) {
  Operand in = capi::images(op, "dy", capi::read(op, "dy", dy));
  Operand out = capi::images(op, "dx", capi::written(op, "dx", dx));
  capi::same_dtype(op, "dx", in, out);
  PoolShape shape = shape_of(op, p, out.shape[2], out.shape[3]);
  ptrdiff_t made[4] = {out.shape[0], out.shape[1], shape.h.out, shape.w.out};
  expect_shape(op, "dy", in, made, 4);
  return {in, out, std::move(shape)};
}

PoolDivisor divisor_of(const char* op, const striate_pool2d* p) {
  if (capi::given(op, "p", p).dilation[0] != 1 || p->dilation[1] != 1)
    fail(op, "dilation", "1 for a mean", std::to_string(p->dilation[0]));
  return {p->count_include_pad ? PoolDivisor::padded : PoolDivisor::inside, 1};
}

}  // namespace

extern "C" {

striate_status striate_pool2d_output_size(const striate_pool2d* p, int64_t height, int64_t width,
                                          int64_t size[2]) {
  return capi::guarded([&] {
    capi::given("pool2d_output_size", "size", size);
    PoolShape shape = shape_of("pool2d_output_size", p, height, width);
    size[0] = shape.h.out, size[1] = shape.w.out;
  });
}

striate_status striate_max_pool2d_taps_size(const striate_pool2d* p, const striate_tensor* x,
                                            size_t* bytes) {
  return capi::guarded([&] {
    const char* op = "max_pool2d_taps_size";
    striate_tensor shape_only = capi::given(op, "x", x);
    shape_only.data = &shape_only;  // the shape alone counts
    Operand in = capi::images(op, "x", capi::read(op, "x", &shape_only));
    PoolShape shape = shape_of(op, p, in.shape[2], in.shape[3]);
    ptrdiff_t factors[5] = {in.shape[0], shape.h.out, shape.w.out, in.shape[1],
                            shape.wide() ? ptrdiff_t(item_size(in.dtype)) : 1};
    capi::given(op, "bytes", bytes);
    *bytes = size_t(checked_product(op, "x", factors, 5));
  });
}

striate_status striate_max_pool2d_forward(const striate_pool2d* p, const striate_tensor* x,
                                          const striate_tensor* y, void* taps) {
  return capi::guarded([&] {
    const char* op = "max_pool2d_forward";
    Call call = forward(op, p, x, y);
    if (taps != nullptr && double(call.shape.h.kernel) * call.shape.w.kernel > 1 << 24)
      fail(op, "kernel", "at most 16777216 taps a window",
           shape_text({call.shape.h.kernel, call.shape.w.kernel}));
    pool2d(Pool::max, call.in, call.shape, {}, call.out, taps);
  });
}

striate_status striate_max_pool2d_backward(const striate_pool2d* p, const striate_tensor* dy,
                                           const void* taps, const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "max_pool2d_backward";
    Call call = backward(op, p, dy, dx);
    if (taps == nullptr && call.in.size() != 0) fail(op, "taps", "what the forward wrote", "null");
    pool2d_backward(Pool::max, call.in, taps, call.shape, {}, call.out);
  });
}

striate_status striate_avg_pool2d_forward(const striate_pool2d* p, const striate_tensor* x,
                                          const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "avg_pool2d_forward";
    PoolDivisor divisor = divisor_of(op, p);
    Call call = forward(op, p, x, y);
    pool2d(Pool::sum, call.in, call.shape, divisor, call.out, nullptr);
  });
}

striate_status striate_avg_pool2d_backward(const striate_pool2d* p, const striate_tensor* dy,
                                           const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "avg_pool2d_backward";
    PoolDivisor divisor = divisor_of(op, p);
    Call call = backward(op, p, dy, dx);
    pool2d_backward(Pool::sum, call.in, nullptr, call.shape, divisor, call.out);
  });
}

striate_status striate_adaptive_avg_pool2d(const striate_tensor* x, const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "adaptive_avg_pool2d";
    Operand in = capi::images(op, "x", capi::read(op, "x", x));
    Operand out = capi::images(op, "y", capi::written(op, "y", y));
    capi::same_dtype(op, "y", in, out);
    ptrdiff_t made[4] = {in.shape[0], in.shape[1], out.shape[2], out.shape[3]};
    expect_shape(op, "y", out, made, 4);
    if (in.shape[2] < 1 || in.shape[3] < 1) fail(op, "x", "no empty image", "shape " + in.text());
    PoolShape shape{adaptive_pool_axis(op, in.shape[2], out.shape[2]),
                    adaptive_pool_axis(op, in.shape[3], out.shape[3])};
    pool2d(Pool::sum, in, shape, {PoolDivisor::inside, 1}, out, nullptr);
  });
}

}  // extern "C"

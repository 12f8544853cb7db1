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

// Two arrays of images: `small` has as many places as `shape` makes of `large`.
struct Call {
  Operand in, out;
  PoolShape shape;

  Call(const char* op, const char* in_name, const striate_tensor* in_tensor, const char* out_name,
       const striate_tensor* out_tensor)
      : in(capi::images(op, in_name, capi::read(op, in_name, in_tensor))),
        out(capi::images(op, out_name, capi::written(op, out_name, out_tensor))) {
    same_dtype(op, out_name, in, out);
  }
  static void expect(const char* op, const char* argument, const Operand& small,
                     const Operand& large, const PoolShape& shape) {
    const ptrdiff_t made[4] = {large.shape[0], large.shape[1], shape.h.out, shape.w.out};
    expect_shape(op, argument, small, made, 4);
  }
};

// Where y is what the windows make of x; where dx is what they made dy of.
Call forward(const char* op, const striate_pool2d* p, const striate_tensor* x,
             const striate_tensor* y) {
  Call call(op, "x", x, "y", y);
  call.shape = shape_of(op, p, call.in.shape[2], call.in.shape[3]);
  Call::expect(op, "y", call.out, call.in, call.shape);
  return call;
}

Call backward(const char* op, const striate_pool2d* p, const striate_tensor* dy,
              const striate_tensor* dx) {
  Call call(op, "dy", dy, "dx", dx);
  call.shape = shape_of(op, p, call.out.shape[2], call.out.shape[3]);
  Call::expect(op, "dy", call.in, call.out, call.shape);
  return call;
}

// Windows that cover images like `large`, as many as `small` has places.
PoolShape adaptive(const char* op, const char* argument, const Operand& large,
                   const Operand& small) {
  if (large.shape[2] < 1 || large.shape[3] < 1)
    fail(op, argument, "no empty image", "shape " + large.text());
  return {adaptive_pool_axis(op, large.shape[2], small.shape[2]),
          adaptive_pool_axis(op, large.shape[3], small.shape[3])};
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
    Call call(op, "x", x, "y", y);
    call.shape = adaptive(op, "x", call.in, call.out);
    Call::expect(op, "y", call.out, call.in, call.shape);
    pool2d(Pool::sum, call.in, call.shape, {PoolDivisor::inside, 1}, call.out, nullptr);
  });
}

striate_status striate_adaptive_avg_pool2d_backward(const striate_tensor* dy,
                                                    const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "adaptive_avg_pool2d_backward";
    Call call(op, "dy", dy, "dx", dx);
    call.shape = adaptive(op, "dx", call.out, call.in);
    Call::expect(op, "dy", call.in, call.out, call.shape);
    pool2d_backward(Pool::sum, call.in, nullptr, call.shape, {PoolDivisor::inside, 1}, call.out);
  });
}

}  // extern "C"

// SPDX-License-Identifier: Apache-2.0
// Activations, the parametric ReLU, and softmax.
#include "ops/activation/activation.h"

#include "capi/capi.h"
#include "ops/prelu/prelu.h"
#include "ops/reduce/reduce.h"
#include "ops/softmax/softmax.h"

using namespace striate;

namespace {

int checked_axis(const char* op, const Operand& x, int32_t axis) {
  if (axis < 0 || axis >= x.rank)
    fail(op, "axis", "0 to " + std::to_string(x.rank - 1), std::to_string(axis));
  return axis;
}

striate_status softmax_forward(Softmax what, const char* op, const striate_tensor* x_tensor,
                               int32_t axis, const striate_tensor* y) {
  return capi::guarded([&] {
    Operand x = capi::read(op, "x", x_tensor), none = x;
    none.data = nullptr;
    softmax(what, x, none, checked_axis(op, x, axis), capi::written_like(op, "y", y, x));
  });
}

striate_status softmax_backward(Softmax what, const char* op, const striate_tensor* dy_tensor,
                                const striate_tensor* y_tensor, int32_t axis,
                                const striate_tensor* dx) {
  return capi::guarded([&] {
    Operand y = capi::read(op, "y", y_tensor), dy = capi::read_like(op, "dy", dy_tensor, y);
    softmax(what, y, dy, checked_axis(op, y, axis), capi::written_like(op, "dx", dx, y));
  });
}

// y[i] = the sum of x over what repeats: y has the rank of x or less, and 1 or x's size along each
// of its axes.
void sum_to(const Operand& x, const Operand& y) {
  bool reduced[kMaxRank];
  Operand kept = y;
  kept.rank = 0;
  for (int i = 0; i < x.rank; ++i) {
    const int own = i - (x.rank - y.rank);
    reduced[i] = own < 0 || (y.shape[own] == 1 && x.shape[i] != 1);
    if (reduced[i]) continue;
    kept.shape[kept.rank] = y.shape[own], kept.stride[kept.rank++] = y.stride[own];
  }
  sum(x, reduced, kept);
}

}  // namespace

extern "C" {

striate_status striate_activation_forward(const char* name, double a, double b,
                                          const striate_tensor* x_tensor, const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "activation_forward";
    const Activation f = activation_by_name(&capi::given(op, "name", name));
    Operand x = capi::read(op, "x", x_tensor);
    activation(f, x, {a, b}, capi::written_like(op, "y", y, x));
  });
}

striate_status striate_activation_backward(const char* name, double a, double b,
                                           const striate_tensor* saved_tensor,
                                           const striate_tensor* dy_tensor,
                                           const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "activation_backward";
    const Activation f = activation_by_name(&capi::given(op, "name", name));
    Operand saved = capi::read(op, "saved", saved_tensor);
    Operand dy = capi::read_like(op, "dy", dy_tensor, saved);
    activation_backward(f, saved, dy, {a, b}, capi::written_like(op, "dx", dx, saved));
  });
}

const char* striate_activation_saves(const char* name) {
  const char* saves = nullptr;
  capi::guarded([&] {
    saves = activation_saves(activation_by_name(&capi::given("activation_saves", "name", name)));
  });
  return saves;
}

const char* striate_activation_name(int32_t index) {
  return index < 0 || index >= kActivationCount ? nullptr : activation_name(Activation(index));
}

striate_status striate_prelu_forward(const striate_tensor* x_tensor, const striate_tensor* weight,
                                     const striate_tensor* y) {
  return capi::guarded([&] {
    const char* op = "prelu_forward";
    Operand x = capi::read(op, "x", x_tensor), w = capi::read(op, "weight", weight);
    check_slopes(op, w, x);
    prelu(x, w, capi::written_like(op, "y", y, x));
  });
}

striate_status striate_prelu_backward(const striate_tensor* dy_tensor,
                                      const striate_tensor* x_tensor, const striate_tensor* weight,
                                      const striate_tensor* dx, const striate_tensor* dweight) {
  return capi::guarded([&] {
    const char* op = "prelu_backward";
    Operand x = capi::read(op, "x", x_tensor), w = capi::read(op, "weight", weight);
    check_slopes(op, w, x);
    Operand dy = capi::read_like(op, "dy", dy_tensor, x);
    Operand dx_out = capi::written_like(op, "dx", dx, x);
    Operand dw = capi::written_like(op, "dweight", dweight, w), each = x;
    Workspace<char> space(size_t(x.size()) * item_size(x.dtype));
    each.data = space.data();
    c_order(x.shape, x.rank, each.stride);
    prelu_backward(x, w, dy, dx_out, each);
    sum_to(each, dw);
  });
}

striate_status striate_softmax_forward(const striate_tensor* x, int32_t axis,
                                       const striate_tensor* y) {
  return softmax_forward(Softmax::softmax, "softmax_forward", x, axis, y);
}

striate_status striate_softmax_backward(const striate_tensor* dy, const striate_tensor* y,
                                        int32_t axis, const striate_tensor* dx) {
  return softmax_backward(Softmax::softmax_backward, "softmax_backward", dy, y, axis, dx);
}

striate_status striate_log_softmax_forward(const striate_tensor* x, int32_t axis,
                                           const striate_tensor* y) {
  return softmax_forward(Softmax::log_softmax, "log_softmax_forward", x, axis, y);
}

striate_status striate_log_softmax_backward(const striate_tensor* dy, const striate_tensor* y,
                                            int32_t axis, const striate_tensor* dx) {
  return softmax_backward(Softmax::log_softmax_backward, "log_softmax_backward", dy, y, axis, dx);
}

}  // extern "C"

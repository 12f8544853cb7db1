// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/options.h"

namespace striate {
namespace {

constexpr ptrdiff_t kMost = ptrdiff_t(1) << 40;  // so that no sum of options overflows
constexpr const char* kFilter[] = {"R, S", "T, R, S"};
constexpr const char* kAxes[] = {"depth", "height", "width"};

template <int D>
void check_all(const char* op, const ConvOptions<D>& o) {
  auto within = [&](const char* argument, const ptrdiff_t (&values)[D], ptrdiff_t low,
                    ptrdiff_t least) {
    for (ptrdiff_t v : values)
      if (v < least || v >= kMost)
        fail(op, argument, std::to_string(low) + " or more", shape_text(values, D));
  };
  within("stride", o.stride, 1, 1), within("dilation", o.dilation, 1, 1);
  within("padding", o.before, 0, 0), within("padding", o.after, 0, -kMost);
  if (o.groups < 1) fail(op, "groups", "1 or more", std::to_string(o.groups));
}

// Checks the shapes and gives the sizes of the output along its D axes.
template <int D>
void output_sizes(const char* op, const ptrdiff_t* x, const Operand& w, const ConvOptions<D>& o,
                  ptrdiff_t (&out)[D]) {
  check_all(op, o);
  const std::string filter = kFilter[D - 2];
  if (w.rank != 2 + D) fail(op, "weight", "(K, C / groups, " + filter + ")", "shape " + w.text());
  const ptrdiff_t c = x[1], k = w.shape[0];
  if (c % o.groups != 0 || k % o.groups != 0)
    fail(op, "groups",
         "a divisor of " + std::to_string(c) + " channels and " + std::to_string(k) + " filters",
         std::to_string(o.groups));
  const ptrdiff_t each = c / o.groups;
  if (w.shape[1] != each)
    fail(op, "weight",
         "(K, " + std::to_string(each) + ", " + filter + ") for an input of " + std::to_string(c) +
             " channels in " + std::to_string(o.groups) + " groups",
         "shape " + w.text());
  if (k < 1) fail(op, "weight", "sizes of 1 or more", w.text());
  for (int i = 0; i < D; ++i) {
    if (w.shape[2 + i] < 1) fail(op, "weight", "sizes of 1 or more", w.text());
    out[i] = conv_output_size(op, kAxes[3 - D + i], x[2 + i], o.before[i] + o.after[i],
                              w.shape[2 + i], o.stride[i], o.dilation[i]);
  }
}

}  // namespace

void check(const char* op, const ConvOptions<2>& options) { check_all(op, options); }
void check(const char* op, const ConvOptions<3>& options) { check_all(op, options); }

ConvShape conv_shape(const char* op, const ptrdiff_t* x, const Operand& w,
                     const ConvOptions<2>& o) {
  ptrdiff_t out[2];
  output_sizes(op, x, w, o, out);
  const ConvShape s{x[0],        x[1],          x[2],          x[3],
                    w.shape[0],  w.shape[2],    w.shape[3],    out[0],
                    out[1],      o.stride[0],   o.stride[1],   o.before[0],
                    o.before[1], o.dilation[0], o.dilation[1], o.groups};
  ptrdiff_t y[4];
  output_shape(s, y);
  checked_product(op, "output", y, 4);
  return s;
}

Conv3dShape conv_shape(const char* op, const ptrdiff_t* x, const Operand& w,
                       const ConvOptions<3>& o) {
  ptrdiff_t out[3];
  output_sizes(op, x, w, o, out);
  const ConvShape plane{x[0],        x[1],          x[3],          x[4],
                        w.shape[0],  w.shape[3],    w.shape[4],    out[1],
                        out[2],      o.stride[1],   o.stride[2],   o.before[1],
                        o.before[2], o.dilation[1], o.dilation[2], o.groups};
  const Conv3dShape s{plane, x[2], w.shape[2], out[0], o.stride[0], o.before[0], o.dilation[0]};
  ptrdiff_t y[5];
  output_shape(s, y);
  checked_product(op, "output", y, 5);
  return s;
}

void output_shape(const ConvShape& s, ptrdiff_t* shape) {
  shape[0] = s.n, shape[1] = s.k, shape[2] = s.p, shape[3] = s.q;
}

void output_shape(const Conv3dShape& s, ptrdiff_t* shape) {
  shape[0] = s.plane.n, shape[1] = s.plane.k, shape[2] = s.o;
  shape[3] = s.plane.p, shape[4] = s.plane.q;
}

}  // namespace striate

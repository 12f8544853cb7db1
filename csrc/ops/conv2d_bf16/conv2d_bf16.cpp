// SPDX-License-Identifier: Apache-2.0
// Methods:
//
//   widen   operands become float32, some images at a time, and float32's methods compute:
//   Winograd's
//           among them, which do less than half of the arithmetic where they apply
//   pairs   one product over windows.h, whose tile sums two products an instruction (vdpbf16ps)
//
//     fwd          y  [pixel, k] = A(x)  [pixel, (tap, c)] * w  [(tap, c), k]
//     bwd_data     dx [pixel, c] = A(dy) [pixel, (tap, k)] * w  [(tap, k), c]    a residue class of
//                                                                                pixels at a time
//     bwd_weight   dw [k, (tap, c)] = dy^T [k, pixel] * A(x) [pixel, (tap, c)]
//
// The model takes the one of less time.
#include "ops/conv2d_bf16/conv2d_bf16.h"

#include <algorithm>
#include <cmath>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/cast/cast.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d_bf16/windows.h"
#include "ops/gemm_bf16/words.h"

namespace striate {
namespace {

enum class Way { widen, pairs };
struct WayRow : Row {
  Way way;
};
const Table<WayRow> ways{
#define ROW(name, isa, pass, way)                                                          \
  STRIATE_WITH_##isa(                                                                      \
      WayRow{{"conv2d_bf16", "method", #name, Dtype::bf16, Isa::isa, int(ConvPass::pass)}, \
             Way::way}, )
#include "ops/conv2d_bf16/methods.inc"
#undef ROW
};

// Elements [0, n) as float32.
void widen(const bfloat16* from, ptrdiff_t n, float* to) {
  parallel_ranges(n, 1 << 15, 32, [&](ptrdiff_t begin, ptrdiff_t end) {
    widen_kernel()(from + begin, end - begin, 1, end - begin, to + begin, end - begin);
  });
}
Workspace<float> widened(const bfloat16* from, ptrdiff_t n) {
  Workspace<float> to{size_t(n)};
  widen(from, n, to.data());
  return to;
}

// Images [n, n + count) of so many elements each.
Workspace<float> widened(const bfloat16* images, ptrdiff_t n, ptrdiff_t count, ptrdiff_t size) {
  return widened(images + n * size, count * size);
}

ptrdiff_t x_size(const ConvShape& s) { return s.h * s.w * s.c; }
ptrdiff_t y_size(const ConvShape& s) { return s.p * s.q * s.k; }
ptrdiff_t w_size(const ConvShape& s) { return s.k * s.r * s.s * s.group_c(); }

// Runs of images that take half of the workspace when so many elements of each are float32.
template <class F>
void widened_parts(const ConvShape& s, ptrdiff_t elements, F&& part) {
  each_part(s, double(elements) * sizeof(float), part, double(conv_workspace()) / 2);
}

// --- choice
// ---------------------------------------------------------------------------------------

// In the units of ConvCandidate::cost.
double cost(Way way, const ConvShape& s, ConvPass pass) {
  const double lanes = double(gemm_kernel(Dtype::f32).nr) / 2, n = double(s.n);
  if (way == Way::widen) {
    double least = INFINITY;
    for (const ConvCandidate& c : conv_candidates(s, pass, Dtype::f32))
      least = std::min(least, c.cost);
    const double elements = (pass == ConvPass::bwd_data ? 0 : n * double(x_size(s))) +
                            (pass == ConvPass::fwd ? 0 : n * double(y_size(s))) +
                            (pass == ConvPass::bwd_weight ? 0 : double(w_size(s)));
    return least + lanes / 2 * elements;
  }
  const bool data = pass == ConvPass::bwd_data;
  const double nr = 2 * lanes, taps = double(s.r) * double(s.s);
  const double c = double(s.group_c()), k = double(s.group_k()), groups = double(s.groups);
  const double pixels = n * double(s.p) * double(s.q);
  const auto whole = [&](double columns) { return std::ceil(columns / nr) * nr; };
  const double product = pass == ConvPass::fwd ? taps * c * whole(k)
                         : data                ? taps * k * whole(c)
                                               : k * whole(taps * c);
  const double copied = taps * (data ? k : c) + (pass == ConvPass::bwd_weight ? k : 0);
  const double filters = pass == ConvPass::bwd_weight ? 0 : taps * c * k;
  return groups * (pixels * (product / 2 + lanes / 4 * copied) + lanes * filters) +
         (data && s.stride_h * s.stride_w > 1 ? lanes * n * double(x_size(s)) : 0);
}

Way choose(const ConvShape& s, ConvPass pass) {
  Way chosen = Way::widen;
  double least = INFINITY;
  for (const WayRow* row : ways.runnable(Dtype::bf16, int(pass))) {
    if (row->way == Way::pairs && !gemm_bf16_pairs()) continue;
    const double c = cost(row->way, s, pass);
    if (c < least) least = c, chosen = row->way;
  }
  return chosen;
}

// --- products over windows
// ------------------------------------------------------------------------

// A is windows.
struct WindowRows : WordOperands {
  const Windows& windows;
  WindowRows(const GemmBf16Problem& p, const Windows& windows, ptrdiff_t nr)
      : WordOperands(p, Words::pairs, nr), windows(windows) {}

  RowsOfA<float> rows(const ProductStep& step, ptrdiff_t i0, ptrdiff_t i1, float* space) const {
    const ptrdiff_t count = depth(step);
    if (count % 2)
      for (ptrdiff_t i = 0; i < i1 - i0; ++i) space[i * kPackedRow<float> + count / 2] = 0;
    windows.copy(i0, i1, begin(step), count, reinterpret_cast<bfloat16*>(space),
                 2 * kPackedRow<float>);
    return {space, kPackedRow<float>, 1};
  }
};

// B is windows: its rows are pixels.
struct WindowColumns : WordOperands {
  const Windows& windows;
  WindowColumns(const GemmBf16Problem& p, const Windows& windows, ptrdiff_t nr)
      : WordOperands(p, Words::pairs, nr), windows(windows) {}

  PanelsOfB<float> panels(const ProductStep& step, ptrdiff_t j0, ptrdiff_t j1, float* space) const {
    const ptrdiff_t panel = step.k * nr, width = j1 - j0, count = depth(step);
    Workspace<bfloat16> rows(size_t(count) * size_t(width));
    windows.copy(begin(step), begin(step) + count, j0, width, rows.data(), width);
    float* to = space;
    for (ptrdiff_t j = 0; j < width; j += nr, to += panel)
      pack_panel(words, rows.data() + j, 1, width, std::min(nr, width - j), count, to, nr);
    return {space, panel, nr};
  }
};

template <class Operands>
void multiply(const GemmBf16Problem& p, const Windows& windows) {
  if (p.m == 0 || p.n == 0) return;
  const GemmKernel& kernel = *gemm_bf16_pairs();
  Product<float, Operands>({p, windows, kernel.nr}, kernel).run();
}

// The input's windows of group g.
Windows of_input(const ConvShape& s, const bfloat16* x, ptrdiff_t g) {
  Windows windows{s.p,        s.q,         image(x + g * s.group_c(), s.h, s.w, s.c),
                  s.h,        s.w,         s.stride_h,
                  s.stride_w, s.group_c(), {}};
  for (ptrdiff_t r = 0; r < s.r; ++r)
    for (ptrdiff_t t = 0; t < s.s; ++t)
      windows.taps.push_back({r * s.dilation_h - s.top, t * s.dilation_w - s.left, 0});
  return windows;
}

void fwd_pairs(const ConvShape& s, const bfloat16* x, const bfloat16* w, const Epilogue<float>& e,
               float* y) {
  const ptrdiff_t k = s.group_k(), depth = s.r * s.s * s.group_c();
  for (ptrdiff_t g = 0; g < s.groups; ++g) {
    GemmBf16Problem p{
        1, s.n * s.p * s.q, k, depth, {}, {w + g * k * depth, 1, depth, 0}, {y + g * k, s.k, 1, 0}};
    p.epilogue = of_group(e, g * k);
    multiply<WindowRows>(p, of_input(s, x, g));
  }
}

// One residue class of the input's pixels: those (h + i stride_h, v + j stride_w), of group g.
void bwd_data_class(const ConvShape& s, const bfloat16* dy, const bfloat16* w, ptrdiff_t g,
                    ptrdiff_t h, ptrdiff_t v, const Epilogue<float>& e, float* dx) {
  const ptrdiff_t c = s.group_c(), k = s.group_k(), filter = s.r * s.s * c;
  const bool dense = s.stride_h == 1 && s.stride_w == 1;
  const ptrdiff_t rows = ceil_div(s.h - h, s.stride_h), cols = ceil_div(s.w - v, s.stride_w);
  Windows windows{rows, cols, image(dy + g * k, s.p, s.q, s.k), s.p, s.q, 1, 1, k, {}};
  std::vector<ptrdiff_t> filters;
  for (const Meeting& a : meetings(h, s.top, s.r, s.dilation_h, s.stride_h))
    for (const Meeting& z : meetings(v, s.left, s.s, s.dilation_w, s.stride_w)) {
      windows.taps.push_back({a.offset, z.offset, 0});
      filters.push_back((a.filter * s.s + z.filter) * c);
    }
  Workspace<bfloat16> b(filters.size() * size_t(k) * size_t(c));  // [tap][K][C]
  for (size_t t = 0; t < filters.size(); ++t)
    for (ptrdiff_t i = 0; i < k; ++i)
      std::copy_n(w + (g * k + i) * filter + filters[t], c, b.data() + (ptrdiff_t(t) * k + i) * c);
  each_part(s, dense ? 0 : double(rows) * double(cols) * double(c) * sizeof(float),
            [&](const ConvShape& part, ptrdiff_t n) {
              Workspace<float> some(dense ? 0 : size_t(part.n * rows * cols * c));
              float* const images = dx + n * s.h * s.w * s.c + g * c;
              GemmBf16Problem p{1,  part.n * rows * cols, c, ptrdiff_t(filters.size()) * k,
                                {}, {b.data(), c, 1, 0},  {}};
              p.c = dense ? Matrix<float>{images, s.c, 1, 0} : Matrix<float>{some.data(), c, 1, 0};
              p.epilogue = of_group(e, g * c);
              Windows of_part = windows;
              of_part.in.data += n * s.p * s.q * s.k;
              multiply<WindowRows>(p, of_part);
              if (dense) return;
              parallel_for(part.n * rows, [&](ptrdiff_t row) {
                const float* from = some.data() + row * cols * c;
                float* to =
                    images + (row / rows * s.h + h + row % rows * s.stride_h) * s.w * s.c + v * s.c;
                for (ptrdiff_t q = 0; q < cols; ++q)
                  std::copy_n(from + q * c, c, to + q * s.stride_w * s.c);
              });
            });
}

void bwd_data_pairs(const ConvShape& s, const bfloat16* dy, const bfloat16* w,
                    const Epilogue<float>& e, float* dx) {
  for (ptrdiff_t g = 0; g < s.groups; ++g)
    for (ptrdiff_t h = 0; h < std::min(s.stride_h, s.h); ++h)
      for (ptrdiff_t v = 0; v < std::min(s.stride_w, s.w); ++v)
        bwd_data_class(s, dy, w, g, h, v, e, dx);
}

void bwd_weight_pairs(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  const ptrdiff_t k = s.group_k(), depth = s.r * s.s * s.group_c();
  for (ptrdiff_t g = 0; g < s.groups; ++g) {
    const GemmBf16Problem p{1,
                            k,
                            depth,
                            s.n * s.p * s.q,
                            {dy + g * k, 1, s.k, 0},
                            {},
                            {dw + g * k * depth, depth, 1, 0}};
    multiply<WindowColumns>(p, of_input(s, x, g));
  }
}

}  // namespace

void conv2d_fwd(const ConvShape& s, const bfloat16* x, const bfloat16* w, const Epilogue<float>& e,
                float* y) {
  if (s.n == 0) return;
  FlushDenormals flush;
  if (choose(s, ConvPass::fwd) == Way::pairs) return fwd_pairs(s, x, w, e, y);
  Workspace<float> filters = widened(w, w_size(s));
  widened_parts(s, x_size(s), [&](const ConvShape& part, ptrdiff_t n) {
    Workspace<float> images = widened(x, n, part.n, x_size(s));
    conv2d_fwd(part, images.data(), filters.data(), e, y + n * y_size(s));
  });
}

void conv2d_bwd_data(const ConvShape& s, const bfloat16* dy, const bfloat16* w,
                     const Epilogue<float>& e, float* dx) {
  if (s.n * s.c == 0) return;
  FlushDenormals flush;
  if (choose(s, ConvPass::bwd_data) == Way::pairs) return bwd_data_pairs(s, dy, w, e, dx);
  Workspace<float> filters = widened(w, w_size(s));
  widened_parts(s, y_size(s), [&](const ConvShape& part, ptrdiff_t n) {
    Workspace<float> images = widened(dy, n, part.n, y_size(s));
    conv2d_bwd_data(part, images.data(), filters.data(), e, dx + n * x_size(s));
  });
}

void conv2d_bwd_weight(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  if (s.c == 0) return;
  FlushDenormals flush;
  if (choose(s, ConvPass::bwd_weight) == Way::pairs) return bwd_weight_pairs(s, x, dy, dw);
  const ptrdiff_t size = w_size(s);
  widened_parts(s, x_size(s) + y_size(s), [&](const ConvShape& part, ptrdiff_t n) {
    Workspace<float> images = widened(x, n, part.n, x_size(s));
    Workspace<float> grads = widened(dy, n, part.n, y_size(s));
    if (n == 0) return conv2d_bwd_weight(part, images.data(), grads.data(), dw);
    Workspace<float> sums{size_t(size)};
    conv2d_bwd_weight(part, images.data(), grads.data(), sums.data());
    for (ptrdiff_t i = 0; i < size; ++i) dw[i] += sums[size_t(i)];
  });
}

}  // namespace striate

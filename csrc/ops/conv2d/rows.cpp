// SPDX-License-Identifier: Apache-2.0
// Drives rows.h:
//
//   the filters in panels of NR                                      once
//     for (image) x (block of rows of outputs)                        one task, any thread
//       the rows of the image that they meet, padded                    L2; or where they lie
//       for panels that fit half of L2
//         for each row of outputs: the kernel
#include "ops/conv2d/rows.h"

#include <algorithm>
#include <vector>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<ConvRowKernel> kernels{
#define ROW(name, T, isa, mr, nr)                                                         \
  STRIATE_WITH_##isa(                                                                     \
      ConvRowKernel{                                                                      \
          {{"conv2d", "kernel", #name, dtype_of<T>, Isa::isa, 0},                         \
           reinterpret_cast<void (*)()>(static_cast<void (*)(const ConvRow<T>&)>(name))}, \
          mr,                                                                             \
          nr}, )
#include "ops/conv2d/rows_kernels.inc"
#undef ROW
};

const ConvRowKernel& kernel_of(Dtype dtype) { return kernels.best(dtype, 0); }

constexpr ptrdiff_t kRows = 16;  // of outputs a task, where a row of filters is not higher

// Either pass: outputs [n, p, q, k] from images [n, h, w, c], output (p, q) under filter row r from
// the values of row p * stride_h + taps[r] from column q * stride_w - left on.
template <class T>
struct RowProblem {
  ptrdiff_t n, h, w, c, p, q, k, s, stride_h, stride_w, left;
  std::vector<ptrdiff_t> taps;
  const T* x;
  T* y;
};

template <class T>
class Rows {
 public:
  Rows(const RowProblem<T>& problem, const Epilogue<T>& e)
      : a_(problem),
        e_(e),
        kernel_(kernel_of(dtype_of<T>)),
        run_(a_.s * a_.c),
        reach_((a_.q - 1) * a_.stride_w + a_.s),
        panel_(ptrdiff_t(a_.taps.size()) * run_ * kernel_.nr),
        filters_(size_t(ceil_div(a_.k, kernel_.nr) * panel_)) {
    const auto [low, high] = std::minmax_element(a_.taps.begin(), a_.taps.end());
    low_ = *low, high_ = *high;
    if (a_.k % kernel_.nr != 0)  // the last panel is not whole
      std::fill_n(filters_.data() + a_.k / kernel_.nr * panel_, panel_, T(0));
    past_ = past_caches();
  }

  // Where the filters go: [panel][filter rows * run][NR].
  T* filters() { return filters_.data(); }
  ptrdiff_t panel() const { return panel_; }
  ptrdiff_t nr() const { return kernel_.nr; }

  void run() {
    ptrdiff_t rows = std::max(kRows, 2 * ceil_div(high_ - low_ + 1, a_.stride_h));
    if (num_threads() > 1)  // enough tasks to go round; their edges change no result
      while (rows > 4 && a_.n * ceil_div(a_.p, rows) < 3 * num_threads()) rows = ceil_div(rows, 2);
    const ptrdiff_t blocks = ceil_div(a_.p, rows);
    auto task = [&](ptrdiff_t part) {
      const ptrdiff_t p = part % blocks * rows;
      block(part / blocks, p, std::min(p + rows, a_.p));
    };
    const double work = double(a_.n) * double(a_.p) * double(a_.q) * double(a_.k) * double(panel_);
    if (work > 1e6 * double(kernel_.nr)) return parallel_for(a_.n * blocks, task);
    for (ptrdiff_t part = 0; part < a_.n * blocks; ++part) task(part);
  }

 private:
  // No cache holds the result, and its pixels are whole lines.
  bool past_caches() const {
    constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
    const double bytes = double(a_.n) * double(a_.p) * double(a_.q) * double(a_.k) * sizeof(T);
    return bytes >= double(kPastCachesBytes) && a_.k % line == 0 && uintptr_t(a_.y) % 64 == 0 &&
           !e_.activation;
  }

  void block(ptrdiff_t n, ptrdiff_t p0, ptrdiff_t p1) {
    const ptrdiff_t h0 = std::clamp<ptrdiff_t>(p0 * a_.stride_h + low_, 0, a_.h);
    const ptrdiff_t h1 = std::min((p1 - 1) * a_.stride_h + high_ + 1, a_.h);
    const T* const image = a_.x + n * a_.h * a_.w * a_.c;
    const bool inside = a_.left == 0 && reach_ <= a_.w;
    const ptrdiff_t width = (inside ? a_.w : reach_) * a_.c;
    Workspace<T> copy(size_t(inside ? 0 : std::max<ptrdiff_t>(h1 - h0, 0) * width));
    if (!inside)
      for (ptrdiff_t h = h0; h < h1; ++h)
        pad(image + h * a_.w * a_.c, copy.data() + (h - h0) * width);
    const T* const first = inside ? image + h0 * width : copy.data();

    std::vector<RowPair<T>> pairs(a_.taps.size());
    const ptrdiff_t bytes = panel_ * ptrdiff_t(sizeof(T));
    const ptrdiff_t group =
        std::max<ptrdiff_t>(l2_bytes() / 2 / std::max<ptrdiff_t>(bytes, 1), 1) * kernel_.nr;
    T* const y = a_.y + n * a_.p * a_.q * a_.k;
    for (ptrdiff_t j = 0; j < a_.k; j += group)
      for (ptrdiff_t p = p0; p < p1; ++p) {
        ptrdiff_t count = 0;
        for (size_t r = 0; r < a_.taps.size(); ++r) {
          const ptrdiff_t h = p * a_.stride_h + a_.taps[r];
          if (h >= 0 && h < a_.h)
            pairs[size_t(count++)] = {first + (h - h0) * width, ptrdiff_t(r) * run_};
        }
        kernel_.template as<void(const ConvRow<T>&)>()(
            {pairs.data(), count, run_, a_.stride_w * a_.c,
             filters_.data() + j / kernel_.nr * panel_, panel_, y + p * a_.q * a_.k + j, a_.q, a_.k,
             std::min(group, a_.k - j), e_.bias ? e_.bias + j : nullptr, e_.low, e_.high, past_});
      }
    if (e_.activation)
      e_.activation(y + p0 * a_.q * a_.k, y + p0 * a_.q * a_.k, (p1 - p0) * a_.q * a_.k,
                    e_.parameter);
  }

  // A row of the image from column -left on, zeros outside.
  void pad(const T* from, T* to) const {
    const ptrdiff_t before = std::min(a_.left, reach_), kept = std::min(a_.w, reach_ - before);
    std::fill_n(to, before * a_.c, T(0));
    std::copy_n(from, kept * a_.c, to + before * a_.c);
    std::fill_n(to + (before + kept) * a_.c, (reach_ - before - kept) * a_.c, T(0));
  }

  const RowProblem<T>& a_;
  const Epilogue<T>& e_;
  const ConvRowKernel& kernel_;
  const ptrdiff_t run_, reach_, panel_;
  Workspace<T> filters_;
  ptrdiff_t low_, high_;
  bool past_;
};

}  // namespace

template <class T>
void rows_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  if (s.p * s.q * s.k == 0) return;
  RowProblem<T> problem{s.n, s.h,        s.w,        s.c,    s.p, s.q, s.k,
                        s.s, s.stride_h, s.stride_w, s.left, {},  x,   y};
  for (ptrdiff_t r = 0; r < s.r; ++r) problem.taps.push_back(r * s.dilation_h - s.top);
  Rows<T> rows(problem, e);
  const ptrdiff_t depth = s.r * s.s * s.c, nr = rows.nr();
  for (ptrdiff_t k = 0; k < s.k; k += nr)
    transpose_kernel<T>()(w + k * depth, depth, std::min(nr, s.k - k), depth,
                          rows.filters() + k / nr * rows.panel(), nr);
  rows.run();
}

template <class T>
void rows_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  if (s.h * s.w * s.c == 0) return;
  RowProblem<T> problem{s.n, s.p, s.q, s.k, s.h, s.w, s.c, s.s, 1, 1, s.s - 1 - s.left, {}, dy, dx};
  for (ptrdiff_t r = 0; r < s.r; ++r) problem.taps.push_back(s.top - r * s.dilation_h);
  Rows<T> rows(problem, e);
  // [C / NR][r][s reversed][K][NR]
  const ptrdiff_t nr = rows.nr();
  for (ptrdiff_t c = 0; c < s.c; c += nr) {
    T* to = rows.filters() + c / nr * rows.panel();
    for (ptrdiff_t r = 0; r < s.r; ++r)
      for (ptrdiff_t t = s.s; t-- > 0;)
        for (ptrdiff_t k = 0; k < s.k; ++k, to += nr)
          std::copy_n(w + ((k * s.r + r) * s.s + t) * s.c + c, std::min(nr, s.c - c), to);
  }
  rows.run();
}

#define INSTANCES(T)                                                                    \
  template void rows_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void rows_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate

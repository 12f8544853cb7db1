// SPDX-License-Identifier: Apache-2.0
// Drives wide tiles (wide.h):
//
//   pack B                                         [panel][k][NR]
//   for some rows of A                             one task, any thread
//     for each block of k                          B: half of L2
//       for MR rows                                A: memory, asked for a tile ahead
//         for each panel                           C [row][column] (+)=   L1
//         columns beyond the panels, by dot        C [column][row] (+)=   L1
//     C to where it belongs
//
// Bound: multiply-adds. Zen 5, one core, 512 filters of 2048 channels on 49 pixels: 8 + 3 loads a
// step of 12 cycles.
#include "ops/gemm/wide.h"

#include <algorithm>
#include <cmath>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/dot/dot.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/product.h"
#include "ops/gemm/tile.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

constexpr ptrdiff_t kMostRest = 8;     // columns beyond the panels
constexpr ptrdiff_t kTaskRows = 64;    // of A
constexpr ptrdiff_t kPackSteps = 512;  // of k, packed by a task

template <class T>
class Wide {
 public:
  explicit Wide(const GemmProblem<T>& p)
      : p_(p),
        kernel_(gemm_kernel(dtype_of<T>, TileShape::wide)),
        dot_(dot_kernel<T>()),
        nr_(kernel_.nr),
        panels_(p.n / nr_),
        width_(panels_ * nr_),
        rest_(p.n - width_),
        panel_(packed_panel<T>(p.k, nr_)),
        b_(size_t(panels_ * panel_)),
        along_(p.b.row == 1 ? 0 : size_t(rest_ * p.k)),
        columns_{p.b.data + width_ * p.b.col, p.b.col} {
    const ptrdiff_t fit = l2_bytes() / 2 / (width_ * ptrdiff_t(sizeof(T)));
    const ptrdiff_t blocks = ceil_div(p.k, std::max<ptrdiff_t>(fit, 64));
    kc_ = ceil_div(ceil_div(p.k, blocks), 8) * 8;
  }

  void run() {
    const bool serial = 2.0 * double(p_.m) * double(p_.n) * double(p_.k) <= kSerialFlops;
    auto each = [&](ptrdiff_t count, auto&& task) {
      if (!serial) return parallel_for(count, task);
      for (ptrdiff_t i = 0; i < count; ++i) task(i);
    };
    const ptrdiff_t parts = ceil_div(p_.k, kPackSteps);
    each(panels_ * parts, [&](ptrdiff_t i) { pack(i / parts, i % parts * kPackSteps); });
    if (p_.b.row != 1) copy_rest();
    // How rows are cut does not change a sum.
    const ptrdiff_t mr = kernel_.mr, wanted = serial ? 1 : 4 * ptrdiff_t(threads_here());
    const ptrdiff_t rows = std::clamp(ceil_div(ceil_div(p_.m, wanted), mr) * mr, mr, kTaskRows);
    each(ceil_div(p_.m, rows),
         [&](ptrdiff_t i) { task(i * rows, std::min((i + 1) * rows, p_.m)); });
  }

 private:
  void pack(ptrdiff_t panel, ptrdiff_t k0) {
    const Matrix<const T>& b = p_.b;
    pack_panels<T>({b.data + panel * nr_ * b.col + k0 * b.row, b.row, b.col, 0},
                   std::min(kPackSteps, p_.k - k0), nr_, nr_,
                   b_.data() + panel * panel_ + k0 * nr_);
  }

  void copy_rest() {
    for (ptrdiff_t j = 0; j < rest_; ++j)
      for (ptrdiff_t k = 0; k < p_.k; ++k)
        along_[size_t(j * p_.k + k)] = p_.b.data[k * p_.b.row + (width_ + j) * p_.b.col];
    columns_ = {along_.data(), p_.k};
  }

  // Rows [i0, i1).
  void task(ptrdiff_t i0, ptrdiff_t i1) {
    const ptrdiff_t rows = i1 - i0, row = p_.n;
    Workspace<T> c(size_t(rows * row + rest_ * rows));
    T* const rest = c.data() + rows * row;  // [column][row]
    for (ptrdiff_t k0 = 0; k0 < p_.k; k0 += kc_)
      for (ptrdiff_t i = 0; i < rows; i += kernel_.mr) {
        const ptrdiff_t m = std::min<ptrdiff_t>(kernel_.mr, rows - i);
        multiply(i0 + i, m, i0 + i + m < i1, k0, c.data() + i * row);
        add_rest(i0 + i, m, k0, rest + i, rows);
      }
    const Epilogue<T>& e = p_.epilogue;
    for (ptrdiff_t j = 0; j < rest_; ++j)
      for (ptrdiff_t i = 0; i < rows; ++i) {
        const T sum = rest[j * rows + i] + bias(i0 + i, width_ + j);
        c[size_t(i * row + width_ + j)] = e.clamps() ? e.clamped(sum) : sum;
      }
    give(c.data(), i0, rows);
  }

  T bias(ptrdiff_t i, ptrdiff_t j) const {
    const Epilogue<T>& e = p_.epilogue;
    return e.bias ? e.bias[e.bias_axis == BiasAxis::row ? i : j] : T(0);
  }

  // C of rows [i, i + m) and whole panels, in rows of n.
  void multiply(ptrdiff_t i, ptrdiff_t m, bool more, ptrdiff_t k0, T* c) {
    const T* a[kMaxTileRows];
    T* out[kMaxTileRows];
    const ptrdiff_t steps = std::min(kc_, p_.k - k0);
    GemmSegment<T> segment{a, 0, nullptr, steps};
    const Epilogue<T> none;
    const bool last = k0 + kc_ >= p_.k;
    const Epilogue<T>& e = last ? p_.epilogue : none;
    const bool by_row = e.bias && e.bias_axis == BiasAxis::row;
    GemmTile<T> tile{&segment,
                     1,
                     1,
                     nr_,
                     out,
                     int(m),
                     int(nr_),
                     T(1),
                     T(k0 > 0),
                     nullptr,
                     by_row ? e.bias + i : nullptr,
                     e.low,
                     e.high};
    for (ptrdiff_t r = 0; r < m; ++r) a[r] = p_.a.data + (i + r) * p_.a.row + k0;
    for (ptrdiff_t panel = 0; panel < panels_; ++panel) {
      segment.b = b_.data() + panel * panel_ + k0 * nr_;
      tile.a_ahead = panel == 0 && more ? m * p_.a.row : 0;
      if (e.bias && !by_row) tile.bias_n = e.bias + panel * nr_;
      for (ptrdiff_t r = 0; r < m; ++r) out[r] = c + r * p_.n + panel * nr_;
      kernel_.run(tile);
    }
  }

  void add_rest(ptrdiff_t i, ptrdiff_t m, ptrdiff_t k0, T* c, ptrdiff_t c_row) const {
    for (ptrdiff_t j = 0; j < rest_; j += kDotRows)
      dot_({p_.a.data + i * p_.a.row + k0,
            p_.a.row,
            m,
            std::min(kc_, p_.k - k0),
            columns_.from(j, k0),
            std::min(kDotRows, rest_ - j),
            {c + j * c_row, c_row},
            T(k0 > 0),
            nullptr});
  }

  void give(T* c, ptrdiff_t i0, ptrdiff_t rows) const {
    const Epilogue<T>& e = p_.epilogue;
    const Matrix<T>& to = p_.c;
    T* const first = to.data + i0 * to.row;
    if (to.row == 1) {
      transpose_kernel<T>()(c, p_.n, rows, p_.n, first, to.col);
      for (ptrdiff_t j = 0; e.activation && j < p_.n; ++j)
        e.activation(first + j * to.col, first + j * to.col, rows, e.parameter);
      return;
    }
    if (e.activation) e.activation(c, c, rows * p_.n, e.parameter);
    for (ptrdiff_t i = 0; i < rows; ++i)
      for (ptrdiff_t j = 0; j < p_.n; ++j) first[i * to.row + j * to.col] = c[i * p_.n + j];
  }

  const GemmProblem<T>& p_;
  const GemmKernel& kernel_;
  DotFn<T>* const dot_;
  const ptrdiff_t nr_, panels_, width_, rest_;  // width: columns of all panels
  const ptrdiff_t panel_;                       // from one to the next
  Workspace<T> b_, along_;
  Rows<const T> columns_;  // the rest, along k
  ptrdiff_t kc_;
};

}  // namespace

double wide_bytes(Dtype dtype, double m, double n, double k) {
  const double nr = gemm_kernel(dtype, TileShape::wide).nr, rest = std::fmod(n, nr);
  if (n < nr || rest > double(kMostRest) || m < n || k < 1) return 0;
  return double(item_size(dtype)) * (n - rest) * (k + 64);
}

template <class T>
bool is_wide(const GemmProblem<T>& p) {
  return p.a.col == 1 && !p.packed_b && p.alpha == T(1) && p.beta == T(0) &&
         wide_bytes(dtype_of<T>, double(p.m), double(p.n), double(p.k)) > 0;
}
template bool is_wide(const GemmProblem<float>&);
template bool is_wide(const GemmProblem<double>&);

template <class T>
void gemm_wide(const GemmProblem<T>& p) {
  Wide<T>(p).run();
}
template void gemm_wide(const GemmProblem<float>&);
template void gemm_wide(const GemmProblem<double>&);

}  // namespace striate

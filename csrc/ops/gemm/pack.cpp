// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm/pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/blocks.h"
#include "core/threads.h"
#include "ops/gemm/tile.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

// Rows of a block are runs of a KiB or two at a distance, which no prefetcher of the machine's
// follows: they are asked for two rows ahead. (Zen 4, one core, from L3 and DRAM, cycles an element
// without and with: rows of A 0.5 and 0.2 to 0.3, panels of B 0.3 to 0.7 and 0.24 to 0.32.)
constexpr uintptr_t kRowsAhead = 2;

// An unsigned integer: beyond the array no pointer may point, and a row that stands alone may have
// any stride.
template <class T>
inline void fetch_ahead(const T* p, ptrdiff_t row) {
  const uintptr_t ahead = kRowsAhead * uintptr_t(row) * sizeof(T);
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(p) + ahead));
}

// One panel [k][nr] from b(k, j), zeros beyond n.
template <class T>
void pack_panel(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr, T* panel) {
  if (n < nr) std::memset(panel, 0, size_t(k * nr) * sizeof(T));
  if (b.col == 1) {
    for (ptrdiff_t i = 0; i < k; ++i)
      std::memcpy(panel + i * nr, b.data + i * b.row, size_t(n) * sizeof(T));
  } else if (b.row == 1) {
    transpose_kernel<T>()(b.data, b.col, n, k, panel, nr);
  } else {
    for (ptrdiff_t i = 0; i < k; ++i)
      for (ptrdiff_t j = 0; j < n; ++j) panel[i * nr + j] = b.data[i * b.row + j * b.col];
  }
}

// Whole panels of B, row by row over all of them: memory is fastest in long runs, and a copy of
// known size is a few instructions.
template <size_t Bytes, class T>
void copy_panels(const T* b, ptrdiff_t row, ptrdiff_t k, ptrdiff_t panels, T* to) {
  constexpr ptrdiff_t nr = Bytes / sizeof(T);
  const ptrdiff_t panel = packed_panel<T>(k, nr), line = 64 / ptrdiff_t(sizeof(T));
  for (ptrdiff_t i = 0; i < k; ++i, b += row, to += nr) {
    for (ptrdiff_t p = 0; p < panels; ++p) {
      for (ptrdiff_t j = 0; j < nr; j += line) fetch_ahead(b + p * nr + j, row);
      std::memcpy(to + p * panel, b + p * nr, Bytes);
    }
  }
}

// Panels of MR rows of A, column by column over all of them. Whole vectors are copied: what is too
// much is written again by the next column, or lies between the panels.
template <size_t MR, class T>
void copy_columns(const T* a, ptrdiff_t col, ptrdiff_t k, ptrdiff_t panels, T* to) {
  constexpr size_t bytes = (MR * sizeof(T) + 31) / 32 * 32;
  constexpr ptrdiff_t mr = ptrdiff_t(MR), line = 64 / ptrdiff_t(sizeof(T));
  constexpr ptrdiff_t beyond = ptrdiff_t(bytes / sizeof(T)) - mr;  // less than a line
  const ptrdiff_t panel = packed_panel<T>(k, mr), whole = panels - ceil_div(beyond, mr);
  for (ptrdiff_t i = 0; i < k; ++i, a += col, to += mr) {
    for (ptrdiff_t j = 0; j < panels * mr; j += line) fetch_ahead(a + j, col);
    ptrdiff_t p = 0;
    for (; p < whole; ++p) std::memcpy(to + p * panel, a + p * mr, bytes);
    for (; p < panels; ++p) std::memcpy(to + p * panel, a + p * mr, MR * sizeof(T));
  }
}
template <class T, size_t... MR>
auto columns_copy(ptrdiff_t mr, std::index_sequence<MR...>) {
  static constexpr decltype(&copy_columns<1, T>) all[]{copy_columns<MR + 1, T>...};
  return all[mr - 1];
}

// A row of A, line by line: a call of memcpy takes twice the time at these lengths.
template <class T>
void copy_row(const T* from, ptrdiff_t row, ptrdiff_t k, T* to) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  ptrdiff_t j = 0;
  for (; j + line <= k; j += line) {
    fetch_ahead(from + j, row);
    std::memcpy(to + j, from + j, 64);
  }
  std::memcpy(to + j, from + j, size_t(k - j) * sizeof(T));
}

}  // namespace

template <class T>
void pack_panels(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr, T* to) {
  ptrdiff_t whole = b.col == 1 ? n / nr : 0;
  switch (size_t(nr) * sizeof(T)) {
    case 128:
      copy_panels<128>(b.data, b.row, k, whole, to);
      break;
    case 64:
      copy_panels<64>(b.data, b.row, k, whole, to);
      break;
    default:
      whole = 0;
  }
  for (ptrdiff_t j = whole * nr; j < n; j += nr)
    pack_panel<T>({b.data + j * b.col, b.row, b.col, 0}, k, std::min(nr, n - j), nr,
                  to + j / nr * packed_panel<T>(k, nr));
}

template void pack_panels(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, ptrdiff_t, float*);
template void pack_panels(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, ptrdiff_t, double*);

template <class T>
void pack_columns(const Matrix<const T>& a, ptrdiff_t m, ptrdiff_t k, ptrdiff_t mr, T* to) {
  const ptrdiff_t panels = m / mr, rest = m % mr;
  columns_copy<T>(mr, std::make_index_sequence<kMaxTileRows>())(a.data, a.col, k, panels, to);
  to += panels * packed_panel<T>(k, mr);
  for (ptrdiff_t i = 0; i < k; ++i)
    for (ptrdiff_t r = 0; r < rest; ++r) to[i * mr + r] = a.data[i * a.col + panels * mr + r];
}
template void pack_columns(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, ptrdiff_t, float*);
template void pack_columns(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, ptrdiff_t, double*);

template <class T>
void pack_rows(const Matrix<const T>& a, ptrdiff_t m, ptrdiff_t k, T* to) {
  const T* from = a.data;
  for (ptrdiff_t i = 0; i < m; ++i, from += a.row, to += kPackedRow<T>) {
    if (a.col == 1)
      copy_row(from, a.row, k, to);
    else
      for (ptrdiff_t j = 0; j < k; ++j) to[j] = from[j * a.col];
  }
}
template void pack_rows(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, float*);
template void pack_rows(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, double*);

template <class T>
size_t packed_b_size(ptrdiff_t k, ptrdiff_t n) {
  ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  return size_t(ceil_div(n, nr) * nr * k);
}
template size_t packed_b_size<float>(ptrdiff_t, ptrdiff_t);
template size_t packed_b_size<double>(ptrdiff_t, ptrdiff_t);

template <class T>
void pack_b(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, T* packed, ptrdiff_t panel_rows) {
  ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr, panel = (panel_rows ? panel_rows : k) * nr;
  auto pack = [&](ptrdiff_t part) {
    ptrdiff_t j = part * nr;
    pack_panel<T>({b.data + j * b.col, b.row, b.col, 0}, k, std::min(nr, n - j), nr,
                  packed + part * panel);
  };
  if (k * n > 1 << 16) return parallel_for(ceil_div(n, nr), pack);
  for (ptrdiff_t part = 0; part < ceil_div(n, nr); ++part) pack(part);
}
template void pack_b<float>(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, float*, ptrdiff_t);
template void pack_b<double>(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, double*, ptrdiff_t);

}  // namespace striate

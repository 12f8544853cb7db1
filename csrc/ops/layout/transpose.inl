// SPDX-License-Identifier: Apache-2.0
// Transpose by square tiles of one cache line a side, so that every line fetched on either side is
// used whole. A Tile<T> of the ISA file says how one is done:
//
//   src  i ->  | a b c d |      dst  j ->  | a e i m |
//              | e f g h |   to            | b f j n |     size x size, in registers
//              | i j k l |                 | c g k o |
//              | m n o p |                 | d h l p |
//
// Columns go in strips of 16 lines, long enough that every row is read in runs; what a strip writes
// stays in L2 until its lines are whole. Where the rows of dst are so far apart that they share a
// few sets of L1, a strip is one tile: 16 streams are written. Rows go in bands of one line of dst,
// and while one is turned the next is fetched, on both sides, unless all of it fits L2. Results
// that no cache holds go past the caches in whole lines, and then rows of dst may be any distance
// apart. Bound: memory (two streams).
//
// Emerald Rapids, one core, before all this and after: 4096 x 4096 24 and 8.2 ms; 4100 x 4100,
// whose lines are shared by rows, 36 and 11; 1009 x 503 0.54 and 0.20 (0.44 without fetching dst);
// 8 x 256 x 56 x 56 to channels-last 4.2 and 2.5, from there 8.1 and 2.4. Past the caches in strips
// of 4 lines: up to 1.07 times the time. Fetching at 512 x 512 and below: 1.1 to 1.4 times.
#include <cstddef>

#include "ops/layout/layout.h"
#include "simd/write.h"

namespace striate {
namespace {

// A tile that is not whole, and every tile of the scalar kernel.
template <class T>
void transpose_part(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                    ptrdiff_t dst_row) {
  for (ptrdiff_t j = 0; j < cols; ++j)
    for (ptrdiff_t i = 0; i < rows; ++i) dst[j * dst_row + i] = src[i * src_row + j];
}

// How a result is written, and what is fetched a band ahead.
struct Near {
  static constexpr bool fetch_src = false, fetch_dst = false;
  template <class T>
  void operator()(T* p, Vec<T> x) const {
    store(p, x);
  }
};
struct Far : Near {
  static constexpr bool fetch_src = true, fetch_dst = true;
};
struct Past {
  static constexpr bool fetch_src = true, fetch_dst = false;
  template <class T>
  void operator()(T* p, Vec<T> x) const {
    stream(p, x);
  }
};

constexpr ptrdiff_t kNear = 1 << 20;  // bytes up to which both sides are taken to be in L2
constexpr ptrdiff_t kStripLines = 16;

// Strips of `strip` columns, the rows of each in bands of whole lines of dst after `head` first
// rows.
template <class Tile, class T, class Put>
void transpose_strips(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                      ptrdiff_t dst_row, ptrdiff_t strip, ptrdiff_t head, Put put) {
  constexpr ptrdiff_t size = Tile::size, line = 64 / ptrdiff_t(sizeof(T));
  for (ptrdiff_t j0 = 0; j0 < cols; j0 += strip) {
    const ptrdiff_t j1 = j0 + strip < cols ? j0 + strip : cols;
    for (ptrdiff_t i0 = 0, i1 = head > 0 ? head : line; i0 < rows; i0 = i1, i1 += line) {
      if (i1 > rows) i1 = rows;
      // From a row of src to the same one of the next band, or of the next strip's first.
      const ptrdiff_t next = i1 < rows ? (i1 - i0) * src_row : strip - i0 * src_row;
      for (ptrdiff_t j = j0; j < j1; j += size) {
        const ptrdiff_t n = j + size < j1 ? size : j1 - j;
        for (ptrdiff_t i = i0; i < i1; i += size) {
          const ptrdiff_t m = i + size < i1 ? size : i1 - i;
          const T* from = src + i * src_row + j;
          T* to = dst + j * dst_row + i;
          if (Put::fetch_src)
            for (ptrdiff_t k = 0; k < m; ++k) fetch(from + k * src_row, next);
          if (Put::fetch_dst)  // the end of it, as rows of dst may begin anywhere in a line
            for (ptrdiff_t k = 0; k < n; ++k) fetch_to_write(to + k * dst_row, 2 * line - 1);
          if (m == size && n == size && i0 >= head)
            Tile::whole(from, src_row, to, dst_row, put);
          else
            Tile::part(from, src_row, m, n, to, dst_row);
        }
      }
    }
  }
}

template <class Tile, class T>
void transpose(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
               ptrdiff_t dst_row) {
  constexpr ptrdiff_t size = Tile::size, line = 64 / ptrdiff_t(sizeof(T));
  const bool crowded = dst_row * ptrdiff_t(sizeof(T)) % 1024 == 0;
  const ptrdiff_t strip = crowded ? size : kStripLines * line;
  if (rows * cols * ptrdiff_t(sizeof(T)) > kNear)
    transpose_strips<Tile>(src, src_row, rows, cols, dst, dst_row, strip, 0, Far());
  else
    transpose_strips<Tile>(src, src_row, rows, cols, dst, dst_row, strip, 0, Near());
}

// Rows of dst that are no whole lines apart share lines, which are written through the caches; so
// are the ends of rows that do not begin at a line, too many of them where rows are short.
template <class Tile, class T>
void transpose_past(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                    ptrdiff_t dst_row) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  const ptrdiff_t head = ptrdiff_t(-(uintptr_t(dst) / sizeof(T)) % size_t(line));
  if (dst_row % line != 0 || uintptr_t(dst) % sizeof(T) != 0 || (head > 0 && rows < 8 * line))
    return transpose<Tile>(src, src_row, rows, cols, dst, dst_row);
  transpose_strips<Tile>(src, src_row, rows, cols, dst, dst_row, kStripLines * line, head, Past());
  drain();
}

}  // namespace
}  // namespace striate

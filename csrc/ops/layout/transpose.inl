// SPDX-License-Identifier: Apache-2.0
// Transpose by square tiles of one cache line a side, so that every line fetched on either side is
// used whole. A Tile<T> of the ISA file says how one is done:
//
//   src  i ->  | a b c d |      dst  j ->  | a e i m |
//              | e f g h |   to            | b f j n |     size x size, in registers
//              | i j k l |                 | c g k o |
//              | m n o p |                 | d h l p |
//
// Columns go in strips of 16 tiles, long enough that every row is read in runs which the hardware
// fetches ahead; what a strip writes stays in L2 until its lines are whole. Where the rows of dst
// are so far apart that they share a few sets of L1, a strip is one tile: 16 streams are written.
// Bound: memory (two streams).
#include <cstddef>

#include "ops/layout/layout.h"

namespace striate {
namespace {

// A tile that is not whole, and every tile of the scalar kernel.
template <class T>
void transpose_part(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                    ptrdiff_t dst_row) {
  for (ptrdiff_t j = 0; j < cols; ++j)
    for (ptrdiff_t i = 0; i < rows; ++i) dst[j * dst_row + i] = src[i * src_row + j];
}

template <class Tile, class T>
void transpose(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
               ptrdiff_t dst_row) {
  constexpr ptrdiff_t size = Tile::size;
  const bool crowded = dst_row * ptrdiff_t(sizeof(T)) % 1024 == 0;
  const ptrdiff_t strip = crowded ? size : 16 * size;
  for (ptrdiff_t j0 = 0; j0 < cols; j0 += strip) {
    ptrdiff_t j1 = j0 + strip < cols ? j0 + strip : cols;
    for (ptrdiff_t i = 0; i < rows; i += size) {
      ptrdiff_t m = i + size < rows ? size : rows - i;
      for (ptrdiff_t j = j0; j < j1; j += size) {
        ptrdiff_t n = j + size < j1 ? size : j1 - j;
        const T* from = src + i * src_row + j;
        T* to = dst + j * dst_row + i;
        if (m == size && n == size)
          Tile::whole(from, src_row, to, dst_row);
        else
          Tile::part(from, src_row, m, n, to, dst_row);
      }
    }
  }
}

}  // namespace
}  // namespace striate

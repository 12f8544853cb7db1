// SPDX-License-Identifier: Apache-2.0
// What the steps of a sequence share: weights packed once, and tiles of a product of a few rows
// with them.
#pragma once
#include <algorithm>

#include "core/blocks.h"
#include "core/isa.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/tile.h"
#include "ops/lstm/lstm.h"

namespace striate {

// A line more than n elements: rows that a tile reads side by side must not share cache sets.
template <class T>
ptrdiff_t padded(ptrdiff_t n) {
  return n + 64 / ptrdiff_t(sizeof(T));
}

template <class T>
constexpr Rows<T> kNoRows{nullptr, 0};

// B [K, N] in panels of NR columns, [N / NR][K][NR]; or several of the same size behind each other.
template <class T>
class PackedWeights {
 public:
  PackedWeights(ptrdiff_t k, ptrdiff_t n, ptrdiff_t count = 1)
      : k_(k), n_(n), size_(packed_b_size<T>(k, n)), space_(size_ * size_t(count)) {}

  void pack(ptrdiff_t which, const T* data, ptrdiff_t row, ptrdiff_t col) {
    pack_b<T>({data, row, col, 0}, k_, n_, space_.data() + size_t(which) * size_);
  }
  // Columns [j, j + NR), j a multiple of NR, from row k on.
  const T* panel(ptrdiff_t which, ptrdiff_t j, ptrdiff_t k, ptrdiff_t nr) {
    return space_.data() + size_t(which) * size_ + size_t(j * k_ + k * nr);
  }
  ptrdiff_t k() const { return k_; }

 private:
  ptrdiff_t k_, n_;
  size_t size_;
  Workspace<T> space_;
};

// A part of the sum over K: A's columns from `a_offset` on by k rows of B.
template <class T>
struct StepSegment {
  ptrdiff_t a_offset;
  const T* b;
  ptrdiff_t k;
};

// C = beta C + bias + sum over segments of A B, for m <= MR rows and n <= NR columns.
template <class T>
struct StepTile {
  Rows<const T> a;
  Rows<T> c;
  ptrdiff_t m, n;
  T beta;
  const T* bias;  // [n] or null
};

template <class T>
class StepProduct {
 public:
  StepProduct() : kernel_(gemm_kernel(dtype_of<T>)), mr(kernel_.mr), nr(kernel_.nr) {}

  template <int Count>
  void operator()(const StepTile<T>& t, const StepSegment<T> (&segments)[Count]) const {
    const T* a[kMaxTileRows];
    T* c[kMaxTileRows];
    for (ptrdiff_t i = 0; i < t.m; ++i) a[i] = t.a.at(i), c[i] = t.c.at(i);
    GemmSegment<T> parts[Count];
    for (int s = 0; s < Count; ++s)
      parts[s] = {a, segments[s].a_offset, segments[s].b, segments[s].k};
    const Epilogue<T> none;
    kernel_.run(GemmTile<T>{parts, Count, 1, nr, c, int(t.m), int(t.n), T(1), t.beta, t.bias,
                            nullptr, none.low, none.high});
  }

 private:
  const GemmKernel& kernel_;

 public:
  const ptrdiff_t mr, nr;
};

// A step's rows and columns, cut into blocks of NR columns by tiles of like height.
struct StepGrid {
  ptrdiff_t rows, columns, height, nr;
  ptrdiff_t tiles, blocks;

  StepGrid(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t mr, ptrdiff_t nr)
      : rows(rows), columns(columns), nr(nr) {
    tiles = std::max<ptrdiff_t>(ceil_div(rows, mr), 1);
    height = ceil_div(rows, tiles);
    blocks = ceil_div(columns, nr);
  }
};

constexpr double kStepFlops = 1e6;  // below, waking a second core costs more than it brings

// Calls body(first row, rows, first column, columns) on every block of the grid, a thread on
// neighbouring columns, so that it meets the same weights at each step, and every other step
// (`turn`) from its last block to its first: what L2 holds of the weights then is what is wanted
// next, where a sweep that always starts at the first block would have pushed it out. Blocks do not
// depend on each other, so neither cut nor order changes a result.
template <class F>
void over_step(const StepGrid& grid, ptrdiff_t turn, double flops, F&& body) {
  const ptrdiff_t count = grid.blocks * grid.tiles;
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t k = begin; k < end; ++k) {
      const ptrdiff_t i = turn & 1 ? begin + end - 1 - k : k;
      const ptrdiff_t row = i % grid.tiles * grid.height, column = i / grid.tiles * grid.nr;
      if (row >= grid.rows) continue;
      body(row, std::min(grid.height, grid.rows - row), column,
           std::min(grid.nr, grid.columns - column));
    }
  };
  const ptrdiff_t parts = std::min<ptrdiff_t>(num_threads(), count);
  if (flops < kStepFlops || parts <= 1) return run(0, count);
  parallel_for(parts, [&](ptrdiff_t p) { run(count * p / parts, count * (p + 1) / parts); });
}

}  // namespace striate

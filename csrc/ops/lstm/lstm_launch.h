// SPDX-License-Identifier: Apache-2.0
// What the launchers of recurrent layers, forward and backward, share.
#pragma once
#include <algorithm>
#include <climits>
#include <utility>
#include <vector>

#include "core/blocks.h"
#include "core/check.h"
#include "core/precision.h"
#include "cuda/driver/graph.h"
#include "cuda/driver/kernel.h"
#include "ops/elementwise/elementwise.h"
#include "ops/gemm/problem.h"
#include "ops/lstm/lstm.h"

namespace striate::recurrent {

// Hands out working space piece by piece, 256 bytes aligned; without memory it only counts.
template <class T>
class Space {
 public:
  explicit Space(T* memory) : memory_(memory) {}
  T* take(ptrdiff_t count) {
    T* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += ceil_div(count, 64) * 64;
    return piece;
  }
  ptrdiff_t used() const { return used_; }

 private:
  T* memory_;
  ptrdiff_t used_ = 0;
};

// Room for products that are made in parts: sixteen of the largest result of a step or of a
// weight's gradient, but no more than two million, which is what parts take that fill a chip.
template <class T>
ptrdiff_t room_for_parts(const RnnLayer<T>& l, bool backward) {
  const ptrdiff_t of_step = l.batch * gate_count(l.cell) * l.hidden;
  const ptrdiff_t of_weight = gate_count(l.cell) * l.hidden * std::max(l.input, l.output);
  return std::min<ptrdiff_t>(16 * std::max(of_step, backward ? of_weight : 0), 1 << 21);
}

// Operations on matrices of a stream's device.
template <class T>
class Matrices {
 public:
  Matrices(const cuda::Stream& stream, T* room, ptrdiff_t count)
      : stream_(stream), room_(room), bytes_(count * ptrdiff_t(sizeof(T))) {}

  Operand of(Rows<const T> x, ptrdiff_t rows, ptrdiff_t columns) const {
    return {const_cast<T*>(x.data), dtype_of<T>, 2, {rows, columns}, {x.row, 1}, stream_.device};
  }
  Operand turned(Rows<const T> x, ptrdiff_t rows, ptrdiff_t columns) const {
    const Operand m = of(x, rows, columns);
    return {m.data, m.dtype, 2, {columns, rows}, {1, x.row}, m.device};
  }
  // c = a b + beta c + bias
  void multiply(const Operand& a, const Operand& b, const Operand& c, T beta,
                const T* bias = nullptr) const {
    Epilogue<T> e;
    if (bias) e.bias = bias, e.bias_axis = BiasAxis::column;
    const ptrdiff_t m = c.shape[0], n = c.shape[1];
    const GemmSizes sizes{1, m, n, a.shape[1], 2, {m, n, 0}};
    const SumParts parts = gemm_launch_parts(stream_.device, sizes, bytes_, sizeof(T));
    gemm_launch(stream_, sizes, a, b, c, 1, beta, e, parts, room_);
  }
  void add(const Operand& a, const Operand& b, const Operand& c) const {
    binary_launch(stream_, Binary::add, a, b, c);
  }
  void copy(const Operand& from, const Operand& to) const {
    T zero = 0;
    add(from, Operand{&zero, dtype_of<T>, 0, {}, {}}, to);
  }
  const cuda::Stream& stream() const { return stream_; }

 private:
  const cuda::Stream& stream_;
  T* room_;
  ptrdiff_t bytes_;
};

// Rows of a step whose h' lie together.
template <class T>
struct Block {
  ptrdiff_t first, rows;
  Rows<const T> h;
};
template <class T>
std::vector<Block<T>> blocks_of(const RnnLayer<T>& l, ptrdiff_t t) {
  const ptrdiff_t other = l.direction == Direction::forward ? t - 1 : t + 1, rows = l.rows_of(t);
  ptrdiff_t there = 0;
  if (other >= 0 && other < l.steps()) there = std::min(rows, l.rows_of(other));
  std::vector<Block<T>> blocks;
  if (there > 0) {
    const Rows<T> h = l.y.from(l.offset[other], 0);
    blocks.push_back({0, there, {h.data, h.row}});
  }
  if (there < rows)
    blocks.push_back({there, rows - there, Rows<const T>{l.h0, l.output}.from(there, 0)});
  return blocks;
}

// The GRU keeps its last gate in two halves.
template <class T>
ptrdiff_t gates_columns(const RnnLayer<T>& l) {
  return (l.cell == Cell::gru ? 4 : gate_count(l.cell)) * l.hidden;
}
// Columns of gates that h' meets as x does: the GRU's last one is apart.
template <class T>
ptrdiff_t columns_with_x(const RnnLayer<T>& l) {
  return (l.cell == Cell::gru ? 2 : gate_count(l.cell)) * l.hidden;
}

template <class T>
void check_step(const RnnLayer<T>& l) {
  if (l.batch * l.hidden > INT_MAX)
    fail("rnn", "x", "fewer than 2^31 values of the state on a GPU",
         shape_text({l.batch, l.hidden}));
}

// All that the launches of a layer depend on, but for what is a pass's own.
template <class T>
cuda::GraphKey key_of(const RnnLayer<T>& l) {
  cuda::GraphKey key;
  key.add(dtype_of<T>, float32_precision(), l.cell, l.direction, l.input, l.hidden, l.output);
  key.add(l.w_ih, l.w_hh, l.b_ih, l.b_hh, l.w_hr, l.batch, l.x, l.h0, l.c0);
  key.add(l.y.data, l.y.row, l.kept.data, l.kept.row);
  for (const ptrdiff_t row : l.offset) key.add(row);
  return key;
}

// The launches of a sequence on a stream, as a graph where it is long enough to be worth one.
inline void launch_sequence(const cuda::Stream& stream, const char* name, ptrdiff_t steps,
                            cuda::GraphKey key, const cuda::Launches& launches) {
  constexpr ptrdiff_t kLeastSteps = 4;
  if (steps < kLeastSteps) return launches(stream);
  cuda::launch_again(stream, name, std::move(key), launches);
}

// A step's cells: block.rows by block.units of them.
template <class T>
void launch_cells(const cuda::Stream& stream, Cell cell, const CellForward<T>& block);
template <class T>
void launch_cells(const cuda::Stream& stream, Cell cell, const CellBackward<T>& block);

}  // namespace striate::recurrent
